"""Ways in which a notice gets worse on its way: cut short, tagged, wrapped, encoded anew.

What is understood of it may get less certain, never wrong.
"""

import base64
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from relay.dsn.classify import classify_recipient
from relay.dsn.parse import parse
from relay.dsn.rules_file import built_in_rules
from tests.bounces.cases import SUPPRESSING, labels

RULES = built_in_rules()
Mutation = Callable[[bytes], bytes]
View = tuple[str, dict[str, tuple[str, str]]]
"""The kind of a mail, and what happened to each recipient with its category."""


def halves(mail: bytes) -> tuple[bytes, bytes]:
    """Return the header with its last line end, and the body."""
    head, _, body = mail.replace(b"\r\n", b"\n").partition(b"\n\n")
    return head + b"\n", body


def cut(share: float) -> Mutation:
    return lambda mail: mail[: int(len(mail) * share)]


def cut_body(share: float) -> Mutation:
    def mutation(mail: bytes) -> bytes:
        head, body = halves(mail)
        return head + b"\n" + body[: int(len(body) * share)]

    return mutation


def tagged(tag: bytes) -> Mutation:
    def mutation(mail: bytes) -> bytes:
        head, body = halves(mail)
        return re.sub(rb"(?im)^(subject:[ \t]*)", rb"\1" + tag + b" ", head, count=1) + b"\n" + body

    return mutation


def footer(mail: bytes) -> bytes:
    return (
        mail + b"\n-- \nThis message was scanned by the gateway of example.net.\nFor help write to help@example.net\n"
    )


def wrapped(mail: bytes) -> bytes:
    """Put the mail's own content beside a warning, as gateways do."""
    head, body = halves(mail)
    fields = re.split(rb"\n(?![ \t])", head.rstrip(b"\n"))
    own = [field for field in fields if field.lower().startswith(b"content-")]
    rest = [field for field in fields if not field.lower().startswith((b"content-", b"mime-version"))]
    outer = b'\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="outer"\n\n--outer\n\nCAUTION: external\n'
    return b"\n".join(rest) + outer + b"--outer\n" + b"\n".join(own) + b"\n\n" + body + b"\n--outer--\n"


def in_base64(mail: bytes) -> bytes:
    head, body = halves(mail)
    if b"multipart" in head.lower() or b"content-transfer-encoding" in head.lower():
        return mail
    return head + b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(body)


MUTATIONS: dict[str, Mutation] = {
    "cut at 25 %": cut(0.25),
    "cut at 50 %": cut(0.5),
    "cut at 75 %": cut(0.75),
    "cut at 90 %": cut(0.9),
    "body cut at 20 %": cut_body(0.2),
    "body cut at 40 %": cut_body(0.4),
    "body cut at 60 %": cut_body(0.6),
    "body cut at 30 %": cut_body(0.3),
    "body cut at 95 %": cut_body(0.95),
    "spam tag": tagged(b"***SPAM***"),
    "spam question": tagged(b"{Spam?}"),
    "gateway tag": tagged(b"[EXTERNAL]"),
    "footer": footer,
    "wrapped": wrapped,
    "base64": in_base64,
}

TWO_ADDRESSES = {
    "sisimai__lhost-exim-03.eml",
    "sisimai__lhost-sendmail-02.eml",
    "sisimai__rfc3464-04.eml",
    "bouncehammer__17-messages-34.eml",
}
"""Mails whose text or header names another address for a recipient than their fields, which are cut off."""


def view(mail: bytes) -> View:
    report = parse(mail)
    return report.kind, {
        one.address.lower(): (
            one.action,
            classify_recipient(RULES, report, one).category if one.action in ("failed", "delayed") else "",
        )
        for one in report.recipients
    }


def faults(label: dict[str, Any], before: View, after: View) -> list[str]:
    """Return what the mutated mail is wrongly taken for; knowing less than before is no fault."""
    kind, recipients = after
    found = [] if kind in (before[0], "other", *label["kind_ok"]) else [f"is {kind}"]
    if kind not in ("bounce", "delay") or not label["recipients_scored"]:
        return found
    known = {name.lower(): one for one in label["recipients"] for name in (one["recipient"], *one["recipient_ok"])}
    for address, (action, category) in recipients.items():
        told = known.get(address)
        if told is None:
            found += [] if address in before[1] else [f"names {address}"]
            continue
        if action != told["action"] and before[1].get(address, ("",))[0] != action:
            found.append(f"{address} is {action}")
        if category in SUPPRESSING and told["category"] != "unknown" and not SUPPRESSING & set(told["category_ok"]):
            found.append(f"{address} is suppressed")
    return found


def wrong_ones(data: Path, name: str, files: Iterable[str] | None = None) -> list[tuple[str, list[str]]]:
    """Return the files, of these or of all, that are wrongly taken after a mutation, each with what is wrong."""
    wanted = None if files is None else set(files)
    wrong = []
    for label in labels(data / "labels.jsonl"):
        if wanted is None or label["file"] in wanted:
            mail = (data / "eml" / label["file"]).read_bytes()
            found = faults(label, view(mail), view(MUTATIONS[name](mail)))
            wrong += [(label["file"], found)] if found else []
    return [
        (file, found)
        for file, found in wrong
        if not ("cut" in name and file in TWO_ADDRESSES and not _suppressed(found))
    ]


def _suppressed(found: Iterable[str]) -> bool:
    return any("suppressed" in fault for fault in found)
