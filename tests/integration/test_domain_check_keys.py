"""`relay domain` against a real name server: keys of DKIM, and aliases that lead to them."""

from pathlib import Path

from relay.domains.key_files import write_key
from relay.mailauth.dkim_keys import generate_key
from tests.integration.domain_zone import DELEGATED, HOST, checked, data, finding, replaced, zone_of

__all__ = ["data"]


def test_a_chain_of_aliases_to_the_target_is_correct(data: Path) -> None:
    name, target = "s1._domainkey.acme.test", "s1._domainkey.acme.test.mail.operator.test"
    hops = [f"{name}. CNAME hop.acme.test.", f"hop.acme.test. CNAME {target}."]
    result = checked(data, replaced(data, name, *hops, arguments=DELEGATED), "--json", *DELEGATED)
    assert result.exit_code == 0
    assert "over hop.acme.test" in finding(result, name, "CNAME")["text"]


def test_a_loop_of_aliases_is_reported(data: Path) -> None:
    name = "s2._domainkey.acme.test"
    circle = [f"{name}. CNAME other.acme.test.", f"other.acme.test. CNAME {name}."]
    delegated = checked(data, replaced(data, name, *circle, arguments=DELEGATED), "--json", *DELEGATED)
    assert "circle" in finding(delegated, name, "CNAME")["text"]
    plain = checked(data, replaced(data, name, *circle), "--json")
    found = finding(plain, name, "TXT")
    assert found["status"] == "wrong"
    assert "circle" in found["text"]


def test_a_name_with_the_domain_added_twice_is_explained(data: Path) -> None:
    name = "s1._domainkey.acme.test"
    doubled = checked(
        data, replaced(data, name, f"{name}.acme.test. CNAME x.test.", arguments=DELEGATED), "--json", *DELEGATED
    )
    assert 'enter only "s1._domainkey"' in finding(doubled, name, "CNAME")["text"]
    value = f"{name}.mail.operator.test.acme.test."
    dotless = checked(data, replaced(data, name, f"{name}. CNAME {value}", arguments=DELEGATED), "--json", *DELEGATED)
    assert "end the value with a dot" in finding(dotless, name, "CNAME")["text"]


def test_a_key_instead_of_its_alias_is_a_warning(data: Path) -> None:
    name = "s1._domainkey.acme.test"
    key = next(line for line in zone_of(data) if line.startswith(name))
    result = checked(data, replaced(data, name, key, arguments=DELEGATED), "--json", *DELEGATED)
    # The prefix also takes the target's own record away, so only the alias is looked at.
    assert finding(result, name, "CNAME")["status"] == "warning"


def test_a_truncated_key_is_reported(data: Path) -> None:
    name = "s1._domainkey.acme.test"
    key = next(line for line in zone_of(data) if line.startswith(name))
    cut = key[: key.index('" "') + 1]
    result = checked(data, replaced(data, name, cut), "--json")
    assert "cut off after 255 characters" in finding(result, name, "TXT")["text"]


def test_another_key_is_reported(data: Path) -> None:
    name = "s1._domainkey.acme.test"
    other = next(line for line in zone_of(data) if line.startswith("s2._domainkey"))
    result = checked(data, replaced(data, name, other.replace("s2.", "s1.", 1)), "--json")
    assert "another key than the one that signs" in finding(result, name, "TXT")["text"]


def test_a_key_in_test_mode_is_a_warning(data: Path) -> None:
    name = "s1._domainkey.acme.test"
    key = next(line for line in zone_of(data) if line.startswith(name))
    result = checked(data, replaced(data, name, key.replace("v=DKIM1;", "t=y;")), "--json")
    found = finding(result, name, "TXT")
    assert (result.exit_code, found["status"]) == (0, "warning")
    assert "t=y" in found["text"]


def test_a_short_key_is_a_warning(tmp_path: Path) -> None:
    write_key(tmp_path, "acme.test", "s1", generate_key("rsa-sha256", 1024))
    write_key(tmp_path, "acme.test", "s2", generate_key("rsa-sha256", 2048))
    result = checked(tmp_path, [*zone_of(tmp_path), *HOST.splitlines()], "--json")
    found = finding(result, "s1._domainkey.acme.test", "TXT")
    assert (result.exit_code, found["status"]) == (0, "warning")
    assert "1024 bits" in found["text"]


def test_text_from_dns_has_no_control_characters(data: Path) -> None:
    name = "s1._domainkey.acme.test"
    result = checked(data, replaced(data, name, f'{name}. TXT "v=DKIM1\\027[31m; p=x"'))
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
