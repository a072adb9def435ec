"""Where a webhook posts to: verified hosts at allowed addresses, whatever DNS says later."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from relay.events.event import Kind
from relay.resolver import Resolver
from relay.storage.sqlite.store import SqliteStore
from relay.webhooks.control import post_samples
from relay.webhooks.receiver_client import ReceiverClient
from tests.contract.values import NOW
from tests.servers.dns_server import DnsServer
from tests.servers.waiting import PATIENCE
from tests.servers.webhook_harness import WebhookHarness, enqueue, invoice
from tests.servers.webhook_receiver import Receiver, Reply


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    await enqueue(opened, invoice())
    yield opened
    await opened.close()


async def answer_of(harness: WebhookHarness) -> str:
    """Post one event, and return what came of it: "" if it was accepted."""
    async with harness.posting():
        await harness.store_events(Kind.OPEN)
        await harness.rounds()
        last = harness.sender.cursor.progress.last
        assert last is not None
        return "" if last.status == 200 else last.text


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fd00::1"])
async def test_a_name_that_leads_to_a_private_address_is_refused(store: SqliteStore, address: str) -> None:
    async with Receiver() as receiver, DnsServer() as dns:
        dns.add(f"crm.test. {'AAAA' if ':' in address else 'A'} {address}")
        url = f"https://crm.test:{receiver.port}/hook"
        harness = WebhookHarness(store, url, dns.resolver(), allow_networks=[])
        assert "is not public" in await answer_of(harness)
        assert receiver.posts == []


async def test_a_name_that_changes_to_a_private_address_after_it_was_judged_is_not_followed(
    store: SqliteStore,
) -> None:
    async with Receiver() as receiver, DnsServer("crm.test. A 127.0.0.1") as dns:
        harness = WebhookHarness(store, f"http://crm.test:{receiver.port}/hook", dns.resolver(cache_size=1))
        async with harness.posting():
            await harness.store_events(Kind.OPEN)
            await harness.rounds()
            assert len(receiver.posts) == 1
            assert receiver.posts[0].host == f"crm.test:{receiver.port}"
            dns._records.clear()
            dns.add("crm.test. A 10.9.8.7")
            harness._lookups.forget()  # type: ignore[attr-defined]
            await harness.sender._context.client.__aexit__()
            await harness.sender._context.client.__aenter__()
            harness.now += 1
            await harness.store_events(Kind.CLICK)
            await harness.rounds()
            last = harness.sender.cursor.progress.last
            assert last is not None
            assert "allow_networks" in last.text
            assert len(receiver.posts) == 1


@pytest.mark.parametrize("url", ["https://127.0.0.1:{}/", "https://[::1]:{}/", "http://127.0.0.1:{}/"])
async def test_an_address_in_the_url_is_judged_too(store: SqliteStore, url: str) -> None:
    async with Receiver() as receiver:
        harness = WebhookHarness(store, url.format(receiver.port), allow_networks=[])
        assert "allow_networks" in await answer_of(harness)
        assert receiver.posts == []


async def test_samples_for_a_receiver_that_does_not_answer_have_one_deadline(store: SqliteStore) -> None:
    async with Receiver() as receiver:
        receiver.rule = lambda _: Reply(wait=PATIENCE)
        webhook = WebhookHarness(store, receiver.url, timeout=3600).sender.webhook
        async with ReceiverClient(webhook, Resolver()) as client:
            tested = await post_samples(client, webhook, list(Kind), "acme.test", NOW, seconds=0.2)
        assert {(one.response.status, one.accepted) for one in tested} == {(0, False)}
        assert {one.response.text for one in tested} == {"not answered within the 0.2 seconds of the test"}
        assert (len(tested) > 5, len(receiver.posts)) == (True, 1)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0177.0.0.1", "0", "0x7f.1", "127.0.0.1."])
async def test_another_form_of_an_address_is_never_connected_to(store: SqliteStore, host: str) -> None:
    """Settings refuse it. This is about what some versions of aiohttp would take for an address all the same."""
    async with Receiver() as receiver:
        harness = WebhookHarness(store, f"https://127.0.0.1:{receiver.port}/", allow_networks=[])
        webhook = harness.sender.webhook.model_copy(update={"url": f"https://{host}:{receiver.port}/"})
        async with ReceiverClient(webhook, Resolver()) as client:
            answer = await client.post(b"{}", {})
        assert (answer.status, "neither a name nor an address" in answer.text) == (0, True), answer
        assert receiver.posts == []


async def test_a_host_without_an_address_or_a_name_server_is_a_failure_with_its_reason(store: SqliteStore) -> None:
    async with DnsServer("", {"down.test.": "SERVFAIL"}) as dns:
        assert "has no address" in await answer_of(WebhookHarness(store, "https://none.test/", dns.resolver()))
        assert "SERVFAIL" in await answer_of(WebhookHarness(store, "https://down.test/", dns.resolver()))


async def test_certificates_are_verified(store: SqliteStore, tmp_path: Path) -> None:
    import ssl

    authority, other = trustme.CA(), trustme.CA()
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))

    async def try_certificate(name: str, signer: trustme.CA) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        signer.issue_cert(name).configure_cert(context)
        async with Receiver(context) as receiver, DnsServer("crm.test. A 127.0.0.1") as dns:
            url = f"https://crm.test:{receiver.port}/hook"
            return await answer_of(WebhookHarness(store, url, dns.resolver(), ca_file=str(file)))

    assert await try_certificate("crm.test", authority) == ""
    await store.webhooks.resume("crm")
    assert "certificate" in (await try_certificate("other.test", authority)).lower()
    await store.webhooks.resume("crm")
    assert "certificate" in (await try_certificate("crm.test", other)).lower()


async def test_a_receiver_that_speaks_no_tls_is_a_failure(store: SqliteStore) -> None:
    async with Receiver() as receiver:
        harness = WebhookHarness(store, receiver.url.replace("http:", "https:"))
        assert await answer_of(harness) != ""
