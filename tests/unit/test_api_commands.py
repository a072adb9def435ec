"""What a command reads or changes for one domain, the API does too; the others have the reason here."""

import click

from relay.api.all_operations import OPERATIONS
from relay.api.operations import PREFIX
from relay.cli import main
from tests.unit.test_cli_listings import commands

BY_API: dict[str, tuple[str, ...]] = {
    "queue list": ("get /queue",),
    "queue show": ("get /messages/{queue_id}", "get /messages/{queue_id}/sent"),
    "why": ("get /why/{target}",),
    **{f"queue {one}": ("post /queue/{action}",) for one in ("flush", "hold", "release", "bounce")},
    "queue delete": ("post /queue/{action}", "delete /messages/{queue_id}"),
    "queue shape": ("get /queue",),
    "mailq": ("get /queue",),
    "trace": ("get /messages", "get /messages/{queue_id}"),
    "events tail": ("get /events",),
    "sendmail": ("post /messages",),
    "report deliveries": ("get /reports/deliveries",),
    "report bounces": ("get /reports/bounces", "get /reports/recipients"),
    "report engagement": ("get /reports/engagement",),
    "report unclassified": ("get /reports/unclassified",),
    "report messages": ("get /reports/messages",),
    "report invoices": ("get /reports/labels",),
    "webhook new": ("put /webhooks/{name}", "delete /webhooks/{name}"),
    "webhook list": ("get /webhooks",),
    "webhook show": ("get /webhooks/{name}",),
    "webhook log": ("get /webhooks/{name}/log",),
    "webhook test": ("post /webhooks/{name}/test",),
    "webhook pause": ("post /webhooks/{name}/pause",),
    "webhook resume": ("post /webhooks/{name}/resume",),
    "webhook replay": ("post /webhooks/{name}/replay",),
    "site pause": ("post /pauses", "get /pauses"),
    "site resume": ("post /pauses/resume",),
    **{
        f"{name} {action}": (operation,)
        for name in ("suppression", "unsubscribe")
        for action, operation in (
            ("list", f"get /{name}s"),
            ("export", f"get /{name}s"),
            ("add", f"post /{name}s"),
            ("remove", f"post /{name}s/remove"),
            ("import", f"post /{name}s/check"),
        )
    },
    "domain list": ("get /domains",),
    "domain look": ("post /domains/{domain}/look",),
    "domain check": ("post /domains/{domain}/look", "get /domains/{domain}/records"),
    "domain records": ("get /domains/{domain}/records",),
    "dkim list": ("get /dkim/{domain}",),
    "dkim rotate": ("post /dkim/{domain}/rotate",),
    "identity list": ("get /identities", "get /limits"),
    "identity show": ("get /identities/{address}",),
    "identity test": ("post /identities/{address}/test/{step}",),
    "identity verify": (
        "post /identities/{address}/verify",
        "post /identities/{address}/code",
        "post /identities/{address}/dns",
    ),
    "identity unverify": ("post /identities/{address}/unverify",),
    "identity add": (
        "get /identity-address",
        "get /identities/{address}/settings",
        "put /identities/{address}/settings",
    ),
    "identity remove": ("delete /identities/{address}/settings",),
    "credential list": ("get /credentials",),
    "credential revoke": ("post /credentials/revoke",),
    "identity pause": ("post /identities/{address}/pause",),
    "identity resume": ("post /identities/{address}/resume",),
}
"""Commands that concern one domain, and the operations of the API that do the same."""

SHARED = "all domains share it"
FILES = "it reads or writes files of this machine, and nothing of the server"
DECIDED = "the operator decides about it"

NOT_BY_API: dict[str, str] = {
    **dict.fromkeys(("serve", "status", "top", "nodes", "doctor", "demo"), SHARED),
    **dict.fromkeys(("storage check", "storage migrate", "audit", "imap folders"), SHARED),
    **dict.fromkeys(("site list", "site show", "provider list", "provider resume", "send-test"), SHARED),
    **dict.fromkeys(("tracker block", "tracker unblock", "tracker list", "suppression replay"), SHARED),
    **dict.fromkeys(("config check", "config show", "config reload"), SHARED),
    **dict.fromkeys(("init", "completion", "share", "config describe", "config schema"), FILES),
    **dict.fromkeys(("preview", "explain", "classify", "dkim new", "webhook schema", "webhook listen"), FILES),
    "credential new": f"{DECIDED}: a key that makes keys would outlive its own revocation",
    **dict.fromkeys(("oauth login", "oauth status", "oauth logout"), "it has the access tokens of providers"),
    **dict.fromkeys(
        (f"person {one}" for one in ("new", "reset", "change", "remove", "list", "logout", "totp", "audit")),
        f"{DECIDED}: they are persons of the console",
    ),
    "webhook key": "a secret that was given once is not shown again over the network",
    "report untied": "mail that belongs to no message has no sender here",
}
"""Commands that the API has not, and why."""


def test_each_command_is_an_operation_of_the_api_or_has_a_reason() -> None:
    assert isinstance(main, click.Group)
    assert not set(BY_API) & set(NOT_BY_API)
    assert {name for name, _ in commands(main)} == {*BY_API, *NOT_BY_API}


def test_the_operations_are_those_of_the_description() -> None:
    known = {f"{one.method} {one.path.removeprefix(PREFIX)}" for one in OPERATIONS}
    assert {one for several in BY_API.values() for one in several} - known == set()
