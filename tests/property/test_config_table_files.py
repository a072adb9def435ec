"""Any sequence of changes of tables keeps the rest of the configuration, and every file that a person wrote."""

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.config import ConfigError, check
from relay.config.sources import read_sources
from relay.config.table_files import (
    StaleTableError,
    TableElsewhereError,
    TableName,
    change_table,
    complete_change,
    read_table,
    remove_table,
    undo_change,
)
from relay.config.table_names import domain_table, identity_table

MAIN = """# By hand.
[server]
hostname = "relay.test"
[domains."acme.test"]
[identities."hand@acme.test"]
company = "Acme" # here
[[provider]]
name = "first"
host = "smtp.first.test"
"""

MORE = """[[provider]]
name = "second"
host = "smtp.second.test"
[identities."other@acme.test"]
hourly_limit = 7
"""

PROVIDERS = [TableName("provider", ("provider", name), is_element=True) for name in ("first", "second", "new", "a.b")]
TABLES = st.sampled_from(
    [
        *map(
            identity_table,
            ("hand@acme.test", "other@acme.test", "new@acme.test", '"a#b"@acme.test', "z\u00fc@acme.test"),
        ),
        *map(domain_table, ("acme.test", "new.test")),
        *PROVIDERS,
    ]
)
NAMES = st.text(st.characters(exclude_categories=["C"]), max_size=12)
VALUES = {
    "identity": st.fixed_dictionaries(
        {},
        optional={
            "company": NAMES,
            "hourly_limit": st.integers(-1, 300),
            "provider": st.sampled_from(["first", "new", ""]),
            "bcc": st.lists(st.sampled_from(["a@x.test", "b@x.test", "no address"]), max_size=2),
        },
    ),
    "domain": st.fixed_dictionaries(
        {},
        optional={
            "tracking": st.fixed_dictionaries({}, optional={"opens": st.booleans(), "pixel": st.just("start")}),
            "exclusion": st.sampled_from(["campaign", "global", "none"]),
        },
    ),
    "provider": st.fixed_dictionaries({"host": st.just("h.test")}, optional={"port": st.integers(0, 3)}),
}
STEPS = st.lists(
    TABLES.flatmap(
        lambda name: st.tuples(
            st.just(name), st.none() | VALUES[name.kind], st.sampled_from(["complete", "undo", "stale"])
        )
    ),
    max_size=8,
)


@settings(max_examples=60)
@given(steps=STEPS)
def test_every_sequence_of_changes_keeps_the_rest(steps: list[tuple[TableName, Any, str]]) -> None:
    with TemporaryDirectory() as folder:
        config = Path(folder) / "relay.toml"
        config.write_text(MAIN)
        (config.parent / "conf.d").mkdir()
        (config.parent / "conf.d" / "m.toml").write_text(MORE)
        written: dict[TableName, Any] = {}
        for name, values, ending in steps:
            _step(config, written, name, values, ending)
            assert config.read_text() == MAIN
            assert (config.parent / "conf.d" / "m.toml").read_text() == MORE
            assert len(list((config.parent / "conf.d").iterdir())) == 1 + len(written)
            assert _tables(read_sources(config, {}).values) == _expected(written)
            assert check(config, {})[0] is not None


def _step(config: Path, written: dict[TableName, Any], name: TableName, values: Any, ending: str) -> None:
    """Make one change, and note it if it was taken."""
    seen = read_table(config, name, {})
    assert (seen.values if name in written else None) == written.get(name)
    version = "an earlier one" if ending == "stale" else seen.version
    with suppress(ConfigError, TableElsewhereError, StaleTableError):
        if values is None:
            change = remove_table(config, name, {}, version=version)
        else:
            change = change_table(config, name, values, {}, version=version)
        assert (ending, seen.elsewhere) == (ending if ending != "stale" else "", None)
        if ending == "undo":
            undo_change(config, change)
            return
        complete_change(change)
        if values is None:
            written.pop(name)
        else:
            written[name] = {"name": name.name, **values} if name.is_element else values


def _tables(values: dict[str, Any]) -> dict[str, Any]:
    """Return the merged values, with the elements of arrays by their names."""
    return values | {"provider": {one["name"]: one for one in values["provider"]}}


def _expected(written: dict[TableName, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "server": {"hostname": "relay.test"},
        "domains": {"acme.test": {}},
        "identities": {"hand@acme.test": {"company": "Acme"}, "other@acme.test": {"hourly_limit": 7}},
        "provider": {
            "first": {"name": "first", "host": "smtp.first.test"},
            "second": {"name": "second", "host": "smtp.second.test"},
        },
    }
    for name, values in written.items():
        found[str(name.path[0])][name.name] = values
    return found
