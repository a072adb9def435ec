"""The bounce mailbox by OAuth2: Debian's Dovecot asks the token endpoint about each token (passdb oauth2)."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from relay.cli.imap import imap
from relay.config.settings import Settings
from relay.inbound.imap_poller import Poller
from relay.inbound.mail_effects import ProcessResult
from relay.metrics import Metrics
from relay.oauth.rotation import RefreshTokens
from relay.oauth.service import OAuthService
from relay.oauth.token_endpoint import request_token
from tests.servers.dovecot import USER, Dovecot, need_dovecot
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.token_endpoint import Answer, TokenEndpoint
from tests.unit.oauth_parts import KEYS, MemoryTokens, Moments

PASSDB = """
auth_failure_delay = 0
auth_mechanisms = plain {mechanism}
passdb {{
  driver = oauth2
  mechanisms = {mechanism}
  args = {{folder}}/oauth2.conf.ext
}}
"""

RULES = """
introspection_mode = get
introspection_url = https://localhost:{port}/introspect?token=
tls_ca_cert_file = {authority}
username_attribute = email
active_attribute = active
active_value = true
"""


class OAuthDovecot(Dovecot):
    """A Dovecot that takes tokens of an endpoint by one mechanism."""

    def __init__(self, endpoint: TokenEndpoint, mechanism: str) -> None:
        super().__init__(more=PASSDB.format(mechanism=mechanism))
        self._endpoint = endpoint

    def _prepare(self, folder: Path) -> None:
        super()._prepare(folder)
        shutil.copy(self._endpoint.authority, folder / "token-authority.pem")
        (folder / "token-authority.pem").chmod(0o644)
        rules = RULES.format(port=self._endpoint.port, authority=folder / "token-authority.pem")
        (folder / "oauth2.conf.ext").write_text(rules)


@pytest.fixture
async def endpoint(tmp_path: Path) -> AsyncIterator[TokenEndpoint]:
    async with TokenEndpoint(tmp_path) as server:
        yield server


class Mailbox:
    """A poller of the mailbox: what it took, and what it logged."""

    def __init__(self, dovecot: Dovecot, endpoint: TokenEndpoint, folder: Path) -> None:
        account = {"host": "localhost", "port": dovecot.port, "username": USER, "oauth": endpoint.settings()}
        self.settings = Settings.model_validate({"bounces": {"imap": account}})
        self.taken: list[bytes] = []
        self.log: list[tuple[str, str]] = []
        self.oauth = OAuthService(
            lambda: self.settings,
            RefreshTokens(
                MemoryTokens(),
                keys=lambda: KEYS,
                ask=request_token,
                clock=time.time,
                random=os.urandom,
                store_failed=lambda _: None,
            ),
            request_token,
            clock=time.time,
            steady=Moments(0.0),
            random=os.urandom,
            log=self._note,
            alert=lambda *_: None,
        )
        self._poller = Poller(
            lambda: self.settings, folder / "imap.json", self._take, self._note, self.oauth, Metrics()
        )

    async def poll(self) -> None:
        imap = self.settings.bounces.imap
        assert imap is not None
        await self._poller._try(imap)

    async def _take(self, content: bytes) -> ProcessResult:
        self.taken.append(content.partition(b"\r\n")[0].removeprefix(b"Subject: "))
        return ProcessResult("bounce", joined=True)

    def _note(self, line: str, /, **fields: object) -> None:
        self.log.append((line, str(fields.get("error", ""))))


def trust(folder: Path, *authorities: Path) -> str:
    """Return a file with these authorities."""
    file = folder / "authorities.pem"
    file.write_text("".join(one.read_text() for one in authorities))
    return str(file)


@pytest.mark.parametrize("mechanism", ["xoauth2", "oauthbearer"])
async def test_bounces_are_read_with_a_token_and_with_a_new_one_when_it_is_refused(
    endpoint: TokenEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mechanism: str
) -> None:
    need_dovecot()
    async with OAuthDovecot(endpoint, mechanism) as dovecot:
        monkeypatch.setenv("SSL_CERT_FILE", trust(tmp_path, endpoint.authority, dovecot.authority))
        mailbox = Mailbox(dovecot, endpoint, tmp_path)
        dovecot.put(b"Subject: one\r\n\r\nx\r\n")
        await mailbox.poll()
        assert (mailbox.taken, len(endpoint.forms)) == ([b"one"], 1), mailbox.log

        endpoint.valid = {"access-2"}
        dovecot.put(b"Subject: two\r\n\r\nx\r\n")
        await mailbox.poll()
        assert (mailbox.taken, len(endpoint.forms)) == ([b"one", b"two"], 2), mailbox.log

        endpoint.valid = set()
        await mailbox.poll()
        line, error = mailbox.log[-1]
        assert line == "imap.failed"
        assert f"login of {USER} was refused" in error
        assert '"status":"401"' in error.replace(" ", "") or '"status":"invalid_token"' in error.replace(" ", "")
        assert "access-" not in error

        endpoint.next += [Answer(401, {"error": "invalid_client"})]
        mailbox.oauth._source("bounces.imap").forget()
        await mailbox.poll()
        assert "no access token from localhost: invalid_client" in mailbox.log[-1][1]


async def test_the_folders_of_an_account_with_an_application_are_listed(
    endpoint: TokenEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_dovecot()
    async with OAuthDovecot(endpoint, "xoauth2") as dovecot:
        monkeypatch.setenv("SSL_CERT_FILE", trust(tmp_path, endpoint.authority, dovecot.authority))
        config = tmp_path / "relay.toml"
        oauth = f'preset = "custom"\nclient_id = "app"\nclient_secret = "hush"\ntoken_url = "{endpoint.url}"\n'
        account = f'host = "localhost"\nport = {dovecot.port}\nusername = "{USER}"\n'
        head = '[server]\nhostname = "relay.test"\n'
        config.write_text(f"{head}[bounces.imap]\n{account}[bounces.imap.oauth]\n{oauth}")
        config.chmod(0o600)
        done = await asyncio.to_thread(CliRunner().invoke, imap, ["folders", "-c", str(config)])
        assert done.exit_code == 0, done.output
        assert "INBOX" in done.output


PERSON = """
[bounces.imap]
host = "localhost"
port = {port}
username = "{user}"
[bounces.imap.oauth]
preset = "custom"
flow = "user"
client_id = "app"
token_url = "{url}"
device_url = "{device_url}"
"""


async def test_the_folders_of_a_person_are_listed_by_the_running_relay(
    endpoint: TokenEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_dovecot()
    async with OAuthDovecot(endpoint, "xoauth2") as dovecot, Sink() as sink:
        monkeypatch.setenv("SSL_CERT_FILE", trust(tmp_path, endpoint.authority, dovecot.authority))
        urls = {"url": endpoint.url, "device_url": endpoint.device_url}
        relay = RelayProcess(tmp_path, sink.port, PERSON.format(port=dovecot.port, user=USER, **urls))
        relay.environment = {"SSL_CERT_FILE": os.environ["SSL_CERT_FILE"]}
        relay.config.chmod(0o600)
        code, said = await relay.ran("imap", "folders")
        assert code == 69
        assert "start `relay serve` first: a person logs in for this mailbox" in said

        async with relay:
            code, said = await relay.ran("imap", "folders")
            assert code == 69
            assert "no login is stored. Run `relay oauth login bounces.imap`" in said

            await relay.run("oauth", "login", "bounces.imap")
            assert {"folder": "INBOX", "messages": 0, "use": "polled"} in await relay.json("imap", "folders")

            endpoint.valid = set()
            code, said = await relay.ran("imap", "folders")
            assert code == 69
            assert f"login of {USER} was refused" in said
            assert "access-" not in said
