"""Settling: every outcome ends in the right state, with the right events and notifications."""

import email
from dataclasses import replace
from email import policy

import pytest

from relay.events.event import Kind
from relay.mail.reply import Reply
from relay.queue.due_dsns import MAX_RETURNED, DsnSender
from relay.queue.entry import MOVES, State, StateError, move
from relay.queue.message import ClaimedBatch, Message
from relay.queue.outcome import Deferred, Delivered, Outcome, Refused
from relay.queue.settlement import AttemptInfo, is_plain_delivery, settle, settle_minimal
from relay.render.message_policy import MessagePolicy
from tests.unit.settle_helpers import BUSY, CONTENT, LANE, MESSAGE, NO, OK, POLICY, SCHEDULE, entry, ids, settled


def test_a_delivery_settles_its_entry() -> None:
    result = settled([entry()], [Delivered(OK, "mx1.x.test[192.0.2.1]:25")])
    assert [one.state for one in result.entries] == [State.DELIVERED]
    assert [one.kind for one in result.events] == [Kind.PROCESSED, Kind.DELIVERED]
    assert result.events[1].data["pixel"] is True
    assert result.events[1].data["delay"] == 10.0
    assert result.reports == ()


@pytest.mark.parametrize("notify", [(), ("FAILURE",), ("SUCCESS",), ("NEVER",)])
@pytest.mark.parametrize("second", [Delivered(OK, "mx1.x.test"), Deferred(BUSY, "mx1.x.test"), Refused(NO)])
def test_a_plain_delivery_is_settled_alike_in_both_ways(notify: tuple[str, ...], second: Outcome) -> None:
    claimed = ClaimedBatch(MESSAGE, CONTENT, (entry(), entry(1, notify=notify, attempts=2)))
    classified = POLICY.classify_all([Delivered(OK, "mx1.x.test"), second], LANE)
    attempt = AttemptInfo(9.0, 10.0, 0.0, {"pixel": True})
    is_plain = isinstance(second, Delivered) and not notify
    assert is_plain_delivery(claimed, classified) is is_plain
    if is_plain:
        whole = settle(claimed, classified, attempt, SCHEDULE, DsnSender("mx.test"), ids(), POLICY, "")
        assert settle_minimal(claimed, classified, attempt, SCHEDULE) == whole
        assert whole.is_delivery


def test_deferred_waits_by_the_schedule() -> None:
    (after,) = settled([entry(attempts=1)], [Deferred(BUSY)]).entries
    assert (after.state, after.next_attempt_at, after.attempts, after.status) == (State.WAITING, 310.0, 2, "deferred")


def test_uncertain_waits_longer() -> None:
    (after,) = settled([entry()], [Deferred(BUSY, uncertain=True)]).entries
    assert (after.uncertain, after.next_attempt_at) == (True, 310.0)


def test_refused_sends_one_notification_for_all_recipients_of_the_attempt() -> None:
    result = settled([entry(0), entry(1)], [Refused(NO, "mx.x.test[192.0.2.1]:25"), Refused(NO)])
    assert {one.state for one in result.entries} == {State.BOUNCED}
    (report,) = result.reports
    assert (report.message.reverse_path, report.entries[0].recipient) == ("", "app@acme.test")
    parsed = email.message_from_bytes(report.content, policy=policy.default)
    assert parsed.get_content_type() == "multipart/report"
    status = parsed.get_payload(1)
    fields = [dict(part.items()) for part in status.get_payload()]  # type: ignore[union-attr]
    assert fields[0]["Original-Envelope-Id"] == "QQ314159"
    assert fields[0]["Reporting-MTA"] == "dns; mx.test"
    assert [one["Final-Recipient"] for one in fields[1:]] == ["rfc822; u0@x.test", "rfc822; u1@x.test"]
    assert {one["Action"] for one in fields[1:]} == {"failed"}
    assert fields[1]["Status"] == "5.1.1"
    assert fields[1]["Remote-MTA"] == "dns; mx.x.test"
    assert fields[1]["Diagnostic-Code"] == "smtp; 550 5.1.1 no such user"
    assert "Subject: invoice 1042" in str(parsed.get_payload(2))
    assert "Hello" not in str(parsed.get_payload(2))


def test_ret_full_returns_the_body() -> None:
    (report,) = settled([entry()], [Refused(NO)], message=replace(MESSAGE, ret="FULL")).reports
    assert b"\r\nHello\r\n" in report.content


def test_a_null_reverse_path_is_never_notified() -> None:
    assert settled([entry()], [Refused(NO)], message=replace(MESSAGE, reverse_path="")).reports == ()


@pytest.mark.parametrize(
    ("notify", "outcome", "now", "expected"),
    [
        ((), Refused(NO), 10.0, 1),
        (("NEVER",), Refused(NO), 10.0, 0),
        (("SUCCESS",), Refused(NO), 10.0, 0),
        (("FAILURE",), Refused(NO), 10.0, 1),
        (("SUCCESS",), Delivered(OK, ""), 10.0, 1),
        (("SUCCESS",), Delivered(OK, "", dsn_passed_on=True), 10.0, 0),
        (("FAILURE",), Delivered(OK, ""), 10.0, 0),
        (("DELAY",), Deferred(BUSY), 600.0, 1),
        (("DELAY",), Deferred(BUSY), 400.0, 0),
        (("FAILURE",), Deferred(BUSY), 600.0, 0),
        ((), Deferred(BUSY), 600.0, 1),
        ((), Deferred(BUSY), 400.0, 0),
        ((), Deferred(BUSY), 1000.0, 1),
    ],
)
def test_notify_is_honoured(notify: tuple[str, ...], outcome: Outcome, now: float, expected: int) -> None:
    assert len(settled([entry(notify=notify)], [outcome], now).reports) == expected


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (NO, 1),
        (Reply(554, "5.7.1", "message classified as spam"), 0),
        (Reply(550, "5.7.26", "unauthenticated email from x.test is not accepted due to domain's DMARC policy"), 0),
    ],
)
def test_forwarded_mail_refused_as_forged_causes_no_notification(reply: Reply, expected: int) -> None:
    forward = replace(MESSAGE, policy=MessagePolicy(forward_domain="reply.acme.test"))
    assert len(settled([entry()], [Refused(reply, "mx.x.test")], message=forward).reports) == expected
    assert len(settled([entry()], [Refused(reply, "mx.x.test")]).reports) == 1


@pytest.mark.parametrize(
    "message",
    [
        replace(MESSAGE, campaign="spring"),
        replace(MESSAGE, policy=MessagePolicy(forward_domain="reply.acme.test")),
        replace(MESSAGE, reverse_path=""),
    ],
)
def test_a_delay_of_campaign_mail_and_forwards_is_notified_on_request_only(message: Message) -> None:
    assert settled([entry()], [Deferred(BUSY)], 600.0, message).reports == ()
    asked = settled([entry(notify=("DELAY",))], [Deferred(BUSY)], 600.0, message)
    assert len(asked.reports) == bool(message.reverse_path)


@pytest.mark.parametrize("notify", [(), ("DELAY",)])
def test_a_delay_is_notified_once(notify: tuple[str, ...]) -> None:
    first = settled([entry(notify=notify)], [Deferred(BUSY)], 600.0)
    assert b"Action: delayed" in first.reports[0].content
    assert b"Will-Retry-Until:" in first.reports[0].content
    again = replace(first.entries[0], state=State.ACTIVE)
    assert settled([again], [Deferred(BUSY)], 700.0).reports == ()


@pytest.mark.parametrize(("size", "returned"), [(MAX_RETURNED, True), (MAX_RETURNED + 1, False)])
def test_a_large_message_is_not_returned_whole(size: int, returned: bool) -> None:
    """A thousand recipients of 25 MiB who are refused one by one would make 25 GB."""
    content = CONTENT.ljust(size, b"x")
    claimed = ClaimedBatch(replace(MESSAGE, ret="FULL"), content, (entry(),))
    attempt = AttemptInfo(9.0, 10.0, 0.0, {})
    (report,) = (
        settle(
            claimed, [POLICY.classify(Refused(NO), LANE)], attempt, SCHEDULE, DsnSender("mx.test"), ids(), POLICY, ""
        )
        .composed()
        .reports
    )
    assert (content in report.content) is returned
    assert b"Subject: invoice 1042" in report.content


def test_international_addresses_are_reported_by_rfc_6533() -> None:
    (report,) = settled([entry(recipient="jörg@x.test")], [Refused(NO)]).reports
    assert b"Content-Type: message/global-delivery-status" in report.content
    assert "Final-Recipient: utf-8; jörg@x.test".encode() in report.content
    assert not report.message.smtputf8


def test_a_notification_to_an_international_address_needs_smtputf8() -> None:
    message = replace(MESSAGE, reverse_path="jörg@acme.test")
    assert settled([entry()], [Refused(NO)], message=message).reports[0].message.smtputf8


def test_a_transition_missing_from_the_table_is_an_error() -> None:
    for state, allowed in MOVES.items():
        for other in State:
            if other in allowed:
                assert move(entry(state=state), other).state is other
            else:
                with pytest.raises(StateError):
                    move(entry(state=state), other)


def test_a_sender_that_nothing_proves_is_never_notified() -> None:
    unproven = replace(MESSAGE, policy=replace(MESSAGE.policy, unproven_sender=True))
    asking = replace(entry(), notify=("SUCCESS", "FAILURE", "DELAY"))
    for outcome in (Refused(NO), Delivered(OK, "mx.x.test"), Deferred(BUSY)):
        assert settled([asking], [outcome], 600.0, unproven).reports == ()
        assert len(settled([asking], [outcome], 600.0).reports) == 1


def test_a_notification_is_about_the_entries_that_were_updated() -> None:
    claimed = ClaimedBatch(MESSAGE, CONTENT, (entry(0), entry(1)))
    attempt = AttemptInfo(9.0, 10.0, 0.0, {})
    classified = POLICY.classify_all([Refused(NO, "mx.x.test"), Refused(NO, "mx.x.test")], LANE)
    both = settle(claimed, classified, attempt, SCHEDULE, DsnSender("mx.test"), ids(), POLICY, "")
    (whole,) = both.composed().reports
    assert whole.content.count(b"Final-Recipient") == 2

    second = both.only({(MESSAGE.queue_id, 1)}).composed()
    (report,) = second.reports
    assert (report.message.queue_id, report.content.count(b"Final-Recipient")) == (whole.message.queue_id, 1)
    assert b"u1@x.test" in report.content
    assert b"u0@x.test" not in report.content
    assert {one.number for one in second.entries} == {one.number for one in second.events} == {1}
    assert [one.suppression.address for one in second.evidence] == ["u1@x.test"]

    nothing = both.only(set()).composed()
    assert (nothing.entries, nothing.events, nothing.reports, nothing.evidence) == ((), (), (), ())
