"""Fragments of the configuration: they are kept only if the configuration is valid."""

from pathlib import Path
from typing import Any

import pytest

from relay.config import ConfigError, check
from relay.config.conf_d import fragment_path, remove_fragment, restore_fragment, write_fragment
from relay.config.show import toml_table

IDENTITY_PATH = ("identities", "jane@acme.test")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "relay.toml"
    file.write_text('[server]\nhostname = "relay.test"\n', encoding="utf-8")
    file.chmod(0o640)
    return file


def test_a_fragment_is_in_effect_and_has_the_mode_of_the_configuration(config: Path) -> None:
    fragment = fragment_path(config, "identity", "jane@acme.test")
    values = {"display_name": 'Zo\u00eb "Q" \\', "forward_to": ["a@x.test", "b@x.test"], "reply_tracking": False}
    write_fragment(config, fragment, toml_table(IDENTITY_PATH, values), {})
    settings, _, _ = check(config, {})
    assert settings is not None
    identity = settings.identities["jane@acme.test"]
    assert (identity.display_name, identity.forward_to) == ('Zo\u00eb "Q" \\', ("a@x.test", "b@x.test"))
    assert fragment.stat().st_mode & 0o777 == 0o640
    assert [file.name for file in fragment.parent.iterdir()] == ["identity-jane@acme.test.toml"]


@pytest.mark.parametrize(
    ("path", "values", "mode"),
    [
        (("webhook",), {"name": "crm", "url": "https://crm.test/", "headers": {"X-Key": "hush"}}, 0o600),
        (("webhook",), {"name": "crm", "url_file": "url"}, 0o640),
        (("bounces", "imap"), {"host": "imap.test", "username": "a", "password": "hush"}, 0o600),
        (("domains", "acme.test"), {"reply_tracking": False}, 0o640),
    ],
)
def test_only_the_owner_reads_a_fragment_with_secrets(
    config: Path, path: tuple[str, ...], values: dict[str, object], mode: int
) -> None:
    fragment = fragment_path(config, path[0], "one")
    fragment.parent.mkdir()
    content = toml_table(path, values, is_element=path == ("webhook",)).encode()
    restore_fragment(config, fragment, content)
    assert fragment.stat().st_mode & 0o777 == mode


def test_an_invalid_fragment_leaves_the_folder_as_it_was(config: Path) -> None:
    fragment = fragment_path(config, "identity", "jane@acme.test")
    with pytest.raises(ConfigError, match=r"identity-jane@acme\.test\.toml:2: .*hourly_limit: 999 is over"):
        write_fragment(config, fragment, toml_table(IDENTITY_PATH, {"hourly_limit": 999}), {})
    assert list(fragment.parent.iterdir()) == []
    write_fragment(config, fragment, toml_table(IDENTITY_PATH, {"hourly_limit": 9}), {})
    before = fragment.read_bytes()
    with pytest.raises(ConfigError, match="no \\[\\[provider\\]\\]"):
        write_fragment(config, fragment, toml_table(IDENTITY_PATH, {"provider": "gone"}), {})
    assert fragment.read_bytes() == before


def test_a_fragment_that_others_need_is_not_removed(config: Path) -> None:
    fragment = fragment_path(config, "provider", "news")
    fragment.parent.mkdir(exist_ok=True)
    fragment.write_text('[[provider]]\nname = "news"\nhost = "smtp.news.test"\n', encoding="utf-8")
    write_fragment(
        config, fragment_path(config, "identity", "jane@acme.test"), toml_table(IDENTITY_PATH, {"provider": "news"}), {}
    )
    with pytest.raises(ConfigError, match="no \\[\\[provider\\]\\]"):
        remove_fragment(config, fragment, {})
    assert fragment.exists()
    remove_fragment(config, fragment_path(config, "identity", "jane@acme.test"), {})
    remove_fragment(config, fragment, {})
    assert list(fragment.parent.iterdir()) == []


def test_a_name_too_long_for_a_file_is_shortened(config: Path) -> None:
    long = "\u00fc" * 31 + "@" + "b" * 60 + "." + "c" * 60 + ".test"
    fragments = [fragment_path(config, "identity", name) for name in (long, f"x{long}")]
    assert fragments[0] != fragments[1]
    for fragment in fragments:
        assert not fragment.exists()
        assert len(fragment.name.encode()) <= 200
        assert fragment.suffix == ".toml"
    write_fragment(config, fragments[0], toml_table(("identities", long), {"company": "Acme"}), {})
    settings, _, _ = check(config, {})
    assert settings is not None
    assert settings.identities[long].company == "Acme"


def test_no_address_gives_a_path_outside_the_folder(config: Path) -> None:
    folder = config.parent / "conf.d"
    for address in ("a/../../b@x.test", "../x@x.test", "a\0b@x.test", ".@x.test"):
        assert fragment_path(config, "identity", address).resolve().parent == folder.resolve()


@pytest.mark.parametrize("limit", [999, 9])
def test_a_fragment_is_in_the_folder_only_after_the_check(
    config: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    fragment = fragment_path(config, "identity", "jane@acme.test")
    seen: list[list[str]] = []

    def ended(*given: Any, **more: Any) -> Any:
        check(*given, **more)
        seen.append(sorted(one.name for one in fragment.parent.iterdir()))
        raise KeyboardInterrupt

    monkeypatch.setattr("relay.config.conf_d.check", ended)
    with pytest.raises(KeyboardInterrupt):
        write_fragment(config, fragment, toml_table(IDENTITY_PATH, {"hourly_limit": limit}), {})
    fragment.write_text(toml_table(IDENTITY_PATH, {"hourly_limit": 8}))
    with pytest.raises(KeyboardInterrupt):
        write_fragment(config, fragment, toml_table(IDENTITY_PATH, {"hourly_limit": limit}), {})
    with pytest.raises(KeyboardInterrupt):
        remove_fragment(config, fragment, {})
    assert seen == [[], [fragment.name], [fragment.name]]
    assert fragment.read_text() == toml_table(IDENTITY_PATH, {"hourly_limit": 8})
