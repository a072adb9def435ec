"""The tracker behind the proxies of docs/proxies.md: the client is who it is, whatever it claims; links stay whole."""

import asyncio
import email
import email.policy
import re
import smtplib
import socket
import ssl
from email.message import EmailMessage
from pathlib import Path

import pytest
import trustme

from tests.servers.http_proxies import HttpProxy
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink
from tests.servers.waiting import until

CLIENT = "127.0.0.5"

TARGET = "https://shop.example/a%2Fb/?q=" + "x%20y+z/../" * 300
"""A target of 3,000 octets with what proxies like to tidy up."""

FORGED = "X-Forwarded-For: 203.0.113.9\r\nForwarded: for=203.0.113.9\r\n"

READER = "Mozilla/5.0 (X11; Linux x86_64) Thunderbird/140.0"


@pytest.mark.parametrize("name", ["nginx", "caddy", "traefik"])
async def test_a_click_through_the_proxy(name: str, tmp_path: Path) -> None:
    authority = trustme.CA()
    made = authority.issue_cert("t.example.com")
    certificate, key = tmp_path / "t.pem", tmp_path / "t.key"
    certificate.write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems))
    made.private_key_pem.write_to_path(str(key))
    context = ssl.create_default_context()
    authority.configure_trust(context)

    async with Sink() as sink:
        relay = RelayProcess(tmp_path, sink.port)
        async with HttpProxy(name, tmp_path, relay.tracker_port, certificate, key) as proxy:
            settings = (
                f'base_url = "https://t.example.com:{proxy.port}"\ntrusted_proxies = ["127.0.0.1"]\nguard = false'
            )
            relay.config.write_text(relay.config.read_text().replace("[tracker]\n", f"[tracker]\n{settings}\n"))
            async with relay:
                await asyncio.to_thread(send, relay.port)
                (received,) = await sink.received(1)
                links = links_of(received.content, proxy.port)
                for link, first, location in zip(links, ("200", "302"), ("", TARGET), strict=True):
                    answer = await asyncio.to_thread(ask, proxy.port, link, context)
                    assert answer.startswith(f"HTTP/1.1 {first} "), answer
                    found = re.search(r"^location: (.*?)\r$", answer, re.MULTILINE | re.IGNORECASE)
                    assert (found[1] if found else "") == location
                events = await until(lambda: seen(relay))
    assert dict(events) == {"open": CLIENT, "click": CLIENT}


async def seen(relay: RelayProcess) -> list[tuple[str, str]]:
    """Return kind and client of the events of a reader, once there are two."""
    (story,) = await relay.json("trace", "ada@rcpt.test")
    found = [(event["event"], event["client"]) for event in story["events"] if event["event"] in ("open", "click")]
    return found if len(found) == 2 else []


def send(port: int) -> None:
    """Send a mail with one long link."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "shop@app.test", "ada@rcpt.test", "Order"
    mail.set_content("Hello")
    mail.add_alternative(f'<p><a href="{TARGET}">order</a></p>', subtype="html")
    with smtplib.SMTP("127.0.0.1", port, timeout=20) as client:
        client.send_message(mail)


def links_of(content: bytes, port: int) -> tuple[str, str]:
    """Return the paths of pixel and link."""
    part = email.message_from_bytes(content, policy=email.policy.default).get_body(("html",))
    assert part is not None
    html = part.get_content()
    base = re.escape(f"https://t.example.com:{port}")
    (pixel,) = re.findall(rf'src="{base}(/o/[^"]+)"', html)
    (link,) = re.findall(rf'href="{base}(/c/[^"]+)"', html)
    return pixel, link


def ask(port: int, path: str, context: ssl.SSLContext) -> str:
    """Request a path from an address that is not the proxy's, with forged fields; return the head of the answer."""
    request = f"GET {path} HTTP/1.1\r\nHost: t.example.com\r\nUser-Agent: {READER}\r\n{FORGED}Connection: close\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(CLIENT, 0)) as plain,
        context.wrap_socket(plain, server_hostname="t.example.com") as client,
    ):
        client.sendall(request.encode())
        answer = b""
        while b"\r\n\r\n" not in answer and (more := client.recv(65536)):
            answer += more
    return answer.partition(b"\r\n\r\n")[0].decode() + "\r\n"
