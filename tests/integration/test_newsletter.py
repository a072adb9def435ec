"""A newsletter with recipient variables over Mailgun's API: each reader gets its own text, links and unsubscribe."""

from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from bench.newsletter_mail import PERSONAL, Reader, faults, form
from bench.workloads import TRACKER
from relay.config.credentials import new_key
from relay.config.secret_hash import hash_secret
from tests.ports import free_port
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.vendor_client import VendorClient, leaves
from tests.servers.waiting import until

KEY = new_key("ghost", bytes(range(32)))

READERS = [Reader(number) for number in range(100)]
"""`python -m bench.newsletter` sends to 1,000."""


def configuration(port: int) -> str:
    return f"""
[api]
address = "127.0.0.1:{port}"
[credentials.ghost]
secret_hash = "{hash_secret(KEY, bytes(16))}"
[domains."sender.bench"]
tracking = {{ base_url = "{TRACKER}" }}
"""


async def test_each_reader_gets_its_own_text_links_and_unsubscribe(tmp_path: Path) -> None:
    port = free_port()
    async with Sink() as sink, RelayProcess(tmp_path, sink.port, configuration(port)) as relay:
        values: dict[str, list[str]] = {}
        for name, value in form(READERS):
            values.setdefault(name, []).append(value)
        answer = await VendorClient(port, KEY).form("/v3/sender.bench/messages", values)
        assert answer.status == 200, answer.text
        await until(lambda: len(sink.messages) == len(READERS))

        arrived = {one.recipients[0]: one.content for one in sink.messages}
        targets = await targets_of(relay.tracker_port, list(arrived.values()))
        assert len(targets) >= len(READERS)
        assert [fault for one in READERS for fault in faults(arrived[one.address], one, targets.__getitem__)] == []
        other = faults(arrived[READERS[0].address], READERS[1], targets.__getitem__)
        assert [one.split(" is ")[0].partition(": ")[2] for one in other] == [
            *("To", "Subject", "text", "html", "unsubscribe in the text", "link", "unsubscribe link"),
            "List-Unsubscribe",
        ]


async def targets_of(port: int, contents: list[bytes]) -> dict[str, str]:
    """Return where each tracked personal link leads, as a reader's browser finds out."""
    pages = (one.get_content() for mail in contents for one in leaves(mail) if one.get_content_type() == "text/html")
    links = {link for page in pages for _, link in PERSONAL.findall(page) if link.startswith(TRACKER)}
    found: dict[str, str] = {}
    async with aiohttp.ClientSession() as client:
        for link in links:
            url = f"http://127.0.0.1:{port}{urlsplit(link).path}"
            async with client.get(url, allow_redirects=False) as answer:
                found[link] = answer.headers["Location"]
    return found
