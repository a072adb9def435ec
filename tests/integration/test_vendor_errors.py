"""Faults of requests in the forms of mail services: each service has its own form of errors, for every fault."""

import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from relay.config.credentials import new_key
from relay.config.secret_hash import hash_secret
from tests.ports import free_port
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.vendor_client import VendorAnswer, VendorClient

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES = ("app", "reader", "slow")

KEYS = {name: new_key(name, bytes(range(at, at + 32))) for at, name in enumerate(NAMES)}

MAX_SIZE = 1 << 20


def configuration(port: int) -> str:
    scopes = {"app": '["send", "read", "suppressions"]', "reader": '["read"]', "slow": '["send", "read"]'}
    credentials = "".join(
        f'[credentials.{name}]\nsecret_hash = "{hash_secret(KEYS[name], bytes(16))}"\nscopes = {scopes[name]}\n'
        for name in NAMES
    )
    return f"""
[api]
address = "127.0.0.1:{port}"
requests_per_minute = 120
[limits]
max_message_size = "1MiB"
{credentials}
[domains."acme.test"]
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[VendorClient]:
    port = free_port()
    async with Sink() as sink, RelayProcess(tmp_path_factory.mktemp("errors"), sink.port, configuration(port)):
        yield VendorClient(port, KEYS["app"])


@dataclass(frozen=True, slots=True)
class Fault:
    """A request with a fault. `kind` is its Content-Type; `code` that of Postmark; `text` is in the reason."""

    path: str
    status: int
    text: str
    body: Any = b""
    kind: str = "application/json"
    code: int = 300
    key: str = "app"
    method: str = "POST"


MAILGUN, SENDGRID, POSTMARK, BATCH = "/v3/acme.test/messages", "/v3/mail/send", "/email", "/email/batch"

MANY = [f"{number}@r.t" for number in range(1001)]

FORM = {"from": "news@acme.test", "to": "ada@reader.test", "subject": "Hi", "text": "Hi"}

SEND = {
    "personalizations": [{"to": [{"email": "ada@reader.test"}]}],
    "from": {"email": "news@acme.test"},
    "subject": "Hi",
    "content": [{"type": "text/plain", "value": "Hi"}],
}

EMAIL = {"From": "news@acme.test", "To": "ada@reader.test", "Subject": "Hi", "TextBody": "Hi"}

URLENCODED, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"

LARGE = b" " * (MAX_SIZE * 3 // 2 + (1 << 20) + 1)

OTHERS: tuple[tuple[str, Any], ...] = ((SENDGRID, SEND), (POSTMARK, EMAIL), (BATCH, [EMAIL]))

FAULTS = [
    Fault(MAILGUN, 401, "Forbidden", kind=URLENCODED, key="unknown"),
    *(Fault(path, 401, "the login is wrong", body, key="unknown", code=10) for path, body in OTHERS),
    Fault(MAILGUN, 403, "no scope", kind=URLENCODED, key="reader"),
    *(Fault(path, 403, "no scope", body, key="reader", code=100) for path, body in OTHERS),
    Fault(MAILGUN, 400, "Content-Type must be multipart/form-data", FORM),
    Fault(SENDGRID, 415, "Content-Type must be application/json", SEND, kind=URLENCODED),
    Fault(POSTMARK, 422, "Content-Type must be application/json", EMAIL, kind="text/plain", code=409),
    Fault(BATCH, 422, "Content-Type must be application/json", [EMAIL], kind="text/plain", code=409),
    Fault(MAILGUN, 400, "the boundary of its Content-Type", b"--other\r\n", kind=MULTIPART),
    Fault(MAILGUN, 400, "not UTF-8", b"from=%ff", kind=URLENCODED),
    *(Fault(path, 422 if path in (POSTMARK, BATCH) else 400, "the body is not JSON", one, code=402)
      for path, _ in OTHERS for one in (b"", b"{", b"[" * 100_000, b'{"a": "\xff"}')),
    Fault(SENDGRID, 400, "a JSON object is expected", []),
    Fault(POSTMARK, 422, "an object is expected", []),
    Fault(BATCH, 422, "a list of 1 to 500 messages", {}),
    Fault(BATCH, 422, "a list of 1 to 500 messages", [EMAIL] * 501, code=410),
    Fault(MAILGUN, 413, "larger than", LARGE, kind=URLENCODED),
    *(Fault(path, 413, "larger than", LARGE, code=100) for path, _ in OTHERS),
    Fault(MAILGUN, 400, "1000", f"from=news@acme.test&text=Hi&to={','.join(MANY)}".encode(), kind=URLENCODED),
    Fault(SENDGRID, 400, "1000", {**SEND, "personalizations": [{"to": [{"email": one} for one in MANY]}]}),
    Fault(SENDGRID, 400, "1000", {**SEND, "personalizations": [{"to": [{"email": one}]} for one in MANY]}),
    Fault(POSTMARK, 422, "1000", {**EMAIL, "To": ",".join(MANY)}),
    *(Fault(path, 405, "PUT is not allowed here; allowed: POST", method="PUT", code=100)
      for path in (MAILGUN, SENDGRID, POSTMARK, BATCH)),
]  # fmt: skip


def reason(path: str, answer: VendorAnswer) -> tuple[str, int | None]:
    """Return the reason and the code of an error, after checks of its form."""
    if path.startswith("/email"):
        found = answer.json
        assert set(found) == {"ErrorCode", "Message"}, found
        return found["Message"], found["ErrorCode"]
    if path == SENDGRID:
        (one,) = answer.json["errors"]
        assert set(one) == {"message", "field", "help"}, one
        return one["message"], None
    if answer.status == 401:
        return answer.text, None
    assert set(answer.json) == {"message"}, answer.text
    return answer.json["message"], None


async def send(client: VendorClient, fault: Fault) -> VendorAnswer:
    body = io.BytesIO(fault.body if isinstance(fault.body, bytes) else json.dumps(fault.body).encode())
    key = KEYS.get(fault.key, "rk_app_" + "0" * 32)
    return await client.request(fault.method, fault.path, body, key, {"Content-Type": fault.kind})


@pytest.mark.parametrize("fault", FAULTS, ids=lambda one: f"{one.method} {one.path} {one.status} {one.text}")
async def test_a_fault_has_the_form_of_the_service(client: VendorClient, fault: Fault) -> None:
    answer = await send(client, fault)
    text, code = reason(fault.path, answer)
    assert (answer.status, fault.text in text) == (fault.status, True), answer.text[:500]
    assert code == (fault.code if fault.path.startswith("/email") else None)


@pytest.mark.parametrize(
    ("path", "code"), [(MAILGUN, None), (SENDGRID, None), (POSTMARK, 429), (BATCH, 429)], ids=lambda one: str(one)
)
async def test_too_many_requests_have_the_form_of_the_service(
    client: VendorClient, path: str, code: int | None
) -> None:
    url, login = (
        f"{client.url}{path}",
        {"Authorization": f"Bearer {KEYS['slow']}", "X-Postmark-Server-Token": KEYS["slow"]},
    )
    async with aiohttp.ClientSession(headers=login) as session:
        for _ in range(200):
            async with session.post(url, data=b"{") as found:
                answer = VendorAnswer(found.status, await found.text())
                fields = found.headers
            if answer.status == 429:
                break
    text, given = reason(path, answer)
    assert (answer.status, "api.requests_per_minute" in text, given) == (429, True, code)
    assert int(fields["Retry-After"]) >= 1
