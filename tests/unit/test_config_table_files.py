"""Tables in files of their own: what a person wrote is never overwritten, and a change is whole or none."""

from pathlib import Path

import pytest

from relay.config import ConfigError, check
from relay.config.table_files import (
    StaleTableError,
    TableElsewhereError,
    TableName,
    change_table,
    complete_change,
    place_text,
    read_table,
    remove_table,
    undo_change,
)
from relay.config.table_names import domain_table, identity_table
from relay.people.table_faults import faults_by_key

JANE = identity_table("jane@acme.test")
HOST = {"host": "h.test", "username": "u"}
NEWS = TableName("provider", ("provider", "news"), is_element=True)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "relay.toml"
    file.write_text(
        '[server]\nhostname = "relay.test"\n[domains."Acme.test"]\n[identities."hand@acme.test"]\ncompany = "Acme"\n'
        '[[provider]]\nname = "by-hand"\nhost = "smtp.hand.test"\n'
    )
    return file


def test_a_table_is_added_changed_and_removed(config: Path) -> None:
    assert not read_table(config, JANE, {}).exists
    change_table(config, JANE, {"company": "Acme"}, {}, version="")
    first = read_table(config, JANE, {})
    assert (first.exists, first.values, first.elsewhere) == (True, {"company": "Acme"}, None)
    change_table(config, JANE, {"company": "Acme", "bcc": ["a@x.test"]}, {}, version=first.version)
    settings, _, _ = check(config, {})
    assert settings is not None
    assert settings.identities["jane@acme.test"].bcc == ("a@x.test",)
    second = read_table(config, JANE, {})
    assert second.version not in ("", first.version)
    remove_table(config, JANE, {}, version=second.version)
    assert not read_table(config, JANE, {}).exists
    assert list((config.parent / "conf.d").iterdir()) == []


def test_the_second_of_two_changes_is_refused_with_what_the_first_left(config: Path) -> None:
    change_table(config, JANE, {"hourly_limit": 40}, {})
    seen = read_table(config, JANE, {}).version
    change_table(config, JANE, {"hourly_limit": 20}, {}, version=seen)
    with pytest.raises(StaleTableError, match="was changed meanwhile") as refused:
        change_table(config, JANE, {"hourly_limit": 30}, {}, version=seen)
    assert refused.value.present.values == {"hourly_limit": 20}
    with pytest.raises(StaleTableError):
        remove_table(config, JANE, {}, version=seen)
    remove_table(config, JANE, {})
    with pytest.raises(StaleTableError, match="was removed meanwhile"):
        change_table(config, JANE, {"hourly_limit": 30}, {}, version=refused.value.present.version)
    change_table(config, JANE, {}, {}, version="")
    with pytest.raises(StaleTableError):
        change_table(config, JANE, {"hourly_limit": 30}, {}, version="")


def test_what_a_person_wrote_is_read_only_with_its_place(config: Path) -> None:
    hand = identity_table("hand@acme.test")
    table = read_table(config, hand, {})
    assert (table.values, table.elsewhere and place_text(table.elsewhere)) == ({"company": "Acme"}, f"{config}:4")
    for spelling in ("acme.test", "ACME.test"):
        found = read_table(config, domain_table(spelling), {}).elsewhere
        assert found is not None
        assert found.line == 3
    before = config.read_bytes()
    with pytest.raises(TableElsewhereError, match=f"hand@acme.test is in {config}:4: change it there"):
        change_table(config, hand, {}, {})
    with pytest.raises(TableElsewhereError):
        remove_table(config, hand, {})
    assert config.read_bytes() == before
    assert not (config.parent / "conf.d").exists()


@pytest.mark.parametrize(
    "text",
    [
        '[identities."jane@acme.test"]\nbcc = []\n[identities."joe@acme.test"]\n',
        '[identities."jane@acme.test"]\n# Jane asked for this.\nhourly_limit = 20\n',
        '[identities."jane@acme.test"]\nhourly_limit = 20  # Jane asked for this.\n',
        '[server]\nidentities_domain = "acme.test"\n[identities."jane@acme.test"]\n',
        "[limits]\nidentity_hourly = 30\n",
    ],
)
def test_a_file_with_more_than_the_table_is_read_only(config: Path, text: str) -> None:
    file = read_table(config, JANE, {}).file
    file.parent.mkdir()
    file.write_text(text)
    with pytest.raises(TableElsewhereError):
        change_table(config, JANE, {"hourly_limit": 9}, {})
    assert file.read_text() == text


def test_a_table_in_two_files_or_in_the_environment_is_read_only(config: Path) -> None:
    change_table(config, JANE, {"hourly_limit": 20}, {})
    environ = {"RELAY__IDENTITIES__JANE@ACME.TEST__COMPANY": "Acme"}
    found = read_table(config, JANE, environ).elsewhere
    assert found is not None
    assert place_text(found) == "environment"
    other = config.parent / "conf.d" / "a.toml"
    other.write_text('[identities."jane@acme.test"]\nhourly_limit = 30\n')
    with pytest.raises(TableElsewhereError, match=f"{other}:1"):
        change_table(config, JANE, {"hourly_limit": 9}, {})


def test_comments_at_the_beginning_stay(config: Path) -> None:
    file = change_table(config, JANE, {"company": "A # B"}, {}).file
    file.write_text("# Owned by the sales team.\n#\n" + file.read_text())
    change_table(config, JANE, {"company": "C # D"}, {}, version=read_table(config, JANE, {}).version)
    assert file.read_text() == '# Owned by the sales team.\n#\n[identities."jane@acme.test"]\ncompany = "C # D"\n'


def test_an_element_of_an_array_is_found_by_its_name(config: Path) -> None:
    change_table(config, NEWS, {"host": "smtp.news.test"}, {}, version="")
    table = read_table(config, NEWS, {})
    assert table.values == {"name": "news", "host": "smtp.news.test"}
    change_table(config, NEWS, {**table.values, "port": 2525}, {}, version=table.version)
    settings, _, _ = check(config, {})
    assert settings is not None
    assert [(one.name, one.port) for one in settings.providers] == [("by-hand", 587), ("news", 2525)]
    hand = read_table(config, TableName("provider", ("provider", "by-hand"), is_element=True), {}).elsewhere
    assert hand is not None
    assert place_text(hand) == f"{config}:6"


def test_a_secret_is_a_file_that_changes_with_its_table(config: Path) -> None:
    first = change_table(config, NEWS, HOST, {}, secrets={"password": "one"}, mark="1")
    complete_change(first)
    folder, table = config.parent / "secrets", read_table(config, NEWS, {})
    assert (folder.stat().st_mode & 0o777, [one.stat().st_mode & 0o777 for one in folder.iterdir()]) == (0o700, [0o600])
    assert "one" not in table.file.read_text()
    assert table.secrets == {"password_file": "secrets/provider-news.password-1"}
    change = change_table(config, NEWS, HOST, {}, secrets={"password": "two"}, mark="2", version=table.version)
    assert read_table(config, NEWS, {}).version != table.version
    undo_change(config, change)
    assert _password(config) == "one"
    change = change_table(config, NEWS, HOST, {}, secrets={"password": "two"}, mark="3")
    complete_change(change)
    assert (_password(config), len(list(folder.iterdir()))) == ("two", 1)
    with pytest.raises(ConfigError):
        change_table(config, NEWS, {**HOST, "port": 0}, {}, secrets={"password": "three"}, mark="4")
    assert (_password(config), len(list(folder.iterdir()))) == ("two", 1)
    complete_change(remove_table(config, NEWS, {}))
    assert list(folder.iterdir()) == []


def _password(config: Path) -> str:
    settings, faults, _ = check(config, {})
    assert settings is not None, faults
    return next(one for one in settings.providers if one.name == "news").password.get_secret_value()


def test_a_version_shows_nothing_of_a_secret(config: Path) -> None:
    change_table(config, NEWS, {"host": "h.test", "username": "u", "password": "guess me"}, {})
    versions = {read_table(config, NEWS, {}, key).version for key in (b"", b"one key", b"another")}
    assert len(versions) == 3


def test_faults_stand_at_their_keys(config: Path) -> None:
    values = {"hourly_limit": 999, "forward_to": ["a@x.test", "nobody"], "provider": "none"}
    with pytest.raises(ConfigError) as refused:
        change_table(config, JANE, values, {})
    file = read_table(config, JANE, {}).file
    faults = faults_by_key(refused.value.faults, JANE, file, ("hourly_limit", "forward_to"))
    assert faults.keys() == {"hourly_limit", "forward_to", ""}
    assert "250" in faults["hourly_limit"]
    assert faults["forward_to"].startswith("'nobody' is not a mail address") or "nobody" in faults["forward_to"]
    assert str(file) in faults[""]
    with pytest.raises(ConfigError) as refused:
        change_table(config, NEWS, {"port": 0}, {})
    file = read_table(config, NEWS, {}).file
    assert faults_by_key(refused.value.faults, NEWS, file, ("host", "port")).keys() == {"host", "port"}


def test_a_secret_of_the_operator_stays(config: Path) -> None:
    folder = config.parent / "secrets"
    folder.mkdir(mode=0o700)
    for name in ("news", "provider-news.password", "provider-other.password-1", "shared"):
        (folder / name).write_text("hush")
        (folder / name).chmod(0o600)
        change = change_table(config, NEWS, {**HOST, "username": "u", "password_file": f"secrets/{name}"}, {})
        complete_change(change)
        complete_change(remove_table(config, NEWS, {}))
        assert (folder / name).read_text() == "hush", name


def test_a_secret_that_another_table_names_stays(config: Path) -> None:
    complete_change(change_table(config, NEWS, HOST, {}, secrets={"password": "one"}, mark="1"))
    other = TableName("provider", ("provider", "bulk"), is_element=True)
    shared = {"password_file": "secrets/../secrets/provider-news.password-1"}
    complete_change(change_table(config, other, {**HOST, **shared}, {}))
    complete_change(remove_table(config, NEWS, {}))
    assert [one.name for one in (config.parent / "secrets").iterdir()] == ["provider-news.password-1"]
