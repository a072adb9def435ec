"""The removal of a sending domain: refused while something names it, asked about, done once, and in the audit."""

from pathlib import Path

import pytest

from tests.integration.test_console_tables import edited
from tests.servers.actions import Say
from tests.servers.login_console import HASH, LoginRelay, Person, people_toml, person
from tests.servers.sink import Sink

PEOPLE = people_toml(
    {"olga@acme.test": "operator", "omar@acme.test": "operator", "sam@acme.test": "support", "dora@acme.test": "owner"},
    {"dora@acme.test": "old.test"},
)

HAND = '[domains."hand.test"]\n[domains."named.test"]\n'

DEPENDENTS = {
    "identity-jane@old.test.toml": ('[identities."jane@old.test"]\n', "1 identity (jane@old.test)"),
    "credential-shop.toml": (
        f'[credentials.shop]\nsecret_hash = "{HASH}"\ndomains = ["old.test", "hand.test"]\n',
        "1 credential (shop)",
    ),
    "webhook-crm.toml": (
        '[[webhook]]\nname = "crm"\nurl = "https://crm.acme.test/hook"\ndomains = ["old.test"]\n',
        "1 webhook (crm)",
    ),
}
"""Files of what names old.test, and how it is named. The person who is restricted to it is named too."""


async def asked(one: Person, domain: str) -> str:
    """Press the button of the page of a domain."""
    return await one.post(f"/domains/{domain}/actions", {"action": "remove"})


async def settled(relay: LoginRelay, file: str, text: str | None) -> None:
    """Write or remove a file of the configuration by hand, and use it."""
    path = relay.folder / "conf.d" / file
    path.unlink() if text is None else path.write_text(text)
    await relay.run("config", "reload")


def relay_of(folder: Path, sink: Sink) -> LoginRelay:
    """A relay with a file for the domain old.test."""
    (folder / "conf.d").mkdir()
    (folder / "conf.d" / "domain-old.test.toml").write_text('[domains."old.test"]\n')
    return LoginRelay(folder, sink, HAND, PEOPLE)


async def test_a_domain_is_removed_when_nothing_names_it(tmp_path: Path) -> None:
    async with Sink() as sink, relay_of(tmp_path, sink) as relay, person(relay, "olga@acme.test") as olga:
        for file, (text, _) in DEPENDENTS.items():
            await settled(relay, file, text)
        sink.once("RCPT", Say("452 4.2.2 Mailbox full"))
        await relay.send("ada@reader.test", sender="news@old.test")

        assert "Remove this domain" in await olga.get("/domains/old.test")
        await asked(olga, "old.test")
        assert (olga.status, "old.test is in use" in olga.page) == (409, True), olga.page
        for named in (*(one for _, one in DEPENDENTS.values()), "1 person (dora@acme.test)"):
            assert named in olga.page, named

        config = relay.config.read_text()
        relay.config.write_text(config.replace('domains = ["old.test"]\n', "", 1))
        first, *others = DEPENDENTS
        for file in others:
            await settled(relay, file, None)
        await asked(olga, "old.test")
        assert "It is named by 1 identity (jane@old.test)." in olga.page, olga.page
        await settled(relay, first, None)
        await asked(olga, "old.test")
        assert "Remove old.test?" in olga.page, olga.page
        assert "1 message of it waits." in olga.page

        question = olga.path
        await settled(relay, first, DEPENDENTS[first][0])
        await olga.post(question)
        assert ("Nothing was changed." in olga.page, "jane@old.test" in olga.page) == (True, True), olga.page
        await settled(relay, first, None)
        await asked(olga, "old.test")
        await olga.post(olga.path)
        assert "old.test is removed." in olga.page
        assert not (tmp_path / "conf.d" / "domain-old.test.toml").exists()
        assert (await olga.get("/domains/old.test"), olga.status)[1] == 404
        changes = await relay.json("person", "audit", "--action", "domain")
        assert [(one["action"], one["person"], one["subject"], one["after"]) for one in changes] == [
            ("domain.remove", "olga@acme.test", "old.test", "removed"),
            ("domain.remove", "olga@acme.test", "old.test", "refused"),
        ]


async def test_of_two_operators_the_second_is_told_what_the_first_did(tmp_path: Path) -> None:
    people = people_toml({"olga@acme.test": "operator", "omar@acme.test": "operator"})
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "domain-old.test.toml").write_text('[domains."old.test"]\n')
    async with (
        Sink() as sink,
        LoginRelay(tmp_path, sink, HAND, people) as relay,
        person(relay, "olga@acme.test") as olga,
        person(relay, "omar@acme.test") as omar,
    ):
        await asked(olga, "old.test")
        await edited(omar, "/domains/old.test/edit", exclusion="global")
        assert omar.path == "/domains/old.test?saved=1", omar.page
        await olga.post(olga.path)
        assert "It was changed meanwhile by omar@acme.test." in olga.page, olga.page
        await asked(olga, "old.test")
        await asked(omar, "old.test")
        await olga.post(olga.path)
        assert "old.test is removed." in olga.page
        await omar.post(omar.path)
        assert "It was removed meanwhile by olga@acme.test." in omar.page, omar.page


@pytest.mark.parametrize(
    ("address", "domain", "fields", "status", "told"),
    [
        ("sam@acme.test", "old.test", {}, 403, "needs the role operator"),
        ("dora@acme.test", "old.test", {}, 403, "Somebody without a restriction removes a domain."),
        ("dora@acme.test", "hand.test", {}, 404, "is no sending domain here"),
        ("olga@acme.test", "none.test", {}, 404, "is no sending domain here"),
        ("olga@acme.test", "hand.test", {}, 400, "relay.toml:"),
        ("olga@acme.test", "old.test", {"csrf": "0" * 64}, 403, ""),
    ],
    ids=["role", "restricted", "other domain", "no domain", "by hand", "forged"],
)
async def test_who_may_not_remove_a_domain(
    tmp_path: Path, address: str, domain: str, fields: dict[str, str], status: int, told: str
) -> None:
    async with Sink() as sink, relay_of(tmp_path, sink) as relay, person(relay, address) as one:
        await one.post(f"/domains/{domain}/actions", {"action": "remove", **fields})
        assert (one.status, told in one.page) == (status, True), one.page
        assert (tmp_path / "conf.d" / "domain-old.test.toml").exists()
