"""Inputs from which the fuzzer begins: those of the other tests, and what the protocols are made of."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz.targets import FOUND, ROOT
from tests.property.test_dsn_parse import PIECES as REPORT_PIECES
from tests.property.test_mail_address_list import PIECES as ADDRESS_PIECES
from tests.property.tracker_requests import FIELD_LINES, PLAIN

ADDRESSES = ROOT / "tests" / "golden" / "addresses.toml"

MAX_SEED = 20_000
"""Octets of a seed, at most: larger ones make the fuzzer slow."""

WORDS: dict[str, tuple[bytes, ...]] = {
    "smtp_reply": (
        b"250 2.0.0 ok\r\n",
        b"250-a\r\n250 b\r\n",
        b"550 5.1.1 no\n",
        b"421",
        b"354 go\r\n250 2.1.5 \xff\r\n",
    ),
    "smtp_command": (
        b"MAIL FROM:<a@b.test> SIZE=10 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x+2Bx AUTH=<>",
        b'RCPT TO:<"a b"@[192.0.2.1]> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+40b',
        b"RCPT TO:<@x.test,@y.test:a@b.test>",
        b"EHLO [IPv6:::1]",
        b"BDAT 10 LAST",
        "RCPT TO:<ü@bücher.test>".encode(),
    ),
    "url": (b"https://x.test/a?b=c#d", "http://bücher.test:80/ü".encode(), b"https://a@[::1]/", b"javascript:x"),
    "record": (
        b"v=spf1 ip4:192.0.2.0/24 ip6:2001:db8::/32 a:%{d} mx include:x.test exists:%{i}._s.%{d2} redirect=y.test -all",
        b"v=DMARC1; p=reject; sp=none; adkim=s; aspf=r; pct=50; rua=mailto:a@b.test",
        b"v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCB",
        b"SRS0=HHHH=TT=b.test=a",
    ),
    "header": (
        b"From: A <a@b.test>\r\nSender: c@d.test\r\nX-Relay-Tag: x\r\nX-Relay-Send-At: 2030-01-01T00:00:00Z\r\n\r\n",
        b"From: a@b.test\r\nX-Relay-Track: opens,clicks\r\nX-Relay-Metadata-a: b\r\nReceived: by relay.test\r\n\r\n",
    ),
}


def cases() -> list[dict[str, object]]:
    """Return the address lists with what is to be read in them."""
    found: list[dict[str, object]] = tomllib.loads(ADDRESSES.read_text("utf-8"))["case"]
    return found


def seeds_of(name: str) -> Iterator[bytes]:
    """Yield the seeds of a target."""
    yield from WORDS.get(name, ())
    yield from (path.read_bytes() for path in sorted((FOUND / name).glob("*")))
    if name in ("address_list", "address"):
        yield from (one.encode("utf-8", "surrogateescape") for one in ADDRESS_PIECES)
        yield from (str(case["value"]).encode() for case in cases())
    if name == "header":
        yield from (b"From: " + str(case["value"]).encode() + b"\r\n\r\nx" for case in cases())
    if name in ("dsn", "reply_mail", "mime"):
        yield from REPORT_PIECES
        yield from (data for path in _mails() if len(data := path.read_bytes()) <= MAX_SEED)
    if name == "http":
        yield PLAIN
        yield from (b"GET /o/x HTTP/1.1\r\nHost: t\r\n" + line + b"\r\n\r\n" for line in FIELD_LINES if len(line) < 200)


def _mails() -> Iterator[Path]:
    for folder in ("dsn", "mails", "rewrite"):
        yield from sorted((ROOT / "tests" / "golden" / folder).rglob("*.eml"))
