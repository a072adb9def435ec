"""The bounce policy: the category decides, requested waits are obeyed, only a fault of the recipient suppresses."""

from dataclasses import replace
from typing import get_args

import pytest

from relay.config.connections import Suppressing
from relay.dsn.categories import CATEGORIES
from relay.dsn.classify import Classification
from relay.dsn.rules_file import built_in_rules
from relay.dsn.transaction_addresses import TransactionAddresses
from relay.mail.reply import Reply, parse_reply
from relay.queue.bounce_policy import (
    ACCOUNT,
    MAX_WAIT,
    SLOW_WAIT,
    BouncePolicy,
    Classified,
    Disposition,
    asks_all_to_slow_down,
    asks_to_slow_down,
    disposition,
    lane_pause,
)
from relay.queue.entry import State
from relay.queue.lanes import LaneTable
from relay.queue.outcome import Deferred, Outcome, Phase, Refused
from relay.suppression.model import Evidence, Suppression
from tests.unit.settle_helpers import MESSAGE, entry, settled

POLICY = BouncePolicy(built_in_rules, threshold=3)

REMOTE = "mx.x.test[192.0.2.1]:25"

DESTINATION = "mx:x.test"

PROVIDER = "provider:p"


def outcome(text: str) -> Deferred | Refused:
    reply = parse_reply(int(text[:3]), text[4:])
    return Refused(reply, REMOTE) if reply.is_permanent else Deferred(reply, REMOTE)


def classified(text: str) -> Classified:
    return POLICY.classify(outcome(text), DESTINATION)


@pytest.mark.parametrize(
    ("text", "about_sender"),
    [
        ("550 5.1.1 <app@acme.test>: Recipient address rejected: User unknown", True),
        ("550 5.1.1 App@Acme.test: no such user", True),
        ("550 5.1.1 <1abc@bounces.acme.test> unknown user", True),
        ("450 4.1.2 <app@acme.test>: Recipient address rejected: Domain not found", True),
        ("550 5.2.1 <app@acme.test>: account disabled", True),
        ("550 5.1.1 <to@x.test>: User unknown", False),
        ("550 5.1.1 <To@X.test>: User unknown, app@acme.test", False),
        ("550 5.1.1 <target@elsewhere.test>: User unknown", False),
        ("550 5.1.1 User unknown", False),
    ],
)
def test_a_reply_that_names_our_address_only_never_suppresses(text: str, about_sender: bool) -> None:
    addresses = TransactionAddresses.of(["app@acme.test", ""], ["bounces.acme.test", ""], ["to@x.test"])
    meaning = POLICY.classify(outcome(text), DESTINATION, addresses).meaning
    assert meaning is not None
    assert (meaning.about.suppression == "never") == about_sender, meaning


def test_an_address_of_our_domain_is_a_recipient_where_recipients_have_that_domain() -> None:
    addresses = TransactionAddresses.of(["app@acme.test"], ["acme.test"], ["to@acme.test"])
    assert not addresses.is_sender_named("550 5.1.1 <target@acme.test>: user unknown")
    assert addresses.is_sender_named("550 5.1.1 <app@acme.test>: user unknown")


def category(classified: Classified) -> str:
    assert classified.meaning is not None
    return classified.meaning.category


@pytest.mark.parametrize(
    ("text", "attempts", "expected", "step"),
    [
        ("550 5.1.1 User unknown", 1, "bad_mailbox", "bounce"),
        ("450 4.1.1 User unknown", 1, "bad_mailbox", "retry"),
        ("552 5.3.4 Message size exceeds fixed limit", 1, "too_large", "bounce"),
        ("452 4.3.4 Message size exceeds fixed limit", 1, "too_large", "bounce"),
        (
            "554 5.7.1 Service unavailable; Client host [192.0.2.9] blocked using zen.spamhaus.org",
            9,
            "blocked",
            "retry",
        ),
        ("550 5.4.5 Daily sending quota exceeded", 1, "rate_limited", "retry"),
        ("550 5.1.1 Not sent: the address is on the account suppression list", 1, "suppressed", "drop"),
    ],
)
def test_the_category_decides_the_disposition(text: str, attempts: int, expected: str, step: str) -> None:
    assert (category(classified(text)), disposition(classified(text), attempts).step) == (expected, step)


def test_retry_once_gives_up_the_second_time() -> None:
    rejected = classified("450 4.7.1 Message content rejected")
    assert CATEGORIES[category(rejected)].on_temporary == "retry-once"
    assert [disposition(rejected, attempts).step for attempts in (1, 2)] == ["retry", "bounce"]


@pytest.mark.parametrize(
    ("text", "at_least"),
    [
        ("450 4.2.0 Greylisted, try again in 300 seconds", 300.0),
        ("450 4.2.0 Greylisted, try again in 3 days", MAX_WAIT),
        ("451 4.3.2 System busy", 0.0),
        ("554 5.7.1 Client host [192.0.2.9] blocked using zen.spamhaus.org", SLOW_WAIT),
    ],
)
def test_a_requested_delay_is_respected(text: str, at_least: float) -> None:
    assert disposition(classified(text), 1).at_least == at_least


@pytest.mark.parametrize(
    ("text", "slows"),
    [
        ("450 4.7.1 Too many messages, slow down", True),
        ("554 5.7.1 Client host [192.0.2.9] blocked using zen.spamhaus.org", True),
        ("550 5.1.1 User unknown", False),
        ("452 4.2.2 Mailbox full", False),
    ],
)
def test_a_lane_slows_down_when_the_server_asks_or_refuses_all_mail(text: str, slows: bool) -> None:
    assert asks_to_slow_down(classified(text)) is slows
    lanes = LaneTable(max_concurrency=20)
    lanes.start("mx:x.test", 1)
    lanes.slow_down("mx:x.test")
    lanes.slow_down("mx:x.test")
    assert lanes.capacity(0.0)["mx:x.test"] == 0
    lanes.succeeded("mx:x.test", 1.0)
    assert lanes.capacity(0.0)["mx:x.test"] == 1


@pytest.mark.parametrize(
    ("text", "slows"),
    [
        ("421 4.7.0 too many messages from your address, slow down", True),
        ("450 4.7.1 rate limit exceeded", True),
        ("450 4.2.1 The user you are trying to contact is receiving mail too quickly", False),
        ("452 4.5.3 too many recipients", False),
        ("550 5.7.1 rate limit exceeded", False),
    ],
)
def test_a_site_slows_down_for_replies_about_all_mail_only(text: str, slows: bool) -> None:
    assert asks_all_to_slow_down(classified(text)) == slows


def test_a_failure_found_by_the_relay_itself_keeps_its_kind() -> None:
    tls = Reply(550, "5.7.10", "STARTTLS is required but mx.x.test does not offer it")
    too_large = Reply(452, "4.3.4", "Message size exceeds fixed limit")
    found = (Refused(tls), Deferred(too_large), Deferred(too_large, REMOTE, uncertain=True))
    steps = [disposition(one, 1).step for one in POLICY.classify_all(found, DESTINATION)]
    assert steps == ["bounce", "retry", "retry"]


@pytest.mark.parametrize("of", [outcome("550 5.1.1 User unknown"), outcome("450 4.2.2 Mailbox full")])
def test_a_failure_without_a_meaning_is_tried_again(of: Outcome) -> None:
    assert disposition(Classified(of), 9) == Disposition("retry")


@pytest.mark.parametrize("name", sorted(CATEGORIES))
def test_only_evidence_about_the_recipient_suppresses(name: str) -> None:
    found = Suppression("u@x.test", reason=name)
    permanent, temporary = (
        POLICY.evidence(Classification(name, ""), found, permanent=permanent) for permanent in (True, False)
    )
    match CATEGORIES[name].suppression:
        case "now":
            assert permanent == temporary == (Evidence(found, 1),)
        case "on-permanent":
            assert (permanent, temporary) == ((Evidence(found, 1),), (Evidence(found, 3),))
        case "count":
            assert permanent == temporary == (Evidence(found, 3),)
        case _:
            assert permanent == temporary == ()


@pytest.mark.parametrize(
    "name", ["blocked", "auth_failed", "bad_rdns", "sender_rejected", "spam_content", "credentials"]
)
def test_faults_of_the_sending_side_never_suppress(name: str) -> None:
    assert POLICY.evidence(Classification(name, ""), Suppression("u@x.test"), permanent=True) == ()


def test_an_entry_that_bounces_leaves_evidence_one_that_waits_does_not() -> None:
    gone, later = outcome("550 5.1.1 User unknown"), outcome("450 4.1.1 User unknown")
    outcomes: list[Outcome] = [gone, later]
    result = settled([entry(0), entry(1)], outcomes)
    (evidence,) = result.evidence
    assert (evidence.suppression.address, evidence.suppression.reason) == ("u0@x.test", "bad_mailbox")
    assert evidence.suppression.rule
    assert evidence.suppression.reply == "550 5.1.1 User unknown"
    assert settled([entry()], [gone], message=replace(MESSAGE, reverse_path="")).evidence == ()


def test_the_event_and_the_notification_say_what_it_means() -> None:
    result = settled([entry()], [outcome("550 5.1.1 User unknown")])
    data = result.events[-1].data
    assert data["category"] == "bad_mailbox"
    assert "Look for a typing error" in str(data["guidance"])
    assert b"Look for a typing error" in result.reports[0].content


def test_a_requested_wait_delays_the_next_attempt_and_a_refusal_may_be_retried() -> None:
    (greylisted,) = settled([entry()], [outcome("450 4.2.0 Greylisted, try again in 600 seconds")]).entries
    assert greylisted.next_attempt_at == 610.0
    (blocked,) = settled([entry()], [outcome("554 5.7.1 Client host blocked using zen.spamhaus.org")]).entries
    assert (blocked.state, blocked.next_attempt_at) == (State.WAITING, 910.0)


def test_an_address_suppressed_by_a_provider_is_dropped_without_a_notification() -> None:
    result = settled([entry()], [outcome("550 5.1.1 Not sent: the address is on the account suppression list")])
    assert (result.entries[0].state, result.reports, result.evidence) == (State.DROPPED, (), ())
    assert result.events[-1].kind == "dropped"


@pytest.mark.parametrize(
    ("phase", "expected"), [("", "unknown"), ("mail", "sender_rejected"), ("rcpt", "recipient_refused")]
)
def test_the_failed_step_decides_where_the_text_matches_no_rule(phase: Phase, expected: str) -> None:
    refused = Refused(Reply(550, "", "no"), REMOTE, phase)
    assert category(POLICY.classify(refused, DESTINATION)) == expected


LOGIN = Deferred(Reply(454, "4.7.0", "AUTH was refused: 535 5.7.8 no"), REMOTE, lane_down=True, locked_out=True)


@pytest.mark.parametrize("refusal", [LOGIN, outcome("554 5.7.1 Relay access denied")])
def test_a_refused_account_is_one_in_the_lane_of_a_provider_only(refusal: Deferred | Refused) -> None:
    by_destination, by_provider = (POLICY.classify(refusal, lane) for lane in (DESTINATION, PROVIDER))
    assert category(by_destination) != ACCOUNT
    assert by_provider.meaning == by_destination.meaning_as_account
    assert (asks_to_slow_down(by_destination), asks_to_slow_down(by_provider)) == (False, True)
    assert lane_pause(by_destination, DESTINATION) is None
    assert lane_pause(by_provider, PROVIDER) == by_provider.meaning


@pytest.mark.parametrize("lane", [DESTINATION, PROVIDER])
def test_the_meaning_as_account_differs_in_the_category_alone(lane: str) -> None:
    refused = POLICY.classify(outcome("550 5.1.1 User unknown"), lane)
    assert refused.meaning is not None
    assert category(refused) == "bad_mailbox"
    assert refused.meaning_as_account == replace(refused.meaning, category=ACCOUNT)
    assert Classified(refused.outcome).meaning_as_account is None


PHASES: tuple[Phase, ...] = ("rcpt", "")


def test_an_event_names_the_failed_step() -> None:
    events = [settled([entry()], [Refused(Reply(550, "", "no"), REMOTE, phase)]).events[-1].data for phase in PHASES]
    assert [data.get("phase") for data in events] == ["rcpt", None]


def test_evidence_has_the_end_that_its_category_is_given() -> None:
    policy = replace(POLICY, expire={"mailbox_full": 14 * 86400.0})
    for text, expires_at in (("552 5.2.2 mailbox full", 100 + 14 * 86400.0), ("550 5.1.1 User unknown", 0.0)):
        meaning = classified(text).meaning
        assert meaning is not None
        (evidence,) = policy.evidence(meaning, Suppression("a@x.test", created_at=100.0), permanent=True)
        assert evidence.suppression.expires_at == expires_at


def test_an_end_can_be_given_to_each_category_that_suppresses() -> None:
    suppressing = {name for name, one in CATEGORIES.items() if one.suppression in ("now", "on-permanent", "count")}
    assert set(get_args(Suppressing)) == suppressing
