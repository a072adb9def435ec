"""Mail to identities end to end: a relay that is the MX of their domain, a name server, and two mail hosts.

app ──▶ relay ──MX──▶ rcpt.test (Ben) ──answer to rita@acme.test──▶ the relay ──MX──▶ home.test (the owner)
"""

import asyncio
import re
import smtplib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import pytest

from relay.config import check
from relay.domains.key_files import load_keys
from relay.rewrite.tokens import Kind, Token, cc_address, sign_address_token
from tests.ports import free_port
from tests.servers.dns_server import DnsServer, Trouble
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import until

RELAY, BEN, OWNER = "127.0.0.2", "127.0.0.3", "127.0.0.4"

ZONE = f"""
acme.test. MX 10 mail.relay.test.
bounces.acme.test. MX 10 mail.relay.test.
bounces.acme.test. TXT "v=spf1 ip4:127.0.0.0/8 -all"
mail.relay.test. A {RELAY}
away.test. MX 10 mx.home.test.
away.test. MX 20 mail.relay.test.
rcpt.test. MX 10 mx.rcpt.test.
rcpt.test. TXT "v=spf1 ip4:127.0.0.0/8 -all"
mx.rcpt.test. A {BEN}
home.test. MX 10 mx.home.test.
mx.home.test. A {OWNER}
strict.test. TXT "v=spf1 -all"
_dmarc.strict.test. TXT "v=DMARC1; p=reject"
loose.test. TXT "v=spf1 -all"
_dmarc.loose.test. TXT "v=DMARC1; p=none"
"""

RITA, CARL, GUS = "rita@acme.test", "carl@acme.test", "gus@acme.test"

CONFIG = """
[server]
hostname = "relay.test"
[alerts]
mail_to = ["owner@home.test"]
[delivery]
allow_networks = ["127.0.0.0/8"]
[domains."acme.test"]
return_path = "bounces.acme.test"
reply_domain = "bounces.acme.test"
[identities."rita@acme.test"]
forward_to = ["owner@home.test"]
reply_tracking = false
[identities."carl@acme.test"]
forward_to = ["owner@home.test"]
reply_tracking = false
cc_forward = true
forward_spam = true
[identities."gus@acme.test"]
[identities."ann@away.test"]
forward_to = ["owner@home.test"]
"""


class Relay(RelayProcess):
    """A relay that delivers by MX, and is the MX of acme.test."""

    def __init__(self, folder: Path, names: int, mail_port: int, more: str) -> None:
        self.mail_port = mail_port
        listening = f"""
[resolver]
nameservers = ["127.0.0.1:{names}"]
[[listener]]
name = "mx"
kind = "inbound"
address = "{RELAY}:{mail_port}"
"""
        super().__init__(folder, mail_port, listening + more)

    def _toml(self, sink_port: int, more: str) -> str:
        whole = super()._toml(sink_port, more.replace('[server]\nhostname = "relay.test"\n', ""))
        return whole.replace('[defaults]\nprovider = "sink"', "").replace(
            "[delivery]", f"[delivery]\nport = {self.mail_port}"
        )

    async def send(self, author: str = RITA, to: str = "ben@rcpt.test", more: str = "") -> str:
        """Hand a mail in, and return its queue id."""
        content = f"From: {author}\r\nTo: {to}\r\nSubject: Offer\r\nMessage-ID: <offer@acme.test>\r\n{more}\r\nHi.\r\n"
        code, text = await asyncio.to_thread(_give, "127.0.0.1", self.port, author, to, content.encode())
        assert code == 250, text
        return text.split()[-1]

    async def give(self, to: str, content: str, reverse_path: str = "ben@rcpt.test") -> tuple[int, str]:
        """Have another mail host bring a mail; return the last reply."""
        whole = content.replace("\n", "\r\n").encode()
        return await asyncio.to_thread(_give, RELAY, self.mail_port, reverse_path, to, whole)

    async def events(self, key: str) -> list[dict[str, Any]]:
        """Return the events that answers made in the timeline of a message."""
        (story,) = await self.json("trace", key)
        return [one for one in story["events"] if one["event"] in ("reply", "unsubscribe", "bounced")]

    def keyring(self) -> Any:
        settings, _, _ = check(self.config, {})
        assert settings is not None
        return load_keys(settings, lambda *_, **__: None).tokens


class World:
    """Everything, on loopback."""

    def __init__(self, folder: Path, config: str = CONFIG, trouble: dict[str, Trouble] | None = None) -> None:
        self._folder = folder
        self._config = config
        self._trouble = trouble
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        port = free_port()
        self.names = await self._stack.enter_async_context(DnsServer(ZONE, self._trouble))
        self.ben = await self._stack.enter_async_context(Sink(address=BEN, port=port, name="mx.rcpt.test"))
        self.owner = await self._stack.enter_async_context(Sink(address=OWNER, port=port, name="mx.home.test"))
        self.relay = await self._stack.enter_async_context(Relay(self._folder, self.names.port, port, self._config))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path) as found:
        yield found


def answer(text: str, *, author: str = "Ben <ben@rcpt.test>", more: str = "", name: str = "re") -> str:
    return f"From: {author}\nTo: {RITA}\nSubject: Re: Offer\nMessage-ID: <{name}@rcpt.test>\n{more}\n{text}\n"


async def test_an_answer_to_the_address_of_an_identity_is_joined_and_forwarded(world: World) -> None:
    sent = await world.relay.send()
    (offer,) = await world.ben.received(1)
    assert b"Reply-To" not in offer.content
    joined = answer("Two, please.", more="In-Reply-To: <offer@acme.test>\n")
    assert (await world.relay.give(RITA, joined))[0] == 250
    (home,) = await world.owner.received(1)
    assert home.recipients == ["owner@home.test"]
    assert home.content.endswith(joined.replace("\n", "\r\n").encode())
    assert home.reverse_path.endswith("=ben@bounces.acme.test")
    by_author = answer("And one more.", name="re2")
    assert (await world.relay.give('"Rita"@ACME.test', by_author))[0] == 250
    assert len(await world.owner.received(2)) == 2
    replies = await world.relay.events(sent)
    assert [(one["event"], one["recipient"]) for one in replies] == [("reply", "ben@rcpt.test")] * 2


async def test_new_mail_to_an_identity_is_forwarded_and_an_application_can_write_to_it(world: World) -> None:
    fresh = answer("Hello, do you sell tea?", author="eve@rcpt.test")
    code, text = await world.relay.give(RITA, fresh)
    assert (code, text.split()[:3]) == (250, ["2.0.0", "Ok:", "queued"])
    assert (await world.owner.received(1))[0].content.endswith(fresh.replace("\n", "\r\n").encode())
    await world.relay.send(author=CARL, to=RITA)
    assert len(await world.owner.received(2)) == 2
    robot = answer("I am away.", author="eve@rcpt.test", more="Auto-Submitted: auto-replied\n", name="v")
    assert (await world.relay.give(RITA, robot, ""))[0] == 250
    assert [one["subject"] for one in await world.relay.json("report", "untied")] == ["Re: Offer"]
    assert len(world.owner.messages) == 2


async def test_generated_mail_that_answers_nothing_is_forwarded(world: World) -> None:
    await world.relay.send()
    generated = "Auto-Submitted: auto-generated\n"
    for number, author in enumerate(("bank@rcpt.test", "ben@rcpt.test"), 1):
        invoice = answer("Your invoice.", author=author, more=generated, name=f"i{number}")
        assert (await world.relay.give(RITA, invoice, author))[0] == 250
        assert (await world.owner.received(number))[-1].recipients == ["owner@home.test"]
    ticket = answer("Ticket 4711.", more=f"{generated}In-Reply-To: <offer@acme.test>\n", name="t")
    assert (await world.relay.give(RITA, ticket))[0] == 250
    await asyncio.sleep(0.3)
    assert len(world.owner.messages) == 2


async def test_the_code_to_an_identity_at_this_relay_is_forwarded(world: World) -> None:
    code, text = await world.relay.ran("identity", "verify", RITA)
    assert code == 75, text
    (home,) = await world.owner.received(1)
    found = re.search(rb"Subject: (\d{6}) is the code", home.content)
    assert found is not None
    code, text = await world.relay.ran("identity", "verify", RITA, "--otp", found[1].decode())
    assert (code, "Address verified, " in text) == (0, True), text
    for address, why in ((GUS, "550 5.2.1"), ("nobody@acme.test", "550 5.1.1")):
        code, text = await world.relay.ran("identity", "verify", address)
        assert (code, why in text, "set forward_to under" in text) == (1, True, True), text


async def test_a_copy_of_its_own_mail_is_no_answer(world: World) -> None:
    sent = await world.relay.send(to=RITA)
    assert len(await world.owner.received(1)) == 1
    assert await world.relay.events(sent) == []


async def test_who_takes_no_mail_says_so_at_rcpt(world: World) -> None:
    async def refused(to: str) -> tuple[int, str]:
        code, text = await world.relay.give(to, answer("Hello"))
        return code, text.split()[0]

    assert await refused(GUS) == (550, "5.2.1")
    assert await refused("nobody@acme.test") == (550, "5.1.1")
    assert await refused("postmaster@rcpt.test") == (550, "5.1.1")


async def test_a_backup_exchanger_takes_mail_too(world: World) -> None:
    assert (await world.relay.give("ann@away.test", answer("Hello")))[0] == 250
    (home,) = await world.owner.received(1)
    assert home.recipients == ["owner@home.test"]


async def test_while_dns_is_silent_mail_waits_at_its_sender(tmp_path: Path) -> None:
    config = CONFIG + '[identities."li@late.test"]\nforward_to = ["owner@home.test"]\n'
    async with World(tmp_path, config, {"late.test": "SERVFAIL"}) as world:
        code, text = await world.relay.give("li@late.test", answer("Hello"))
        assert (code, text.split()[0]) == (451, "4.4.3")


async def test_postmaster_and_abuse_are_read_by_the_operator(world: World) -> None:
    places = [
        "Postmaster@acme.test",
        "abuse@ACME.test",
        "abuse@bounces.acme.test",
        "postmaster@relay.test",
        "postmaster",
    ]
    for number, to in enumerate(places, 1):
        spam = answer("Look at this", author="eve@strict.test", more="X-Spam-Flag: YES\n", name=str(number))
        assert (await world.relay.give(to, spam))[0] == 250, to
        assert (await world.owner.received(number))[-1].recipients == ["owner@home.test"]


async def test_without_an_operator_they_say_so(tmp_path: Path) -> None:
    async with World(tmp_path, CONFIG.replace('mail_to = ["owner@home.test"]', "")) as world:
        code, text = await world.relay.give("postmaster@acme.test", answer("Hello"))
        assert (code, text.split()[0]) == (550, "5.2.1")
        _, text = await world.relay.ran("config", "check")
        assert "alerts.mail_to: is empty, so mail to postmaster@ and abuse@ is refused" in text


async def test_mail_to_a_return_path_is_read_or_refused_with_the_address_to_write_to(world: World) -> None:
    sent = await world.relay.send()
    (offer,) = await world.ben.received(1)
    assert offer.reverse_path.endswith("@bounces.acme.test")
    assert (await world.relay.give(offer.reverse_path, answer("Two, please.")))[0] == 250
    await world.owner.received(1)
    code, text = await world.relay.give(offer.reverse_path, answer("Two, please.", name="x"), "")
    assert (code, text.split()[0]) == (550, "5.7.1")
    assert f"<{RITA}>" in text
    assert len(await world.relay.events(sent)) == 1


@pytest.mark.parametrize("mark", ["X-Spam-Flag: YES\n", "X-Spam-Status: Yes, score=9\n", ""])
async def test_spam_and_forged_mail_is_recorded_and_stays_here(world: World, mark: str) -> None:
    author = "ben@rcpt.test" if mark else "ceo@strict.test"
    sent = await world.relay.send(to=author) if mark else ""
    spam = answer("unsubscribe", author=author, more=f"{mark}In-Reply-To: <offer@acme.test>\n")
    assert (await world.relay.give(RITA, spam, author))[0] == 250
    assert world.owner.messages == []
    (listed,) = await world.relay.json("report", "untied", "--spam")
    assert (listed["from"], listed["why"]) == (author, "spam")
    if sent:
        assert await world.relay.events(sent) == []
    assert await world.relay.json("unsubscribe", "list") == []
    assert (await world.relay.give(CARL, answer("buy", author=author, more=mark, name="s2"), author))[0] == 250
    assert (await world.relay.give(RITA, answer("hi", author="ben@loose.test", name="s3"), "ben@loose.test"))[0] == 250
    assert len(await world.owner.received(2)) == 2


async def test_the_cc_address_needs_no_in_reply_to(world: World) -> None:
    ring = world.relay.keyring()
    rita, carl = (cc_address(ring, one, "bounces.acme.test") for one in (RITA, CARL))
    sent = await world.relay.send(more="X-Relay-Campaign: autumn\n")
    await world.ben.received(1)
    assert (await world.relay.give(rita, answer("Two, please.")))[0] == 250
    assert (await world.relay.give(rita, answer("Abmelden", name="u1")))[0] == 250
    assert [one["event"] for one in await world.relay.events(sent)] == ["reply", "unsubscribe"]
    stranger = answer("unsubscribe", author="zoe@rcpt.test", name="u2")
    assert (await world.relay.give(rita, stranger))[0] == 250
    left = await world.relay.json("unsubscribe", "list")
    assert [(one["address"], one["campaign"]) for one in left] == [("ben@rcpt.test", "autumn"), ("zoe@rcpt.test", "")]
    assert (await world.relay.give(rita, answer("Who are you?", author="eve@rcpt.test", name="e")))[0] == 250
    listed = await world.relay.json("report", "untied")
    assert [(one["from"], one["identity"]) for one in listed] == [("eve@rcpt.test", RITA), ("zoe@rcpt.test", RITA)]
    assert "eve@rcpt.test" in await world.relay.run("report", "untied")
    assert world.owner.messages == []

    assert (await world.relay.give(carl, answer("Who are you?", author="eve@rcpt.test", name="c")))[0] == 250
    (home,) = await world.owner.received(1)
    assert (await world.relay.give(carl, home.content.decode().replace("\r\n", "\n"), home.reverse_path))[0] == 250
    await asyncio.sleep(0.3)
    assert len(world.owner.messages) == 1


async def test_forward_to_alone_forwards_answers_by_a_signed_reply_to(tmp_path: Path) -> None:
    async with World(tmp_path, CONFIG.replace("reply_tracking = false\n", "")) as world:
        sent = await world.relay.send()
        (offer,) = await world.ben.received(1)
        token = sign_address_token(world.relay.keyring(), Token(Kind.REPLY, sent, 0))
        assert f"{token}@bounces.acme.test".encode() in offer.content
        assert (await world.relay.give(f"{token}@bounces.acme.test", answer("Two, please.")))[0] == 250
        assert len(await world.owner.received(1)) == 1
        await world.relay.send(more="Reply-To: sales@acme.test\n")
        assert b"\r\nReply-To: sales@acme.test\r\n" in (await world.ben.received(2))[1].content


async def test_bounces_to_the_address_of_an_identity_are_recorded_for_their_message(world: World) -> None:
    sent = await world.relay.send()
    await world.ben.received(1)
    bounce = (
        "From: MAILER-DAEMON@mx.rcpt.test\nSubject: Undelivered Mail Returned to Sender\nMIME-Version: 1.0\n"
        "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nTrouble.\n\n--b\n"
        "Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.rcpt.test\n\n"
        "Final-Recipient: rfc822; ben@rcpt.test\nAction: failed\nStatus: 5.1.1\n\n--b\n"
        "Content-Type: text/rfc822-headers\n\nMessage-ID: <offer@acme.test>\n\n--b--\n"
    )
    assert (await world.relay.give(RITA, bounce, ""))[0] == 250
    (event,) = await until(lambda: world.relay.events(sent))
    assert (event["event"], event["recipient"]) == ("bounced", "ben@rcpt.test")
    assert world.owner.messages == []


async def test_the_test_of_an_identity_has_an_answer_come_back_by_the_mx(world: World) -> None:
    relay = world.relay
    assert (await relay.ran("identity", "verify", RITA, "--step", "sending"))[0] == 0
    code, text = await relay.ran("identity", "verify", RITA, "--step", "receiving")
    assert code == 75, text
    assert f"answers to {RITA} come to this relay, the MX of acme.test, and go to owner@home.test" in text
    assert "a test response came back by acme.test and is recorded" in text
    code, text = await relay.ran("identity", "verify", GUS, "--step", "receiving")
    assert (code, "it has no reader: 550 5.2.1" in text, "set forward_to under" in text) == (1, True, True), text
    code, text = await relay.ran("identity", "verify", "ann@away.test", "--step", "receiving")
    assert (code, "forward_to gets no answers" in text) == (75, True), text
    assert "answers to ann@away.test go to mx.home.test, the MX of away.test" in text


async def test_lost_answers_are_reported_wherever_an_identity_is_set_up(world: World) -> None:
    code, text = await world.relay.ran("config", "check")
    assert code == 78, text
    assert 'identities."ann@away.test": forward_to gets no answers' in text
    assert 'set reply_domain under [domains."away.test"]' in text
    assert f'warning: identities."{GUS}"' in text
    code, text = await world.relay.ran("identity", "add", "zed@acme.test", "--no-reload")
    assert (code, "it has no reader: 550 5.2.1" in text) == (0, True), text
    code, text = await world.relay.ran("identity", "add", "yan@acme.test", "--forward-to", "o@home.test", "--no-reload")
    assert (code, "550 5.2.1" in text) == (0, False), text
    shown = await world.relay.run("identity", "show", RITA)
    assert "come to this relay, the MX of acme.test" in shown


async def test_a_fixed_reply_to_is_shown_and_warned_of(tmp_path: Path) -> None:
    config = CONFIG.replace('[identities."gus@acme.test"]', '[identities."gus@acme.test"]\nreply_to = "x@home.test"')
    config = config.replace('[identities."ann@away.test"]\nforward_to = ["owner@home.test"]\n', "")
    async with World(tmp_path, config.replace("reply_tracking = false\ncc_", 'reply_to = "y@home.test"\ncc_')) as world:
        assert "x@home.test (fixed: replies are not tracked)" in await world.relay.run("identity", "show", GUS)
        code, text = await world.relay.ran("config", "check")
        assert (code, "forward_to gets none" in text) == (0, True), text


async def test_the_domain_of_forwards_has_an_spf_record_also_with_a_bounce_mailbox(tmp_path: Path) -> None:
    imap = '[bounces.imap]\nhost = "127.0.0.1"\nport = 9\ntls = "none"\nusername = "b"\npassword = "b"\n'
    config = CONFIG.replace('reply_domain = "bounces.acme.test"', 'reply_domain = "reply.acme.test"') + imap
    async with World(tmp_path, config) as world:
        zone = await world.relay.run("domain", "records", "acme.test", "--zone")
        assert 'reply.acme.test. IN TXT "v=spf1 a:relay.test ~all"' in zone
        _, text = await world.relay.ran("domain", "check", "acme.test")
        assert "reply.acme.test" in text
        assert (await world.relay.give(RITA, answer("Two, please.")))[0] == 250
        (home,) = await world.owner.received(1)
        assert home.reverse_path.endswith("=ben@reply.acme.test")


def _give(host: str, port: int, reverse_path: str, to: str, content: bytes) -> tuple[int, str]:
    with smtplib.SMTP(host, port, local_hostname="mx.rcpt.test", timeout=20) as client:
        client.ehlo()
        client.mail(reverse_path)
        code, text = client.docmd(f"RCPT TO:<{to}>")
        if code == 250:
            code, text = client.data(content)
        return code, text.decode()
