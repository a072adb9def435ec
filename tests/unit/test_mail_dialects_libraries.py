"""Mail that client libraries wrote: what is read from it, and that every octet outside of the read fields stays."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from relay.mail.dialects.field_values import DialectContext
from relay.mail.dialects.table import ALL_RULES, dialect_of, read_instructions
from relay.mail.headers import fields, without

FOLDER = Path(__file__).parents[1] / "golden" / "dialects"

EXPECTED: dict[str, dict[str, Any]] = tomllib.loads((FOLDER / "expected.toml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", EXPECTED)
def test_the_mail_of_a_library_is_read_as_it_was_meant(name: str) -> None:
    content, expected = (FOLDER / name).read_bytes(), EXPECTED[name]
    found = fields(content)
    read = read_instructions(content, found, ALL_RULES, DialectContext(addresses=("ada@reader.test",), content=content))
    assert list(read.tags) == expected.get("tags", [])
    assert read.metadata == expected["metadata"]
    assert (read.opens, read.clicks) == (expected.get("opens"), expected.get("clicks"))
    assert read.campaign == expected.get("campaign", "")
    assert sorted(map(str, read.ignored)) == sorted(expected.get("ignored", []))


@pytest.mark.parametrize("name", EXPECTED)
def test_exactly_the_fields_of_the_dialect_are_removed(name: str) -> None:
    content = (FOLDER / name).read_bytes()
    removed = [one for one in fields(content) if dialect_of(one.name)]
    names = [content[one.start : one.start + len(one.name)].decode() for one in removed]
    assert list(dict.fromkeys(names)) == EXPECTED[name]["removed"]

    kept = content
    for one in reversed(removed):
        kept = kept[: one.start] + kept[one.end :]
    assert without(content, removed) == kept
    assert b"x-" not in kept.partition(b"\r\n\r\n")[0].lower()


def test_each_golden_mail_is_expected() -> None:
    assert {file.name for file in FOLDER.glob("*.eml")} == EXPECTED.keys()
