"""What the replies of a transaction mean for each recipient."""

import pytest

from relay.delivery.transaction import Next, TransactionReplies, is_expected
from relay.mail.reply import Reply
from relay.queue.outcome import Deferred, Delivered, Refused

OK, GO = Reply(250, "2.0.0", "ok"), Reply(354, "", "go")

BUSY, NO = Reply(450, "4.2.1", "busy"), Reply(550, "5.1.1", "no")

BYE = Reply(421, "4.3.2", "bye")

BROKEN = Reply(451, "4.4.2", "closed")

REMOTE = "mx.test[192.0.2.1]:25"


@pytest.mark.parametrize(
    ("replies", "outcomes"),
    [
        (TransactionReplies(OK, [OK, OK], GO, OK), [Delivered(OK, REMOTE), Delivered(OK, REMOTE)]),
        (
            TransactionReplies(OK, [OK, NO], GO, BUSY),
            [Deferred(BUSY, REMOTE, phase="data"), Refused(NO, REMOTE, "rcpt")],
        ),
        (
            TransactionReplies(OK, [BUSY, OK], GO, NO),
            [Deferred(BUSY, REMOTE, phase="rcpt"), Refused(NO, REMOTE, "data")],
        ),
        (TransactionReplies(NO, [NO, NO], NO), [Refused(NO, REMOTE, "mail")] * 2),
        (TransactionReplies(BUSY, [NO, NO], NO), [Deferred(BUSY, REMOTE, phase="mail")] * 2),
        (
            TransactionReplies(OK, [NO, BUSY], GO, OK),
            [Refused(NO, REMOTE, "rcpt"), Deferred(BUSY, REMOTE, phase="rcpt")],
        ),
        (TransactionReplies(OK, [OK, OK], BUSY), [Deferred(BUSY, REMOTE, phase="data")] * 2),
        (TransactionReplies(OK, [OK, OK], NO), [Refused(NO, REMOTE, "data")] * 2),
        (TransactionReplies(OK, [NO, BYE]), [Refused(NO, REMOTE, "rcpt"), Deferred(BYE, REMOTE, phase="rcpt")]),
        (TransactionReplies(OK, [OK, BYE]), [Deferred(BYE, REMOTE, phase="data"), Deferred(BYE, REMOTE, phase="rcpt")]),
        (TransactionReplies(BYE), [Deferred(BYE, REMOTE, phase="mail")] * 2),
        (TransactionReplies(failure=BROKEN, closed_by_server=True), [Deferred(BROKEN, REMOTE, phase="mail")] * 2),
        (
            TransactionReplies(OK, [NO], failure=BROKEN),
            [Refused(NO, REMOTE, "rcpt"), Deferred(BROKEN, REMOTE, phase="rcpt")],
        ),
        (
            TransactionReplies(OK, [OK, NO], GO, failure=BROKEN, dot_sent=True),
            [Deferred(BROKEN, REMOTE, uncertain=True, phase="data"), Refused(NO, REMOTE, "rcpt")],
        ),
    ],
)
def test_replies_decide_the_outcomes(replies: TransactionReplies, outcomes: list[object]) -> None:
    assert replies.outcomes(2, REMOTE, False) == outcomes


def test_dsn_is_passed_on_only_with_what_was_delivered() -> None:
    assert TransactionReplies(OK, [OK, NO], GO, OK).outcomes(2, REMOTE, True) == [
        Delivered(OK, REMOTE, dsn_passed_on=True),
        Refused(NO, REMOTE, "rcpt"),
    ]


@pytest.mark.parametrize(
    ("replies", "following"),
    [
        (TransactionReplies(OK, [OK, NO], GO), Next.BODY),
        (TransactionReplies(OK, [NO, BUSY], GO), Next.EMPTY_BODY),
        (TransactionReplies(NO, [NO], GO), Next.EMPTY_BODY),
        (TransactionReplies(NO, [OK], GO), Next.CLOSE),
        (TransactionReplies(OK, [OK], NO), Next.NOTHING),
        (TransactionReplies(OK, [NO]), Next.NOTHING),
    ],
)
def test_what_follows_the_reply_to_data(replies: TransactionReplies, following: Next) -> None:
    assert replies.after_data() is following


@pytest.mark.parametrize(
    ("reply", "before", "too_many"),
    [
        (Reply(452, "4.5.3", ""), OK, True),
        (Reply(452, "", "too many"), OK, True),
        (Reply(552, "", "too many"), OK, True),
        (Reply(552, "5.5.3", "too many"), OK, True),
        (Reply(552, "5.2.2", "mailbox full"), OK, False),
        (Reply(452, "4.2.2", "mailbox full"), OK, False),
        (Reply(452, "4.5.3", ""), NO, False),
        (Reply(450, "4.5.3", ""), OK, True),
        (Reply(550, "5.5.3", "too many"), OK, True),
        (Reply(554, "5.5.3", "too many"), OK, True),
        (Reply(554, "5.5.3", "too many"), NO, False),
        (Reply(550, "5.1.1", "unknown"), OK, False),
    ],
)
def test_recipients_beyond_a_limit_are_sent_later(reply: Reply, before: Reply, too_many: bool) -> None:
    replies = TransactionReplies(OK, [before, reply], GO, OK)
    assert replies.next_transaction(2) == ([1] if too_many else [])
    assert replies.most_recipients == too_many
    if too_many:
        assert isinstance(replies.outcomes(2, REMOTE, False)[1], Deferred)


def test_a_full_mailbox_is_permanent() -> None:
    full = Reply(552, "5.2.2", "mailbox full")
    assert TransactionReplies(OK, [OK, full], GO, OK).outcomes(2, REMOTE, False)[1] == Refused(full, REMOTE, "rcpt")


@pytest.mark.parametrize(
    ("replies", "is_unanswered", "reusable", "needs_reset"),
    [
        (TransactionReplies(OK, [OK], GO, OK), False, True, False),
        (TransactionReplies(OK, [NO], NO), False, True, True),
        (TransactionReplies(NO, [NO], NO), False, True, False),
        (TransactionReplies(failure=BROKEN, closed_by_server=True), True, False, False),
        (TransactionReplies(failure=BROKEN), False, False, False),
        (TransactionReplies(BYE), True, False, False),
        (TransactionReplies(OK, [BYE]), False, False, True),
        (TransactionReplies(OK, [], failure=BROKEN, closed_by_server=True), False, False, True),
    ],
)
def test_what_it_means_for_the_connection(
    replies: TransactionReplies, is_unanswered: bool, reusable: bool, needs_reset: bool
) -> None:
    assert (replies.is_unanswered, replies.reusable, replies.needs_reset) == (is_unanswered, reusable, needs_reset)


def test_where_replies_make_sense() -> None:
    assert [is_expected(Reply(code, "", "")) for code in (250, 354, 450, 550)] == [True, False, True, True]
    assert [is_expected(Reply(code, "", ""), to_data=True) for code in (250, 334, 354, 450, 550)] == [
        *(False, False, True),
        *(True, True),
    ]


@pytest.mark.parametrize(
    ("replies", "rejected"),
    [
        (TransactionReplies(OK, [OK], GO, OK), False),
        (TransactionReplies(Reply(555, "5.5.4", "SIZE?")), True),
        (TransactionReplies(OK, [Reply(501, "5.5.4", "NOTIFY?")]), True),
        (TransactionReplies(OK, [Reply(501, "5.1.3", "address?")]), False),
        (TransactionReplies(NO, [Reply(503, "5.5.1", "MAIL first")], Reply(503, "5.5.1", "RCPT first")), False),
        (TransactionReplies(OK, [NO], Reply(503, "5.5.1", "RCPT first")), False),
        (TransactionReplies(OK, [OK], Reply(502, "5.5.1", "DATA?")), True),
        (TransactionReplies(failure=BROKEN), False),
    ],
)
def test_command_errors_differ_from_refusals_of_an_address(replies: TransactionReplies, rejected: bool) -> None:
    assert replies.rejects_commands is rejected


@pytest.mark.parametrize(
    ("replies", "to_all"),
    [
        (TransactionReplies(OK, [OK, OK], GO, OK, dot_sent=True), True),
        (TransactionReplies(OK, [OK, NO], GO, OK, dot_sent=True), False),
        (TransactionReplies(OK, [OK], GO, BYE, dot_sent=True), False),
        (TransactionReplies(OK, [OK], GO, None, BROKEN, dot_sent=True), False),
        (TransactionReplies(OK, [NO], GO, OK), False),
        (TransactionReplies(OK, [], BYE), False),
    ],
)
def test_a_delivery_to_all_leaves_nothing_to_do(replies: TransactionReplies, to_all: bool) -> None:
    assert replies.is_delivered_to_all is to_all
    if to_all:
        count = len(replies.recipients)
        assert replies.outcomes(count, REMOTE, dsn_passed_on=False) == [Delivered(OK, REMOTE)] * count
        assert replies.reusable
        assert not replies.needs_reset
        assert not replies.rejects_commands
        assert not replies.is_unanswered
        assert replies.next_transaction(count) == []
