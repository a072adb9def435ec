"""When a domain is looked at next, what a look changes, and which key signs: values in, values out."""

from dataclasses import replace

import pytest

from relay.domains.finding import Finding, Status
from relay.domains.records import DkimKey, WantedRecord
from relay.domains.status import (
    Change,
    ConfiguredDomain,
    DomainStatus,
    FoundRecord,
    after_check,
    changes,
    fingerprint,
    set_up,
)

NOW = 1_800_000_000.0

OLD, NEW = DkimKey("s1", "v=DKIM1; k=rsa; p=AAAA"), DkimKey("s2", "v=DKIM1; k=rsa; p=BBBB")

MX = "MX bounces.acme.test"

KEY = "TXT s1._domainkey.acme.test"


def fresh(*keys: DkimKey, wanted: str = "a") -> DomainStatus:
    return set_up(None, ConfiguredDomain("acme.test", wanted, keys), NOW)


def found(label: str, status: Status, text: str = "said") -> Finding:
    kind, _, name = label.partition(" ")
    return Finding("dkim" if "_domainkey" in name else "return path", status, name, kind, "", (), text)


def look(before: DomainStatus, statuses: dict[str, Status], now: float, shown: str = "") -> DomainStatus:
    observed = {key.selector: "shown" if key.selector in shown.split() else "absent" for key in before.keys}
    return after_check(before, [found(*one) for one in statuses.items()], observed, now, 0.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("age", "wait"),
    [
        (0, 180),
        (600, 180),
        (1000, 200),
        (3600, 720),
        (5 * 3600, 3600),
        (71 * 3600, 3600),
        (72 * 3600, 86400),
        (90 * 86400, 86400),
    ],
)
def test_a_domain_is_looked_at_often_after_its_set_up_and_daily_later(age: float, wait: float) -> None:
    assert look(fresh(), {MX: "ok"}, NOW + age).next_check_at == NOW + age + wait


def test_a_silent_dns_is_asked_again_within_the_hour() -> None:
    assert look(fresh(), {MX: "unknown"}, NOW + 90 * 86400).next_check_at == NOW + 90 * 86400 + 3600


@pytest.mark.parametrize("jitter", [-1.0, 1.0])
def test_jitter_spreads_the_looks(jitter: float) -> None:
    after = after_check(fresh(), [found(MX, "ok")], {}, NOW, jitter)
    assert after.next_check_at == NOW + 180 * (1 + jitter / 10)


def test_a_key_that_waits_to_be_confirmed_is_looked_at_soon_however_old_the_domain_is() -> None:
    signing = look(fresh(OLD), {KEY: "ok"}, NOW, "s1")
    both = set_up(signing, ConfiguredDomain("acme.test", "a", (OLD, NEW)), NOW + 1)
    late = NOW + 90 * 86400
    assert look(both, {KEY: "ok"}, late, "s1 s2").next_check_at == late + 180
    assert look(both, {KEY: "ok"}, late, "s1").next_check_at == late + 86400


def test_a_first_check_reports_how_the_domain_stands_and_no_more() -> None:
    after = look(fresh(), {MX: "wrong", KEY: "warning"}, NOW)
    assert (after.health, after.health_since) == ("failing", NOW)
    told = changes(fresh(), after, [found(MX, "wrong", "has no MX record"), found(KEY, "warning")])
    assert told == [Change("acme.test", "", "unchecked", "failing", f"{MX}: has no MX record")]


def test_later_looks_tell_every_record_that_changed() -> None:
    before = look(fresh(), {MX: "wrong", KEY: "ok"}, NOW)
    after = look(before, {MX: "ok", KEY: "ok"}, NOW + 180)
    assert (after.health, after.health_since) == ("passing", NOW + 180)
    assert changes(before, after, [found(MX, "ok", "its mail comes"), found(KEY, "ok")]) == [
        Change("acme.test", "", "failing", "passing", "all records are as they should be"),
        Change("acme.test", MX, "wrong", "ok", "its mail comes"),
    ]
    assert changes(after, look(after, {MX: "ok", KEY: "ok"}, NOW + 360), []) == []


def test_no_answer_is_no_change() -> None:
    before = look(fresh(OLD), {MX: "ok", KEY: "ok"}, NOW, "s1")
    findings = [found(MX, "unknown"), found(KEY, "unknown")]
    after = after_check(before, findings, {"s1": "unknown"}, NOW + 180, 0.0)
    assert (after.health, after.statuses, after.verified) == ("passing", before.statuses, True)
    assert changes(before, after, findings) == []


def test_a_domain_nobody_could_ask_about_is_unchecked() -> None:
    assert look(fresh(), {MX: "unknown"}, NOW).health == "unchecked"


def test_a_domain_that_is_gone_fails() -> None:
    gone = Finding("domain", "wrong", "acme.test", "", "", (), "acme.test does not exist in DNS")
    remark = Finding("return path", "warning", "acme.test", "", "", (), "set return_path")
    after = after_check(fresh(), [gone, remark], {}, NOW, 0.0)
    assert after.health == "failing"
    (change,) = changes(fresh(), after, [gone, remark])
    assert change.text == "domain acme.test: acme.test does not exist in DNS"


def test_a_key_that_does_not_sign_yet_fails_nobody() -> None:
    signing = look(fresh(OLD), {KEY: "ok"}, NOW, "s1")
    both = set_up(signing, ConfiguredDomain("acme.test", "b", (OLD, NEW)), NOW + 1)
    for new in ("TXT s2._domainkey.acme.test", "TXT s2._domainkey.acme.test.op.test", "CNAME s2._domainkey.acme.test"):
        assert look(both, {KEY: "ok", new: "wrong"}, NOW + 2, "s1").health == "passing"
    assert look(both, {KEY: "wrong"}, NOW + 2).health == "failing"


def test_a_rotation_is_reported_as_a_change() -> None:
    signing = look(fresh(OLD), {KEY: "ok"}, NOW, "s1")
    both = set_up(signing, ConfiguredDomain("acme.test", "b", (OLD, NEW)), NOW + 1)
    first = look(both, {KEY: "ok"}, NOW + 2, "s1 s2")
    assert changes(both, first, []) == []
    second = look(first, {KEY: "ok"}, NOW + 182, "s1 s2")
    assert changes(first, second, []) == [
        Change("acme.test", "signature rsa", "s1", "s2", "DNS shows s2"),
    ]


def test_other_records_begin_the_time_of_settling_anew_and_keep_what_is_known() -> None:
    before = look(fresh(OLD), {MX: "ok"}, NOW, "s1")
    same = set_up(before, ConfiguredDomain("acme.test", "a", (OLD,)), NOW + 9)
    assert same == before
    other = set_up(before, ConfiguredDomain("acme.test", "b", (OLD,)), NOW + 9)
    assert other == replace(before, wanted="b", set_up_at=NOW + 9, next_check_at=NOW + 9)


def test_a_key_replaced_by_hand_leaves_another_one_that_dns_shows_to_sign() -> None:
    both = look(fresh(OLD, NEW), {}, NOW, "s1 s2")
    assert [key.selector for key in both.keys if key.signing] == ["s1"]
    replaced = set_up(
        both, ConfiguredDomain("acme.test", "b", (replace(OLD, record="v=DKIM1; k=rsa; p=CCCC"), NEW)), NOW + 9
    )
    assert [key.selector for key in replaced.keys if key.signing] == ["s2"]


def test_the_fingerprint_is_of_the_set() -> None:
    first, second = (WantedRecord(name, "TXT", "v", "dkim", "") for name in ("a.test", "b.test"))
    assert fingerprint([first, second]) == fingerprint([second, first])
    assert fingerprint([first]) != fingerprint([second])


def test_what_dns_has_is_kept_with_the_status_and_bounded() -> None:
    wanted = Finding(
        "spf", "wrong", "acme.test", "TXT", "v=spf1 -all", ("v=spf1 ?all", "x" * 9000, *"abcdefghijkl"), "no"
    )
    after = after_check(fresh(), [wanted, found(MX, "ok")], {}, NOW, 0.0)
    assert after.found[MX] == FoundRecord((), "said")
    values = after.found["TXT acme.test"].values
    assert (len(values), values[0], len(values[1])) == (10, "v=spf1 ?all", 2000)
    silent = after_check(after, [found(MX, "unknown")], {}, NOW + 180, 0.0)
    assert silent.found == after.found
    assert after_check(after, [found(MX, "wrong", "gone")], {}, NOW, 0.0).found == {MX: FoundRecord((), "gone")}
