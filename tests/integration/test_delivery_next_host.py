"""The next mail exchanger is asked in the same attempt (RFC 5321 section 5.1); limits of recipients are found."""

import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trustme

from relay.content_file import ContentFile
from relay.delivery import SmtpDelivery
from relay.mail.reply import Reply
from relay.queue.outcome import Deferred, Delivered, Refused
from tests.servers import Drop, Hang, Say, Sink
from tests.servers.actions import Action
from tests.servers.dns_server import DnsServer
from tests.servers.jobs import job
from tests.servers.relay_harness import delivering, settings, timing_out


@dataclass
class Site:
    """Mail exchangers of one domain at 127.0.0.1, 127.0.0.2, …, and a delivery to them."""

    hosts: list[Sink]
    delivery: SmtpDelivery

    def name(self, number: int) -> str:
        return f"h{number}.site.test[127.0.0.{number}]:{self.hosts[0].port}"


@asynccontextmanager
async def site(count: int, more: Iterable[str] = (), tls: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    """Yield a site of `count` hosts in order of preference; `more` are lines of the zone."""
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(Sink(tls=tls))
        others = [Sink(address=f"127.0.0.{number}", port=first.port) for number in range(2, count + 1)]
        hosts = [first, *[await stack.enter_async_context(host) for host in others]]
        zone = [f"site.test. MX {n}0 h{n}.site.test.\nh{n}.site.test. A 127.0.0.{n}" for n in range(1, count + 1)]
        dns = await stack.enter_async_context(DnsServer("\n".join((*zone, *more))))
        delivery = await stack.enter_async_context(delivering(settings(first.port), dns))
        yield Site(hosts, delivery)


@pytest.mark.parametrize(
    ("moment", "action"),
    [
        ("MAIL", Say("451 4.3.0 the database is away")),
        ("MAIL", Say("452 4.3.1 disk full")),
        ("MAIL", Say("421 4.3.2 shutting down", drop=True)),
        ("MAIL", Drop()),
        ("MAIL", Hang()),
        ("RCPT", Say("450 4.2.1 busy")),
        ("RCPT", Drop()),
        ("DATA", Say("451 4.3.0 not now")),
        ("DATA", Hang()),
        (".", Say("451 4.3.0 not now")),
        (".", Say("421 4.3.2 bye", drop=True)),
    ],
    ids=str,
)
async def test_the_next_host_is_asked_in_the_same_attempt(moment: str, action: Action) -> None:
    async with site(2) as there:
        there.hosts[0].always(moment, action)
        (outcome,) = await timing_out(there.delivery.deliver("mx:site.test", job()), there.hosts[0])
        assert isinstance(outcome, Delivered), outcome
        assert outcome.remote == there.name(2)
        assert [len(host.messages) for host in there.hosts] == [0, 1]


async def test_no_other_host_is_asked_after_a_lost_final_reply() -> None:
    async with site(2) as there:
        there.hosts[0].always(".", Drop())
        (outcome,) = await there.delivery.deliver("mx:site.test", job())
        assert isinstance(outcome, Deferred)
        assert outcome.uncertain
        assert there.hosts[1].connections == 0


async def test_each_recipient_is_asked_of_hosts_until_one_decides() -> None:
    async with site(3) as there:
        there.hosts[0].once(
            "RCPT", Say("250 2.1.5 ok"), Say("450 4.7.1 later"), Say("450 4.7.1 later"), Say("550 5.1.1 no")
        )
        there.hosts[1].once("RCPT", Say("250 2.1.5 ok"), Say("450 4.7.1 later"))
        there.hosts[2].once("RCPT", Say("550 5.1.1 unknown"))
        outcomes = await there.delivery.deliver(
            "mx:site.test", job("a@site.test", "b@site.test", "c@site.test", "d@site.test")
        )
        assert [type(one) for one in outcomes] == [Delivered, Delivered, Refused, Refused]
        assert [one.remote for one in outcomes] == [there.name(1), there.name(2), there.name(3), there.name(1)]
        assert there.hosts[2].said("RCPT") == ["RCPT TO:<c@site.test>"]


async def test_the_reply_of_a_server_counts_more_than_a_host_that_is_not_there() -> None:
    dead = ("site.test. MX 90 dead.site.test.", "dead.site.test. A 127.0.0.99")
    async with site(1, dead) as there:
        there.hosts[0].always("RCPT", Say("450 4.7.1 greylisted"))
        (outcome,) = await there.delivery.deliver("mx:site.test", job())
        assert isinstance(outcome, Deferred)
        assert (str(outcome.reply), outcome.lane_down, outcome.remote) == ("450 4.7.1 greylisted", False, there.name(1))


async def test_at_most_five_hosts_are_asked() -> None:
    async with site(7) as there:
        for host in there.hosts:
            host.always("RCPT", Say("450 4.2.1 busy"))
        (outcome,) = await there.delivery.deliver("mx:site.test", job())
        assert outcome.remote == there.name(5)
        assert [host.connections for host in there.hosts] == [1, 1, 1, 1, 1, 0, 0]


async def test_hosts_without_a_usable_address_or_a_server_do_not_count() -> None:
    unusable = [f"site.test. MX {n} none{n}.site.test." for n in range(4)]
    private = [f"site.test. MX {n} own{n}.site.test.\nown{n}.site.test. A 10.0.0.{n}" for n in range(4)]
    refusing = [f"site.test. MX {n} off{n}.site.test.\noff{n}.site.test. A 127.0.9.{n + 1}" for n in range(7)]
    async with site(1, (*unusable, *private, *refusing)) as there:
        (outcome,) = await there.delivery.deliver("mx:site.test", job())
        assert isinstance(outcome, Delivered)
        assert outcome.remote == there.name(1)


@pytest.mark.parametrize("code", ["421 4.3.2", "550 5.5.3", "554 5.5.3", "452 4.5.3", "450 4.5.3"])
async def test_a_limit_of_recipients_is_found_in_one_attempt_and_remembered(code: str) -> None:
    """The server accepts two recipients in each transaction."""
    async with Sink() as sink, delivering(settings(sink.port)) as delivery:
        ok, over = Say("250 2.1.5 ok"), Say(f"{code} too many", drop=code.startswith("421"))
        sink.once("RCPT", ok, ok, over, *([] if code.startswith("421") else [over, over]))
        recipients = [f"r{number}@x.test" for number in range(5)]
        outcomes = await delivery.deliver("provider:up", job(*recipients))
        assert all(isinstance(outcome, Delivered) for outcome in outcomes), outcomes
        assert [len(message.recipients) for message in sink.messages] == [2, 2, 1]

        await delivery.deliver("provider:up", job(*recipients))
        assert [len(message.recipients) for message in sink.messages[3:]] == [2, 2, 1]


async def test_tls_that_fails_after_the_handshake_falls_back() -> None:
    """A server that asks for a client certificate reports in TLS 1.3 only after the handshake that it got none."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("h1.site.test").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    async with site(1, tls=context) as there:
        (outcome,) = await there.delivery.deliver("mx:site.test", job())
        assert isinstance(outcome, Delivered), outcome
        assert there.hosts[0].messages


def test_the_reply_to_a_command_after_421_is_no_limit() -> None:
    """One recipient and 421 at once: nobody was accepted, so that there is no smaller transaction to make."""
    from relay.delivery.transaction import TransactionReplies

    replies = TransactionReplies(Reply(250, "", ""), [Reply(421, "4.3.2", "")])
    assert (replies.most_recipients, replies.next_transaction(1)) == (0, [])


@pytest.mark.parametrize("transactions", [0, 1])
async def test_nothing_leaves_after_the_lease_of_its_entries_ended(transactions: int) -> None:
    """Another node attempts them by then."""
    left = [True] * transactions
    async with site(2) as there:
        there.hosts[0].always("RCPT", Say("450 4.2.1 busy"))
        given = replace(job("b@site.test"), is_held=lambda: bool(left) and left.pop())
        outcomes = await there.delivery.deliver("mx:site.test", given)
        assert [len(host.said("MAIL")) for host in there.hosts] == [transactions, 0]
        assert [str(one.reply) for one in outcomes] == ["450 4.2.1 busy"] * transactions


@pytest.mark.parametrize(
    "content", [b"Subject: x\r\n\r\nHello\r\n", b"Subject: x\r\n\r\n" + b"y" * 998 + b"\r\n" * 200_000]
)
async def test_content_is_not_finished_after_the_lease_ended(content: bytes, tmp_path: Path) -> None:
    """The node may have been stopped after MAIL, or while it sent the content."""
    left = [True] * (1 if len(content) < 1000 else 2)
    async with site(1) as there:
        given = job("b@site.test", content=content if len(left) == 1 else ContentFile.of(content, tmp_path))
        outcomes = await there.delivery.deliver(
            "mx:site.test", replace(given, is_held=lambda: bool(left) and left.pop())
        )
        assert (outcomes, left) == ((), [])
        assert len(there.hosts[0].said("RCPT")) == 1
        assert there.hosts[0].messages == []
