"""Where answers to an identity go, by its settings and the MX of its domain."""

from typing import Any

import pytest

from relay.config.settings import Settings
from relay.domains.mail_exchanger import MailExchanger
from relay.verification.reply_delivery import answers_remark, needs_exchanger

JANE = "jane@acme.test"

OWN = MailExchanger("own", ("relay.test",))

OTHER = MailExchanger("other", ("mx.acme.test",))

NONE = MailExchanger("none", why="acme.test does not exist in DNS")

SILENT = MailExchanger("unknown", why="DNS gives no answer for acme.test: timeout")

READ: dict[str, Any] = {"forward_to": ["owner@home.test"]}


def settings(identity: dict[str, Any] | None, *, reply_domain: str = "", inbound: bool = True) -> Settings:
    listener = {"name": "mx", "kind": "inbound" if inbound else "submission", "address": "127.0.0.1:2526"}
    return Settings.model_validate(
        {
            "server": {"hostname": "relay.test"},
            "listener": [listener],
            "domains": {"acme.test": {"reply_domain": reply_domain}},
            "identities": {JANE: identity} if identity is not None else {},
        }
    )


@pytest.mark.parametrize(
    ("of", "exchanger", "status", "told"),
    [
        (settings(READ), OWN, "ok", "come to this relay, the MX of acme.test, and go to owner@home.test"),
        (settings({}), OWN, "wrong", "it has no reader: 550 5.2.1"),
        (settings(None), OWN, "wrong", "it is no identity here: 550 5.1.1"),
        (settings({}), OTHER, "ok", "answers to jane@acme.test go to mx.acme.test, the MX of acme.test"),
        (settings(READ), OTHER, "wrong", "forward_to gets no answers"),
        (
            settings(READ, reply_domain="r.acme.test"),
            OTHER,
            "ok",
            "by a Reply-To at r.acme.test, and go to owner@home.test",
        ),
        (settings(READ, reply_domain="r.acme.test", inbound=False), OTHER, "wrong", "forward_to gets no answers"),
        (settings({**READ, "reply_tracking": False}, reply_domain="r.acme.test"), OTHER, "wrong", "forward_to gets no"),
        (settings({"reply_tracking": True}, reply_domain="r.acme.test"), NONE, "ok", "by a Reply-To at r.acme.test"),
        (settings({}), NONE, "warning", "reach no server: acme.test does not exist in DNS"),
        (settings(READ), SILENT, "warning", "DNS gives no answer"),
        (
            settings({**READ, "reply_to": "x@acme.test"}),
            OWN,
            "warning",
            "replies go to x@acme.test, the fixed reply_to",
        ),
    ],
)
def test_answers_go_where_settings_and_mx_lead(of: Settings, exchanger: MailExchanger, status: str, told: str) -> None:
    remark = answers_remark(of, JANE, exchanger)
    assert (remark.status, told in remark.text) == (status, True), remark
    assert bool(remark.fix) == (status != "ok")


@pytest.mark.parametrize(
    ("of", "needed"),
    [
        (settings(READ), True),
        (settings({}), True),
        (settings({}, inbound=False), False),
        (settings(READ, reply_domain="r.acme.test"), False),
        (settings({**READ, "reply_to": "x@acme.test"}), False),
        (settings(None), False),
    ],
)
def test_dns_is_asked_where_it_decides(of: Settings, needed: bool) -> None:
    assert needs_exchanger(of, JANE) is needed
