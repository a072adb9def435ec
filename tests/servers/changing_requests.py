"""A request to each route of the API that changes something, and what its repetition is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

Kind = Literal["key", "same", "done", "again"]
"""What a repetition is: with an Idempotency-Key the first answer; the same answer; a refusal, because it is done; or
the effect again, as docs/api.md has it.
"""

Step = tuple[str, str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """A request. `steps` come before it. `{n}` in texts is a number of its own, `{id}` the id of the message of a step,
    and `{code}` the code that was mailed.
    """

    method: str
    path: str
    kind: Kind
    body: Any = None
    form: Mapping[str, str] | None = None
    steps: tuple[Step, ...] = ()
    values: tuple[tuple[str, str], ...] = ()
    query: str = ""
    again: int = 0
    """Status of the repetition of what is done."""


LATE = (datetime.now(UTC) + timedelta(days=20)).isoformat()

MAIL = {"from": "i{n}@acme.test", "to": ["r{n}@reader.test"], "subject": "x{n}", "text": "Hello", "send_at": LATE}

SEND: Step = ("POST", "/messages", MAIL)

IDENTITY: Step = ("PUT", "/identities/i{n}@acme.test/settings", {"company": "Acme"})

CODE: Step = ("POST", "/identities/i{n}@acme.test/verify", None)

HOOK: Step = ("PUT", "/webhooks/hook{n}", {"url": "https://hooks.acme.test/mail", "secret": "whsec_" + "A" * 43 + "="})

ROW = {"address": "r{n}@reader.test", "domain": "acme.test"}

ED25519 = {"algorithm": "ed25519"}

FIRST_KEY: Step = ("POST", "/dkim/acme.test/rotate", ED25519)
"""It signs at once. The next one waits for its record in DNS."""

HELD: Step = ("POST", "/pauses", {"kind": "identity", "value": "i{n}@acme.test"})

OF_ENTRY = "?queue_id={id}"

CASES = [
    Case("POST", "/messages", "key", MAIL),
    Case("POST", "/messages/batch", "key", {"messages": [MAIL, {**MAIL, "subject": "other"}]}),
    Case("DELETE", "/messages/{queue_id}", "same", steps=(SEND,)),
    *(
        case
        for name in ("suppressions", "unsubscribes")
        for case in (
            Case("POST", f"/{name}", "same", {name: [ROW]}),
            Case("POST", f"/{name}/check", "same", {name: [ROW]}),
            Case(
                "POST",
                f"/{name}/remove",
                "same",
                {"addresses": ["r{n}@reader.test"], "domain": "acme.test"},
                steps=(("POST", f"/{name}", {name: [ROW]}),),
            ),
        )
    ),
    Case("POST", "/domains/{domain}/look", "same"),
    Case("POST", "/dkim/{domain}/rotate", "done", ED25519, steps=(FIRST_KEY,), again=409),
    Case("POST", "/identities/{address}/test/{step}", "again", {}, steps=(IDENTITY,)),
    Case("POST", "/identities/{address}/verify", "again", steps=(IDENTITY,)),
    Case("POST", "/identities/{address}/code", "same", {"code": "{code}"}, steps=(IDENTITY, CODE)),
    Case("POST", "/identities/{address}/dns", "same", steps=(IDENTITY,)),
    Case("POST", "/identities/{address}/unverify", "same", steps=(IDENTITY,)),
    Case("POST", "/identities/{address}/pause", "same", {"reason": "holiday"}, steps=(IDENTITY,)),
    Case(
        "POST",
        "/identities/{address}/resume",
        "same",
        steps=(IDENTITY, ("POST", "/identities/i{n}@acme.test/pause", {"reason": "holiday"})),
    ),
    Case("POST", "/credentials/revoke", "same", {"credential": "lost"}),
    Case("PUT", "/identities/{address}/settings", "same", {"company": "Acme"}),
    Case("DELETE", "/identities/{address}/settings", "done", steps=(IDENTITY,), again=404),
    Case("PUT", "/domains/{domain}/settings", "same", {"exclusion": "domain"}, values=(("domain", "new{n}.test"),)),
    *(
        Case("POST", "/queue/{action}", "same", steps=(SEND, *steps), values=(("action", action),), query=OF_ENTRY)
        for action, steps in {
            "flush": (),
            "hold": (),
            "release": (("POST", f"/queue/hold{OF_ENTRY}", None),),
            "delete": (),
            "bounce": (),
        }.items()
    ),
    Case("POST", "/pauses", "same", HELD[2], steps=(IDENTITY,)),
    Case("POST", "/pauses/resume", "same", HELD[2], steps=(IDENTITY, HELD)),
    Case("PUT", "/webhooks/{name}", "same", HOOK[2]),
    Case("DELETE", "/webhooks/{name}", "done", steps=(HOOK,), again=404),
    Case("POST", "/webhooks/{name}/test", "again", {"events": ["bounced"]}, steps=(HOOK,)),
    Case("POST", "/webhooks/{name}/pause", "same", steps=(HOOK,)),
    Case("POST", "/webhooks/{name}/resume", "same", {}, steps=(HOOK, ("POST", "/webhooks/hook{n}/pause", None))),
    Case("POST", "/webhooks/{name}/replay", "again", {"since": 0}, steps=(HOOK,)),
]

SENDGRID = {
    "personalizations": [{"to": [{"email": "r{n}@reader.test"}]}, {"to": [{"email": "s{n}@reader.test"}]}],
    "from": {"email": "i{n}@acme.test"},
    "subject": "x{n}",
    "content": [{"type": "text/plain", "value": "Hello"}],
}

POSTMARK = {"From": "i{n}@acme.test", "To": "r{n}@reader.test", "Subject": "x{n}", "TextBody": "Hello"}

FORM = {"from": "i{n}@acme.test", "to": "r{n}@reader.test", "subject": "x{n}", "text": "Hello"}

LOGS = {"filter": {"AND": [{"attribute": "domain", "comparator": "=", "values": [{"value": "acme.test"}]}]}}

VENDOR_CASES = [
    Case("POST", "/v3/{domain}/messages", "key", form=FORM),
    Case(
        "POST",
        "/v3/{domain}/messages.mime",
        "key",
        form={"to": "r{n}@reader.test", "message": "From: i{n}@acme.test\r\nSubject: x\r\n\r\nHello\r\n"},
    ),
    Case("POST", "/v1/analytics/logs", "same", LOGS),
    *(
        case
        for name in ("bounces", "complaints", "unsubscribes")
        for case in (
            Case("POST", "/v3/{domain}/{list}", "same", [{"address": "r{n}@reader.test"}], values=(("list", name),)),
            Case(
                "DELETE",
                "/v3/{domain}/{list}/{address}",
                "done",
                steps=(("POST", f"/v3/acme.test/{name}", [{"address": "i{n}@acme.test"}]),),
                values=(("list", name),),
                again=404,
            ),
        )
    ),
    Case("POST", "/v3/mail/send", "key", SENDGRID),
    Case("POST", "/email", "key", POSTMARK),
    Case("POST", "/email/batch", "key", [POSTMARK, {**POSTMARK, "Subject": "other"}]),
]
