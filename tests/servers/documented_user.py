"""What setup markers of the documentation do: send a mail, wait for an event, read a mail. See `documented_relay`."""

import email
import email.policy
import json
import os
import re
import smtplib
import subprocess
import sys
import time
import urllib.request
from email.message import EmailMessage
from pathlib import Path

SECONDS = 30.0
"""Seconds to wait for an event."""


def main(action: str, *arguments: str) -> None:
    match action, arguments:
        case "send", (sender, recipient, *fields):
            _send(sender, recipient, *fields)
        case "await", (kind, key):
            _await(kind, key)
        case "read", (address, *click):
            _read(address, click=bool(click))
        case _:
            sys.exit(f"not an action: {action} {arguments}")


def _send(sender: str, recipient: str, *fields: str) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, recipient, "Hello"
    for name, _, value in (field.partition(": ") for field in fields):
        mail[name] = value
    mail.set_content("Hello")
    mail.add_alternative('<p>Hello, <a href="https://example.com/">look</a></p>', subtype="html")
    with smtplib.SMTP("127.0.0.1", int(os.environ["DOCS_PORT"])) as client:
        client.ehlo()
        client.mail(sender)
        client.rcpt(recipient)
        code, reply = client.data(mail.as_bytes(policy=email.policy.SMTP))
    if code != 250:
        sys.exit(f"{code} {reply.decode()}")
    print(reply.decode().split()[-1])


def _await(kind: str, key: str) -> None:
    written, deadline = "", time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        written = subprocess.run(["relay", "trace", key, "--json"], capture_output=True, text=True, check=False).stdout
        if any(event["event"] == kind for line in written.splitlines() for event in json.loads(line)["events"]):
            return
        time.sleep(0.1)
    sys.exit(f"no event {kind} of {key}: {written}")


def _read(address: str, *, click: bool) -> None:
    newest = max((Path(os.environ["DOCS_MAIL"]) / address).iterdir())
    mail = email.message_from_bytes(newest.read_bytes(), policy=email.policy.default)
    part = mail.get_body(("html",))
    assert part is not None
    html = part.get_content()
    _fetch(re.findall(r'src="(http[^"]+/o/[^"]+)"', html)[0])
    if click:
        _fetch(re.findall(r'href="(http[^"]+/c/[^"]+)"', html)[0])


def _fetch(url: str) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Thunderbird/140.0"})
    opener = urllib.request.build_opener(_Stay)
    try:
        opener.open(request).close()
    except urllib.error.HTTPError as answer:
        answer.close()
        if answer.code != 302:
            raise


class _Stay(urllib.request.HTTPRedirectHandler):
    """Does not follow redirects: the target is not on this machine."""

    def redirect_request(self, *_: object) -> None:
        return None


if __name__ == "__main__":
    main(*sys.argv[1:])
