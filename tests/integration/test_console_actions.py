"""What people do on the console: exactly what the page named, once, and what changed meanwhile is said."""

import asyncio
import csv
import re
from base64 import b64encode
from contextlib import AsyncExitStack
from datetime import datetime
from io import StringIO
from pathlib import Path

from tests.servers.actions import Say
from tests.servers.login_console import CODE, PASSWORD, LoginRelay, Person, people_toml, person
from tests.servers.sink import Sink
from tests.servers.waiting import PATIENCE, until


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)).strip()


async def wait_states(relay: LoginRelay, state: str, count: int) -> None:
    async def are_so_many() -> bool:
        return len(await relay.json("queue", "list", "--state", state)) == count

    await until(are_so_many)


async def test_the_queue_is_held_released_tried_and_deleted_by_the_filter_that_is_shown(tmp_path: Path) -> None:
    async with Sink() as sink, LoginRelay(tmp_path, sink) as relay, person(relay, "olga@acme.test") as olga:
        sink.always("RCPT", Say("452 4.2.2 Mailbox full"))
        for number in range(3):
            await relay.send(f"u{number}@rcpt.test")
        await olga.get("/queue?q=u1@rcpt.test")
        assert "Hold what matches" in olga.page
        await olga.post("/queue/actions", {"action": "queue.hold", "q": "u1@rcpt.test"})
        assert "Hold 1 waiting recipient?" in text_of(olga.page)
        assert "q u1@rcpt.test" in olga.page
        plan = olga.path
        await olga.post(plan)
        assert "1 recipient is held." in text_of(olga.page)
        await wait_states(relay, "held", 1)
        await olga.post(plan)
        assert (olga.status, "nothing to confirm" in olga.page) == (410, True), "a second press does nothing"

        await olga.post("/queue/actions", {"action": "queue.hold"})
        assert "Hold 2 waiting recipients?" in text_of(olga.page)
        await relay.send("late@rcpt.test")
        await olga.post(olga.path)
        assert "2 recipients are held." in text_of(olga.page)
        await wait_states(relay, "held", 3)

        await olga.post("/queue/actions", {"action": "queue.delete"})
        assert "Delete 4 waiting recipients?" in text_of(olga.page)
        await olga.post(olga.path, {"n": "3"})
        assert (olga.status, "The number is 4." in olga.page) == (400, True)
        await olga.post(olga.path, {"n": "4"})
        assert "4 recipients are deleted." in text_of(olga.page)
        assert await relay.json("queue", "list") == []
        await olga.post("/queue/actions", {"action": "queue.release"})
        assert "there is nothing that it could change" in olga.page
        changes = await relay.json("person", "audit", "--action", "queue")
        assert [(one["person"], one["action"], one["subject"], one["before"]) for one in changes] == [
            ("olga@acme.test", "queue.delete", "all of the queue", "4 named"),
            ("olga@acme.test", "queue.hold", "all of the queue", "2 named"),
            ("olga@acme.test", "queue.hold", "q u1@rcpt.test", "1 named"),
        ]
        assert [one["action"] for one in relay.log("console.changed") if one["action"] != "login"][-1] == "queue.delete"


async def test_of_two_operators_the_second_is_told_what_the_first_did(tmp_path: Path) -> None:
    async with (
        Sink() as sink,
        LoginRelay(
            tmp_path, sink, people=people_toml({"olga@acme.test": "operator", "otto@acme.test": "owner"})
        ) as relay,
        person(relay, "olga@acme.test") as olga,
        person(relay, "otto@acme.test") as otto,
    ):
        sink.always("RCPT", Say("452 4.2.2 Mailbox full"))
        for number in range(3):
            await relay.send(f"u{number}@rcpt.test")
        await olga.post("/queue/actions", {"action": "queue.delete"})
        await otto.post("/queue/actions", {"action": "queue.hold"})
        for one in (olga, otto):
            assert "3 waiting recipients?" in text_of(one.page)
        await relay.run("queue", "delete", "--recipient", "u0@rcpt.test")
        await otto.post(otto.path)
        assert "2 recipients are held. 1 was deleted meanwhile: not touched." in text_of(otto.page)
        assert "Done in part" in otto.page
        await olga.post(olga.path, {"n": "3"})
        assert "2 recipients are deleted. 1 was deleted meanwhile: not touched." in text_of(olga.page)
        await olga.post("/queue/actions", {"action": "queue.flush"})
        assert "there is nothing that it could change" in olga.page

        # The same address taken off by both: the second one is told.
        await relay.run("suppression", "add", "a@x.test")
        for one in (olga, otto):
            await one.post("/suppressions/actions", {"action": "suppressions.remove", "address": "a@x.test"})
        both = await asyncio.gather(olga.post(olga.path), otto.post(otto.path))
        assert sorted("was not on the list" in page for page in both) == [False, True]


async def test_a_message_is_retried_held_and_its_recipient_suppressed_and_freed(tmp_path: Path) -> None:
    async with Sink() as sink, LoginRelay(tmp_path, sink) as relay, person(relay, "sam@acme.test") as sam:
        sink.once("RCPT", Say("452 4.2.2 Mailbox full"))
        queue_id = await relay.send("u@rcpt.test", "Invoice 7")
        page, actions = f"/messages/{queue_id}", f"/messages/{queue_id}/actions"
        assert "Retry now" in await sam.get(page)
        for word, done in (("hold", "is held"), ("release", "is released")):
            await sam.post(actions, {"action": f"message.{word}"})
            await sam.post(sam.path)
            assert f"1 recipient {done}" in text_of(sam.page)
        await sink.received(1)
        async with asyncio.timeout(PATIENCE):
            while "was delivered" not in await sam.get(page):
                await asyncio.sleep(0.05)
        assert "Retry now" not in sam.page
        form = {"action": "suppressions.add", "address": "u@rcpt.test", "reply": "asked by phone", "back": page}
        await sam.post("/suppressions/actions", form)
        assert "Suppress u@rcpt.test?" in text_of(sam.page)
        await sam.post(sam.path)
        assert "1 address is suppressed." in text_of(sam.page)
        (row,) = await relay.json("suppression", "list")
        assert (row["address"], row["reply"], row["provenance"]) == ("u@rcpt.test", "asked by phone", "operator")
        assert "Free the address" in await sam.get(page)
        await sam.post("/suppressions/actions", {"action": "suppressions.remove", "address": "u@rcpt.test"})
        await sam.post(sam.path)
        assert await relay.json("suppression", "list") == []


async def test_lists_are_exported_and_imported_again(tmp_path: Path) -> None:
    async with Sink() as sink, LoginRelay(tmp_path, sink) as relay, person(relay, "olga@acme.test") as olga:
        await relay.run("suppression", "add", "a@x.test", "--note", "=1+1, phoned")
        await relay.run("suppression", "add", "b@x.test")
        await relay.run("unsubscribe", "add", "c@x.test", "--domain", "acme.test", "--campaign", "spring")
        exported = {name: await olga.get(f"/{name}.csv") for name in ("suppressions", "unsubscribes")}
        before = {name: await relay.json(name[:-1], "list") for name in exported}
        assert next(iter(csv.DictReader(StringIO(exported["suppressions"]))))["address"] == "a@x.test"
        await relay.run("suppression", "remove", "a@x.test", "b@x.test")
        await relay.run("unsubscribe", "remove", "c@x.test")
        for name, count in (("suppressions", 2), ("unsubscribes", 1)):
            file = exported[name].encode() + b"not an address\r\n"
            await olga.post(f"/{name}/actions", {"action": f"{name}.import", "file": file})
            said = text_of(olga.page)
            assert "1 line left out" in said
            assert "Line" in said
            assert f"{count} address" in said or "c@x.test?" in said
            assert await relay.json(name[:-1], "list") == [], "nothing before it is confirmed"
            await olga.post(olga.path)
            assert f"{count} address" in text_of(olga.page)
            after = await relay.json(name[:-1], "list")
            assert [(one["address"], one["domain"], one.get("reply")) for one in after] == [
                (one["address"], one["domain"], one.get("reply")) for one in before[name]
            ]
            for one, other in zip(after, before[name], strict=True):
                ago = datetime.fromisoformat(one["created_at"]) - datetime.fromisoformat(other["created_at"])
                assert abs(ago.total_seconds()) < 1, "the file has whole seconds"
        await olga.post("/suppressions/actions", {"action": "suppressions.import", "file": b"\xff\xfe"})
        assert "is not UTF-8" in olga.page
        await olga.post(
            "/suppressions/actions", {"action": "suppressions.import", "file": b"d@x.test\ne@x.test\nd@x.test\n"}
        )
        assert "Suppress 2 addresses?" in text_of(olga.page)
        await olga.post("/suppressions/actions", {"action": "suppressions.import", "file": b""})
        assert "The file has no addresses." in olga.page


async def test_an_owner_adds_resets_and_removes_people(tmp_path: Path) -> None:
    more = '[domains."acme.test"]\n'
    async with Sink() as sink, LoginRelay(tmp_path, sink, more) as relay, person(relay, "otto@acme.test") as otto:
        form = {"action": "people.new", "address": "Nina@ACME.test", "role": "support", "domains": "acme.test"}
        await otto.post("/people/actions", form)
        assert "Add Nina@acme.test as a support?" in text_of(otto.page) or "as a support" in text_of(otto.page)
        await otto.post(otto.path)
        found = re.search(r"<code>([0-9a-z-]{19})</code>", otto.page)
        assert found, otto.page
        name = next(
            one["address"] for one in await relay.json("person", "list") if one["address"].lower() == "nina@acme.test"
        )
        async with Person(relay.acting_url) as nina:
            await nina.log_in(name, found[1])
            assert nina.path == "/password"
            await nina.post("/password", {"present": found[1], "new": PASSWORD, "again": PASSWORD})
            assert nina.path == "/"
            await otto.post("/people/actions", {"action": "people.reset", "address": name})
            await otto.post(otto.path)
            assert "has a new code" in otto.page
            await nina.get("/suppressions")
            assert nina.path.startswith("/login"), "her session ended with the new code"
        await otto.post("/people/actions", {"action": "people.remove", "address": name})
        await otto.post(otto.path)
        assert "is removed" in otto.page
        assert name not in [one["address"] for one in await relay.json("person", "list")]
        await otto.post("/people/actions", {"action": "people.remove", "address": "sam@acme.test"})
        await otto.post(otto.path)
        assert "change it there" in otto.page, "sam is in another file"
        assert "code changed" in await otto.get("/audit?action=people")
        assert found[1] not in otto.page + relay.log_file.read_text()
        assert CODE not in relay.log_file.read_text()


async def test_a_login_holds_on_every_node_and_ends_on_every_node(tmp_path: Path, tables: str) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        (folder / "data").mkdir(parents=True)
        (folder / "data" / "tracker.key").write_text(f"k1:{b64encode(b'1' * 32).decode()}\n")
        (folder / "data" / "tracker.key").chmod(0o600)
    store = f'[storage]\nurl = "{tables}"\n'
    proxy = 'url = "https://relay.acme.test"\ntrusted_proxies = ["127.0.0.0/8"]'
    host = {"Host": "relay.acme.test", "X-Forwarded-For": "192.0.2.7, 127.0.0.1"}
    async with (
        Sink() as sink,
        LoginRelay(folders[0], sink, store, console=proxy) as first,
        LoginRelay(folders[1], sink, store, console=proxy) as second,
        Person(first.acting_url, "https://relay.acme.test", host) as one,
        Person(second.acting_url, "https://relay.acme.test", host) as two,
    ):
        await one.first_login("olga@acme.test")
        assert one.status == 200
        assert "max-age" in one.headers["Strict-Transport-Security"]
        two.token = one.token
        await two.get("/queue")
        assert (two.status, two.path) == (200, "/queue")
        form = {"action": "suppressions.add", "address": "a@x.test", "domain": "", "reply": ""}
        await one.post("/suppressions/actions", form)
        plan = one.path
        pages = await asyncio.gather(one.post(plan), two.post(plan))
        assert sorted("1 address is suppressed." in page for page in pages) == [False, True], "once, on one of them"
        strangers = [Person((first, second)[number % 2].acting_url, one.origin, host) for number in range(10)]
        async with AsyncExitStack() as stack:
            for stranger in strangers:
                await stack.enter_async_context(stranger)
            wrong = {"email": "olga@acme.test", "pw": "not the password"}
            await asyncio.gather(*(stranger.post("/login", wrong) for stranger in strangers))
        statuses = [stranger.status for stranger in strangers]
        assert 5 <= statuses.count(403) <= 7, "both nodes count the same failures"
        assert statuses.count(403) + statuses.count(429) == 10
        await one.post("/logout")
        await two.get("/queue")
        assert two.path.startswith("/login")
        rows = await second.json("person", "audit")
        assert {(row["action"], row["client"]) for row in rows} >= {("login", "192.0.2.7"), ("password", "192.0.2.7")}
