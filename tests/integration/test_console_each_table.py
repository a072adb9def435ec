"""What holds for the forms of every kind of table: identities, domains, providers, webhooks and credentials.

Each is made, changed by two people who lose nothing, read only where a person wrote it, and removed once.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_console_actions import text_of
from tests.integration.test_console_tables import edited, form_of, fragment
from tests.servers.login_console import HASH, LoginRelay, people_toml, person
from tests.servers.sink import Sink

HAND = f"""
[domains."hand.test"]
[identities."hand@hand.test"]
[[webhook]]
name = "hand"
url = "https://hand.test/hook"
[credentials.hand]
secret_hash = "{HASH}"
[[provider]]
name = "hand"
host = "smtp.hand.test"
"""
"""A table of each kind that a person wrote."""


OWNERS = people_toml({"otto@acme.test": "owner", "owner@acme.test": "owner"})


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of table with its form: how one is made, two of its fields with texts and values, and its removal."""

    kind: str
    pages: str
    new: dict[str, str]
    name: str
    hand: str
    first: tuple[str, str, object]
    """A field that one person changes: key, text, value."""
    second: tuple[str, str, object]
    """Another one, which another person changes."""
    typed: str
    """A text for the first field beside that."""
    is_listed: bool = False
    """Whether it is an element of an array of tables."""
    of_page: bool = False
    """Whether its own page takes actions, not that of the list."""

    @property
    def page(self) -> str:
        return f"/{self.pages}/{self.name}"

    @property
    def file(self) -> str:
        return f"{self.kind}-{self.name}.toml"

    def removal(self, name: str) -> tuple[str, dict[str, str]]:
        """Return address and fields of the button that removes one."""
        if self.of_page:
            return f"/{self.pages}/{name}/actions", {"action": "remove"}
        return f"/{self.pages}/actions", {"action": f"{self.kind}.remove", "name": name}

    def values(self, relay: LoginRelay) -> dict[str, Any]:
        """Return the table as the file has it."""
        found: Any = fragment(relay, self.file)
        if self.is_listed:
            return dict(found[self.kind][0])
        return dict(found[self.pages][self.name])


KINDS = (
    Kind(
        *("identity", "identities", {"address": "jane@hand.test", "company": "Acme"}, "jane@hand.test"),
        *("hand@hand.test", ("hourly_limit", "20", 20), ("display_name", "Jane Doe", "Jane Doe"), "25"),
        of_page=True,
    ),
    Kind(
        *("domain", "domains", {"domain": "new.test"}, "new.test", "hand.test"),
        *(("return_path", "b.new.test", "b.new.test"), ("exclusion", "global", "global"), "c.new.test"),
        of_page=True,
    ),
    Kind(
        *("provider", "providers", {"name": "news", "host": "127.0.0.1", "port": "2525", "tls": "none"}, "news"),
        *("hand", ("hourly_limit", "20", 20), ("daily_limit", "99", 99), "25"),
        is_listed=True,
    ),
    Kind(
        *("webhook", "webhooks", {"name": "crm", "url": "https://crm.test/hook"}, "crm", "hand"),
        *(("identities", "jane@hand.test", ["jane@hand.test"]), ("domains", "hand.test", ["hand.test"]), "x@hand.test"),
        is_listed=True,
    ),
    Kind(
        *("credential", "credentials", {"name": "shop"}, "shop", "hand"),
        *(("domains", "hand.test", ["hand.test"]), ("may_bypass_lists", "yes", True), "hand.test, x.test"),
    ),
)


@pytest.mark.parametrize("kind", KINDS, ids=[one.kind for one in KINDS])
async def test_two_people_change_and_remove_it_and_lose_nothing(tmp_path: Path, kind: Kind) -> None:
    async with (
        Sink() as sink,
        LoginRelay(tmp_path, sink, HAND, OWNERS) as relay,
        person(relay, "otto@acme.test") as otto,
        person(relay, "owner@acme.test") as owner,
    ):
        await edited(otto, f"/{kind.pages}/new", **kind.new)
        assert otto.status == 200, text_of(otto.page)
        assert kind.values(relay) is not None
        edit = f"{kind.page}/edit"
        await otto.get(edit)
        seen, (first, text, value), (second, other, other_value) = form_of(otto.page), kind.first, kind.second
        await edited(owner, edit, **{first: text})
        assert owner.path == f"{kind.page}?saved=1", text_of(owner.page)

        await otto.post(edit, seen | {first: kind.typed, second: other})
        assert (otto.status, "owner@acme.test changed it meanwhile" in text_of(otto.page)) == (409, True)
        assert (kind.values(relay)[first], kind.values(relay).get(second)) == (value, None)
        await otto.post(edit, form_of(otto.page) | {first: text})
        assert otto.path == f"{kind.page}?saved=1", text_of(otto.page)
        assert (kind.values(relay)[first], kind.values(relay)[second]) == (value, other_value)

        path, button = kind.removal(kind.name)
        await otto.post(path, button)
        await owner.post(path, button)
        assert (kind.name in otto.page, otto.path.startswith("/confirm/")) == (True, True), text_of(otto.page)
        await owner.post(owner.path)
        assert f"{kind.name} is removed." in text_of(owner.page)
        await otto.post(otto.path)
        assert "It was removed meanwhile by owner@acme.test." in text_of(otto.page)
        assert not (tmp_path / "conf.d" / kind.file).exists()

        changes = await relay.json("person", "audit", "--action", kind.kind)
        assert [(one["action"].partition(".")[2], one["person"], one["after"] == "refused") for one in changes] == [
            ("remove", "otto@acme.test", True),
            ("remove", "owner@acme.test", False),
            ("change", "otto@acme.test", False),
            ("change", "owner@acme.test", False),
            ("new", "otto@acme.test", False),
        ]


@pytest.mark.parametrize("kind", KINDS, ids=[one.kind for one in KINDS])
async def test_one_that_a_person_wrote_is_read_only_and_a_forged_form_changes_nothing(
    tmp_path: Path, kind: Kind
) -> None:
    async with Sink() as sink, LoginRelay(tmp_path, sink, HAND) as relay, person(relay, "otto@acme.test") as otto:
        edit = f"/{kind.pages}/{kind.hand}/edit"
        await otto.get(edit)
        assert f"It is written in {tmp_path / 'relay.toml'}:" in otto.page
        assert '<form class="form"' not in otto.page
        await otto.post(edit, {kind.first[0]: kind.first[1]})
        assert (otto.status, "relay.toml:" in otto.page) == (400, True), text_of(otto.page)
        path, button = kind.removal(kind.hand)
        await otto.post(path, button)
        assert (otto.status, "Remove it there." in text_of(otto.page)) == (400, True), text_of(otto.page)

        for forged in ({"csrf": ""}, {"csrf": "0" * 64}):
            await otto.post(f"/{kind.pages}/new", kind.new | forged)
            assert otto.status == 403
        assert not [*tmp_path.glob("conf.d/*")]
