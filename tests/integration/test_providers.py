"""Two real providers behind a real relay, one that refuses and one with a limit: where the mail goes, who is told."""

import asyncio
import email
from pathlib import Path
from typing import Any

import pytest

from tests.integration.mail_helpers import HTML, listed, send, timeline
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Action, Drop, Say, Sink
from tests.servers.waiting import until

REFUSALS: dict[str, tuple[str, Action, str]] = {
    "login": ("AUTH", Say("535 5.7.8 Authentication failed"), "535 5.7.8 Authentication failed"),
    "greeting": ("greeting", Say("554 5.7.1 no service for you", drop=True), "554 5.7.1 no service for you"),
    "account": ("MAIL", Say("550 5.7.1 Your account has been suspended for sending"), "account has been suspended"),
    "connection": ("greeting", Drop(), "connection"),
}


def providers(backup: Sink, *, login: bool = True, more: str = "") -> str:
    """The tables of two providers; the port of the first is filled in later."""
    account = 'username = "u"\npassword = "p"\n' if login else ""
    return f"""
[[provider]]
name = "newsletter"
host = "127.0.0.1"
port = 0
tls = "none"
{account}
[[provider]]
name = "backup"
host = "127.0.0.1"
port = {backup.port}
tls = "none"
{more}
"""


def relay_with(folder: Path, first: Sink, backup: Sink, *, fallback: bool = True, **options: Any) -> RelayProcess:
    """A relay whose default provider is `first` (newsletter), with or without the fallback `backup`."""
    relay = RelayProcess(folder, first.port, providers(backup, **options))
    fallbacks = 'fallback_providers = ["backup"]' if fallback else ""
    text = relay.config.read_text().replace('provider = "sink"', f'provider = "newsletter"\n{fallbacks}')
    relay.config.write_text(text.replace("port = 0", f"port = {first.port}"))
    relay.config.chmod(0o600)
    return relay


def sink() -> Sink:
    return Sink(extensions=("PIPELINING", "8BITMIME", "SIZE 50000000", "ENHANCEDSTATUSCODES", "AUTH PLAIN LOGIN"))


@pytest.mark.parametrize("refusal", list(REFUSALS))
async def test_mail_refused_by_a_provider_is_sent_by_the_fallback(tmp_path: Path, refusal: str) -> None:
    moment, action, said = REFUSALS[refusal]
    async with sink() as first, sink() as backup, relay_with(tmp_path, first, backup) as relay:
        first.always(moment, action)
        queue_id = await asyncio.to_thread(send, relay.port, HTML, ["u@rcpt.test"])
        assert [one.recipients for one in await backup.received(1)] == [["u@rcpt.test"]]
        assert await timeline(relay, queue_id, "delivered") == ["created", "processed", "deferred", "delivered"]
        (story,) = await relay.json("trace", queue_id)
        assert [event.get("lane") for event in story["events"]][-2:] == ["provider:newsletter", "provider:backup"]
        way = story["events"][-1]["way"]
        assert way.startswith("provider newsletter is paused: ")
        assert way.endswith("; sent by backup")
        assert said in way
        paused = relay.log("delivery.paused")
        assert [(line["lane"], said in line["reply"]) for line in paused] == [("provider:newsletter", True)]
        assert not first.messages


async def test_nothing_is_lost_to_a_provider_that_refuses_everything(tmp_path: Path) -> None:
    async with sink() as first, sink() as backup, relay_with(tmp_path, first, backup) as relay:
        first.always("RCPT", Say("550 5.7.1 rejected"))
        ids = [await asyncio.to_thread(send, relay.port, HTML, [f"u@d{number}.test"]) for number in range(8)]
        received = await backup.received(8)
        assert sorted(one.recipients[0] for one in received) == [f"u@d{number}.test" for number in range(8)]
        await timeline(relay, ids[0], "delivered")
        (story,) = await relay.json("trace", ids[0])
        assert "provider newsletter refused it: 550 5.7.1 rejected" in story["events"][-1]["way"]
        assert [line["lane"] for line in relay.log("delivery.paused")] == ["provider:newsletter"]
        assert not relay.log("message.bounced")


async def test_a_pause_is_shown_alerted_by_another_provider_and_ended(tmp_path: Path) -> None:
    alerts = '[alerts]\nmail_to = ["operator@rcpt.test"]'
    async with sink() as first, sink() as backup, relay_with(tmp_path, first, backup, more=alerts) as relay:
        first.always("AUTH", Say("535 5.7.8 Authentication failed"))
        for number in range(5):
            await asyncio.to_thread(send, relay.port, HTML, [f"u{number}@rcpt.test"])
        received = await backup.received(6)
        (alert,) = (one for one in received if one.recipients == ["operator@rcpt.test"])
        mail = email.message_from_bytes(alert.content)
        assert alert.reverse_path == ""
        assert "provider newsletter is paused" in mail["Subject"]
        body = mail.get_payload(decode=True)
        assert isinstance(body, bytes)
        assert b"535 5.7.8 Authentication failed" in body
        assert b"relay provider resume newsletter" in body
        (shown,) = (one for one in await relay.json("provider", "list") if one["name"] == "newsletter")
        assert (shown["state"], "535 5.7.8" in shown["why"]) == ("paused", True)
        assert "paused until" in await relay.run("provider", "list")
        first.behave()
        assert "is tried again" in await relay.run("provider", "resume", "newsletter")
        await asyncio.to_thread(send, relay.port, HTML, ["last@rcpt.test"])
        assert [one.recipients for one in await first.received(1)] == [["last@rcpt.test"]]

        async def newsletter_is_ok() -> bool:
            return ("newsletter", "ok") in {(one["name"], one["state"]) for one in await relay.json("provider", "list")}

        await until(newsletter_is_ok)


async def test_without_a_fallback_mail_waits_over_a_restart_and_a_corrected_password_ends_it(tmp_path: Path) -> None:
    async with sink() as first, sink() as backup, relay_with(tmp_path, first, backup, fallback=False) as relay:
        first.always("AUTH", Say("535 5.7.8 Authentication failed"))
        queue_id = await asyncio.to_thread(send, relay.port, HTML, ["u@rcpt.test"])
        assert (await timeline(relay, queue_id, "deferred"))[-1] == "deferred"
        await relay.kill()
        await relay.start()
        (waiting,) = await relay.json("queue", "list")
        assert (waiting["lane"], waiting["status"]) == ("provider:newsletter", "deferred")

        async def paused() -> bool:
            return "paused" in [one["state"] for one in await relay.json("provider", "list")]

        await until(paused)
        first.behave()
        relay.config.write_text(relay.config.read_text().replace('password = "p"', 'password = "right"'))
        await relay.run("config", "reload")
        assert [one.recipients for one in await first.received(1)] == [["u@rcpt.test"]]
        assert not backup.messages


async def test_an_explicit_provider_has_no_fallback(tmp_path: Path) -> None:
    mail = HTML.replace(b"Subject:", b"X-Relay-Provider: newsletter\r\nSubject:")
    async with sink() as first, sink() as backup, relay_with(tmp_path, first, backup) as relay:
        first.always("AUTH", Say("535 5.7.8 Authentication failed"))
        queue_id = await asyncio.to_thread(send, relay.port, mail, ["u@rcpt.test"])
        await timeline(relay, queue_id, "deferred")
        await asyncio.sleep(0.3)
        (waiting,) = await relay.json("queue", "list")
        assert waiting["lane"] == "provider:newsletter"
        assert not backup.messages


async def test_a_limited_provider_overflows_to_the_fallback(tmp_path: Path) -> None:
    async with sink() as first, sink() as backup:
        relay = relay_with(tmp_path, first, backup, login=False)
        limited = relay.config.read_text().replace('name = "newsletter"', 'name = "newsletter"\ndaily_limit = 3')
        relay.config.write_text(limited)
        async with relay:
            ids = [await asyncio.to_thread(send, relay.port, HTML, [f"u{number}@rcpt.test"]) for number in range(8)]
            assert len(await first.received(3)) == 3
            assert len(await backup.received(5)) == 5
            await relay.kill()
            await relay.start()

            async def is_empty() -> bool:
                return not await relay.json("queue", "list")

            await until(is_empty)
            (story,) = await relay.json("trace", ids[-1])
            assert "provider newsletter has no capacity before" in story["events"][0]["way"]
            (shown,) = (one for one in await relay.json("provider", "list") if one["name"] == "newsletter")
            assert (shown["daily_used"], shown["daily_limit"], shown["waiting"]) == (3, 3, 0)
            await asyncio.to_thread(send, relay.port, HTML, ["after@rcpt.test"])
            await backup.received(6)
            assert len(first.messages) == 3


async def test_a_limited_provider_without_a_fallback_gives_a_release_time(tmp_path: Path) -> None:
    async with sink() as first, sink() as backup:
        relay = relay_with(tmp_path, first, backup, login=False, fallback=False)
        limited = relay.config.read_text().replace('name = "newsletter"', 'name = "newsletter"\nhourly_limit = 2')
        relay.config.write_text(limited)
        async with relay:
            for number in range(4):
                await asyncio.to_thread(send, relay.port, HTML, [f"u{number}@rcpt.test"])
            await first.received(2)
            waiting = await listed(relay, 2)
            assert [bool(one["release_at"]) for one in waiting] == [True, True]
            assert {one["lane"] for one in waiting} == {"provider:newsletter"}
            assert not backup.messages


async def test_campaign_mail_leaves_by_its_own_provider_at_its_rate_and_a_raised_limit_releases_it(
    tmp_path: Path,
) -> None:
    """Receipts leave by the other provider at once. Neither the reload nor the start needs `queue flush`."""
    campaign = HTML.replace(b"Subject:", b"X-Relay-Campaign: autumn\r\nSubject:")
    by_hand = campaign.replace(b"Subject:", b"X-Relay-Provider: backup\r\nSubject:")
    async with sink() as first, sink() as backup:
        relay = relay_with(tmp_path, first, backup, login=False, fallback=False)
        text = relay.config.read_text().replace('name = "newsletter"', 'name = "newsletter"\ndaily_limit = 1')
        relay.config.write_text(
            text.replace('provider = "newsletter"\n', 'provider = "backup"\ncampaign_provider = "newsletter"\n')
        )
        async with relay:
            for number in range(4):
                await asyncio.to_thread(send, relay.port, campaign, [f"u{number}@rcpt.test"])
            await asyncio.to_thread(send, relay.port, HTML, ["receipt@rcpt.test"])
            await asyncio.to_thread(send, relay.port, by_hand, ["by-hand@rcpt.test"])
            assert {one.recipients[0] for one in await backup.received(2)} == {"receipt@rcpt.test", "by-hand@rcpt.test"}
            assert [one.recipients for one in await first.received(1)] == [["u0@rcpt.test"]]
            waiting = await listed(relay, 3)
            assert [bool(one["release_at"]) for one in waiting] == [True] * 3
            assert {one["lane"] for one in waiting} == {"provider:newsletter"}

            relay.config.write_text(relay.config.read_text().replace("daily_limit = 1", "daily_limit = 2"))
            await relay.run("config", "reload")
            assert [one.recipients for one in await first.received(2)][1:] == [["u1@rcpt.test"]]

            async def moved() -> bool:
                return [line["entries"] for line in relay.log("queue.advanced")] == [3]

            await until(moved)
            later = await relay.json("queue", "list")
            assert [one["recipient"] for one in later] == ["u2@rcpt.test", "u3@rcpt.test"]
            assert all(now["release_at"] < then["release_at"] for now, then in zip(later, waiting[1:], strict=True))

            await relay.kill()
            relay.config.write_text(relay.config.read_text().replace("daily_limit = 2", "daily_limit = 0"))
            await relay.start()
            assert len(await first.received(4)) == 4
            assert len(backup.messages) == 2


async def test_send_test_prints_each_step_and_the_action(tmp_path: Path) -> None:
    async with sink() as first, sink() as backup, relay_with(tmp_path, first, backup) as relay:
        code, said = await relay.ran("send-test", "--provider", "backup", "--to", "you@rcpt.test")
        assert code == 0, said
        assert "queued as" in said
        assert "rendered and signed" in said
        assert "accepted by [127.0.0.1]" in said
        assert said.endswith("provider backup works\n")
        (got,) = await backup.received(1)
        assert (got.reverse_path, got.recipients) == ("postmaster@relay.test", ["you@rcpt.test"])
        first.always("AUTH", Say("535 5.7.8 Authentication failed"))
        code, said = await relay.ran("send-test", "--provider", "newsletter", "--to", "you@rcpt.test")
        assert code == 77, said
        assert "535 5.7.8 Authentication failed" in said
        assert "what to do: check username and password" in said
        code, said = await relay.ran("send-test", "--provider", "newsletter", "--to", "you@rcpt.test")
        assert code == 77, said
        assert "relay provider resume newsletter" in said
        assert not await relay.json("queue", "list")
        backup.always("RCPT", Say("550 5.1.1 no such user"))
        code, said = await relay.ran("send-test", "--provider", "backup", "--to", "you@rcpt.test", "--json")
        assert code == 69, said
        assert '"event": "bounced"' in said
        code, said = await relay.ran("send-test", "--provider", "nobody", "--to", "you@rcpt.test")
        assert code == 1
        assert "the providers are: direct, sink, newsletter, backup" in said
        code, said = await relay.ran("send-test", "--provider", "backup")
        assert code == 64
        assert "--to" in said


async def test_a_restart_does_not_try_a_refused_account_before_its_pause_ends(tmp_path: Path) -> None:
    async with sink() as first, sink() as backup, relay_with(tmp_path, first, backup, fallback=False) as relay:
        first.always("AUTH", Say("535 5.7.8 Authentication failed"))
        await asyncio.to_thread(send, relay.port, HTML, ["u@rcpt.test"])
        await until(lambda: len(relay.log("message.deferred")) == 1)
        before = {row["name"]: row["paused_until"] for row in await relay.json("provider", "list")}
        logins = len(first.said("AUTH"))

        await relay.kill()
        await relay.start()
        await until(lambda: len(relay.log("message.deferred")) >= 2)
        after = {row["name"]: row["paused_until"] for row in await relay.json("provider", "list")}
        assert after == before
        assert after["newsletter"] is not None
        assert len(first.said("AUTH")) == logins
        assert len(relay.log("delivery.paused")) == 1

        first.behave()
        await relay.kill()
        relay.config.write_text(relay.config.read_text().replace('password = "p"', 'password = "q"'))
        await relay.start()
        await first.received(1)
