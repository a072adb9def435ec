"""The trace of a request to the API is in its line, and in the message that it sent (W3C Trace Context)."""

from pathlib import Path

from relay.config.credentials import new_key
from relay.config.secret_hash import hash_secret
from tests.ports import free_port
from tests.servers.api_client import ApiClient
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.vendor_client import VendorClient

KEY = new_key("shop", bytes(range(32)))

IDS = ("4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c", "3c7a1d2e4b5f60718293a4b5c6d7e8f9")

FIRST, SECOND, OWN = (f"00-{one}-00f067aa0ba902b7-01" for one in IDS)

MAIL = {"from": "shop@acme.test", "to": ["ada@reader.test"], "subject": "Hello", "text": "Hello"}


async def test_a_message_has_the_trace_of_its_request_unless_it_names_one(tmp_path: Path) -> None:
    port = free_port()
    toml = f"""
[api]
address = "127.0.0.1:{port}"
[credentials.shop]
secret_hash = "{hash_secret(KEY, bytes(16))}"
scopes = ["send", "read"]
[domains."acme.test"]
"""
    async with Sink() as sink, RelayProcess(tmp_path, sink.port, toml) as relay:
        api = ApiClient(port, f"shop:{KEY}")

        async def metadata(body: object, **headers: str) -> object:
            sent = await api.post("/messages", body, headers)
            assert sent.status == 202, sent.json
            return (await api.get(f"/messages/{sent.json['queue_id']}")).json["metadata"]

        assert await metadata(MAIL, traceparent=FIRST) == {"traceparent": FIRST}
        assert await metadata({**MAIL, "metadata": {"traceparent": OWN}}, traceparent=FIRST) == {"traceparent": OWN}
        most = {f"key{number}": "x" for number in range(50)}
        assert await metadata({**MAIL, "metadata": most}, traceparent=FIRST) == most, "no room for the trace"
        assert await metadata({**MAIL, "headers": {"traceparent": OWN}}, traceparent=FIRST) == {"traceparent": OWN}
        for wrong in ("00-x", FIRST.upper(), f"00-{'0' * 32}-00f067aa0ba902b7-01", f"ff{FIRST[2:]}"):
            assert await metadata(MAIL, traceparent=wrong) == {}

        key = {"Idempotency-Key": "one"}
        first = await api.post("/messages", MAIL, {**key, "traceparent": FIRST})
        again = await api.post("/messages", MAIL, {**key, "traceparent": SECOND})
        assert (again.status, again.json) == (202, first.json), "a retry has a trace of its own"

        mailgun = VendorClient(port, KEY)
        fields = {"from": "shop@acme.test", "to": "ada@reader.test", "subject": "Hello", "text": "Hello"}
        await mailgun.form("/v3/acme.test/messages", fields, headers={"traceparent": SECOND})
        traces = [line["traceparent"] for line in relay.log("api.request") if "traceparent" in line]
        assert traces.count(SECOND) == 2
        created = [line for line in relay.log("message.created") if line.get("metadata") == {"traceparent": SECOND}]
        assert [line["domain"] for line in created] == ["acme.test"], "only the retry left no message"
