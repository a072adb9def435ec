import asyncio
from ipaddress import ip_address
from typing import Any

import pytest

from relay.mailauth import bounded_lookups
from relay.mailauth.dkim_keys import dns_record, generate_key, load_key, record_name, zone_line
from relay.mailauth.dkim_sign import sign
from relay.mailauth.evaluate import Authentication, evaluate
from relay.resolver import TextAnswer, Texts
from tests.servers import DnsServer
from tests.servers.dns_server import Trouble

KEY = load_key(generate_key("rsa-sha256"), "acme.test", "s1")

WEAK = load_key(generate_key("rsa-sha256", 1024), "acme.test", "s1")

CONTENT = b"From: Billing <billing@acme.test>\r\nTo: joe@example.test\r\nSubject: Hello\r\n\r\nText.\r\n"

SIGNED = sign(CONTENT, [KEY], 1_736_156_000) + CONTENT

POLICY = '_dmarc.acme.test. TXT "v=DMARC1; p=reject"'

ALLOWED = 'bounces.acme.test. TXT "v=spf1 ip4:192.0.2.1 -all"'

PUBLISHED = zone_line(record_name("s1", "acme.test"), dns_record(KEY)).replace(" IN ", " ")


async def judged(
    message: bytes,
    zone: str,
    ip: str = "192.0.2.1",
    path: str = "x@bounces.acme.test",
    trouble: dict[str, Trouble] | None = None,
) -> Authentication:
    async with DnsServer(zone, trouble) as server:
        dns = server.resolver()
        return await evaluate(dns, message, ip_address(ip), "relay.test", path)


async def test_a_message_as_it_should_be() -> None:
    found = await judged(SIGNED, f"{POLICY}\n{ALLOWED}\n{PUBLISHED}")
    assert found.results("mx.test") == (
        "mx.test; spf=pass smtp.mailfrom=bounces.acme.test; dkim=pass header.d=acme.test header.s=s1; "
        "dmarc=pass policy.dmarc=reject header.from=acme.test"
    )
    assert found.dmarc.why == "the signature of acme.test speaks for acme.test"


async def test_spf_alone_carries_dmarc() -> None:
    found = await judged(CONTENT, f"{POLICY}\n{ALLOWED}")
    assert (found.signatures, found.dmarc.result) == ((), "pass")
    assert "dkim=none" in found.results("mx.test")


async def test_a_strict_policy_needs_the_very_domain() -> None:
    found = await judged(CONTENT, f'{ALLOWED}\n_dmarc.acme.test. TXT "v=DMARC1; p=reject; aspf=s"')
    assert found.dmarc.result == "fail"
    assert "SPF passes for bounces.acme.test, not aligned" in found.dmarc.why


async def test_dkim_alone_carries_dmarc_after_forwarding() -> None:
    found = await judged(SIGNED, f"{POLICY}\n{ALLOWED}\n{PUBLISHED}", ip="203.0.113.9")
    assert (found.spf.result, found.dmarc.result) == ("fail", "pass")


async def test_a_changed_body_and_a_changed_header_are_distinguished() -> None:
    body = await judged(SIGNED.replace(b"Text.", b"Texts."), f"{POLICY}\n{PUBLISHED}")
    head = await judged(SIGNED.replace(b"Hello", b"Hallo"), f"{POLICY}\n{PUBLISHED}")
    assert [one.result for one in (*body.signatures, *head.signatures)] == ["fail", "fail"]
    assert "body" in body.signatures[0].why
    assert "header" in head.signatures[0].why
    assert body.dmarc.result == "fail"
    assert "SPF gives none; no signature holds" in body.dmarc.why


async def test_a_key_that_is_not_there_is_permanent_and_silence_is_not() -> None:
    absent = await judged(SIGNED, POLICY)
    silent = await judged(SIGNED, POLICY, trouble={"_domainkey.acme.test": "SERVFAIL"})
    assert (absent.signatures[0].result, absent.dmarc.result) == ("permerror", "fail")
    assert (silent.signatures[0].result, silent.dmarc.result) == ("temperror", "temperror")


async def test_a_revoked_key_proves_nothing() -> None:
    found = await judged(SIGNED, f'{POLICY}\ns1._domainkey.acme.test. TXT "v=DKIM1; p="')
    assert found.signatures[0].result == "permerror"
    assert "revoked" in found.signatures[0].why


async def test_another_key_under_the_selector_fails() -> None:
    line = zone_line(record_name("s1", "acme.test"), dns_record(WEAK)).replace(" IN ", " ")
    assert (await judged(SIGNED, f"{POLICY}\n{line}")).signatures[0].result == "fail"


async def test_a_signature_of_another_domain_does_not_speak_for_from() -> None:
    other = SIGNED.replace(b"<billing@acme.test>", b"<billing@other.test>")
    signed = sign(CONTENT.replace(b"acme", b"other"), [KEY], 1_736_156_000) + CONTENT.replace(b"acme", b"other")
    zone = f'{PUBLISHED}\n{ALLOWED}\n_dmarc.other.test. TXT "v=DMARC1; p=quarantine"'
    assert (await judged(other, zone)).signatures[0].result == "fail"
    found = await judged(signed, zone)
    assert (found.signatures[0].result, found.dmarc.result) == ("pass", "fail")
    assert "acme.test signed, not aligned" in found.dmarc.why


async def test_two_domains_in_from_have_no_verdict() -> None:
    found = await judged(b"From: a@acme.test, b@other.test\r\n\r\nText.\r\n", POLICY)
    assert found.dmarc.result == "permerror"


async def test_a_bounce_is_judged_by_helo() -> None:
    found = await judged(CONTENT, 'relay.test. TXT "v=spf1 ip4:192.0.2.1 -all"', path="")
    assert (
        found.results("mx.test")
        == "mx.test; spf=pass smtp.helo=relay.test; dkim=none; dmarc=none header.from=acme.test"
    )


async def test_nonsense_in_a_signature_is_quoted_and_harmless() -> None:
    message = b'DKIM-Signature: v=1; a=rsa-sha256; d=a b";x; s=s1; b=*; bh=*; h=from\r\n' + CONTENT
    found = await judged(message, "")
    assert found.signatures[0].result == "permerror"
    assert 'header.d="a b\\""' in found.results("mx.test")


async def test_a_signature_without_its_selector_names_no_key() -> None:
    found = await judged(b"DKIM-Signature: v=1; a=rsa-sha256; d=acme.test; b=QQ==; bh=QQ==; h=from\r\n" + CONTENT, "")
    assert found.signatures[0].result == "permerror"
    assert "lacks its domain (d=) or selector (s=)" in found.signatures[0].why


async def test_a_domain_whose_name_servers_never_answer_holds_a_mail_for_a_moment_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SPF may ask a hundred questions, and signatures ten; each took up to ten seconds, and large mail had to wait."""

    class Silent:
        async def txt(self, name: str) -> TextAnswer:
            if name == "slow.test":
                return Texts(("v=spf1 " + " ".join(f"mx:m{number}.slow.test" for number in range(10)),))
            await asyncio.Event().wait()
            raise AssertionError

        def __getattr__(self, name: str) -> Any:
            return never

    async def never(*_: object, **__: object) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(bounded_lookups, "PROOF_SECONDS", 0.05)
    dns: Any = Silent()
    found = await evaluate(dns, SIGNED * 3, ip_address("192.0.2.1"), "x.test", "a@slow.test")
    assert (found.spf.result, found.dmarc.result) == ("temperror", "temperror")
    assert {one.result for one in found.signatures} == {"temperror"}
