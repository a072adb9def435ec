"""The steps of the demo: start the servers, send, show the mail, read it, show the timeline."""

import asyncio
import email
import email.policy
import re
import smtplib
import socket
import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import aiohttp
import dkim
from bs4 import BeautifulSoup

from relay.app.relay import App
from relay.cli.demo.servers import Mailbox, NameServer
from relay.config.settings import Settings
from relay.domains.key_files import write_key
from relay.mail.transaction import Transaction
from relay.mailauth.dkim_keys import dns_record, generate_key, load_key, record_name, zone_line
from relay.reports.ports import MessageQuery, Story
from relay.reports.serialize import event_json
from relay.smtp_in import SmtpServer

Say = Callable[[str], None]

DOMAIN = "lighthouse.test"

READERS = "reader.test"

SELECTOR = "s1"

STEP_TIMEOUT = 20.0
"""Seconds for each step, at most; then the demo fails."""


class DemoFailedError(Exception):
    """A step of the demo failed."""


async def run_demo(say: Say, *, keep: bool) -> int:
    """Run the demo and return the exit code; with `keep`, run until interrupted."""
    with tempfile.TemporaryDirectory(prefix="relay-demo-") as folder:
        demo = Demo(Path(folder), say)
        try:
            await demo.start()
            await demo.send()
            await demo.show_mail()
            await demo.read()
            await demo.show_timeline()
            if keep:
                demo.show_settings()
                await asyncio.Event().wait()
        except DemoFailedError as error:
            say(f"The demo failed: {error}")
            return 1
        finally:
            await demo.stop()
    say("\nThe demo is complete. `relay demo --keep` keeps it running; README.md has the next steps.")
    return 0


class Demo:
    """The servers of the demo, and its steps."""

    def __init__(self, folder: Path, say: Say) -> None:
        self._folder = folder
        self._say = say
        self._mailbox = Mailbox()
        self._pem = generate_key("rsa-sha256")
        self._record = dns_record(load_key(self._pem, DOMAIN, SELECTOR)).encode()
        self._app: App | None = None
        self._receiver: SmtpServer | None = None
        self._names: NameServer | None = None

    async def start(self) -> None:
        """Start name server, receiving server and relay."""
        self._names = NameServer(
            {
                (READERS, "MX"): f"10 mx.{READERS}.",
                (f"mx.{READERS}", "A"): "127.0.0.1",
                (DOMAIN, "MX"): f"10 mx.{READERS}.",
                (record_name(SELECTOR, DOMAIN), "TXT"): _txt(self._record.decode()),
            }
        )
        dns_port = await self._names.start()

        self._receiver = await self._start_receiver()
        write_key(self._folder, DOMAIN, SELECTOR, self._pem)
        self._app = App(_settings(self._folder, dns_port, self._receiver.port))
        await self._app.start()

        self._say(f"1. The relay listens on 127.0.0.1:{self._port()}, its tracker on {self._tracker_url()}.")
        self._say(
            f"   Mail for {READERS} goes to a server of the demo, found by its MX record. No mail leaves this machine."
        )

        verified = await self._app.inbound.verifier.check(f"news@{DOMAIN}")
        if verified["state"] != "passed":
            raise DemoFailedError(f"the key of {DOMAIN} is not in DNS: {verified['remarks']}")
        self._say(f"   {DOMAIN} may send campaigns: its signing key is in DNS (relay identity verify --dns).")

    async def stop(self) -> None:
        """Stop the servers that were started."""
        if self._app is not None:
            await self._app.stop()
        if self._receiver is not None:
            await self._receiver.stop(1)
        if self._names is not None:
            self._names.stop()

    async def send(self) -> None:
        """Send the mails as an application would."""
        self._say("\n2. An application sends a newsletter to Ada, and an invoice to Grace and to an unknown mailbox:")
        for name, sender, recipients in (
            ("newsletter.eml", f"news@{DOMAIN}", [f"ada@{READERS}"]),
            ("invoice.eml", f"billing@{DOMAIN}", [f"grace@{READERS}", f"nobody@{READERS}"]),
        ):
            content = (files("relay.cli.demo") / name).read_bytes()
            reply = await asyncio.to_thread(_send, self._port(), sender, recipients, content)
            self._say(f"   {name:<15} → {reply}")

        # Newsletter, invoice, and the DSN for the address that does not exist.
        if not await self._mailbox.wait_for(3, STEP_TIMEOUT):
            raise DemoFailedError(f"only {len(self._mailbox.mails)} of 3 mails arrived within {STEP_TIMEOUT:g} s")

    async def show_mail(self) -> None:
        """Show the delivered newsletter: links, pixel, signature."""
        mail = self._newsletter()
        soup = BeautifulSoup(_html(mail.content), "html.parser")
        self._say("\n3. The newsletter as Ada's server received it:")
        for link in soup.find_all("a"):
            self._say(f"   {_short(link.get_text(' ', strip=True)):<34} {_short(str(link.get('href')), 60)}")
        pixels = soup.find_all("img", src=re.compile("/o/"))
        self._say(f"   and {len(pixels)} open pixel: {_short(str(pixels[0]['src']), 60)}")

        verdict: bool = dkim.verify(mail.content, dnsfunc=self._dkim_record)  # type: ignore[no-untyped-call]
        self._say(f"   DKIM verified by dkimpy, with the key from DNS: {'pass' if verdict else 'FAIL'}")
        if not verdict or len(pixels) != 1:
            raise DemoFailedError("the newsletter has no valid signature, or not exactly one pixel")

    async def read(self) -> None:
        """Open the mail and follow a link, as Ada's mail program would."""
        soup = BeautifulSoup(_html(self._newsletter().content), "html.parser")
        pixel = str(soup.find("img", src=re.compile("/o/"))["src"])  # type: ignore[index]
        link = next(str(one["href"]) for one in soup.find_all("a") if "/c/" in str(one["href"]))

        self._say("\n4. Ada opens it and follows the first link:")
        headers = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Thunderbird/140.0"}
        async with aiohttp.ClientSession(headers=headers) as reader:
            async with reader.get(pixel) as answer:
                self._say(f"   GET {_short(pixel, 50)} → {answer.status} {answer.content_type}")
            async with reader.get(link, allow_redirects=False) as answer:
                self._say(f"   GET {_short(link, 50)} → {answer.status} {answer.headers['Location']}")

    async def show_timeline(self) -> None:
        """Show the timelines of both messages."""
        self._say("\n5. The timeline, as `relay trace` shows it:")
        stories = await self._stories()
        for story in stories:
            self._say(f"   {story.message.queue_id}  {story.message.header_from}")
            for event in story.events:
                form = event_json(event)
                detail = form.get("reply") or form.get("target") or form.get("lane") or ""
                self._say(f"     {form['at']}  {form['event']:<10} {form['recipient']:<19} {_short(str(detail), 64)}")

    def show_settings(self) -> None:
        """Show the settings for an application."""
        self._say("\n6. The demo keeps running. Settings for your application:")
        self._say(f"   host 127.0.0.1   port {self._port()}   no encryption, no user name")
        self._say(f"   From: anything@{DOMAIN}   To: anyone@{READERS} (other addresses are not delivered)")
        config = self._folder / "relay.toml"
        config.write_text(f'[server]\nhostname = "relay.test"\ndata_dir = "{self._folder}"\n', encoding="utf-8")
        self._say("   To see the result:")
        for question in ("report messages --meta invoice=1042", f"trace nobody@{READERS}", "report bounces"):
            self._say(f"   relay {question} -c {config}")
        self._say("   Ctrl-C stops it.")

    async def _start_receiver(self) -> SmtpServer:
        settings = Settings.model_validate(
            {
                "server": {"hostname": f"mx.{READERS}", "data_dir": str(self._folder)},
                "listener": [{"name": "mx", "kind": "inbound", "address": "127.0.0.1:0"}],
            }
        )
        server = SmtpServer(
            settings.listeners[0], lambda: settings, self._mailbox, log=_quiet, on_store_error=lambda _: None
        )
        await server.start()
        return server

    async def _stories(self) -> list[Story]:
        """Wait until open, click and bounce are recorded; return newsletter and invoice with their events."""
        assert self._app is not None
        deadline = asyncio.get_running_loop().time() + STEP_TIMEOUT
        while True:
            stories = [one for one in await self._app.store.reports.stories(MessageQuery()) if one.message.reverse_path]
            kinds = {event.kind.value for story in stories for event in story.events}
            if {"open", "click", "bounced"} <= kinds:
                return stories[::-1]
            if asyncio.get_running_loop().time() > deadline:
                raise DemoFailedError(f"the timeline has only {', '.join(sorted(kinds))}")
            await asyncio.sleep(0.05)

    def _newsletter(self) -> Transaction:
        return next(mail for mail in self._mailbox.mails if b"lighthouse-42" in mail.content)

    def _dkim_record(self, name: bytes, timeout: int = 5) -> bytes:  # noqa: ARG002 - dkimpy's signature
        return self._record if name.decode().rstrip(".") == record_name(SELECTOR, DOMAIN) else b""

    def _port(self) -> int:
        assert self._app is not None
        return self._app.port("submission")

    def _tracker_url(self) -> str:
        assert self._app is not None
        return self._app.settings().tracker.base_url


def _settings(folder: Path, dns_port: int, receiver_port: int) -> Settings:
    tracker_port = _free_port()
    return Settings.model_validate(
        {
            "server": {"hostname": "relay.test", "data_dir": str(folder)},
            "listener": [{"name": "submission", "address": "127.0.0.1:0"}],
            "tracker": {"address": f"127.0.0.1:{tracker_port}"},
            "resolver": {"nameservers": [f"127.0.0.1:{dns_port}"]},
            "delivery": {"port": receiver_port, "allow_networks": ["127.0.0.0/8"]},
            "domains": {DOMAIN: {"dkim": {"selectors": [SELECTOR]}}},
            "log": {"file": "relay.log"},
        }
    )


def _free_port() -> int:
    """Return an unused TCP port: links contain the address of the tracker, so it must be known before the start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _txt(text: str) -> str:
    """Return a text in the form of a TXT record."""
    return zone_line("", text).partition(" IN TXT ")[2]


def _send(port: int, sender: str, recipients: list[str], content: bytes) -> str:
    with smtplib.SMTP("127.0.0.1", port) as client:
        client.ehlo()
        client.mail(sender)
        for recipient in recipients:
            client.rcpt(recipient)
        code, text = client.data(content)
        return f"{code} {text.decode()}"


def _html(content: bytes) -> bytes:
    """Return the decoded HTML part."""
    part = email.message_from_bytes(content, policy=email.policy.default).get_body(("html",))
    payload = None if part is None else part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _short(text: str, width: int = 34) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _quiet(line: str, **fields: object) -> None:
    """Discard a log line of the receiving server."""
