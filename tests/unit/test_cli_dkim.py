from pathlib import Path

from click.testing import CliRunner, Result

from relay.cli.dkim import dkim
from relay.cli.domain import domain as domain_command
from relay.domains.key_files import read_keys
from relay.mailauth.dkim_keys import dns_record, record_name, zone_line
from relay.mailauth.dkim_sign import sign
from tests.dkim_verifiers import dkimpy

CONTENT = b"From: billing@acme.test\r\n\r\nText.\r\n"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(dkim, ["new", *map(str, arguments)])


def test_a_new_key_is_stored_and_its_record_shown(tmp_path: Path) -> None:
    result = run("acme.test", "--data-dir", tmp_path)
    assert result.exit_code == 0, result.output
    (key,) = read_keys(tmp_path, "acme.test", ["s1"])
    name, text = record_name("s1", "acme.test"), dns_record(key)
    assert f"name   {name}\n" in result.output
    assert f"value  {text}\n" in result.output
    assert zone_line(name, text) in result.output
    assert str(tmp_path / "dkim" / "acme.test" / "s1.pem") in result.output
    assert "PRIVATE KEY" not in result.output
    assert dkimpy(sign(CONTENT, [key], 1_736_156_000) + CONTENT, [key]) == [True]


def test_algorithm_and_selector_can_be_chosen(tmp_path: Path) -> None:
    assert run("acme.test", "--selector", "e1", "--algorithm", "ed25519", "--data-dir", tmp_path).exit_code == 0
    assert [key.algorithm for key in read_keys(tmp_path, "acme.test", ["e1"])] == ["ed25519-sha256"]


def test_an_existing_key_is_kept(tmp_path: Path) -> None:
    assert run("acme.test", "--bits", "1024", "--data-dir", tmp_path).exit_code == 0
    before = read_keys(tmp_path, "acme.test", ["s1"])
    again = run("acme.test", "--data-dir", tmp_path)
    assert (again.exit_code, again.output.count("\n")) == (73, 1)
    assert "another selector" in again.output
    assert read_keys(tmp_path, "acme.test", ["s1"]) == before


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "dkim").write_text("in the way")
    result = run("acme.test", "--algorithm", "ed25519", "--data-dir", tmp_path)
    assert result.exit_code == 73
    assert "no key was created" in result.output


def test_an_invalid_domain_is_refused(tmp_path: Path) -> None:
    result = run("bücher.test", "--algorithm", "ed25519", "--data-dir", tmp_path)
    assert result.exit_code != 0
    assert "xn--" in result.output
    assert list(tmp_path.iterdir()) == []


def test_the_configuration_names_the_folder(tmp_path: Path) -> None:
    config = tmp_path / "relay.toml"
    config.write_text(f'[server]\nhostname = "mail.acme.test"\ndata_dir = "{tmp_path / "data"}"\n')
    result = run("acme.test", "--algorithm", "ed25519", "-c", config)
    assert result.exit_code == 0, result.output
    assert len(read_keys(tmp_path / "data", "acme.test", ["s1"])) == 1


def test_the_record_is_at_the_name_that_domain_records_asks_for(tmp_path: Path) -> None:
    config = tmp_path / "relay.toml"
    server = f'[server]\nhostname = "mail.acme.test"\ndata_dir = "{tmp_path / "data"}"\n'
    domain = '[domains."acme.test"]\ncname_target = "relay.op.test"\ndkim = { selectors = ["s1"] }\n'
    config.write_text(server + domain)
    shown = run("acme.test", "--algorithm", "ed25519", "-c", config).output
    (key,) = read_keys(tmp_path / "data", "acme.test", ["s1"])
    name = "s1._domainkey.acme.test"
    assert f"TXT record in the zone of relay.op.test:\n  name   {name}.relay.op.test\n" in shown
    assert f"CNAME record in the zone of acme.test:\n  name   {name}\n  value  {name}.relay.op.test\n" in shown
    asked = CliRunner().invoke(domain_command, ["records", "acme.test", "--zone", "-c", str(config)]).output
    assert zone_line(f"{name}.relay.op.test", dns_record(key)) in asked
    for line in (line for line in asked.splitlines() if "_domainkey" in line):
        assert f"  {line}\n" in shown


def test_an_invalid_configuration_is_an_error(tmp_path: Path) -> None:
    config = tmp_path / "relay.toml"
    config.write_text("[server]\nhostnam = 1\n")
    result = run("acme.test", "-c", config)
    assert result.exit_code == 78
    assert "hostnam" in result.output
