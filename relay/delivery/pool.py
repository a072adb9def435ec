"""The connection pool: opens sessions within the limits of connections, and keeps them for the next job."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from relay.content_file import LARGE
from relay.delivery.connect import Connect, ConnectFailure, Security, connect
from relay.delivery.connection_limit import ConnectionLimit, connection_limit
from relay.delivery.connection_slots import ConnectionSlots
from relay.delivery.idle_sessions import IdleKey, IdleSessions
from relay.delivery.mx import MAX_HOSTS, Endpoint, failing_last
from relay.delivery.next_hop import BuiltIn, NextHopResolver, Target, Upstream
from relay.delivery.recent_principals import RecentPrincipals
from relay.delivery.server_history import ServerHistory
from relay.delivery.session import Session
from relay.delivery.sites import SiteTable
from relay.delivery.token_login import connect_with_token
from relay.delivery.transaction import TransactionReplies
from relay.frozen import dataclass
from relay.limits.priority import Flow
from relay.oauth.tokens import AccessTokens
from relay.queue.nodes import full_share
from relay.queue.outcome import Deferred, Refused
from relay.queue.site import Site, site_of_lane

TOTAL = "total"
"""ConnectionLimit of all connections."""

UNPROVEN = "unproven"
"""ConnectionLimit of all sites without an accepted message lately: together at most half of the connections."""

_UNPROVEN_FACTOR = 2.0
"""Factor of the share of such connections: one principal alone may hold two thirds of them."""

_PER_RESERVED = 10
"""Connections of the total for each one beyond it, which principals without any may open."""


@dataclass(frozen=True, slots=True, eq=False)
class LaneTarget:
    """A lane with its target and the settings that apply to it."""

    lane: str
    target: Target
    next_hops: NextHopResolver


@dataclass(slots=True, eq=False)
class HeldSlot:
    """A slot in use: whose it is, the site that it counts for, and its limits by key."""

    flow: Flow
    site: Site
    limits: dict[str, ConnectionLimit]


@dataclass(frozen=True, slots=True)
class OtherSite:
    """The domain leads to another site now: its slot must be taken before a connection to it is opened."""


class Pool:
    """Opens sessions and keeps them for the next job.

    `clock` is monotonic seconds. `share` returns the connections of a lane or site that this node may open.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        share: Callable[[str, int], int] = full_share,
        tokens: AccessTokens | None = None,
        connect: Connect = connect,
    ) -> None:
        self._open = connect
        self._clock = clock
        self._share = share
        self._tokens = tokens
        self._slots = ConnectionSlots()
        self._idle = IdleSessions()
        self._sites = SiteTable(clock)
        self._principals = RecentPrincipals(clock)
        self.memory = ServerHistory(clock)
        self._closed = False

    async def acquire_slot(self, lane_target: LaneTarget, flow: Flow, size: int) -> HeldSlot:
        """Take a slot for one session of this lane, for a message of that flow and of that many octets.

        Wait for it while the lane, its site or the total is at its limit. Slots are shared out among principals.
        Hanging servers of many domains hold no more than the connections of one site. All sites that have accepted
        nothing lately hold no more than half of the total.
        """
        self._principals.add(flow.accountable)
        site = self._known_site(lane_target) or await self._find_site(lane_target)
        limits = self._limits(lane_target, site, size)
        lane = _large_key(lane_target.lane) if size > LARGE else lane_target.lane
        if not self._slots.take(lane, limits, flow):
            await self._slots.acquire(lane, limits, flow)
        return HeldSlot(flow, site, limits)

    def release_slot(self, held: HeldSlot) -> None:
        """Give a slot back."""
        self._slots.release(held.limits, held.flow)

    def idle_session(self, lane_target: LaneTarget, held: HeldSlot, asked: Collection[str] = ()) -> Session | None:
        """Return an idle session of the lane with another server than those `asked`, None if there is none."""
        return self._idle.take(self._idle_key(lane_target, held.site), asked)

    async def session(
        self, lane_target: LaneTarget, held: HeldSlot, asked: Collection[str] = ()
    ) -> Session | Deferred | Refused | OtherSite | None:
        """Return an idle session of the site, else a new one with the first endpoint that answers, else the outcome.

        `asked` are the servers that deferred the message in this attempt. They are passed over; None if no other is
        left. A new session is with a server of the site that the slot counts for.
        """
        key = self._idle_key(lane_target, held.site)
        endpoints = await lane_target.next_hops.endpoints(lane_target.target)
        if isinstance(endpoints, Deferred | Refused):
            return endpoints

        in_order = failing_last(endpoints, self.memory.failing)
        others = {str(endpoint): endpoint for endpoint in in_order if str(endpoint) not in asked}
        if not others:
            return None
        if held.site.address and not self._is_of_slot(lane_target, held, in_order, next(iter(others.values()))):
            return OtherSite()
        idle = self._idle.take_of_site(key, others)
        if idle is not None:
            return idle

        await self._make_room(lane_target, held, key)
        return await self._connect_first(lane_target, tuple(others.values()), MAX_HOSTS - len(asked))

    def _is_of_slot(
        self, lane_target: LaneTarget, held: HeldSlot, endpoints: Sequence[Endpoint], first: Endpoint
    ) -> bool:
        """Whether the slot counts for these endpoints. It is made to count for the address that is asked first."""
        if self._add(lane_target, endpoints).name != held.site.name:
            return False
        address = str(first.address)
        if self._slots.exchange(held.limits, held.flow, _address_key(held.site.address), _address_key(address)):
            held.site = replace(held.site, address=address)
            return True
        return any(str(endpoint.address) == held.site.address for endpoint in endpoints)

    def release(self, lane_target: LaneTarget, held: HeldSlot, session: Session) -> None:
        """Keep a session for the next job. Close it after `messages_per_connection`, and when its login ends."""
        delivery = lane_target.next_hops.settings.delivery
        most = held.site.messages_per_connection or delivery.messages_per_connection
        login_left = session.login_ends_at - self._clock()
        if self._closed or session.transactions >= most or login_left <= 0:
            self._idle.close(session)
        else:
            idle_timeout = min(delivery.idle_timeout, login_left)
            self._idle.put(self._idle_key(lane_target, held.site), session, idle_timeout)

    def accepted(self, held: HeldSlot) -> None:
        """Note that a server of the site accepted a message."""
        if held.site.address:
            self._sites.accepted(held.site)

    def _known_site(self, lane_target: LaneTarget) -> Site | None:
        """Return the site of a lane, which is the lane itself for a provider; None if it must be looked up."""
        if isinstance(lane_target.target, Upstream | BuiltIn):
            return site_of_lane(lane_target.lane, lane_target.next_hops.connections(lane_target.target))
        return self._sites.of(lane_target.lane)

    async def _find_site(self, lane_target: LaneTarget) -> Site:
        """Look the site of a lane up. It is the lane itself for a domain without a usable host."""
        endpoints = await lane_target.next_hops.endpoints(lane_target.target)
        if isinstance(endpoints, Deferred | Refused):
            return site_of_lane(lane_target.lane, lane_target.next_hops.connections(lane_target.target))
        return self._add(lane_target, failing_last(endpoints, self.memory.failing))

    def _add(self, lane_target: LaneTarget, endpoints: Sequence[Endpoint]) -> Site:
        next_hops = lane_target.next_hops
        own = next_hops.connections(lane_target.target)
        return self._sites.add(lane_target.lane, endpoints, next_hops.settings.site_profiles, own)

    def _limits(self, lane_target: LaneTarget, site: Site, size: int) -> dict[str, ConnectionLimit]:
        """Return the limits of a connection, by key."""
        settings = lane_target.next_hops.settings
        total = settings.delivery.max_connections
        # Entries claimed before other nodes joined are still delivered.
        most = max(1, self._share(site.name, site.connections))
        limit = connection_limit(most, share=max(1, most - 1) if self._principals.are_several(settings) else 0)
        limits = {lane_target.lane: limit}
        if size > LARGE:
            # Large messages take long: one connection is left to the others.
            limits[_large_key(site.name)] = connection_limit(max(1, most - 1))
        if site.address:
            limits |= {_site_key(site.name): limit, _address_key(site.address): limit}
            if not self._sites.is_proven(site):
                half = max(1, total // 2)
                limits[UNPROVEN] = connection_limit(half, reserve=half // 2, factor=_UNPROVEN_FACTOR)
        limits[TOTAL] = connection_limit(total, reserve=total // _PER_RESERVED)
        return limits

    async def _make_room(self, lane_target: LaneTarget, held: HeldSlot, key: IdleKey) -> None:
        """Close an idle session where it, with those in use, takes the site or the total over the limit."""
        of_site = _site_key(held.site.name) if held.site.address else lane_target.lane
        if self._slots.used_of(of_site) + self._idle.count(key) > held.limits[of_site].most:
            await self._idle.close_oldest_of(key)
        if len(self._idle) + self._slots.used > lane_target.next_hops.settings.delivery.max_connections:
            self._idle.close_oldest()

    def _idle_key(self, lane_target: LaneTarget, site: Site) -> IdleKey:
        return IdleKey(lane_target.next_hops, site.name, lane_target.lane)

    def record_replies(self, session: Session, replies: TransactionReplies) -> None:
        """Record failures of a server, and extensions that it does not support."""
        if replies.rejects_commands:
            self.memory.minimal.set(session.remote, True)
            session.offers = session.offers.minimal()
        if not replies.reusable and not replies.is_delivered:
            self.memory.failing.set(session.remote, True)

    def falls_back(self, lane_target: LaneTarget, session: Session, replies: TransactionReplies) -> bool:
        """Return whether the next session is in clear text: opportunistic TLS failed after the handshake."""
        if not replies.tls_failed or lane_target.next_hops.security(lane_target.target) is not Security.OPPORTUNISTIC:
            return False
        self.memory.clear_text.set(session.remote, True)
        return True

    def close_idle(self) -> None:
        """Close all idle sessions, after a change of the settings they were opened with."""
        self._idle.close_all()
        self._sites.forget()

    async def close(self) -> None:
        """Close all idle sessions, keep none from now on, and wait until they are closed."""
        self._closed = True
        self._idle.close_all()
        await self._idle.wait_closed()

    async def _connect_first(
        self, lane_target: LaneTarget, endpoints: Sequence[Endpoint], most: int
    ) -> Session | Deferred:
        """Connect to the first endpoint that gives a session, of at most `most` hosts that do not refuse at once."""
        failure: ConnectFailure | None = None
        silent: set[str] = set()
        for endpoint in endpoints:
            if len(silent - {endpoint.name}) >= most:
                continue
            opened = await self._connect(lane_target, endpoint)
            if isinstance(opened, Session):
                self.memory.failing.discard(opened.remote)
                if opened.remote in self.memory.minimal:
                    opened.offers = opened.offers.minimal()
                return opened
            if opened.without_token:
                failure = opened
                break  # No other host would be asked either.
            self.memory.failing.set(str(endpoint), True)
            if failure is None or failure.refused_connection or not opened.refused_connection:
                failure = opened
            if opened.locked_out and opened.phase == "auth":
                break  # It is about the account: the other hosts would refuse it too.
            if not opened.refused_connection:
                silent.add(endpoint.name)

        assert failure is not None
        return Deferred(
            failure.reply, str(failure.endpoint), lane_down=True, locked_out=failure.locked_out, phase=failure.phase
        )

    async def _connect(self, lane_target: LaneTarget, endpoint: Endpoint) -> Session | ConnectFailure:
        """Connect. After a failure of opportunistic TLS, connect once more in clear text."""
        options = lane_target.next_hops.connect_options(lane_target.target, endpoint)
        username = lane_target.next_hops.token_user(lane_target.target)
        if username and self._tokens is not None and isinstance(lane_target.target, Upstream):
            return await connect_with_token(endpoint, options, self._tokens, lane_target.target.name, username)
        if options.security is not Security.OPPORTUNISTIC:
            return await self._open(endpoint, options)

        clear_text = replace(options, security=Security.NONE)
        if str(endpoint) in self.memory.clear_text:
            return await self._open(endpoint, clear_text)

        opened = await self._open(endpoint, options)
        if isinstance(opened, Session) or not opened.tls_failed:
            return opened
        reopened = await self._open(endpoint, clear_text)
        if isinstance(reopened, Session):
            self.memory.clear_text.set(str(endpoint), True)
        return reopened


def _large_key(name: str) -> str:
    return f"large {name}"


def _site_key(name: str) -> str:
    return f"site {name}"


def _address_key(address: str) -> str:
    return f"address {address}"
