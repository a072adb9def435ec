"""What is stored of a message: how its replies come back, and its copies."""

from typing import Any

import pytest

from relay.config.settings import Settings
from relay.mail.transaction import Envelope, Recipient, Session, Transaction
from relay.policy.decide import Rejection, decide
from relay.policy.message_facts import parse_facts
from relay.queue.entry import State
from relay.queue.message import NewMessage
from relay.queue.routing import Route
from relay.submission.build import build_message

NOW = 1_800_000_000.0

QUEUE_ID = "06FJ3K9Q2M0A7C"

SESSION = Session("submission", "submission", "192.0.2.7", "app.test", extended=True)

FROM = b"From: App <app@acme.test>\r\n"

TRACKED: dict[str, Any] = {"reply_tracking": True}

BCC: dict[str, Any] = {"bcc": ["archive@acme.test", "boss@acme.test"]}


def taken(
    content: bytes = FROM,
    reverse_path: str = "app@acme.test",
    recipients: tuple[str, ...] = ("u@rcpt.test", "v@rcpt.test"),
    excluded: dict[str, str] | None = None,
    at: dict[int, float] | None = None,
    **identity: Any,
) -> NewMessage:
    settings = Settings.model_validate(
        {
            "server": {"hostname": "relay.test"},
            "domains": {"acme.test": {"reply_domain": "reply.acme.test"}},
            "identities": {"app@acme.test": identity},
        }
    )
    facts = parse_facts(content + b"\r\nHello\r\n")
    envelope = Envelope(reverse_path, tuple(Recipient(one) for one in recipients))
    route = decide(settings, SESSION, envelope, facts, NOW)
    assert not isinstance(route, Rejection)
    out = excluded or {}
    ways = {n: Route("direct", (at or {}).get(n, NOW)) for n, one in enumerate(recipients) if one not in out}
    return build_message(QUEUE_ID, Transaction(SESSION, envelope, content), facts, route, ways, out, settings, NOW)


class TestReplies:
    def test_tracked_ones_are_frozen_with_where_the_application_wanted_them(self) -> None:
        policy = taken(FROM + b"Reply-To: Sales <s@acme.test>, t@acme.test\r\n", **TRACKED).message.policy
        assert (policy.reply_domain, policy.reply_to) == ("reply.acme.test", ("s@acme.test", "t@acme.test"))
        assert taken(**TRACKED).message.policy.reply_to == ()
        assert taken().message.policy.reply_domain == ""

    def test_mail_with_a_null_reverse_path_and_other_authors_are_not_tracked(self) -> None:
        assert taken(reverse_path="", **TRACKED).message.policy.reply_domain == ""
        assert taken(b"From: other@acme.test\r\n", **TRACKED).message.policy.reply_domain == ""

    @pytest.mark.parametrize(
        ("content", "added"),
        [
            (FROM, True),
            (FROM + b"Reply-To: s@acme.test\r\n", False),
            (FROM + b"Reply-To:\r\n", False),
            (b"DKIM-Signature: v=1\r\n" + FROM, False),
        ],
    )
    def test_a_fixed_one_is_added_where_there_is_none_and_then_nothing_is_tracked(
        self, content: bytes, added: bool
    ) -> None:
        policy = taken(content, reply_to="desk@acme.test", **TRACKED).message.policy
        assert policy.reply_domain == ""
        assert (b"\r\nReply-To: <desk@acme.test>\r\n" in policy.added_fields) is added


class TestCopies:
    def test_one_a_message_behind_its_recipients_and_silent(self) -> None:
        accepted = taken(**BCC)
        assert [one.recipient for one in accepted.entries[2:]] == ["archive@acme.test", "boss@acme.test"]
        assert [one.notify for one in accepted.entries] == [(), (), ("NEVER",), ("NEVER",)]
        assert accepted.message.policy.copies == (2, 3)
        assert ["copy" in one.data for one in accepted.events] == [False, False, True, True]
        assert b"archive" not in accepted.message.policy.added_fields

    def test_who_is_a_recipient_gets_no_second_one(self) -> None:
        accepted = taken(recipients=("u@rcpt.test", "Archive@acme.test"), **BCC)
        assert [one.recipient for one in accepted.entries] == ["u@rcpt.test", "Archive@acme.test", "boss@acme.test"]
        assert accepted.message.policy.copies == (2,)

    def test_they_leave_with_the_first_recipient_that_does(self) -> None:
        accepted = taken(at={0: NOW + 60, 1: NOW + 30}, **BCC)
        assert [one.next_attempt_at - NOW for one in accepted.entries] == [60, 30, 30, 30]

    def test_when_nobody_gets_the_message_nobody_gets_a_copy(self) -> None:
        out = {"u@rcpt.test": "suppressed", "v@rcpt.test": "suppressed"}
        accepted = taken(excluded=out, **BCC)
        assert [one.state for one in accepted.entries] == [State.DROPPED, State.DROPPED]
        assert accepted.message.policy.copies == ()
        assert len(taken(excluded={"u@rcpt.test": "suppressed"}, **BCC).entries) == 4

    def test_an_excluded_copy_is_dropped_and_bounces_have_none(self) -> None:
        accepted = taken(excluded={"boss@acme.test": "suppressed: bad_mailbox"}, **BCC)
        assert [one.state for one in accepted.entries[2:]] == [State.WAITING, State.DROPPED]
        assert len(taken(reverse_path="", **BCC).entries) == 2
