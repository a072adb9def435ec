"""Identities from nothing to verified, and what is said when something is in the way: real relay, DNS and mailbox."""

import asyncio
import re
import smtplib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from relay.domains.key_files import write_key
from relay.mailauth.dkim_keys import dns_record, generate_key, load_key
from tests.servers import DnsServer
from tests.servers.actions import Say
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Received, Sink

PEM = generate_key("rsa-sha256")


def key_line(pem: bytes) -> str:
    """Return the record of a signing key as a line of the zone."""
    record = dns_record(load_key(pem, "acme.test", "s1"))
    return f's1._domainkey.acme.test. TXT "{record[:200]}" "{record[200:]}"'


KEY = key_line(PEM)

MAIL = "reader.test. MX 10 mx.reader.test.\nmx.reader.test. A 127.0.0.1\nrelay.test. A 127.0.0.2"

HOMES = "bounces.acme.test. MX 10 relay.test.\nreply.acme.test. MX 10 relay.test."

SPF = 'acme.test. TXT "v=spf1 ip4:127.0.0.0/8 -all"\nbounces.acme.test. TXT "v=spf1 ip4:127.0.0.0/8 -all"'

DMARC = '_dmarc.acme.test. TXT "v=DMARC1; p=reject"'

ZONE = "\n".join((MAIL, HOMES, KEY, SPF, DMARC))

CAMPAIGN = b"From: %s\r\nTo: u@reader.test\r\nX-Relay-Campaign: autumn\r\n\r\nhello\r\n"


class Relay(RelayProcess):
    """A relay that delivers by MX records on loopback, and whose own MX is 127.0.0.2 at the port of the mailbox."""

    def __init__(self, folder: Path, mailbox: Sink, names: DnsServer, more: str = "") -> None:
        super().__init__(
            folder,
            mailbox.port,
            f"""
[alerts]
mail_to = ["ops@reader.test"]
[verification]
campaign = true
[resolver]
nameservers = ["127.0.0.1:{names.port}"]
[delivery]
port = {mailbox.port}
allow_networks = ["127.0.0.0/8"]
[[listener]]
name = "mx"
kind = "inbound"
address = "127.0.0.2:{mailbox.port}"
[domains."acme.test"]
provider = "direct"
dkim = {{ selectors = ["s1"] }}
return_path = "bounces.acme.test"
reply_domain = "reply.acme.test"
{more}
""",
        )
        self.names = names
        write_key(folder / "data", "acme.test", "s1", PEM)
        text = self.config.read_text().replace("[server]", '[server]\nidentities_domain = "acme.test"', 1)
        self.config.write_text(text)

    async def campaign(self, identity: str) -> str:
        """Send campaign mail as the identity and return the reply."""

        def send() -> str:
            with smtplib.SMTP("127.0.0.1", self.port, timeout=20) as client:
                client.ehlo()
                client.mail(identity)
                client.rcpt("u@reader.test")
                code, text = client.data(CAMPAIGN % identity.encode())
                return f"{code} {text.decode()}"

        return await asyncio.to_thread(send)


@asynccontextmanager
async def relay_and_mailbox(folder: Path, zone: str = ZONE, more: str = "") -> AsyncIterator[tuple[Relay, Sink]]:
    (folder / "data").mkdir()
    async with DnsServer(zone) as names, Sink() as mailbox, Relay(folder, mailbox, names, more) as relay:
        yield relay, mailbox


async def code_in(mailbox: Sink, count: int) -> tuple[str, str, Received]:
    """Return code and link of the mail that carries them, once there are so many mails."""
    received = (await mailbox.received(count))[-1]
    code = re.search(rb"Subject: (\d{6}) is the code", received.content)
    link = re.search(rb"https?://\S+/v/[\w-]+", received.content)
    assert code is not None
    assert link is not None
    return code[1].decode(), link[0].decode(), received


async def test_an_identity_from_nothing_to_verified(tmp_path: Path) -> None:
    async with relay_and_mailbox(tmp_path) as (relay, mailbox):
        added = ("identity", "add", "Jane Doe", "--company", "Acme Ltd", "--forward-to", "owner@reader.test")
        assert (await relay.run(*added, "--reload")).startswith("jane.doe@acme.test is in ")
        jane = "jane.doe@acme.test"
        refusal = await relay.campaign(jane)
        assert f"550 5.7.1 <{jane}> is not verified for campaign mail: relay identity verify {jane}" in refusal
        assert "/verify" not in refusal, "DNS alone verifies addresses of the platform"

        code, text = await relay.ran("identity", "test", jane)
        assert code == 75, text
        for line in (
            r"✓ taken for <owner@reader\.test> by .*: 250",
            r"✓ Authentication-Results: relay\.test; spf=pass smtp\.mailfrom=bounces\.acme\.test; dkim=pass "
            r"header\.d=acme\.test header\.s=s1; dmarc=pass policy\.dmarc=reject header\.from=acme\.test",
            r"✓ DMARC: the signature of acme\.test speaks for acme\.test",
            r"Sending verified, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \w+",
            r"✓ a code is on its way to owner@reader\.test, good for 10 minutes",
            r"✓ the pixel was fetched by http://127\.0\.0\.1:\d+",
            r"✓ the open is recorded, marked as a test",
            r"✓ the click is recorded, marked as a test",
            r"✓ a test response came back by reply\.acme\.test and is recorded",
            r"Tracking verified, \d{4}",
            r"! no mail reaches jane\.doe@acme\.test: acme\.test has neither MX nor address records\n"
            r" +→ in the mailbox that gets its answers, forward all mail to [a-z2-7]{26}@reply\.acme\.test ",
            r"CC tracking is not set up",
        ):
            assert re.search(line, text), (line, text)
        assert "correctly set up" not in text

        otp, _, received = await code_in(mailbox, 2)
        assert b'From: "Jane Doe (Acme Ltd)" <jane.doe@acme.test>' in received.content
        code, text = await relay.ran("identity", "verify", jane, "--otp", "000000" if otp != "000000" else "111111")
        assert (code, "is another one; 4 more tries" in text) == (1, True), text
        code, text = await relay.ran("identity", "verify", jane, "--otp", otp)
        assert code == 0, text
        assert re.search(r"Receiving verified, \d{4}.*\n\nEmail identity seems to be correctly set up\n", text)
        assert "this proves where answers arrive, not that jane.doe@acme.test is yours" in text
        code, text = await relay.ran("identity", "verify", jane)
        assert (code, "DNS shows the key that signs" in text) == (0, True), text
        assert (await relay.ran("identity", "verify", jane, "--otp", otp))[0] == 1

        (listed,) = await relay.json("identity", "list")
        assert (listed["address"], listed["verified"], listed["verified_by"]) == (jane, True, "dns")
        steps = {one["step"]: one["state"] for one in listed["steps"]}
        assert steps == dict.fromkeys(("sending", "receiving", "tracking"), "passed") | {"cc": "failed"}
        assert listed["used_hour"] == 4
        assert (await relay.campaign(jane)).startswith("250 ")
        assert "yes, by the DNS of its domain" in await relay.run("identity", "show", jane)
        assert [line["state"] for line in relay.log("identity.verified")].count("passed") == 4

        story = (await relay.json("trace", "owner@reader.test"))[-1]
        reasons = {one["event"]: one.get("reason") for one in story["events"] if one["event"] in ("open", "click")}
        assert reasons == dict.fromkeys(("open", "click"), "test of the relay's own")


async def test_a_code_sent_to_another_address_proves_nothing(tmp_path: Path) -> None:
    ceo = "ceo@bank.test"
    async with relay_and_mailbox(tmp_path, f"{ZONE}\nbank.test. MX 10 mx.reader.test.") as (relay, mailbox):
        await relay.run("identity", "add", ceo, "--forward-to", "me@reader.test", "--reload")
        await relay.ran("identity", "verify", ceo, "--step", "receiving")
        otp, _, received = await code_in(mailbox, 1)
        assert received.recipients == ["me@reader.test"]
        code, text = await relay.ran("identity", "verify", ceo, "--otp", otp)
        assert (code, f"relay identity verify {ceo}" in text) == (0, True), text
        page = f"http://127.0.0.1:{relay.tracker_port}/verify"
        assert (await relay.campaign(ceo)).endswith(f": relay identity verify {ceo}, or {page}")

        code, text = await relay.ran("identity", "verify", ceo)
        assert f"or type it in at {page}" in text
        otp, _, received = await code_in(mailbox, 2)
        assert received.recipients == [ceo]
        code, text = await relay.ran("identity", "verify", ceo, "--otp", otp)
        assert (code, "Address verified, " in text) == (0, True), text
        assert (await relay.campaign(ceo)).startswith("250 ")

        code, text = await relay.ran("identity", "unverify", ceo)
        assert (code, text) == (0, f"{ceo} is not verified any more\n")
        assert (await relay.campaign(ceo)).startswith("550 5.7.1 ")


async def test_the_page_and_dns_verify_and_both_survive_a_restart(tmp_path: Path) -> None:
    async with relay_and_mailbox(tmp_path) as (relay, mailbox):
        code, text = await relay.ran("identity", "verify", "owner@reader.test")
        assert code == 75, text
        otp, link, _ = await code_in(mailbox, 1)
        async with aiohttp.ClientSession() as browser:
            async with browser.get(link) as answer:
                assert (answer.status, "Confirm your address" in await answer.text()) == (200, True)
            assert (await relay.campaign("owner@reader.test")).startswith("550 5.7.1")
            async with browser.post(link) as answer:
                assert (answer.status, "owner@reader.test</strong><br>verified, " in await answer.text()) == (200, True)
        assert (await relay.campaign("owner@reader.test")).startswith("250 ")
        assert (await relay.ran("identity", "verify", "owner@reader.test", "--otp", otp))[0] == 1

        code, text = await relay.ran("identity", "verify", "anybody@acme.test", "--dns")
        assert (code, "DNS shows the key that signs" in text) == (0, True), text
        code, text = await relay.ran("identity", "verify", "u@other.test", "--dns")
        assert (code, 'add [domains."other.test"]' in text) == (1, True), text
        await relay.stop()
        await relay.start()
        assert (await relay.campaign("Owner@reader.test")).startswith("250 ")
        assert (await relay.campaign("somebody@acme.test")).startswith("250 ")


async def test_failures_of_the_sending_step_have_an_action(tmp_path: Path) -> None:
    sent = ("identity", "verify", "x@acme.test", "--step", "sending", "--to", "owner@reader.test")
    zone = "\n".join((MAIL, key_line(generate_key("rsa-sha256")), DMARC))
    async with relay_and_mailbox(tmp_path, zone) as (relay, mailbox):

        async def told(*lines: str) -> None:
            code, text = await relay.ran(*sent)
            assert (code, "Sending failed" in text) == (1, True), text
            for line in lines:
                assert line in text, text

        await told(
            "the copy to bounces.acme.test did not come back: refused for <",
            "domain bounces.acme.test does not exist",
            "the MX record of bounces.acme.test must lead to relay.test",
        )
        relay.names.add("bounces.acme.test. MX 10 relay.test.")
        await told(
            "✗ DKIM: acme.test, selector s1: ",
            "DMARC: fail: nothing speaks for acme.test",
            "publish what `relay domain records acme.test` shows",
        )
        relay.names.add('bounces.acme.test. TXT "v=spf1 ip4:127.0.0.0/8 -all"')
        assert (await relay.ran(*sent))[0] == 0
        mailbox.always("RCPT", Say("550 5.1.1 no such user"))
        await told("refused for <owner@reader.test>: 550 5.1.1 no such user")


ELSEWHERE = """
[domains."one.test"]
tracking = { base_url = "http://t.one.test" }
[domains."two.test"]
tracking = { base_url = "http://127.0.0.1:9" }
"""


async def test_failures_of_the_tracking_step_have_an_action(tmp_path: Path) -> None:
    async with relay_and_mailbox(tmp_path, more=ELSEWHERE) as (relay, _):
        code, text = await relay.ran("identity", "verify", "x@one.test", "--step", "tracking")
        assert (code, "there is no test mail yet" in text) == (1, True), text
        for identity, told, fix in (
            ("x@one.test", "t.one.test does not exist in DNS", "publish a CNAME of t.one.test to relay.test"),
            (
                "x@two.test",
                "nothing answers at http://127.0.0.1:9",
                "pass /o/, /c/, /u/, /v/ and /verify on to 127.0.0.1:",
            ),
        ):
            code, text = await relay.ran("identity", "verify", identity, "--step", "sending")
            assert (code, "no copy comes back to this relay" in text) == (0, True), text
            code, text = await relay.ran("identity", "verify", identity, "--step", "tracking")
            assert (code, told in text, fix in text) == (1, True, True), text


async def test_identity_files_never_make_the_configuration_invalid(tmp_path: Path) -> None:
    async with relay_and_mailbox(tmp_path) as (relay, _):
        code, text = await relay.ran("identity", "add", "big@acme.test", "--daily-limit", "9999")
        assert (code, "9999 is over limits.identity_daily_ceiling" in text) == (78, True), text
        assert list((tmp_path / "conf.d").iterdir()) == []
        assert "jane2@acme.test is in" not in await relay.run("identity", "add", "Jane", "--no-reload")
        assert (await relay.run("identity", "add", "Jane", "--no-reload")).startswith("jane2@acme.test is in ")
        file = tmp_path / "conf.d" / "identity-jane@acme.test.toml"
        assert file.stat().st_mode & 0o777 == relay.config.stat().st_mode & 0o666
        code, text = await relay.ran("identity", "add", "jane@acme.test", "--company", "Acme")
        assert (code, "use --force to replace it" in text) == (64, True), text
        await relay.run("identity", "add", "jane@acme.test", "--company", "Acme", "--force", "--reload")
        assert 'company = "Acme"' in file.read_text()
        found: list[dict[str, Any]] = await relay.json("identity", "list")
        assert [(one["address"], one["company"], one["verified"]) for one in found] == [
            ("jane2@acme.test", "", False),
            ("jane@acme.test", "Acme", False),
        ]
        await relay.run("identity", "remove", "jane2@acme.test", "--reload")
        assert [one["address"] for one in await relay.json("identity", "list")] == ["jane@acme.test"]
        code, text = await relay.ran("identity", "remove", "jane2@acme.test")
        assert code == 64, text

        slow = ("identity", "add", "slow@acme.test", "--forward-to", "o@reader.test", "--hourly-limit", "1", "--reload")
        await relay.run(*slow)
        for told in (False, True):
            code, text = await relay.ran("identity", "verify", "slow@acme.test", "--step", "receiving")
            assert (code, "the sending limit is used up: the mail leaves at" in text) == (75, told), text
