"""The routes of identities: list, show, test, verify."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from aiohttp import web

from relay.admin.key_audit import audit_change
from relay.admin.requests import address_or_400, optional_json_body
from relay.config.settings import Identity
from relay.limits.ports import LimitStore, Usage
from relay.limits.window import Window, windows
from relay.mail.canonical_address import canonical, domain_of
from relay.queue.pause import Pause
from relay.reports.serialize import JsonObject, time_json
from relay.rewrite.tokens import cc_address
from relay.verification.challenge import DIGITS, is_code
from relay.verification.model import TEST_STEPS, Verification
from relay.verification.reply_delivery import answers_remark
from relay.verification.result import verification_json
from relay.verification.verifier import Verifier


class IdentityRoutes:
    """The routes of identities. An ADDRESS need not be in the configuration to be verified."""

    def __init__(self, verifier: Verifier, limits: LimitStore, pauses: Callable[[], Mapping[str, Pause]]) -> None:
        """Use these; `pauses` returns the pauses of identities, by address."""
        self._verifier = verifier
        self._limits = limits
        self._pauses = pauses

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/identities", self.listing),
            web.get("/identities/{address}", self.one),
            web.post(f"/identities/{{address}}/test/{{step:{'|'.join(TEST_STEPS)}}}", self.test),
            web.post("/identities/{address}/verify", self.verify),
            web.post("/identities/{address}/unverify", self.unverify),
            web.post("/identities/{address}/code", self.code),
            web.post("/identities/{address}/dns", self.dns),
        ]

    async def listing(self, _: web.Request) -> web.Response:
        """GET /identities: the configured identities, and other addresses that were tested."""
        return web.json_response({"identities": await self.rows()})

    async def rows(self) -> list[JsonObject]:
        """Return the rows of the list."""
        verifications = await self._verifier.tools.store.find()
        tested = {one.subject for one in verifications if "@" in one.subject}
        listed = self._verifier.tools.settings().identities
        return await self._json_of([*listed, *sorted(tested - set(listed))], verifications)

    async def one(self, request: web.Request) -> web.Response:
        """GET /identities/ADDRESS: one identity."""
        address = canonical(_address(request))
        verifications = await self._verifier.tools.store.find(address)
        if address not in self._verifier.tools.settings().identities and not verifications:
            raise web.HTTPNotFound(text=f"{address} is not an identity; add it with: relay identity add {address}")
        (row,) = await self._json_of([address], verifications)
        return web.json_response(row)

    async def test(self, request: web.Request) -> web.Response:
        """POST /identities/ADDRESS/test/STEP with {"to": [ADDRESS, …]} or no body: run a step, return its result."""
        body = await optional_json_body(request)
        to = body.get("to", [])
        if not isinstance(to, list) or not all(isinstance(one, str) for one in to):
            raise web.HTTPBadRequest(text='"to" must be a list of addresses')
        step = next(one for one in TEST_STEPS if one == request.match_info["step"])
        address = _address(request)
        row = await self._verifier.run(address, step, tuple(map(address_or_400, to)))
        await audit_change(request, "identity.test", canonical(address), after=step)
        return web.json_response(row)

    async def verify(self, request: web.Request) -> web.Response:
        """POST /identities/ADDRESS/verify: send a code to that address, or check the DNS of the platform's domain."""
        address = _address(request)
        row = await self._verifier.prove(address)
        await audit_change(request, "identity.verify", canonical(address), after="asked")
        return web.json_response(row)

    async def unverify(self, request: web.Request) -> web.Response:
        """POST /identities/ADDRESS/unverify: withdraw its proof by code; `verified` is true if DNS still proves it."""
        address = _address(request)
        verified = await self._verifier.withdraw(address)
        await audit_change(
            request, "identity.unverify", canonical(address), after="verified by DNS" if verified else ""
        )
        return web.json_response({"address": canonical(address), "verified": verified})

    async def code(self, request: web.Request) -> web.Response:
        """POST /identities/ADDRESS/code with {"code": "123456"}: confirm the address by the code in the mail."""
        code = (await optional_json_body(request)).get("code")
        if not isinstance(code, str) or not is_code(code):
            raise web.HTTPBadRequest(text=f"the code has {DIGITS} digits")
        address = _address(request)
        row = await self._verifier.confirm_code(address, code)
        await audit_change(request, "identity.verify", canonical(address), after=f"a code: {row['state']}")
        return web.json_response(row)

    async def dns(self, request: web.Request) -> web.Response:
        """POST /identities/ADDRESS/dns: verify the domain by its DKIM key in DNS."""
        address = _address(request)
        row = await self._verifier.check(address)
        await audit_change(request, "identity.verify", canonical(address), after=f"by DNS: {row['state']}")
        return web.json_response(row)

    async def _json_of(self, addresses: Sequence[str], verifications: Iterable[Verification]) -> list[JsonObject]:
        tools = self._verifier.tools
        settings, keyring, now = tools.settings(), tools.keyring(), tools.clock()
        identities = {address: settings.identity_for(address) for address in addresses}
        limits = {f"identity:{address}": _windows(identity) for address, identity in identities.items()}
        usage = await self._limits.usage({key: windows for key, windows in limits.items() if windows}, now)

        steps: dict[str, list[Verification]] = {}
        for one in verifications:
            steps.setdefault(one.subject, []).append(one)

        pauses, rows = self._pauses(), []
        for address, identity in identities.items():
            reply_domain = settings.domain_for(address).reply_domain
            rows.append(
                {
                    "address": address,
                    "listed": identity is not None,
                    **_settings_json(identity),
                    **_usage_json(identity, usage.get(f"identity:{address}"), now),
                    **_pause_json(pauses.get(address)),
                    "verified": self._verifier.proven(address),
                    "verified_by": _proof(steps.get(address, ()), proven=self._verifier.proven(address)),
                    "steps": [verification_json(one) for one in steps.get(address, ())],
                    "answers": answers_remark(settings, address, tools.exchangers(domain_of(address))).text,
                    "cc_address": cc_address(keyring, address, reply_domain) if reply_domain and identity else "",
                }
            )
        return rows


def _windows(identity: Identity | None) -> tuple[Window, ...]:
    return windows(identity.hourly_limit, identity.daily_limit) if identity else ()


def _settings_json(identity: Identity | None) -> JsonObject:
    return {
        "display_name": identity.display_name if identity else "",
        "company": identity.company if identity else "",
        "forward_to": list(identity.forward_to) if identity else [],
        "reply_to": identity.reply_to if identity else "",
        "provider": identity.provider if identity else "",
        "hourly_limit": identity.hourly_limit if identity else 0,
        "daily_limit": identity.daily_limit if identity else 0,
    }


def _pause_json(pause: Pause | None) -> JsonObject:
    """Return when and why the identity was paused, None and "" for one that is not paused."""
    return {
        "paused_since": time_json(pause.at) if pause else None,
        "paused_because": pause.why if pause else "",
    }


def _usage_json(identity: Identity | None, usage: Usage | None, now: float) -> JsonObject:
    """Return the use of the last hour and day, and the release time of a message accepted now if it must wait."""
    limits = _windows(identity)
    sent = dict(zip((window.span for window in limits), usage.left, strict=True)) if usage else {}
    spans: Mapping[str, float] = {"used_hour": 3600.0, "used_day": 86400.0}
    return {
        **{name: sent.get(span) for name, span in spans.items()},
        "waiting": usage.waiting if usage else 0,
        "next_release_at": time_json(usage.free_at) if usage and usage.free_at > now else None,
    }


def _proof(steps: Iterable[Verification], *, proven: bool) -> str:
    """Return the proof of the address: "mail", "dns" for its domain, or "" if it is not verified."""
    if any(one.step == "sender" and one.state == "passed" for one in steps):
        return "mail"
    return "dns" if proven else ""


def _address(request: web.Request) -> str:
    return address_or_400(request.match_info["address"])
