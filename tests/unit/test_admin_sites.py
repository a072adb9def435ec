"""Sites, pauses and `relay why`: the commands over the routes, with a real queue and store behind them."""

import asyncio
import json
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
from relay.mail.reply import Reply
from relay.queue.entry import Entry, State
from relay.queue.message import Message, NewMessage
from relay.queue.nodes import NodeShare
from relay.queue.outcome import Deferred
from relay.queue.site import Site
from relay.render.message_policy import MessagePolicy
from relay.resolver import AddressAnswer, Addresses, Hosts, MxAnswer, MxHost, NoSuchDomain, Resolver
from tests.unit.queue_harness import BUSY, CONTENT, NOW, Harness, running, settings

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


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        (["--campaign", "spring"], "its campaign spring is paused: an operator paused it: wait"),
        (["--identity", "News@Acme.test"], "its identity is paused: an operator paused it: wait"),
        (["--domain", "X.test"], "its domain x.test is paused"),
        (["--provider", "direct"], "its provider direct is paused"),
        (["big"], "its site big is paused"),
    ],
)
async def test_a_pause_holds_what_comes_and_resuming_releases_it(
    operator: Operator, subject: list[str], reason: str
) -> None:
    operator.harness.context.rates.admit("mx:x.test", BIG, None, NOW)
    assert "is paused" in await operator.output("site", "pause", *subject, "--reason", "wait")
    await operator.enqueue("0000000000000A", "u@x.test", campaign="spring")
    assert await operator.reason() == reason
    assert operator.harness.delivery.jobs == []
    assert reason in await operator.output("why", "0000000000000A/0")
    assert "resume" in await operator.output("why", "u@x.test")

    told = await operator.output("site", "resume", *subject)
    assert "1 waiting recipients are due now" in told
    assert await operator.states() == {"A": "delivered"}
    assert "is not paused" in await operator.output("site", "resume", *subject)


async def test_a_pause_ends_by_its_time_and_other_mail_leaves(operator: Operator) -> None:
    await operator.output("site", "pause", "--campaign", "spring", "--for", "10m")
    assert "is paused already" in await operator.output("site", "pause", "--campaign", "spring", "--for", "5m")
    await operator.enqueue("0000000000000A", "u@x.test", campaign="spring")
    await operator.enqueue("0000000000000B", "u@x.test", campaign="autumn")
    await operator.enqueue("0000000000000C", "u@x.test")
    assert await operator.states() == {"A": "waiting", "B": "delivered", "C": "delivered"}
    operator.harness.now += 601
    assert await operator.states() == {"A": "delivered", "B": "delivered", "C": "delivered"}
    assert [line for line, _ in operator.lines] == ["pause.begun", "pause.begun"]
    assert len({fields["until"] for _, fields in operator.lines}) == 1, (
        "the end in force, not that of the shorter pause"
    )


async def test_a_held_provider_takes_no_fallback(operator: Operator) -> None:
    await operator.output("site", "pause", "--provider", "newsletter")
    await operator.enqueue("0000000000000A", "u@x.test", provider="newsletter")
    assert (await operator.reason()).startswith("its provider newsletter is paused")
    assert "newsletter" in await operator.output("site", "list")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["site", "pause"], "name one of SITE"),
        (["site", "pause", "big", "--domain", "x.test"], "name one of SITE"),
        (["site", "pause", "big", "--for", "soon"], "is not a time"),
        (["site", "pause", "huge"], 'there is no site "huge"'),
        (["site", "pause", "--identity", "nobody@acme.test"], "is not an identity"),
        (["site", "pause", "--provider", "other"], "there is no provider"),
        (["site", "pause", "big", "--reason", "two\nlines"], "one line of at most"),
        (["site", "show", "huge"], 'there is no site "huge"'),
        (["why", "0000000000000Z"], "there is no message"),
    ],
)
async def test_bad_input_gets_an_error_that_says_what_is_right(
    operator: Operator, arguments: list[str], problem: str
) -> None:
    result = await operator.run(*arguments)
    assert result.exit_code != 0
    assert problem in result.output


async def test_the_list_shows_sites_in_use_and_all_profiles_on_request(operator: Operator) -> None:
    rates = operator.harness.context.rates
    rates.admit("mx:x.test", BIG, None, NOW)
    for _ in range(20):
        rates.accepted("mx:x.test", NOW, NOW)
    rates.slowed("mx:x.test", NOW, NOW, "421 slow down")
    listed = await operator.output("site", "list")
    assert "limited" in listed
    assert "421 slow down" in listed
    assert "google" not in listed
    assert "google" in await operator.output("site", "list", "--all")
    (shown,) = (json.loads(line) for line in (await operator.output("site", "show", "x.test", "--json")).splitlines())
    assert (shown["site"], shown["rate_found"], shown["rate"], shown["lanes"]) == ("big", 20.0, 10.0, ["mx:x.test"])
    shown = await operator.output("site", "show", "big")
    assert "10 messages a minute" in shown
    assert "slowed to 10 messages a minute: 421 slow down" in shown


async def test_why_names_the_back_off_the_lane_and_the_rate(operator: Operator) -> None:
    operator.harness.delivery.answers = [BUSY]
    await operator.enqueue("0000000000000A", "u@x.test")
    rates = operator.harness.context.rates
    rates.admit("mx:x.test", BIG, None, NOW)
    rates.slowed("mx:x.test", NOW, NOW, "421 slow down")
    answer = json.loads(await operator.output("why", "x.test", "--json"))
    assert (answer["kind"], [one["site"] for one in answer["sites"]]) == ("domain", ["big"])
    (entry,) = answer["entries"]
    assert [reason["cause"] for reason in entry["reasons"]] == ["back-off", "site rate"]
    assert "451 4.3.2 busy" in entry["reasons"][0]["text"]
    assert entry["reasons"][0]["remedy"] == "relay queue flush 0000000000000A"
    assert answer["servers"] == [{"lane": "mx:x.test", "endpoints": ["mx1.big.test[8.8.8.8]:25"], "problem": ""}]
    told = await operator.output("why", "x.test")
    assert "servers of mx:x.test  mx1.big.test[8.8.8.8]:25" in told
    assert "slowed to" in told
    assert "none: 550 5.1.2 domain gone.test does not exist" in await operator.output("why", "gone.test")
    assert json.loads(await operator.output("why", "big", "--json"))["kind"] == "site"
    assert "nothing waits for provider" in await operator.output("why", "provider:newsletter")


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("X.Test.", "domain"),
        ("mx:x.test", "domain"),
        ("<u@X.TEST>", "recipient"),
        ("U@x.test", "recipient"),
        ("BIG", "site"),
        ("0000000000000a/0", "entry"),
    ],
)
async def test_why_takes_targets_as_logs_and_lists_show_them(operator: Operator, target: str, kind: str) -> None:
    operator.harness.delivery.answers = [BUSY]
    await operator.enqueue("0000000000000A", "u@x.test")
    operator.harness.context.rates.admit("mx:x.test", BIG, None, NOW)
    answer = json.loads(await operator.output("why", target, "--json"))
    assert (answer["kind"], len(answer["entries"])) == (kind, 1)


async def test_why_says_that_it_is_cut_where_one_lane_has_more_than_its_part(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.admin.wait_reasons.MAX_ENTRIES", 4)
    operator.harness.delivery.answers = [BUSY] * 9
    for number, recipient in enumerate(("a@x.test", "b@x.test", "c@x.test", "d@y.test")):
        operator.harness.context.rates.admit(f"mx:{recipient[2:]}", BIG, None, NOW)
        await operator.enqueue(f"0000000000000{'ABCD'[number]}", recipient)
    for target, shown, more in (("big", 3, True), ("x.test", 3, False), ("0000000000000A/0", 1, False)):
        answer = json.loads(await operator.output("why", target, "--json"))
        assert (len(answer["entries"]), answer["more"]) == (shown, more), target


async def test_why_says_what_became_of_a_message(operator: Operator) -> None:
    await operator.enqueue("0000000000000A", "u@x.test")
    assert "accepted it: 250 2.0.0 ok" in await operator.output("why", "0000000000000a")


async def test_three_domains_that_block_us_pause_their_site_which_is_probed_afterwards(operator: Operator) -> None:
    harness, rates = operator.harness, operator.harness.context.rates
    blocked = Deferred(Reply(451, "4.7.1", "Your host is listed at sbl.spamhaus.org, blocked"), "mx[192.0.2.1]:25")
    for number, name in enumerate("xyz"):
        rates.admit(f"mx:{name}.test", BIG, None, NOW)
        harness.delivery.answers = [blocked]
        await operator.enqueue(f"0000000000000{'ABC'[number]}", f"u@{name}.test")
    assert ("site:big", "blocked") in harness.raised
    rates.admit("mx:w.test", BIG, None, NOW)
    await operator.enqueue("0000000000000D", "u@w.test")
    assert (await operator.states())["D"] == "waiting"
    assert "its site big is paused: 451 4.7.1 Your host is listed" in await operator.output("why", "0000000000000D")
    assert "paused" in await operator.output("site", "show", "big")

    harness.now += 901
    assert rates.connections("big", 5) == 1
    assert (await operator.states())["D"] == "delivered"


async def test_two_domains_that_block_us_pause_themselves_only(operator: Operator) -> None:
    harness, rates = operator.harness, operator.harness.context.rates
    blocked = Deferred(Reply(451, "4.7.1", "Your host is listed at sbl.spamhaus.org, blocked"), "mx[192.0.2.1]:25")
    for number, name in enumerate("xy"):
        rates.admit(f"mx:{name}.test", BIG, None, NOW)
        harness.delivery.answers = [blocked]
        await operator.enqueue(f"0000000000000{'AB'[number]}", f"u@{name}.test")
    rates.admit("mx:w.test", BIG, None, NOW)
    await operator.enqueue("0000000000000D", "u@w.test")
    assert (await operator.states())["D"] == "delivered"
