"""`relay domain` against a real name server: each mistake people make, found and explained."""

import json
from pathlib import Path

import pytest

from tests.integration.domain_zone import (
    DELEGATED,
    HOST,
    checked,
    configured,
    data,
    finding,
    replaced,
    run,
    serving,
    zone_of,
)

__all__ = ["data"]


@pytest.mark.parametrize("arguments", [(), DELEGATED])
def test_published_records_are_correct(data: Path, arguments: tuple[str, ...]) -> None:
    result = checked(data, [*zone_of(data, *arguments), *HOST.splitlines()], *arguments)
    assert result.exit_code == 0, result.stdout
    assert "All records are there." in result.stdout
    assert "✗" not in result.stdout
    assert "DNS shows the key that signs (RSA, 2048 bits)" in result.stdout


def test_records_are_shown_for_people_and_programs(data: Path) -> None:
    sheet = run("records", configured(data), *DELEGATED)
    assert "In the zone of acme.test" in sheet.stdout
    assert "In the zone of mail.operator.test" in sheet.stdout
    assert "CNAME s1._domainkey.acme.test.mail.operator.test" in sheet.stdout
    rows = [json.loads(line) for line in run("records", configured(data), "--json").stdout.splitlines()]
    assert {"name", "kind", "value", "role", "purpose", "publisher", "zone_line"} == set(rows[0])


def test_a_domain_that_is_not_configured_is_named(data: Path) -> None:
    result = run("records", configured(data), name="acme.tset")
    assert result.exit_code == 64
    assert 'did you mean "acme.test"?' in result.stderr


MISTAKES = [
    ("bounces.acme.test", "MX", ["MX 10 mx.elsewhere.test."], "never reaches the relay"),
    ("bounces.acme.test", "MX", ["MX 0 ."], "takes no mail"),
    ("bounces.acme.test", "MX", [], "has no MX record: add the record"),
    ("bounces.acme.test", "TXT", ['TXT "v=spf1 a:other.test -all"'], "198.51.100.7 may not send (fail"),
    ("bounces.acme.test", "TXT", ['TXT "v=spf1 +all"'], "+all lets all hosts send"),
    ("bounces.acme.test", "TXT", ['TXT "v=spf1 a:relay.operator.test/99 -all"'], "malformed"),
    ("bounces.acme.test", "TXT", ['TXT "v=spf1 -all"', 'TXT "v=spf1 mx -all"'], "2 SPF records"),
    ("bounces.acme.test", "TXT", ['TXT "google-site-verification=x"'], "has no TXT record"),
    ("s1._domainkey.acme.test", "TXT", ['TXT "v=DKIM1; k=rsa; p="'], "has been revoked"),
    ("s1._domainkey.acme.test", "TXT", ['TXT "v=DKIM1; k=rsa"'], "has no p="),
    ("s1._domainkey.acme.test", "TXT", ['TXT "one"', 'TXT "two"'], "there are 2 TXT records"),
    ("s1._domainkey.acme.test", "TXT", ["CNAME gone.operator.test."], "leads over gone.operator.test to no TXT"),
    ("_dmarc.acme.test", "TXT", [], "_dmarc.acme.test does not exist"),
    ("_dmarc.acme.test", "TXT", ['TXT "v=DMARC1; p=maybe"'], "counts for nothing"),
    ("t.acme.test", "CNAME", [], "t.acme.test does not exist"),
]


@pytest.mark.parametrize(("name", "kind", "lines", "said"), MISTAKES)
def test_a_mistake_is_explained(data: Path, name: str, kind: str, lines: list[str], said: str) -> None:
    zone = replaced(data, name, *(f"{name}. {line}" for line in lines), kind=kind)
    result = checked(data, zone, "--json")
    found = finding(result, name, kind)
    assert (result.exit_code, found["status"]) == (1, "wrong")
    assert said in found["text"]


DOUBTS = [
    ("reply.acme.test", "MX", ["MX 10 relay.operator.test.", "MX 20 backup.test."], "backup.test takes its mail too"),
    ("t.acme.test", "CNAME", ["A 203.0.113.4"], "leads to 203.0.113.4"),
    ("_dmarc.acme.test", "TXT", ['TXT "v=DMARC1; p=reject; aspf=s"'], "all hangs on DKIM"),
    ("bounces.acme.test", "TXT", ['TXT "v=spf1 a:relay.operator.test"'], "does not end with ~all"),
    ("bounces.acme.test", "TXT", ['TXT "v=spf1 a:relay.operator.test ptr -all"'], "ptr is slow"),
]


@pytest.mark.parametrize(("name", "kind", "lines", "said"), DOUBTS)
def test_a_doubtful_record_is_a_warning(data: Path, name: str, kind: str, lines: list[str], said: str) -> None:
    zone = replaced(data, name, *(f"{name}. {line}" for line in lines), kind=kind)
    result = checked(data, zone, "--json")
    found = finding(result, name, kind)
    assert (result.exit_code, found["status"]) == (0, "warning")
    assert said in found["text"]


def test_a_mail_exchanger_with_the_domain_added_twice_is_explained(data: Path) -> None:
    doubled = "reply.acme.test.acme.test. MX 10 relay.operator.test."
    found = finding(checked(data, replaced(data, "reply.acme.test", doubled), "--json"), "reply.acme.test", "MX")
    assert (found["status"], found["observed"]) == ("wrong", ["reply.acme.test.acme.test"])
    assert 'enter only "reply"' in found["text"]


@pytest.mark.parametrize("other", ["MX 10 mx.other.test.", 'TXT "v=spf1 -all"'])
def test_an_alias_must_stand_alone(data: Path, other: str) -> None:
    zone = replaced(data, "bounces.acme.test", f"bounces.acme.test. {other}", arguments=DELEGATED)
    found = finding(checked(data, zone, "--json", *DELEGATED), "bounces.acme.test", "CNAME")
    assert found["status"] == "wrong"
    assert "an alias must stand alone" in found["text"]


def test_too_many_look_ups_are_counted(data: Path) -> None:
    includes = " ".join(f"include:p{i}.test" for i in range(11))
    zone = replaced(
        data,
        "bounces.acme.test",
        f'bounces.acme.test. TXT "v=spf1 a:relay.operator.test {includes} ~all"',
        *(f'p{i}.test. TXT "v=spf1 ip4:203.0.113.{i} -all"' for i in range(11)),
        kind="TXT",
    )
    found = finding(checked(data, zone, "--json"), "bounces.acme.test", "TXT")
    assert found["status"] == "wrong"
    assert "12 DNS look-ups" in found["text"]


def test_no_answer_does_not_mean_a_missing_record(data: Path) -> None:
    zone = [*zone_of(data), *HOST.splitlines()]
    result = checked(data, zone, "--json", trouble={"s1._domainkey.acme.test": "REFUSED"})
    found = finding(result, "s1._domainkey.acme.test", "TXT")
    assert (result.exit_code, found["status"]) == (75, "unknown")
    assert "REFUSED" in found["text"]


def test_a_domain_that_does_not_exist_is_reported_once(data: Path) -> None:
    result = checked(data, HOST.splitlines())
    assert result.exit_code == 1
    assert "acme.test does not exist in DNS: is it registered" in result.stdout
    assert result.stdout.count("✗") == 1


@pytest.mark.parametrize(
    ("host", "status", "said"),
    [
        ("", "wrong", "has no address"),
        ("relay.operator.test. A 10.0.0.7", "warning", "10.0.0.7 cannot be reached from outside"),
        ("relay.operator.test. A 198.51.100.7", "warning", "has no name"),
        ("relay.operator.test. CNAME x.test.\nx.test. A 198.51.100.7", "warning", "is an alias"),
        (HOST.replace("PTR relay.operator.test", "PTR dsl-7.isp.test"), "warning", "called dsl-7.isp.test"),
    ],
)
def test_the_host_name_of_the_relay_is_checked(data: Path, host: str, status: str, said: str) -> None:
    result = checked(data, [*zone_of(data), *host.splitlines()], "--json")
    about = [one for one in map(json.loads, result.stdout.splitlines()) if one["subject"] == "relay host"]
    assert [one["text"] for one in about if one["status"] == status and said in one["text"]]


def test_a_foreign_return_path_is_a_warning(data: Path) -> None:
    extra = 'return_path = "bounces.elsewhere.test"'
    records = run("records", configured(data, extra=extra), "--zone").stdout.splitlines()
    zone = [line.replace(" IN ", " ") for line in records if not line.startswith(";")]
    with serving("\n".join([*zone, *HOST.splitlines()])) as port:
        result = run("check", configured(data, port, extra), "--json")
    found = finding(result, "_dmarc.acme.test", "TXT")
    assert (result.exit_code, found["status"]) == (0, "warning")
    assert "bounces.elsewhere.test does not speak for acme.test" in found["text"]


def test_mail_without_any_authentication_is_wrong(tmp_path: Path) -> None:
    extra = 'return_path = "bounces.elsewhere.test"'
    zone = f'{HOST}\n_dmarc.acme.test. TXT "v=DMARC1; p=reject"'
    with serving(zone) as port:
        result = run("check", configured(tmp_path, port, extra), "--json")
        aligned = run("check", configured(tmp_path, port), "--json")
    found = finding(result, "_dmarc.acme.test", "TXT")
    assert found["status"] == "wrong"
    assert "its mail fails and is refused" in found["text"]
    assert "mail passes by SPF" in finding(aligned, "_dmarc.acme.test", "TXT")["text"]


def test_doubtful_settings_are_warnings(data: Path) -> None:
    extra = 'provider = "bulk"\n[[provider]]\nname = "bulk"\nhost = "smtp.bulk.test"'
    with serving(HOST) as port:
        result = run("check", configured(data, port, extra), "--json")
    said = [(one["subject"], one["status"]) for one in map(json.loads, result.stdout.splitlines()) if not one["kind"]]
    assert ("return path", "warning") in said
    assert ("spf", "warning") in said
