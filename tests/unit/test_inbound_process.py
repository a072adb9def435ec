"""Returned mail, over a real store: joined to its message, recorded once, and counted as evidence."""

import pytest

from relay.domains.mail_exchanger import UNKNOWN
from relay.events.event import Kind
from relay.inbound import addresses
from relay.inbound.addresses import (
    ExpiredAddress,
    MessageAddress,
    parse_own_address,
    token_in,
    token_of_address,
)
from relay.mail.queue_id import queue_id
from relay.queue.entry import State
from relay.rewrite.tokens import Keyring, Token
from relay.rewrite.tokens import Kind as TokenKind
from relay.suppression.ports import SuppressionQuery
from tests.unit.inbound_bench import KEYS, NOW, QUEUE_ID, SETTINGS, Bench, address, bench, bounce

__all__ = ["bench"]


async def test_the_recipient_token_says_whose_bounce_it_is_whatever_address_it_reports(bench: Bench) -> None:
    taken = await bench.intake.process(bounce(recipient="forwarded@elsewhere.test"), address())
    (event,) = taken.events
    assert (taken.kind, taken.joined) == ("bounce", True)
    assert (event.kind, event.number, event.address) == (Kind.BOUNCED, 1, "ben@rcpt.test")
    assert (event.data["category"], event.data["late"], event.data["domain"]) == ("bad_mailbox", True, "acme.test")
    assert (await bench.story()).events == (event,)
    assert (await bench.story()).entries[1].state is State.DELIVERED
    assert await bench.suppressed() == [("ben@rcpt.test", "acme.test", "bad_mailbox")]
    assert bench.published == [event]


async def test_the_same_mail_taken_twice_is_recorded_once(bench: Bench) -> None:
    await bench.intake.process(bounce(), address())
    bench.now += 60
    again = await bench.intake.process(bounce(), address())
    assert (again.joined, again.events) == (True, ())
    assert len((await bench.story()).events) == 1


async def test_a_mailbox_has_no_recipient_the_token_in_the_mail_serves(bench: Bench) -> None:
    taken = await bench.intake.process(bounce(to=address()))
    assert [one.number for one in taken.events] == [1]


async def test_without_a_token_message_id_and_recipient_join(bench: Bench) -> None:
    taken = await bench.intake.process(bounce(recipient="Ada@rcpt.test"))
    assert [(one.number, one.address) for one in taken.events] == [(0, "ada@rcpt.test")]
    stranger = await bench.intake.process(bounce(recipient="eve@rcpt.test"))
    assert (stranger.kind, stranger.joined, stranger.events) == ("bounce", False, ())
    assert "neither DKIM nor SPF" in str(taken.events[0].data["unproven"])
    assert await bench.suppressed() == []
    (recorded,) = await bench.store.suppressions.unproven(SuppressionQuery(address="Ada@rcpt.test"))
    assert (recorded.suppression.reason, recorded.suppression.provenance, recorded.times) == (
        "bad_mailbox",
        "mailbox",
        1,
    )


async def test_a_signed_address_ends_with_the_time_in_which_its_message_can_be_known(bench: Bench) -> None:
    def parsed(now: float, kind: TokenKind) -> object:
        return parse_own_address(SETTINGS, KEYS, address(kind), lambda _: UNKNOWN, now)

    queue = SETTINGS.queue
    end = NOW + queue.retention + queue.max_send_at + queue.lifetime
    for kind in (TokenKind.BOUNCE, TokenKind.REPLY):
        assert isinstance(parsed(end - 1, kind), MessageAddress)
        assert parsed(end + 1, kind) == ExpiredAddress(end)
    assert parsed(NOW + 86399, TokenKind.TEST) == addresses.TestCopyAddress(QUEUE_ID)
    assert parsed(NOW + 86401, TokenKind.TEST) == ExpiredAddress(NOW + 86400)


@pytest.mark.parametrize("state", [State.WAITING, State.HELD, State.DROPPED])
async def test_no_evidence_counts_against_an_address_that_nothing_was_sent_to(bench: Bench, state: State) -> None:
    await bench.enqueue(queue_id(NOW, 8), state)
    (event,) = (await bench.intake.process(bounce(), address(queue_id=queue_id(NOW, 8)))).events
    assert event.kind is Kind.BOUNCED
    assert await bench.suppressed() == []


async def test_a_warning_is_no_bounce(bench: Bench) -> None:
    warning = bounce(action="delayed", status="4.4.1", reply="451 4.4.1 no answer")
    (event,) = (await bench.intake.process(warning, address())).events
    assert (event.kind, event.data["late"]) == (Kind.DEFERRED, True)
    assert await bench.suppressed() == []


async def test_a_blocked_address_of_ours_never_suppresses(bench: Bench) -> None:
    blocked = bounce(status="5.7.1", reply="554 5.7.1 Client host [192.0.2.9] blocked using zen.spamhaus.org")
    (event,) = (await bench.intake.process(blocked, address())).events
    assert event.data["category"] == "blocked"
    assert await bench.suppressed() == []


async def test_three_late_soft_bounces_suppress(bench: Bench) -> None:
    full = bounce(status="5.2.2", reply="552 5.2.2 mailbox full")
    for number in range(3):
        assert await bench.suppressed() == []
        await bench.enqueue(queue_id(NOW, number))
        await bench.intake.process(full, address(queue_id=queue_id(NOW, number)))
    assert await bench.suppressed() == [("ben@rcpt.test", "acme.test", "mailbox_full")]


async def test_a_reply_is_recorded_ordinary_mail_to_a_return_path_only_logged(bench: Bench) -> None:
    mail = b"From: Ben <ben@rcpt.test>\r\nSubject: Re: invoice\r\n\r\nThanks.\r\n"
    (event,) = (await bench.intake.process(mail, address(TokenKind.REPLY))).events
    assert (event.kind, event.data["subject"]) == (Kind.REPLY, "Re: invoice")
    assert "automatic" not in event.data
    taken = await bench.intake.process(mail, address())
    assert (taken.kind, taken.events) == ("other", ())
    assert bench.lines[-1] == ("inbound.taken", {"queue_id": QUEUE_ID, "kind": "other", "to": address()})


async def test_mail_that_concerns_nothing_of_ours_leaves_nothing(bench: Bench) -> None:
    for content in (b"", b"\xff\x00\r\n", b"Subject: hi\r\n\r\nhello", b"To: " + b"a" * 45 + b"@x.test\r\n\r\n"):
        taken = await bench.intake.process(content)
        assert (taken.joined, taken.events) == (False, ())


async def test_mail_of_a_mailbox_with_too_large_a_header_is_left_alone(bench: Bench) -> None:
    for bomb in (b"a:\r\n" * 1001, b"X-More: " + b"y" * 256 * 1024 + b"\r\n"):
        taken = await bench.intake.process(bomb + b"To: " + address().encode() + b"\r\n" + bounce())
        assert (taken.kind, taken.joined, taken.events) == ("other", False, ())


def test_tokens_of_another_kind_or_key_are_none_of_ours() -> None:
    other = Keyring((("k1", bytes(32)),))
    assert token_of_address(other, address()) is None
    assert token_of_address(KEYS, address(TokenKind.REPLY), (TokenKind.BOUNCE,)) is None
    assert token_of_address(KEYS, address().upper()) == Token(TokenKind.BOUNCE, QUEUE_ID, 1)
    decoys = b"To: " + b",".join(b"%s@x.test" % (b"a" * 44) for _ in range(10))
    assert token_in(KEYS, decoys + b"\r\nDelivered-To: " + address().encode()) == Token(TokenKind.BOUNCE, QUEUE_ID, 1)
    assert token_in(KEYS, decoys) is None


async def test_vacation_notes_that_a_provider_calls_transient_bounces_suppress_nobody(bench: Bench) -> None:
    for _ in range(4):
        await bench.intake.process(bounce(status="4.0.0", reply=""), address())
        bench.now += 3600
    assert await bench.store.suppressions.find(SuppressionQuery()) == []
