"""A running queue with its store, and the commands of an operator over the routes of the admin server."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result

from relay.admin.application import admin_application
from relay.admin.pauses import PauseRoutes
from relay.admin.server import AdminServer
from relay.admin.sites import SiteRoutes
from relay.admin.wait_reasons import WaitReasonRoutes
from relay.app.identity_pauses import IdentityPauses
from relay.app.operator_pauses import OperatorPauses
from relay.app.wait_explainer import WaitExplainer
from relay.cli import main
from relay.config.sites import merge_sites, shipped_sites
from relay.delivery.connect import TlsContexts
from relay.delivery.next_hop import NextHopResolver
from relay.listening_sockets import listen_unix
from relay.queue.entry import Entry, State
from relay.queue.message import Message, NewMessage
from relay.queue.nodes import NodeShare
from relay.queue.site import Site
from relay.render.message_policy import MessagePolicy
from relay.resolver import AddressAnswer, Addresses, Hosts, MxAnswer, MxHost, NoSuchDomain, Resolver
from tests.unit.queue_harness import CONTENT, Harness, running, settings

IDENTITY = "news@acme.test"

SETTINGS = settings(
    identities={IDENTITY: {}},
    provider=[{"name": "newsletter", "host": "127.0.0.1"}],
    site=[{"name": "big", "mx": ["*.big.test"], "connections": 5}],
)

BIG = Site("big", "192.0.2.1", connections=5)


class Zone(Resolver):
    """All domains but gone.test have one mail exchanger."""

    async def mx(self, domain: str) -> MxAnswer:
        return NoSuchDomain() if domain == "gone.test" else Hosts((MxHost(10, "mx1.big.test"),))

    async def addresses(self, host: str, *, ipv6: bool = True) -> AddressAnswer:
        return Addresses((ip_address("8.8.8.8"),))


@dataclass
class Operator:
    """A running queue, and the admin server over it."""

    harness: Harness
    config: Path
    lines: list[tuple[str, dict[str, object]]]

    async def run(self, *arguments: str) -> Result:
        given = [*arguments, "--config", str(self.config)]
        return await asyncio.to_thread(CliRunner().invoke, main, given)

    async def output(self, *arguments: str) -> str:
        result = await self.run(*arguments)
        assert result.exit_code == 0, result.output
        return result.output

    async def enqueue(self, queue_id: str, recipient: str, *, campaign: str = "", provider: str = "direct") -> None:
        lane = f"mx:{recipient.partition('@')[2]}" if provider == "direct" else f"provider:{provider}"
        message = Message(
            queue_id,
            self.harness.now,
            "app@acme.test",
            MessagePolicy(identity=IDENTITY, provider=provider),
            header_from=IDENTITY,
            campaign=campaign,
        )
        at = self.harness.now
        entry = Entry(queue_id, 0, recipient, lane, at, at + 86400, at)
        await self.harness.store.queue.enqueue(NewMessage(message, CONTENT, (entry,)))
        await self.harness.until_idle()

    async def states(self) -> dict[str, str]:
        await self.harness.until_idle()
        return {one.queue_id[-1]: one.state.value for one in await self.harness.entries()}

    async def reason(self) -> str:
        (entry,) = await self.harness.entries()
        assert (entry.state, entry.attempts) == (State.WAITING, 0)
        return entry.reason


@pytest.fixture
async def operator(tmp_path: Path) -> AsyncIterator[Operator]:
    config = tmp_path / "relay.toml"
    config.write_text(f'[server]\nhostname = "relay.test"\ndata_dir = "{tmp_path}"\n')
    async with running(tmp_path, SETTINGS) as harness:
        found = Operator(harness, config, [])
        server = AdminServer(admin_application(*tables(found)))
        await server.start_unix(listen_unix(tmp_path / SETTINGS.admin.socket))
        yield found
        await server.stop()


class Identities:
    """Ends pauses of identities as the application does, without its other effects."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness

    async def resume(self, address: str) -> int | None:
        return await self._harness.runner.shared_pauses.resume(f"identity:{address}")


def tables(operator: Operator) -> list[Any]:
    harness = operator.harness
    explainer = WaitExplainer(
        lanes=harness.runner.lanes,
        pauses=harness.runner.shared_pauses,
        rates=harness.context.rates,
        entries=harness.store.queue,
        share=NodeShare,
        profiles=lambda: merge_sites(SETTINGS.sites, shipped_sites()),
        store_fault=lambda: "",
        next_hops=lambda: NextHopResolver(SETTINGS, Zone(), TlsContexts()),
        clock=lambda: harness.now,
    )
    pauses = OperatorPauses(
        harness.runner.shared_pauses,
        cast("IdentityPauses", Identities(harness)),
        lambda line, **fields: operator.lines.append((line, fields)),
        lambda: harness.now,
    )
    return [
        SiteRoutes(explainer.sites).table(),
        PauseRoutes(
            settings=lambda: SETTINGS,
            sites=lambda: {site.name for site in harness.context.rates.sites()},
            holds=pauses.holds,
            pause=pauses.pause,
            resume=pauses.resume,
            resume_of_application=pauses.resume_of_application,
        ).table(),
        WaitReasonRoutes(
            store=harness.store.queue,
            explain=explainer.explain,
            sites=explainer.sites,
            servers=explainer.servers,
        ).table(),
    ]
