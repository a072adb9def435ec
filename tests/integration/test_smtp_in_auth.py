"""TLS and AUTH of the SMTP server over real sockets."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from relay import acceptor
from relay.config.settings import Listener, Settings
from relay.smtp_in import SmtpServer
from tests.integration.uvloop_run import run
from tests.servers.smtp_in_harness import Client, Harness, RecordingHandler, base64, serving
from tests.servers.waiting import until

MAIL, RCPT = "MAIL FROM:<a@app.test>", "RCPT TO:<b@sink.test>"

RIGHT = f"AUTH PLAIN {base64(chr(0) + 'ann' + chr(0) + 'secret')}"

WRONG = f"AUTH PLAIN {base64(chr(0) + 'ann' + chr(0) + 'guess')}"

DENIED = "535 5.7.8 Name or secret is wrong"


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    async with serving(tmp_path, smtp={"max_errors": 100}) as running:
        yield running


async def send_one(client: Client) -> None:
    await client.say(MAIL, RCPT, "DATA")
    client.send(b"\r\n" + b"x" * 300_000 + b"\r\n.\r\n")
    assert (await client.reply()).startswith("250 ")


async def over_starttls(folder: Path, server: ssl.SSLContext, context: ssl.SSLContext) -> None:
    async with serving(folder, server, listener={"tls": "starttls"}) as harness:
        client = await harness.greeted()
        assert "AUTH" not in await client.say("EHLO client.test")
        assert (await client.say(RIGHT)).startswith("538 5.7.11 ")
        await client.say(MAIL)
        assert (await client.say("STARTTLS now")).startswith("501 5.5.4 ")
        await client.start_tls(context)
        assert (await client.say("STARTTLS")).startswith("503 5.5.1 ")
        assert (await client.say(MAIL)).startswith("503 5.5.1 ")
        offered = await client.say("EHLO client.test")
        assert "STARTTLS" not in offered
        assert "AUTH PLAIN LOGIN" in offered
        await send_one(client)
        assert harness.handler.taken[0].session.tls.startswith("TLSv1.3 TLS_")
        assert await client.say("QUIT") == "221 2.0.0 Bye"


async def test_starttls_forgets_what_was_said(
    tmp_path: Path, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    await over_starttls(tmp_path, server_context, client_context)


def test_starttls_works_under_uvloop(
    tmp_path: Path, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    run(over_starttls(tmp_path, server_context, client_context))


async def test_implicit_tls_begins_before_the_greeting(
    tmp_path: Path, server_context: ssl.SSLContext, client_context: ssl.SSLContext
) -> None:
    async with serving(tmp_path, server_context, listener={"tls": "implicit"}) as harness:
        client = await harness.connect(client_context)
        assert await client.reply() == "220 relay.test ESMTP"
        assert "STARTTLS" not in await client.say("EHLO client.test")
        await send_one(client)
        assert harness.handler.taken[0].session.tls


async def over_implicit_tls_beside_silent_clients(
    folder: Path, server: ssl.SSLContext, context: ssl.SSLContext
) -> None:
    async with serving(folder, server, listener={"tls": "implicit"}) as harness:
        silent = [await harness.connect() for _ in range(3)]
        assert await silent[0].ended()
        no_tls = await harness.connect()
        no_tls.send(b"EHLO client.test\r\n")
        assert await no_tls.ended() or await no_tls.ended()

        client = await harness.connect(context)
        assert await client.reply() == "220 relay.test ESMTP"
        await client.say("EHLO client.test")
        await send_one(client)
        assert await client.say("QUIT") == "221 2.0.0 Bye"
        assert len(harness.resources.connections) <= 1


async def test_clients_without_a_handshake_give_way_to_others(
    tmp_path: Path, server_context: ssl.SSLContext, client_context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptor, "MAX_PREAMBLES", 2)
    await over_implicit_tls_beside_silent_clients(tmp_path, server_context, client_context)


def test_implicit_tls_under_uvloop(
    tmp_path: Path, server_context: ssl.SSLContext, client_context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acceptor, "MAX_PREAMBLES", 2)
    run(over_implicit_tls_beside_silent_clients(tmp_path, server_context, client_context))


@pytest.mark.parametrize("injected", [b"NOOP\r\n", b"EHLO x.test\r\n", b"MAIL FROM:<evil@x.test>\r\n", b"RSET"])
async def test_what_is_sent_before_the_handshake_is_never_obeyed(
    tmp_path: Path, server_context: ssl.SSLContext, client_context: ssl.SSLContext, injected: bytes
) -> None:
    async with serving(tmp_path, server_context, listener={"tls": "starttls"}) as harness:
        client = await harness.greeted()
        client.send(b"STARTTLS\r\n" + injected)
        assert (await client.reply()).startswith("220 ")
        await client.writer.start_tls(client_context, server_hostname="relay.test")
        assert (await client.say("EHLO after.test")).startswith("250-relay.test")
        assert (await client.say("NOOP")).startswith("250 2.0.0")


async def test_a_failed_handshake_ends_one_session_only(tmp_path: Path, server_context: ssl.SSLContext) -> None:
    async with serving(tmp_path, server_context, listener={"tls": "starttls"}) as harness:
        client = await harness.greeted()
        client.send(b"STARTTLS\r\n")
        await client.reply()
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        await until(lambda: len(harness.resources.connections) == 0)
        assert await (await harness.greeted()).say("NOOP") == "250 2.0.0 Ok"


def test_old_tls_is_not_spoken(server_context: ssl.SSLContext) -> None:
    assert server_context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
def test_tls_without_a_certificate_and_the_other_way_round_is_a_mistake(
    tls: str, server_context: ssl.SSLContext
) -> None:
    listener = Listener.model_validate({"name": "in", "address": "127.0.0.1:0", "tls": tls})
    context = server_context if tls == "none" else None
    with pytest.raises(ValueError, match='listener "in"'):
        SmtpServer(
            listener, Settings, RecordingHandler(), ssl_context=context, log=print, on_store_error=lambda _: None
        )


async def test_a_right_secret_names_the_credential(harness: Harness) -> None:
    for exchange in (
        [RIGHT],
        [RIGHT.replace("AUTH PLAIN", "auth plain")],
        ["AUTH PLAIN", RIGHT.split()[2]],
        ["AUTH LOGIN", base64("ann"), base64("secret")],
        [f"AUTH login {base64('ann')}", base64("secret")],
    ):
        client = await harness.greeted()
        assert await client.say(*exchange) == "235 2.7.0 Authentication successful"
        assert (await client.say(RIGHT)).startswith("503 5.5.1 ")
        await client.say(MAIL, RCPT, "DATA")
        client.send(b".\r\n")
        await client.reply()
        assert harness.handler.taken.pop().session.credential == "ann"


@pytest.mark.parametrize(
    ("exchange", "reply"),
    [
        (["AUTH"], "501 5.5.4"),
        (["AUTH FROB xx"], "504 5.5.4"),
        (["AUTH PLAIN !!!"], "501 5.5.2"),
        (["AUTH PLAIN ="], "501 5.5.2"),
        ([f"AUTH PLAIN {base64('nonul')}"], "501 5.5.2"),
        (["AUTH PLAIN", "*"], "501 5.7.0"),
        (["AUTH LOGIN", "*"], "501 5.7.0"),
        (["AUTH LOGIN", base64("ann"), "*"], "501 5.7.0"),
        (["AUTH LOGIN", "ä"], "501 5.5.2"),
        (["AUTH PLAIN " + "x" * 13_000], "500 5.5.2"),
        (["AUTH PLAIN", "x" * 13_000], "500 5.5.6"),
        ([WRONG], DENIED),
        ([f"AUTH PLAIN {base64(chr(0) + 'nobody' + chr(0) + 'guess')}"], DENIED),
        ([f"AUTH PLAIN {base64('boss' + chr(0) + 'ann' + chr(0) + 'secret')}"], DENIED),
        ([f"AUTH PLAIN {base64(chr(0) * 2)}"], DENIED),
        (["AUTH LOGIN", base64("ann"), base64("guess")], DENIED),
    ],
)
async def test_what_goes_wrong_has_its_code_and_gives_no_rights(
    harness: Harness, exchange: list[str], reply: str
) -> None:
    client = await harness.greeted()
    assert (await client.say(*exchange)).startswith(reply)
    await client.say(MAIL, RCPT, "DATA")
    client.send(b".\r\n")
    await client.reply()
    assert harness.handler.taken[0].session.credential == ""


async def test_auth_needs_ehlo_and_a_submission_listener(tmp_path: Path, harness: Harness) -> None:
    client = await harness.connect()
    await client.reply()
    assert (await client.say(RIGHT)).startswith("503 5.5.1 ")
    async with serving(tmp_path, listener={"kind": "inbound"}) as inbound:
        client = await inbound.greeted()
        assert "AUTH" not in await client.say("EHLO again.test")
        assert (await client.say(RIGHT)).startswith("502 5.5.1 ")


async def test_a_session_ends_after_a_few_failures(harness: Harness) -> None:
    client = await harness.greeted()
    assert await client.say(WRONG, WRONG) == DENIED
    assert await client.say(WRONG) == "421 4.7.0 Too many failed logins, try again later"
    assert await client.ended()
    assert [line["credential"] for line in harness.logged("smtp.auth_failed")] == ["ann"] * 3


async def test_failures_slow_down_the_next_attempts_over_connections(harness: Harness) -> None:
    for _ in range(5):
        await (await harness.greeted()).say(WRONG)
    assert harness.time.pauses == sorted(harness.time.pauses)
    assert len(harness.time.pauses) == 4
    for _ in range(5):
        await (await harness.greeted()).say(WRONG)
    client = await harness.greeted()
    failed = len(harness.logged("smtp.auth_failed"))
    assert await client.say(RIGHT) == "421 4.7.0 Too many failed logins, try again later"
    assert await client.ended()
    assert len(harness.logged("smtp.auth_failed")) == failed
    harness.time.now += 40
    assert await (await harness.greeted()).say(RIGHT) == "235 2.7.0 Authentication successful"


async def test_secrets_are_never_logged(harness: Harness) -> None:
    client = await harness.greeted(WRONG, "AUTH LOGIN", base64("ann"), base64("guess"))
    await client.say("AUTH FROB", base64("guess"))
    assert "guess" not in repr(harness.lines)
    assert base64("guess") not in repr(harness.lines)
    assert WRONG.split()[2] not in repr(harness.lines)
