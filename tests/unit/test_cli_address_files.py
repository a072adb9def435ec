"""Files of address lists: each form is read whole, or each fault has its line."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay.cli import main
from relay.cli.address_files import MAX_FIELD, read_address_file
from tests.unit.admin_harness import AdminHarness, admin

__all__ = ["admin"]

COLUMNS = ("address", "reply", "domain")


def _read(octets: bytes) -> tuple[list[tuple[int, str]], list[str]]:
    found = read_address_file(octets, COLUMNS)
    return [(row.line, row.fields["address"]) for row in found.rows], [str(fault) for fault in found.faults]


@pytest.mark.parametrize(
    ("octets", "lines"),
    [
        (b"", []),
        (b"\n\n", []),
        (b"a@x.test\nb@x.test", [1, 2]),
        (b"\r\na@x.test\r\n\r\nb@x.test\r\n", [2, 4]),
        (b"a@x.test\rb@x.test\r", [1, 2]),
        (b"\xef\xbb\xbfaddress\na@x.test\nb@x.test\n", [2, 3]),
        ("address\r\na@x.test\r\nb@x.test\r\n".encode("utf-16"), [2, 3]),
        ("address\r\na@x.test\r\nb@x.test\r\n".encode("utf-32"), [2, 3]),
        ("\ufeffa@x.test\nb@x.test\n".encode("utf-16-be"), [1, 2]),
        (b"address,reply\na@x.test,no\nb@x.test,\n", [2, 3]),
        (b'Address;"Reply"\na@x.test;"no; never"\nb@x.test;"said ""no"""\n', [2, 3]),
        (b"address;reply\n a@x.test ;no\n\tb@x.test;no\n", [2, 3]),
        (b"reply\taddress\nno\ta@x.test\n\tb@x.test\n", [2, 3]),
        (b'address,reply\na@x.test,said "no\nb@x.test,no"\n', [2, 3]),
        ("address,reply\na@x.test,no\u2028line\u0085\nb@x.test,\x0b\n".encode(), [2, 3]),
        (b'{"address": "a@x.test"}\n\n{"address": "b@x.test", "reply": "no"}\n', [1, 3]),
        (b"address\na@x.test\n" + b"b@x.test\n", [2, 3]),
    ],
)
def test_each_form_is_read(octets: bytes, lines: list[int]) -> None:
    rows, faults = _read(octets)
    assert faults == []
    assert rows == list(zip(lines, ["a@x.test", "b@x.test"], strict=False))


@pytest.mark.parametrize(
    ("octets", "fault"),
    [
        (b"address\nann@x.test\nm\xfcller@x.test\n", "line 3: is not UTF-8; convert the file"),
        (b"\xff\xfea\x00", "line 1: must be an address"),
        (b"\xff\xfea\x00\n\x00b", "line 2: is not UTF-16; convert"),
        ("address\na@x.test\n".encode("utf-16-le"), "line 1: has a NUL character; a file in UTF-16"),
        (b"a@x.test\nb\0@x.test\n", "line 2: has a NUL character"),
        (b"PK\x03\x04", "line 1: this is a spreadsheet or archive"),
        (b"name,city\n", "line 1: must be an address, a JSON object, or the names of columns"),
        (b"address,city\na@x.test,Rome\n", "line 1: column 'city' is unknown; known are address, reply, domain"),
        (b"address,\na@x.test,\n", "line 1: column 2 has no name"),
        (b"address,address\na@x.test,\n", "line 1: column 'address' is there twice"),
        (b'address,reply\na@x.test,"said no\n', "line 2: a quoted field is not closed"),
        (b'address,reply\na@x.test,"said\nb@x.test,no"\n', "line 2: a quoted field is not closed"),
        (b'address,reply\na@x.test,"no" never\n', "line 2: there is text behind the closing quote"),
        (b"address,reply\na@x.test,no,never\n", "line 2: has 3 fields, and the first line names 2"),
        (b"address,reply\na@x.test\n", "line 2: has 1 fields, and the first line names 2"),
        (b"address,reply\na@x.test," + b"x" * (MAX_FIELD + 1), "line 2: a field has more than"),
        (b'{"address": "a@x.test"}\n[1]\n', "line 2: is not a JSON object"),
        (b'{"address": "a@x.test"}\n{"address"\n', "line 2: is not JSON"),
        (b'[{"address": "a@x.test"}]\n', "line 1: is not a JSON object"),
        (b'{"address": ' + b"[" * 100_000, "line 1: is not JSON"),
    ],
)
def test_each_fault_has_its_line(octets: bytes, fault: str) -> None:
    _, faults = _read(octets)
    assert faults[0].startswith(fault)


def test_all_faults_are_found_at_once() -> None:
    rows, faults = _read(b'address,reply\na@x.test,"\nb@x.test,no\nc@x.test\n')
    assert [line for line, _ in rows] == [3]
    assert [fault.partition(":")[0] for fault in faults] == ["line 2", "line 4"]


async def _import(admin: AdminHarness, name: str, content: str, *options: str) -> Result:
    folder = admin.socket.parent
    config, file = folder / "relay.toml", folder / "list"
    config.write_text(f'[server]\nhostname = "relay.test"\ndata_dir = "{folder}"\n')
    file.write_text(content)
    arguments = [name, "import", str(file), "-c", str(config), *options]
    return await asyncio.to_thread(CliRunner().invoke, main, arguments, catch_exceptions=False)


async def _listed(admin: AdminHarness, name: str) -> int:
    _, found = await admin.ask("GET", f"/{name}s?limit=10000")
    return len(found[f"{name}s"])


@pytest.mark.parametrize("name", ["suppression", "unsubscribe"])
async def test_an_import_is_whole_or_nothing_unless_asked(
    admin: AdminHarness, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.cli.address_import.PAGE", 2)
    content = "address\n" + "".join(f"u{number}@x.test\n" for number in range(5)) + "no address\nv@x.test\n"
    refused = await _import(admin, name, content)
    assert refused.exit_code == 65
    assert refused.stderr.startswith("relay: line 7: no address: no @ in the address\n")
    assert "nothing is imported: 1 of 8 lines have faults" in refused.stderr
    assert await _listed(admin, name) == 0

    partly = await _import(admin, name, content, "--partial", "--json")
    assert partly.exit_code == 65
    assert json.loads(partly.stdout) == {"lines": 8, "imported": 6, "faults": 1}
    assert await _listed(admin, name) == 6


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({"address": "\ud800@x.test"}, "address has U+D800, which is no character of a text"),
        ({"address": "a@x.test", "domain": "\ud800.test"}, "domain has U+D800, which is no character of a text"),
        ({"address": "a@x.test", "queue_id": "\0"}, "queue_id has U+0000, which is no character of a text"),
        ({"address": "\u200ba@x.test"}, "address has the invisible character U+200B"),
        ({"address": "a@x.test\xad"}, "address has the invisible character U+00AD"),
        ({"address": "a@x.test", "domain": "acme..test"}, "acme..test: the part after the @ is not a domain name"),
        ({"address": "a@x.test", "domain": "acme test"}, "acme test: the part after the @ is not a domain name"),
        ({"address": "a" * 5000 + "@x.test"}, "a" * 100 + "…: the part before the @ is longer than 64 octets"),
        ({"address": "a@x.test", "created_at": "0000-01-01T00:00:00Z"}, "created_at: '0000-01-01T00:00:00Z' is not"),
    ],
)
@pytest.mark.parametrize("name", ["suppression", "unsubscribe"])
async def test_a_value_that_no_list_can_have_is_a_fault(
    admin: AdminHarness, name: str, entry: dict[str, str], fault: str
) -> None:
    refused = await _import(admin, name, json.dumps(entry))
    assert (refused.exit_code, refused.stderr.splitlines()[0][: len(fault) + 15]) == (65, f"relay: line 1: {fault}")
    assert await _listed(admin, name) == 0


@pytest.mark.parametrize("name", ["suppression", "unsubscribe"])
async def test_a_dry_run_counts_and_changes_nothing(admin: AdminHarness, name: str) -> None:
    await _import(admin, name, "address\na@x.test\n")
    content = "address\nA@x.test\nb@x.test\nc@x.test\nB@X.test\n"
    counted = await _import(admin, name, content, "--dry-run")
    assert counted.exit_code == 0
    assert counted.stdout.startswith("3 would be imported (5 lines read): 2 new, 1 on the list already; 1 are")
    assert await _listed(admin, name) == 1
    faulty = await _import(admin, name, content + "no\n", "--dry-run", "--json")
    assert faulty.exit_code == 65
    assert json.loads(faulty.stdout)["faults"] == 1
    assert await _listed(admin, name) == 1


async def test_many_faults_are_counted(admin: AdminHarness) -> None:
    refused = await _import(admin, "suppression", "address\n" + "no\n" * 30)
    assert len(refused.stderr.splitlines()) == 22
    assert "relay: 10 more lines have faults" in refused.stderr


async def test_an_import_that_breaks_off_says_how_much_is_there(
    admin: AdminHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.cli.address_import.PAGE", 2)
    add, calls = admin.store.suppressions.add, []

    async def fail_on_the_second(entries: object) -> None:
        calls.append(entries)
        if len(calls) == 2:
            raise OSError("no more")
        await add(entries)  # type: ignore[arg-type]

    monkeypatch.setattr(admin.store.suppressions, "add", fail_on_the_second)
    broken = await _import(admin, "suppression", "".join(f"u{number}@x.test\n" for number in range(5)))
    assert broken.exit_code == 75
    assert "relay: 2 of 5 are imported; import the file again for all of them" in broken.stderr


async def test_an_export_is_imported_again(admin: AdminHarness, tmp_path: Path) -> None:
    await _import(admin, "suppression", '{"address": "a@x.test", "reply": "said \\"no\\",\\r\\nnever"}\n')
    arguments = ["suppression", "export", "-c", str(admin.socket.parent / "relay.toml")]
    exported = await asyncio.to_thread(CliRunner().invoke, main, arguments)
    assert (await _import(admin, "suppression", exported.stdout)).stdout == "1 imported (2 lines read)\n"
