"""Metrics of the steps of a message: attempt, rendering, store, tracker and engagement, as Prometheus reads them."""

import re
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from relay.config.secret_hash import hash_secret
from tests.ports import free_port
from tests.servers.api_client import ApiClient
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import until

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


async def get(url: str, agent: str = FIREFOX, **headers: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as client,
        client.get(url, headers={"User-Agent": agent, **headers}, allow_redirects=False) as answer,
    ):
        return answer.status, (await answer.read()).decode("utf-8", "replace")


async def test_each_step_of_a_message_is_measured(tmp_path: Path) -> None:
    port, metrics = free_port(), free_port()
    toml = f"""
[api]
address = "127.0.0.1:{port}"
[metrics]
address = "127.0.0.1:{metrics}"
[credentials.shop]
secret_hash = "{hash_secret("secret", b"s" * 16)}"
scopes = ["send", "read"]
[domains."acme.test"]
tracking = {{ base_url = "https://t.acme.test" }}
[identities."shop@acme.test"]
hourly_limit = 4
"""
    mail = {"from": "shop@acme.test", "to": ["ada@reader.test"], "subject": "Hello", "html": "<p>Hello</p>"}

    async with Sink() as sink, RelayProcess(tmp_path, sink.port, toml) as relay:

        async def samples() -> dict[str, float]:
            _, text = await get(f"http://127.0.0.1:{metrics}/metrics")
            return {
                f"{one.name} {' '.join(value for _, value in sorted(one.labels.items()))}".strip(): one.value
                for family in text_string_to_metric_families(text)
                for one in family.samples
            }

        assert (await ApiClient(port, "shop:secret").post("/messages", mail)).status == 202
        await until(lambda: len(sink.messages) == 1)
        pixel = re.search(rb"https://t\.acme\.test(/o/[\w=\r\n-]+)", sink.messages[0].content)
        assert pixel is not None
        path = re.sub(rb"=\r\n", b"", pixel[1]).decode().rstrip("=")
        base = f"http://127.0.0.1:{relay.tracker_port}"
        assert (await get(base + path))[0] == 200
        assert (await get(base + path, agent="curl/8.11.0"))[0] == 200
        assert (await get(f"{base}/c/wrong"))[0] == 404

        async def are_counted() -> bool:
            found = await samples()
            return (
                found.get("relay_engagement_total open person") == 1
                and found.get("relay_engagement_total open machine") == 1
            )

        await until(are_counted)
        found = await samples()
        assert found["relay_delivery_attempt_seconds_count sink"] == 1
        assert found["relay_render_seconds_count"] == 1
        assert found["relay_store_seconds_count commit"] >= 2
        assert found["relay_store_seconds_count read"] >= 1
        assert 0 < found["relay_store_seconds_sum commit"] < 60
        assert found["relay_tracker_requests_total 200 open"] >= 2, "and the check of the relay itself"
        assert found["relay_tracker_requests_total 404 click"] == 1
