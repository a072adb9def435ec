"""Keys of applications: any user name, rotation, last use, revocation of a running relay."""

import smtplib
from asyncio import to_thread
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from relay.cli.credential import credential
from relay.config.secret_hash import hash_secret
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink


def made(name: str) -> tuple[str, str]:
    """Return a new key and its hash, as the command prints them."""
    out = CliRunner().invoke(credential, ["new", name]).output
    return out.split("Password   ")[1].split()[0], out.split('secret_hash = "')[1].split('"')[0]


def log_in(port: int, username: str, secret: str) -> smtplib.SMTP:
    client = smtplib.SMTP("127.0.0.1", port, timeout=20)
    try:
        client.login(username, secret)
    except smtplib.SMTPAuthenticationError:
        client.close()
        raise
    return client


async def test_a_key_from_its_making_to_its_revocation(tmp_path: Path) -> None:
    key, hashed = made("app1")
    old, other = hash_secret("old secret", bytes(16)), hash_secret("other", bytes(16))
    more = f'[credentials.app1]\nsecret_hash = ["{old}", "{hashed}"]\n[credentials.app2]\nsecret_hash = "{other}"\n'
    async with Sink() as sink, RelayProcess(tmp_path, sink.port, more) as relay:
        for username, secret in (("apikey", key), ("app1", "old secret"), (key, key)):
            (await to_thread(log_in, relay.port, username, secret)).close()

        listed: list[dict[str, Any]] = await relay.json("credential", "list")
        assert [(one["credential"], one["number"], bool(one["used_at"])) for one in listed] == [
            ("app1", 1, True),
            ("app1", 2, True),
            ("app2", 1, False),
        ]

        session = await to_thread(log_in, relay.port, "apikey", key)
        (revoked,) = await relay.json("credential", "revoke", "app1", "--key", listed[1]["key"])
        assert revoked["revoked_at"]
        assert session.docmd("MAIL", "FROM:<a@acme.test>")[0] == 421
        session.close()
        with pytest.raises(smtplib.SMTPAuthenticationError):
            await to_thread(log_in, relay.port, "apikey", key)
        (await to_thread(log_in, relay.port, "app1", "old secret")).close()

        await relay.kill()
        await relay.start()
        with pytest.raises(smtplib.SMTPAuthenticationError):
            await to_thread(log_in, relay.port, "apikey", key)


async def test_a_credential_that_is_not_configured_is_named(tmp_path: Path) -> None:
    async with Sink() as sink, RelayProcess(tmp_path, sink.port) as relay:
        with pytest.raises(AssertionError, match="there is no credential 'app9'; configured: none"):
            await relay.json("credential", "revoke", "app9")
