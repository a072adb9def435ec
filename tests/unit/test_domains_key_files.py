import stat
from pathlib import Path

import pytest

from relay.domains.key_files import key_path, missing_keys, read_keys, replace_key, write_key
from relay.mailauth.dkim_keys import KeyFaultError, generate_key, load_key

PEM = generate_key("ed25519-sha256")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_written_key_is_read_again(tmp_path: Path) -> None:
    path = write_key(tmp_path / "data", "Acme.test", "s1", PEM)
    assert path == tmp_path / "data" / "dkim" / "acme.test" / "s1.pem"
    assert read_keys(tmp_path / "data", "acme.test", ["s1"]) == (load_key(PEM, "acme.test", "s1"),)


def test_only_its_owner_can_read_a_key(tmp_path: Path) -> None:
    path = write_key(tmp_path, "acme.test", "s1", PEM)
    assert (mode(path), mode(path.parent), mode(path.parent.parent)) == (0o600, 0o700, 0o700)


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    path = write_key(tmp_path, "acme.test", "s1", PEM)
    with pytest.raises(FileExistsError, match="another selector"):
        write_key(tmp_path, "acme.test", "s1", generate_key("ed25519-sha256"))
    assert read_keys(tmp_path, "acme.test", ["s1"]) == (load_key(PEM, "acme.test", "s1"),)
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_was_cut_short_is_no_key_and_no_hindrance(tmp_path: Path) -> None:
    left = key_path(tmp_path, "acme.test", "s1").with_name(".s1.pem.new")
    left.parent.mkdir(parents=True)
    left.write_bytes(PEM[:20])
    assert read_keys(tmp_path, "acme.test", ["s1"]) == ()
    write_key(tmp_path, "acme.test", "s1", PEM)
    assert not left.exists()


def test_selectors_without_a_key_are_named(tmp_path: Path) -> None:
    write_key(tmp_path, "acme.test", "s2", PEM)
    selectors = ["s1", "s2", "s3"]
    assert [key.selector for key in read_keys(tmp_path, "acme.test", selectors)] == ["s2"]
    folder = tmp_path / "dkim" / "acme.test"
    assert missing_keys(tmp_path, "acme.test", selectors) == (folder / "s1.pem", folder / "s3.pem")


def test_the_order_of_the_selectors_is_kept(tmp_path: Path) -> None:
    for selector in ("a", "b", "c"):
        write_key(tmp_path, "acme.test", selector, PEM)
    assert [key.selector for key in read_keys(tmp_path, "acme.test", ["c", "a", "b"])] == ["c", "a", "b"]


def test_an_unusable_key_file_is_named(tmp_path: Path) -> None:
    path = write_key(tmp_path, "acme.test", "s1", PEM)
    path.write_text("junk")
    with pytest.raises(KeyFaultError, match=r"s1\.pem: this is no PEM file"):
        read_keys(tmp_path, "acme.test", ["s1"])


def test_an_unusable_key_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(KeyFaultError):
        write_key(tmp_path, "acme.test", "s1", b"junk")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("domain", "selector"), [("../etc", "s1"), ("acme.test", "../../s1"), ("/etc", "s1")])
def test_no_name_leads_out_of_the_folder(tmp_path: Path, domain: str, selector: str) -> None:
    with pytest.raises(KeyFaultError):
        key_path(tmp_path, domain, selector)


def test_a_key_nobody_needs_any_more_is_replaced_whole(tmp_path: Path) -> None:
    first, second = generate_key("rsa-sha256", 1024), generate_key("ed25519-sha256")
    assert replace_key(tmp_path, "acme.test", "s1", first) == replace_key(tmp_path, "acme.test", "s1", second)
    (key,) = read_keys(tmp_path, "acme.test", ["s1"])
    assert key.algorithm == "ed25519-sha256"
    folder = tmp_path / "dkim" / "acme.test"
    assert [(file.name, file.stat().st_mode & 0o777) for file in folder.iterdir()] == [("s1.pem", 0o600)]
    with pytest.raises(KeyFaultError):
        replace_key(tmp_path, "acme.test", "s1", b"not a key")
    assert read_keys(tmp_path, "acme.test", ["s1"]) == (key,)
