"""Mailgun's API beyond sending: events in both orders, logs, lists, and repetitions with a key."""

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from relay.config.credentials import new_key
from relay.config.secret_hash import hash_secret
from tests.ports import free_port
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.vendor_client import VendorClient
from tests.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = new_key("app", bytes(range(32)))

READERS = [f"r{number}@reader.test" for number in range(7)]

MAIL = {"from": "news@acme.test", "subject": "Hello", "text": "Hi", "o:tag": ["news", "x"], "v:email-id": "e-1"}


def configuration(port: int) -> str:
    return f"""
[api]
address = "127.0.0.1:{port}"
[credentials.app]
secret_hash = "{hash_secret(KEY, bytes(16))}"
scopes = ["send", "read", "suppressions"]
[domains."acme.test"]
[domains."other.test"]
"""


@dataclass(frozen=True, slots=True)
class World:
    relay: RelayProcess
    sink: Sink
    client: VendorClient

    async def pages(self, query: str, domain: str = "mg.acme.test") -> list[list[dict[str, Any]]]:
        """Return the pages of events up to the one without items, with the query repeated as Ghost does."""
        found: list[list[dict[str, Any]]] = []
        path = f"/v3/{domain}/events"
        while True:
            answer = await self.client.request("GET", f"{path}?{query}")
            assert answer.status == 200, answer.text
            if not answer.json["items"]:
                return found
            found.append(answer.json["items"])
            path = answer.json["paging"]["next"].removeprefix(self.client.url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    port = free_port()
    folder = tmp_path_factory.mktemp("mailgun")
    async with Sink() as sink, RelayProcess(folder, sink.port, configuration(port)) as relay:
        made = World(relay, sink, VendorClient(port, KEY))
        for reader in READERS:
            assert (await made.client.form("/v3/mg.acme.test/messages", {**MAIL, "to": reader})).status == 200

        async def are_delivered() -> bool:
            return sum(map(len, await made.pages("event=delivered&limit=300"))) == len(READERS)

        await until(are_delivered)
        yield made


async def test_events_from_the_newest_on_are_those_of_the_other_order_reversed(world: World) -> None:
    (forward,) = await world.pages("event=delivered&limit=300&ascending=yes")
    for query in ("ascending=no", "", f"begin={time.time() + 60:.3f}&end=1", f"begin={time.time():.3f}&ascending=no"):
        for limit in (1, 3, 7, 300):
            found = await world.pages(f"event=delivered&limit={limit}&{query}")
            assert [one for page in found for one in page] == forward[::-1], (query, limit)
            assert all(len(page) == limit for page in found[:-1])


async def test_a_range_of_time_holds_in_both_orders(world: World) -> None:
    (forward,) = await world.pages("event=delivered&limit=300&ascending=yes")
    _, _, first, _, last, *_ = sorted(one["timestamp"] for one in forward)  # The feed follows commits, not times.
    expected = [one for one in forward if first <= one["timestamp"] <= last]
    up = await world.pages(f"event=delivered&begin={first!r}&end={last!r}&limit=2")
    down = await world.pages(f"event=delivered&begin={last!r}&end={first!r}&limit=2")
    assert [one for page in up for one in page] == expected
    assert [one for page in down for one in page] == expected[::-1]


def logs(limit: int = 100, sort: str = "timestamp:asc", token: str | None = None) -> dict[str, Any]:
    """Return the body that Ghost's client of logs sends."""
    begin, end = time.time() - 3600, time.time() + 60
    shown = [time.strftime("%a, %d %b %Y %H:%M:%S -0000", time.gmtime(one)) for one in (begin, end)]
    pagination = {"sort": sort, "limit": limit} | ({"token": token} if token else {})

    def equal(attribute: str, value: str) -> dict[str, Any]:
        return {"attribute": attribute, "comparator": "=", "values": [{"label": value, "value": value}]}

    return {
        "start": shown[0],
        "end": shown[1],
        "events": ["delivered", "opened", "failed", "unsubscribed", "complained"],
        "include_subaccounts": False,
        "include_totals": False,
        "filter": {"AND": [equal("domain", "mg.acme.test"), equal("tag", "news")]},
        "pagination": pagination,
    }


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
async def test_logs_are_paged_until_there_is_no_token(world: World, limit: int) -> None:
    (forward,) = await world.pages("event=delivered&limit=300&ascending=yes")
    for sort, expected in (("timestamp:asc", forward), ("timestamp:desc", forward[::-1])):
        found: list[dict[str, Any]] = []
        token, seen = None, set()
        while True:
            answer = await world.client.request("POST", "/v1/analytics/logs", logs(limit, sort, token))
            assert answer.status == 200, answer.text
            found += answer.json["items"]
            token = answer.json["pagination"]["next"]
            if token is None:
                break
            assert token not in seen
            seen.add(token)
        assert [one["id"] for one in found] == [one["id"] for one in expected]
        assert {one["domain"]["name"] for one in found} == {"mg.acme.test"}
        assert {json.loads(one["user-variables"])["email-id"] for one in found} == {"e-1"}
        assert all(one["@timestamp"].endswith("Z") and one["recipient"] in READERS for one in found)


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"filter": {}}, "filter: one domain is needed"),
        ({"filter": {"OR": []}}, "filter: one domain is needed"),
        ({"filter": {"AND": [{"attribute": "country", "comparator": "=", "values": [{"value": "x"}]}]}}, "only = of"),
        ({"filter": {"AND": [7]}}, "is expected in the list AND"),
        ({"events": ["sent"]}, "event: 'sent' is unknown"),
        ({"start": "soon"}, "start must be"),
        ({"pagination": {"sort": "size:asc"}}, "pagination.sort must be one of"),
        ({"pagination": {"limit": 0}}, "pagination.limit must be"),
        ({"pagination": {"token": "x"}}, "page token"),
    ],
)
async def test_a_fault_in_a_request_for_logs_is_named(world: World, changed: dict[str, Any], text: str) -> None:
    answer = await world.client.request("POST", "/v1/analytics/logs", {**logs(), **changed})
    assert (answer.status, text in answer.json["message"]) == (400, True), answer.text


@pytest.mark.parametrize("name", ["bounces", "complaints", "unsubscribes"])
async def test_a_list_is_filled_paged_and_lifted(world: World, name: str) -> None:
    path = f"/v3/acme.test/{name}"
    people = [f"{name}{number}@reader.test" for number in range(5)]
    entries = [{"address": one, "code": 551, "error": "gone", "tags": ["*"]} for one in people[:4]]
    added = await world.client.request("POST", path, entries)
    assert (added.status, added.json["message"]) == (200, f"4 addresses have been added to the {name} table")
    single = await world.client.form(path, {"address": people[4], "tag": "news"})
    assert single.json == {"message": f"Address has been added to the {name} table", "address": people[4]}

    for limit in (1, 2, 5, 100):
        found: list[dict[str, Any]] = []
        following = f"{path}?limit={limit}"
        while items := (answer := (await world.client.request("GET", following)).json)["items"]:
            found += items
            following = answer["paging"]["next"].removeprefix(world.client.url)
        assert [one["address"] for one in found] == people
    assert (await world.client.request("GET", f"/v3/other.test/{name}")).json["items"] == []
    if name == "bounces":
        assert (found[0]["code"], found[0]["error"]) == ("551", "551 gone")
    if name == "unsubscribes":
        assert [one["tags"] for one in found[3:]] == [["*"], ["news"]]
    for one in people:
        assert (await world.client.request("DELETE", f"{path}/{one}")).status == 200
    assert (await world.client.request("GET", path)).json["items"] == []


async def test_an_entry_excludes_its_address_from_mail_of_the_domain_only(world: World) -> None:
    await world.client.request("POST", "/v3/acme.test/bounces", [{"address": "left@reader.test", "error": "gone"}])
    for sender, status in (("news@acme.test", "dropped"), ("news@other.test", "delivered")):
        await world.client.form(f"/v3/{sender[5:]}/messages", {**MAIL, "from": sender, "to": "left@reader.test"})

        async def has_status(sender: str = sender, status: str = status) -> bool:
            story = (await world.relay.json("trace", "left@reader.test"))[0]
            return bool(story["from"] == sender and story["recipients"][0]["status"] == status)

        await until(has_status)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ([], "1 to 1000 entries"),
        ([{"address": "nobody"}], "address: "),
        ([7], "an object such as"),
        ([{"address": "a@x.test", "tags": 7}], "tags: a list"),
        ([{"address": "a@x.test", "created_at": "soon"}], "created_at must be"),
    ],
)
async def test_a_faulty_entry_is_named_and_none_is_added(world: World, body: Any, text: str) -> None:
    answer = await world.client.request("POST", "/v3/acme.test/complaints", body)
    assert (answer.status, text in answer.json["message"]) == (400, True), answer.text
    assert (await world.client.request("GET", "/v3/acme.test/complaints?page=back")).status == 400
    assert (await world.client.request("GET", "/v3/acme.test/complaints")).json["items"] == []


SENDGRID = {
    "personalizations": [{"to": [{"email": f"s{number}@reader.test"}]} for number in range(2)],
    "from": {"email": "news@acme.test"},
    "subject": "Hello",
    "content": [{"type": "text/plain", "value": "Hi"}],
}

POSTMARK = {"From": "news@acme.test", "To": "p@reader.test", "Subject": "Hello", "TextBody": "Hi"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v3/mail/send", SENDGRID),
        ("/email", POSTMARK),
        ("/email/batch", [POSTMARK, {**POSTMARK, "To": "pb@reader.test"}]),
    ],
)
async def test_a_repetition_with_the_key_is_not_sent_again(world: World, path: str, body: Any) -> None:
    key = {"Idempotency-Key": f"repeated{path}"}
    first = await world.client.request("POST", path, body, headers=key)
    count = len(await world.relay.json("report", "messages"))
    again = await world.client.request("POST", path, body, headers=key)
    assert first.status == again.status < 300
    assert count > 0
    assert len(await world.relay.json("report", "messages")) == count
    changed = json.loads(json.dumps(body).replace("Hello", "Bye"))
    other = await world.client.request("POST", path, changed, headers=key)
    assert "used for another message" in other.text


async def test_a_list_of_a_thousand_addresses_in_one_value_is_read(world: World) -> None:
    people = [f"a-name-of-usual-length-{number}@reader.test" for number in range(1000)]
    values = {**MAIL, "to": ", ".join(people), "o:testmode": "yes"}
    answer = await world.client.form("/v3/acme.test/messages", values)
    assert answer.status == 200, answer.text[:300]
    (story,) = await world.relay.json("trace", people[-1])
    assert len(story["recipients"]) == 1000
    refused = await world.client.form("/v3/acme.test/messages", {**values, "to": f"{values['to']}, one@reader.test"})
    assert (refused.status, "at most 1000" in refused.json["message"]) == (400, True), refused.text[:300]


async def test_a_repetition_of_mailguns_form_is_not_sent_again(world: World) -> None:
    key = {"Idempotency-Key": "newsletter-7"}
    people = {f"n{number}@reader.test": {"name": f"N {number}"} for number in range(3)}
    values = {**MAIL, "to": list(people), "text": "%recipient.name%", "recipient-variables": json.dumps(people)}
    first = await world.client.form("/v3/acme.test/messages", values, headers=key)
    again = await world.client.form("/v3/acme.test/messages", values, headers=key)
    assert (first.status, first.json) == (again.status, again.json)
    assert len(await world.relay.json("trace", "n2@reader.test")) == 1
    other = await world.client.form("/v3/acme.test/messages", {**values, "subject": "Bye"}, headers=key)
    assert (other.status, "used for another message" in other.json["message"]) == (400, True)
    whole = {"to": "m@reader.test", "message": "From: news@acme.test\r\nSubject: x\r\n\r\nHi\r\n"}
    path, key = "/v3/acme.test/messages.mime", {"Idempotency-Key": "m"}
    mime = [await world.client.form(path, whole, headers=key) for _ in range(2)]
    assert mime[0].json == mime[1].json
    assert len(await world.relay.json("trace", "m@reader.test")) == 1
    assert (await world.client.form("/v3/acme.test/messages", values, headers={"Idempotency-Key": ""})).status == 400
