"""Faults of every kind, in words of this project: none of pydantic and tomllib, none twice, no secret."""

import datetime
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from click.testing import CliRunner
from pydantic_core import core_schema

from relay.cli.storage import storage
from relay.config.errors import problem_of
from relay.config.load import check
from relay.config.masking import mask_url
from relay.config.schema import fields_of
from relay.config.settings import Section, Settings
from relay.config.toml_faults import MAX_DEPTH, TomlFault, parse_toml

VALUES: tuple[Any, ...] = (
    *(True, -1, 0, 10**400, 1.5, math.nan, math.inf, "", "x", "a\0b\x1b[31m", "x" * 5000),
    *([], [1], ["x"], [[]], [{}], [True], {}, {"x": 1}, {"x": {}}, {"": {}}, {"x": "y"}),
    *(datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC), datetime.date(2030, 1, 1), datetime.time(1)),
)
"""Values of every type of TOML."""

RAW = ("Input should", "Value error", "validation", "ctx", "greater than", "less than", "function-", "pydantic")

NAMES = {"domains": "acme.test", "identities": "a@acme.test", "credentials": "app"}


def paths(section: type[Section] = Settings, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every key; "[]" is an element of an array."""
    for key, field in fields_of(section).items():
        yield (*path, key)
        for inner in sections_of(field.annotation):
            origin = get_origin(field.annotation)
            step = NAMES.get(key, "") if origin is dict else "[]" if origin is tuple else ""
            yield from paths(inner, (*path, key, step) if step else (*path, key))


def sections_of(annotation: Any) -> list[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return [annotation]
    return [found for one in get_args(annotation) for found in sections_of(one)]


def nested(path: tuple[str, ...], value: Any) -> Any:
    for key in reversed(path):
        value = [value] if key == "[]" else {key: value}
    return value


def toml_of(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            escaped = "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in value)
            return f'"{escaped}"'
        case list():
            return f"[{', '.join(map(toml_of, value))}]"
        case dict():
            return "{" + ", ".join(f'"{key}" = {toml_of(one)}' for key, one in value.items()) + "}"
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
    return str(value)


@pytest.mark.parametrize("path", [pytest.param(path, id=".".join(path)) for path in paths()])
def test_every_value_of_every_type_is_worded_and_reported_once(path: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    values = (*VALUES, *({"x": 1},)) if len(path) == 1 else VALUES[:16]
    for value in values:
        file.write_text("".join(f"{key} = {toml_of(one)}\n" for key, one in nested(path, value).items()))
        _, faults, _ = check(file, {})
        for fault in faults:
            assert not any(raw in fault.problem + fault.allowed for raw in RAW), (value, str(fault))
            assert fault.problem
            assert str(fault).isprintable(), (value, str(fault))
            assert len(str(fault)) < 1000, str(fault)
        twice = [key for key, count in Counter(fault.key for fault in faults).items() if count > 1]
        assert not twice, (value, faults)


def test_no_type_of_pydantic_shows_its_own_text() -> None:
    """Also of those that no setting raises with the version at hand."""
    kinds = [one for one in get_args(core_schema.ErrorType) if one not in ("extra_forbidden", "literal_error")]
    for kind in kinds:
        details: Any = {"type": kind, "loc": ("queue", "retry"), "msg": "RAW", "input": 7, "ctx": {"ge": 1, "le": 2}}
        if kind == "setting":
            continue
        assert "RAW" not in problem_of(details).problem


@pytest.mark.parametrize(
    ("text", "problem", "line"),
    [
        ("= 1", "the line is no key, table or comment", 1),
        ("a = 1 b = 2", "there is text behind the value", 1),
        ("\na = 'x", "a string is not closed", 2),
        ("\na = 'x\n", "a string is not closed", 2),
        ('a = "x', "a string is not closed", 1),
        ('a = "x\ny"', "a string is not closed on its line", 1),
        ('a = """x', "a string is not closed", 1),
        ("a = '\x01'", "there is a control character", 1),
        ("[a]\n[a]", "the table is there twice", 2),
        ("a = 1\na = 2", "the key has a value already", 2),
        ("a = 1\n[a]", "", 2),
        ("a = {b = 1}\n[a.c]", "", 2),
        ("[a]\nb.c = 1\n[a.b]\n", "", 3),
        ("[a", "the name of the table has no ] behind it", 1),
        ("[[a]", "the name of the table has no ]] behind it", 1),
        ("a", "there is no = behind the key", 1),
        ("a b = 1", "there is no = behind the key", 1),
        ("[]", "a key is missing or not of a known form", 1),
        ("a = [1", "the array is not closed", 1),
        ("a = {b = 1, b = 2}", "the key has a value already", 1),
        ("a = {b = 1\n}", "the table in braces is not closed on its line", 1),
        (r'a = "\q"', "a string has a backslash with no known escape", 1),
        (r'a = "\u12"', "an escape has not enough hexadecimal digits", 1),
        (r'a = "\ud800"', "an escape is no Unicode character", 1),
        ("a = 2030-02-31", "the date or time does not exist", 1),
        ("a = yes", "the value is missing or of no known form", 1),
        ("a = " + "9" * 5000, "a number has too many digits", 0),
        ("a = " + "[" * 90 + "]" * 90, "arrays and tables are nested too deeply", 0),
        ("a = " + "[" * 5000, "arrays and tables are nested too deeply", 0),
    ],
)
def test_what_is_not_toml_is_worded(text: str, problem: str, line: int) -> None:
    with pytest.raises(TomlFault) as raised:
        parse_toml(text)
    assert raised.value.problem != "the text cannot be read from here"
    assert raised.value.allowed
    assert problem in raised.value.problem
    assert raised.value.line == line


def test_nesting_within_bounds_is_read() -> None:
    depth = MAX_DEPTH - 2
    assert parse_toml("a = " + "[" * depth + "]" * depth)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://relay@db/relay?sslmode=require", "postgresql://relay@db/relay?sslmode=require"),
        ("postgresql://relay:pw@db:5432/relay", "postgresql://relay:***@db:5432/relay"),
        ("postgresql://relay:p/w@db/relay", "postgresql://relay:***@db/relay"),
        ("postgresql://relay:p@w@db/relay", "postgresql://relay:***@db/relay"),
        ("postgresql://relay:p?w=1@db/relay", "postgresql://relay:***@db/relay"),
        ("postgresql://:pw@db/relay", "postgresql://:***@db/relay"),
        ("postgres://relay:pw@[::1]:5432,db2:1/relay", "postgres://relay:***@[::1]:5432,db2:1/relay"),
        ("postgresql://db/relay?password=p&w&sslmode=x", "postgresql://db/relay?password=***&sslmode=x"),
        ("postgresql://db/relay?pass%77ord=pw", "postgresql://db/relay?pass%77ord=***"),
        ("postgresql://db/relay?sslpassword=pw&passfile=/f", "postgresql://db/relay?sslpassword=***&passfile=/f"),
        ("postgresql://u:pw@db/d?application_name=a@b", "postgresql://u:***@db/d?application_name=a@b"),
        ("postgresql://db:5432/d?application_name=a@b", "postgresql://db:5432/d?application_name=a@b"),
        ("https://t.test/x#access_token=pw", "https://t.test/x#access_token=***"),
        ("sqlite:///relay.db", "sqlite:///relay.db"),
        ("relay:pw@db/relay", "relay:***@db/relay"),
        ("relay:p w@db/relay", "relay:***@db/relay"),
        ("relay:p w:x@y z@db/relay", "relay:***@db/relay"),
        ("relay:p\tw@db:5432/relay", "relay:***@db:5432/relay"),
        ("postgresql:relay:pw@db", "postgresql:***@db"),
        ("postgresql:relay:p w@db", "postgresql:***@db"),
        ("host=db password=pw user=relay", "host=db password=*** user=relay"),
        ("host=db password = 'p w' passfile=/f", "host=db password = *** passfile=/f"),
        ("Ann: <ann@acme.test>", "Ann: <ann@acme.test>"),
        ("[::1]:8025", "[::1]:8025"),
        ("no URL: a password@host", "no URL: a password@host"),
    ],
)
def test_secrets_of_urls_are_masked_wherever_they_stand(url: str, shown: str) -> None:
    assert mask_url(url) == shown


def test_a_fault_of_a_url_shows_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "relay.toml"
    file.write_text('[tracker]\nbase_url = "https://user:hunter2@t.test"\n[storage]\nurl = "mysql://user:hunter2@db"\n')
    _, faults, _ = check(file, {})
    assert len(faults) == 2
    assert "hunter2" not in str(faults)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p/hunter2@db/d",
        "postgresql://u:p@hunter2@db/d",
        "postgresql://u:p:hunter2@db/d",
        "postgresql://u:hunter2?x@db/d",
        "postgresql://u:[hunter2@db/d",
        "postgresql://db:hunter2/d",
    ],
)
def test_an_unescaped_password_is_a_fault_that_does_not_show_it(tmp_path: Path, url: str) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(f'[storage]\nurl = "{url}"\n')
    file.chmod(0o600)
    _, faults, _ = check(file, {})
    assert [fault.key for fault in faults] == ["storage.url"]
    assert "hunter2" not in str(faults)
    migrated = CliRunner().invoke(storage, ["migrate", "--to", url, "-c", str(file)])
    assert migrated.exit_code == 64
    assert "hunter2" not in migrated.output


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://relay@db.example.com/relay?sslmode=verify-full",
        "postgresql://u:p%40%2Fw@[::1]:5432,db2/d",
        "postgresql:///relay?host=/run/postgresql",
        "postgresql://u%40x:p@db/d?application_name=a@b",
        "postgres://db",
    ],
)
def test_urls_of_postgresql_are_accepted(tmp_path: Path, url: str) -> None:
    file = tmp_path / "relay.toml"
    file.write_text(f'[storage]\nurl = "{url}"\n')
    assert check(file, {})[1] == ()


@pytest.mark.parametrize("text", ["a" * 200_000, " " * 200_000, "a:" * 100_000, "a" + " " * 200_000])
def test_a_long_text_is_masked_in_a_moment(text: str) -> None:
    assert mask_url(text) == text
