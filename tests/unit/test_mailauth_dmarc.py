from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mailauth.dmarc import (
    Alignment,
    Discovery,
    DmarcRecord,
    DmarcSyntaxError,
    FoundPolicy,
    NoPolicy,
    aligned,
    discover,
    parse_dmarc,
)
from relay.resolver import TemporaryFailure
from tests.servers import DnsServer
from tests.servers.dns_server import Trouble


def test_a_record_is_read() -> None:
    text = "v=DMARC1; p=reject; sp=quarantine; adkim=s; aspf=r; pct=20; rua=mailto:a@acme.test, mailto:b@acme.test;"
    reports = ("mailto:a@acme.test", "mailto:b@acme.test")
    assert parse_dmarc(text) == DmarcRecord("reject", "quarantine", "strict", "relaxed", 20, reports)


def test_what_is_left_out_has_its_default() -> None:
    assert parse_dmarc("v=DMARC1;p=quarantine") == DmarcRecord("quarantine", "quarantine")


@pytest.mark.parametrize(("pct", "percent"), [("0", 0), ("250", 100), ("x", 100), ("²", 100), ("-1", 100), ("", 100)])
def test_a_bad_share_counts_as_all(pct: str, percent: int) -> None:
    assert parse_dmarc(f"v=DMARC1; p=none; pct={pct}").percent == percent


def test_a_bad_policy_with_reports_counts_as_none() -> None:
    assert parse_dmarc("v=DMARC1; p=block; rua=mailto:a@acme.test").policy == "none"


@pytest.mark.parametrize("text", ["v=DMARC1", "v=DMARC1; p=block", "v=DMARC1; p=none; sp=block", "p=none; v=DMARC1"])
def test_what_receivers_pass_over_is_refused(text: str) -> None:
    with pytest.raises(DmarcSyntaxError):
        parse_dmarc(text)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(DmarcSyntaxError):
        assert 0 <= parse_dmarc(f"v=DMARC1;{text}").percent <= 100


@pytest.mark.parametrize(
    ("name", "alignment", "result"),
    [
        ("acme.test", "strict", True),
        ("bounces.acme.test", "strict", False),
        ("bounces.acme.test", "relaxed", True),
        ("Bounces.Acme.Test", "relaxed", True),
        ("acme.example", "relaxed", False),
        ("notacme.test", "relaxed", False),
        ("", "relaxed", False),
    ],
)
def test_alignment_is_strict_or_relaxed(name: str, alignment: Alignment, result: bool) -> None:
    assert aligned(name, "acme.test", alignment) is result


def test_owners_below_a_public_suffix_are_distinguished() -> None:
    assert not aligned("other.co.uk", "acme.co.uk", "relaxed")
    assert aligned("mail.acme.co.uk", "acme.co.uk", "relaxed")


async def discovered(domain: str, zone: str, trouble: dict[str, Trouble] | None = None) -> Discovery:
    async with DnsServer(zone, trouble) as server:
        return await discover(server.resolver(), domain)


ORGANISATION = '_dmarc.acme.test. TXT "v=DMARC1; p=reject; sp=none"'


async def test_a_domain_has_its_own_policy() -> None:
    found = await discovered("acme.test", ORGANISATION)
    assert isinstance(found, FoundPolicy)
    assert (found.publisher, found.policy) == ("acme.test", "reject")


async def test_a_subdomain_has_that_of_its_organisation() -> None:
    found = await discovered("news.eu.acme.test", ORGANISATION)
    assert isinstance(found, FoundPolicy)
    assert (found.publisher, found.policy) == ("acme.test", "none")


async def test_an_own_policy_wins() -> None:
    found = await discovered("news.acme.test", ORGANISATION + '\n_dmarc.news.acme.test. TXT "v=DMARC1; p=quarantine"')
    assert isinstance(found, FoundPolicy)
    assert (found.publisher, found.policy) == ("news.acme.test", "quarantine")


async def test_two_records_are_as_good_as_none() -> None:
    found = await discovered("acme.test", ORGANISATION + '\n_dmarc.acme.test. TXT "v=DMARC1; p=none"')
    assert isinstance(found, NoPolicy)
    assert found.broken
    assert "2 DMARC records" in found.why


async def test_absence_and_silence_are_distinguished() -> None:
    assert isinstance(await discovered("acme.test", "acme.test. A 192.0.2.1"), NoPolicy)
    assert isinstance(await discovered("acme.test", "", {"acme.test": "SERVFAIL"}), TemporaryFailure)
