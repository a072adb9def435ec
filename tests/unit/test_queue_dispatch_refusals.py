"""Refusals that may concern the account at a provider, over a real store: deferred, rerouted, and classified once."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from relay.dsn.bounce_rules import Rules
from relay.dsn.classify import Classification, classify
from relay.events.event import Kind
from relay.mail.reply import Reply
from relay.queue import bounce_policy as bounce_policy_module
from relay.queue.entry import Entry, State
from relay.queue.message import Message, NewMessage
from relay.queue.outcome import Outcome, Phase, Refused
from relay.render.message_policy import MessagePolicy
from tests.unit.dispatch_harness import (
    AGAIN,
    ALONE,
    BOTH,
    LOGIN,
    MAYBE,
    PROVIDERS,
    SUSPENDED,
    UNREACHABLE,
    enqueue,
    states,
    use,
)
from tests.unit.queue_harness import CONTENT, NOW, OK, running, settings

REJECTED = Refused(Reply(550, "5.7.1", "rejected"), "[127.0.0.1]:587")


async def test_a_refusal_that_may_concern_our_account_is_deferred_to_the_fallback(tmp_path: Path) -> None:
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        delivery = use(harness, newsletter=REJECTED)
        await enqueue(harness, 1)
        (entry,) = await states(harness, {State.DELIVERED: 1})
        assert [lane for lane, _ in delivery.seen] == ["provider:newsletter", "provider:backup"]
        (delivered,) = (event for event in harness.events if event.kind is Kind.DELIVERED)
        assert delivered.data["way"] == "provider newsletter refused it: 550 5.7.1 rejected; sent by backup"
        assert not harness.runner.shared_pauses.lanes()
        delivery.answers["provider:backup"] = REJECTED
        await enqueue(harness, 2)
        entries = await states(harness, {State.DELIVERED: 1, State.BOUNCED: 1})
        assert str(entries[1].last_reply) == "550 5.7.1 rejected"
        assert entry.attempts == entries[1].attempts == 2


@pytest.mark.parametrize("phase", ["mail", "rcpt"])
async def test_a_provider_that_refuses_everything_is_paused_and_its_mail_kept(tmp_path: Path, phase: Phase) -> None:
    """A refusal of MAIL needs no different destinations."""
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        use(harness, newsletter=replace(REJECTED, phase=phase))
        for number in range(6):
            domain = "x" if phase == "mail" else f"d{number}"
            message = Message(f"{AGAIN}{number}", NOW, "", ALONE, header_from="app@acme.test", size=len(CONTENT))
            entry = Entry(message.queue_id, 0, f"u@{domain}.test", "provider:newsletter", NOW, NOW + 259200.0, NOW)
            await harness.store.queue.enqueue(NewMessage(message, CONTENT, (entry,)))
            harness.runner.wake()
            await harness.until_settled()
        entries = await states(harness, {State.BOUNCED: 4, State.WAITING: 2})
        assert harness.raised == [("provider:newsletter", "credentials")]
        assert "delivery is paused after: 550 5.7.1 rejected" in str(entries[5].last_reply)


async def test_refusals_of_one_destination_do_not_pause_the_provider(tmp_path: Path) -> None:
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        use(harness, newsletter=replace(REJECTED, phase="rcpt"))
        for number in range(8):
            await enqueue(harness, number, ALONE)
        await states(harness, {State.BOUNCED: 8})
        assert harness.raised == []


async def test_a_provider_that_does_not_relay_for_us_refuses_our_account(tmp_path: Path) -> None:
    denied = Refused(Reply(554, "5.7.1", "<u1@x.test>: Relay access denied"), "[127.0.0.1]:587")
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        use(harness, newsletter=denied)
        await enqueue(harness, 1, ALONE)
        (entry,) = await harness.until_settled()
        assert entry.state is State.WAITING
        assert harness.raised == [("provider:newsletter", "credentials")]
        assert harness.events[-1].data["category"] == "credentials"


async def test_unknown_recipients_do_not_pause_a_provider(tmp_path: Path) -> None:
    unknown = Refused(Reply(550, "5.1.1", "no such user"), "[127.0.0.1]:587")
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        use(harness, newsletter=unknown)
        message = Message(f"{AGAIN}A", NOW, "", BOTH, header_from="app@acme.test", size=len(CONTENT))
        entries = tuple(
            Entry(message.queue_id, n, f"u@d{n}.test", "provider:newsletter", NOW, NOW + 259200.0, NOW)
            for n in range(30)
        )
        await harness.store.queue.enqueue(NewMessage(message, CONTENT, entries))
        harness.runner.wake()
        await states(harness, {State.BOUNCED: 30})
        assert harness.raised == []


async def test_a_refusal_by_the_fallback_is_reported_unchanged(tmp_path: Path) -> None:
    """The reason for the route is no reason of the failure."""
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        use(harness, newsletter=LOGIN, backup=Refused(Reply(550, "5.1.1", "no such user"), "[127.0.0.1]:588"))
        await enqueue(harness, 1)
        (entry,) = await states(harness, {State.BOUNCED: 1})
        assert entry.reason == ""
        (bounced,) = (event for event in harness.events if event.kind is Kind.BOUNCED)
        assert (bounced.data["status"], bounced.data["reply"]) == ("5.1.1", "550 5.1.1 no such user")
        assert bounced.data["way"] == f"provider newsletter is paused: {LOGIN.reply}; sent by backup"


async def test_a_refused_entry_does_not_return_to_its_provider_when_the_fallback_is_full(tmp_path: Path) -> None:
    """It waits for a slot at the fallback, and does not circulate between the two."""
    first, second = PROVIDERS["provider"]
    async with running(tmp_path, settings(provider=[first, {**second, "hourly_limit": 1}])) as harness:
        delivery = use(harness, newsletter=REJECTED)
        await enqueue(harness, 1)
        await states(harness, {State.DELIVERED: 1})
        await enqueue(harness, 2)

        async def waits_for_room() -> bool:
            return (await harness.entries())[1].release_at == NOW + 3600.001

        await harness.until(waits_for_room)
        waiting = (await harness.entries())[1]
        assert (waiting.state, waiting.lane, waiting.attempts) == (State.WAITING, "provider:backup", 1)
        assert [lane for lane, who in delivery.seen if who == "u2@x.test"] == ["provider:newsletter"]


@pytest.mark.parametrize(
    ("failure", "policy", "replies"),
    [
        (LOGIN, BOTH, 1),
        (UNREACHABLE, BOTH, 1),
        (SUSPENDED, BOTH, 1),
        (REJECTED, BOTH, 1),
        (replace(REJECTED, phase="mail"), ALONE, 1),
        (Refused(Reply(550, "5.1.1", "no such user"), "[127.0.0.1]:587", "rcpt"), ALONE, 1),
        (MAYBE, ALONE, 1),
        (OK, ALONE, 0),
    ],
)
async def test_each_reply_is_classified_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Outcome, policy: MessagePolicy, replies: int
) -> None:
    """Lane feedback, dispatch and settling read one meaning; recipients of one reply share it."""
    classified: list[str] = []

    def counted(rules: Rules, text: str, *more: Any, **named: Any) -> Classification:
        classified.append(text)
        return classify(rules, text, *more, **named)

    monkeypatch.setattr(bounce_policy_module, "classify", counted)
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        use(harness, newsletter=failure)
        message = Message(f"{AGAIN}A", NOW, "", policy, header_from="app@acme.test", size=len(CONTENT))
        entries = tuple(
            Entry(message.queue_id, n, f"u@d{n}.test", "provider:newsletter", NOW, NOW + 259200.0, NOW)
            for n in range(3)
        )
        await harness.store.queue.enqueue(NewMessage(message, CONTENT, entries))
        harness.runner.wake()
        await harness.until_settled()
        assert classified == [str(failure.reply)] * replies


async def test_a_classification_that_raises_leaves_no_entry_active(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Classification:
        raise ZeroDivisionError("nobody understands it")

    monkeypatch.setattr(bounce_policy_module, "classify", broken)
    async with running(tmp_path, settings(**PROVIDERS)) as harness:
        use(harness, newsletter=REJECTED)
        await enqueue(harness, 1, ALONE)
        (entry,) = await harness.until_settled()
        assert (entry.state, entry.attempts, entry.last_reply) == (State.WAITING, 1, REJECTED.reply)
        assert harness.raised == [(f"{AGAIN}1", "ZeroDivisionError('nobody understands it')")]
