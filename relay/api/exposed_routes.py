"""The table of the routes of the admin socket that applications may use too, and of those that they may not."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from relay.admin.queue import ACTIONS
from relay.api import management_schemas as schemas
from relay.api import queue_schemas, settings_schemas, webhook_schemas
from relay.api.guards import (
    AddressInPath,
    CheckedByHandler,
    DomainInBody,
    DomainInPath,
    DomainOfEntries,
    Guard,
    OwnRows,
    SenderInQuery,
)
from relay.api.operations import PREFIX, Operation, Parameter
from relay.config.credentials import Scope
from relay.config.senders import Domain, Identity
from relay.verification.model import TEST_STEPS

_TEXT: Mapping[str, Any] = {"type": "string"}

_COUNT: Mapping[str, Any] = {"type": "integer", "minimum": 1, "maximum": 10_000}

_PATH = {
    "domain": Parameter("domain", "Sending domain", _TEXT, place="path", required=True),
    "address": Parameter("address", "Address of an identity", _TEXT, place="path", required=True),
    "target": Parameter(
        "target", "Queue id, ID/NUMBER, address or domain of recipients, or site", _TEXT, place="path", required=True
    ),
    "name": Parameter("name", "Name of a webhook", _TEXT, place="path", required=True),
    "action": Parameter("action", "Action", {**_TEXT, "enum": list(ACTIONS)}, place="path", required=True),
    "step": Parameter("step", "Step", {**_TEXT, "enum": list(TEST_STEPS)}, place="path", required=True),
}


@dataclass(frozen=True, slots=True)
class ExposedRoute:
    """A route of the admin socket, by method and path, and what the API adds to it."""

    method: str
    path: str
    scope: Scope
    guard: Guard
    summary: str
    answer: type[BaseModel]
    body: type[BaseModel] | None = None
    parameters: Sequence[Parameter] = ()

    @property
    def operation(self) -> Operation:
        """The operation of the API."""
        in_path = [_PATH[name] for name in re.findall(r"\{(\w+)\}", self.path)]
        return Operation(
            method=self.method,
            path=f"{PREFIX}{self.path}",
            summary=self.summary,
            scope=self.scope,
            answer=self.answer,
            parameters=(*in_path, *self.parameters),
            body=self.body,
        )


def _query(*names: str, repeats: bool = False) -> tuple[Parameter, ...]:
    return tuple(Parameter(name, f"By {name}", _COUNT if name == "limit" else _TEXT, repeats) for name in names)


_REPORT = (
    Parameter("since", "From this time on, in Unix seconds", {"type": "number"}),
    Parameter("until", "Before this time, in Unix seconds", {"type": "number"}),
    *_query("domain", "identity", "campaign"),
    Parameter("type", "Kind of mail", {**_TEXT, "enum": ["transactional", "campaign"]}),
    Parameter("tag", "Tag", _TEXT, repeats=True),
    Parameter(
        "meta", "Metadata, as KEY=VALUE", {**_TEXT, "pattern": "^[^=]+=", "examples": ["invoice=1042"]}, repeats=True
    ),
)

_PAGE = Parameter("before", "`next` of the page before", _TEXT)

_LISTS = (
    ExposedRoute("get", "/suppressions", "read", SenderInQuery(), "Suppressed addresses", schemas.SuppressionRows,
                 parameters=_query("address", "domain", "reason", "after", "limit")),
    ExposedRoute("get", "/suppressions/unproven", "read", SenderInQuery(),
                 "Evidence without proof; it suppresses no address", schemas.JsonAnswer,
                 parameters=_query("address", "domain", "reason", "after", "limit")),
    ExposedRoute("post", "/suppressions", "suppressions", DomainOfEntries("suppressions"), "Suppress addresses",
                 schemas.SuppressionRows, schemas.NewSuppressions),
    ExposedRoute("post", "/suppressions/check", "suppressions", DomainOfEntries("suppressions"),
                 "Check addresses, and suppress none", schemas.JsonAnswer, schemas.NewSuppressions),
    ExposedRoute("post", "/suppressions/remove", "suppressions", DomainInBody(), "Take addresses off the list",
                 schemas.SuppressionRows, schemas.SuppressionRemoval),
    ExposedRoute("get", "/unsubscribes", "read", SenderInQuery(), "Unsubscribed addresses", schemas.UnsubscribeRows,
                 parameters=(*_query("address", "domain", "campaign", "source", "limit"),
                             *_query("after", repeats=True))),
    ExposedRoute("post", "/unsubscribes", "suppressions", DomainOfEntries("unsubscribes"), "Unsubscribe addresses",
                 schemas.UnsubscribeRows, schemas.NewUnsubscribes),
    ExposedRoute("post", "/unsubscribes/check", "suppressions", DomainOfEntries("unsubscribes"),
                 "Check addresses, and unsubscribe none", schemas.JsonAnswer, schemas.NewUnsubscribes),
    ExposedRoute("post", "/unsubscribes/remove", "suppressions", DomainInBody(), "Take addresses off the list",
                 schemas.UnsubscribeRows, schemas.UnsubscribeRemoval),
)  # fmt: skip

_SENDERS = (
    ExposedRoute("get", "/domains", "read", OwnRows("domains", "domain"), "Sending domains, with their last check",
                 schemas.DomainRows),
    ExposedRoute("get", "/domains/{domain}/records", "read", DomainInPath(), "DNS records to publish",
                 schemas.RecordRows),
    ExposedRoute("post", "/domains/{domain}/look", "manage", DomainInPath(), "Check the DNS of a domain now",
                 schemas.DomainRow),
    ExposedRoute("get", "/dkim/{domain}", "read", DomainInPath(), "DKIM keys of a domain", schemas.DkimKeys),
    ExposedRoute("post", "/dkim/{domain}/rotate", "manage", DomainInPath(), "Create the next DKIM key", schemas.NextKey,
                 schemas.KeyRotation),
    ExposedRoute("get", "/identities", "read", OwnRows("identities", "address"), "Identities", schemas.IdentityRows),
    ExposedRoute("get", "/identities/{address}", "read", AddressInPath(), "An identity", schemas.IdentityRow),
    ExposedRoute("post", "/identities/{address}/test/{step}", "manage", AddressInPath(), "Test an identity",
                 schemas.JsonAnswer, schemas.TestRecipients),
    ExposedRoute("post", "/identities/{address}/verify", "manage", AddressInPath(), "Send a code to the address",
                 schemas.JsonAnswer),
    ExposedRoute("post", "/identities/{address}/code", "manage", AddressInPath(), "Verify the address by its code",
                 schemas.JsonAnswer, schemas.VerificationCode),
    ExposedRoute("post", "/identities/{address}/dns", "manage", AddressInPath(), "Verify the domain by DNS",
                 schemas.JsonAnswer),
    ExposedRoute("post", "/identities/{address}/unverify", "manage", AddressInPath(), "Withdraw the proof by code",
                 schemas.JsonAnswer),
    ExposedRoute("post", "/identities/{address}/pause", "manage", AddressInPath(), "Refuse the mail of an identity",
                 schemas.JsonAnswer, schemas.PauseReason),
    ExposedRoute("post", "/identities/{address}/resume", "manage", AddressInPath(), "End the pause of an identity",
                 schemas.JsonAnswer),
    ExposedRoute("get", "/credentials", "read", CheckedByHandler(), "Keys of credentials, with their last use",
                 settings_schemas.CredentialKeys),
    ExposedRoute("post", "/credentials/revoke", "manage", CheckedByHandler(), "Revoke a key, or all of a credential",
                 settings_schemas.CredentialKeys, settings_schemas.KeyRevocation),
    ExposedRoute("get", "/limits", "read", OwnRows("identities", "address"), "Use of the limits", schemas.LimitUse),
)  # fmt: skip

_CONDITIONS = (
    Parameter("If-Match", "Change it only if it has this version", _TEXT, place="header"),
    Parameter("If-None-Match", "`*`: only if there is none yet", _TEXT, place="header"),
)

_SETTINGS = (
    ExposedRoute("get", "/identity-address", "read", CheckedByHandler(), "An unused address for a name",
                 settings_schemas.UnusedAddress,
                 parameters=(Parameter("name", "Name, such as Jane Doe", {**_TEXT, "minLength": 1}, required=True),)),
    ExposedRoute("get", "/identities/{address}/settings", "read", AddressInPath(), "Settings of an identity",
                 settings_schemas.IdentitySettings),
    ExposedRoute("put", "/identities/{address}/settings", "manage", AddressInPath(),
                 "Make an identity, or give it these settings in the place of its own",
                 settings_schemas.SavedIdentity, Identity, parameters=_CONDITIONS),
    ExposedRoute("delete", "/identities/{address}/settings", "manage", AddressInPath(), "Remove an identity",
                 settings_schemas.RemovedIdentity, parameters=_CONDITIONS[:1]),
    ExposedRoute("get", "/domains/{domain}/settings", "read", DomainInPath(), "Settings of a sending domain",
                 settings_schemas.DomainSettings),
    ExposedRoute("put", "/domains/{domain}/settings", "manage", DomainInPath(),
                 "Make a sending domain, or give it these settings in the place of its own",
                 settings_schemas.SavedDomain, Domain, parameters=_CONDITIONS),
)  # fmt: skip

_REPORTS = tuple(
    ExposedRoute("get", f"/reports/{name}", "read", SenderInQuery(identities=True), summary, schemas.ReportAnswer,
                 parameters=(*_REPORT, *parameters))
    for name, summary, parameters in (
        ("bounces", "Bounces by category, site and destination", _query("category", "all")),
        ("deliveries", "Deliveries by destination", ()),
        ("engagement", "Opens, clicks and answers by campaign", _query("all")),
        ("unclassified", "Replies that no rule matches", ()),
        ("messages", "Messages with their events", (_PAGE,)),
        ("recipients", "A row for each recipient", (*_query("status"), _PAGE)),
        ("labels", "Counts by the value of a label", _query("by")),
    )
)  # fmt: skip

_ENTRIES = _query("queue_id", "recipient", "lane", "domain", "identity", "state", "after", "limit")

_QUEUE = (
    ExposedRoute("get", "/queue", "read", SenderInQuery(identities=True), "Queue entries that are not final",
                 queue_schemas.QueueRows, parameters=_ENTRIES),
    ExposedRoute("post", "/queue/{action}", "manage", SenderInQuery(identities=True), "Change queue entries",
                 queue_schemas.QueueRows, parameters=_ENTRIES),
    ExposedRoute("get", "/pauses", "read", CheckedByHandler(), "Pauses that hold mail back", queue_schemas.Pauses),
    ExposedRoute("post", "/pauses", "manage", CheckedByHandler(), "Hold the mail of an identity or a sending domain",
                 queue_schemas.PauseBegun, queue_schemas.NewPause),
    ExposedRoute("post", "/pauses/resume", "manage", CheckedByHandler(), "Send what a pause held back",
                 queue_schemas.PauseEnded, queue_schemas.PauseSubject),
)  # fmt: skip

_WHY = (
    ExposedRoute("get", "/why/{target}", "read", SenderInQuery(identities=True),
                 "What decides when mail leaves: of a message, a recipient, or a domain of recipients",
                 queue_schemas.WaitReasons, parameters=_query("domain", "identity")),
)  # fmt: skip

_WEBHOOKS = (
    ExposedRoute("get", "/webhooks", "read", CheckedByHandler(), "Webhooks", webhook_schemas.Webhooks),
    ExposedRoute("get", "/webhooks/{name}", "read", CheckedByHandler(), "A webhook, with what its receiver refuses",
                 webhook_schemas.WebhookRow),
    ExposedRoute("put", "/webhooks/{name}", "webhooks", CheckedByHandler(), "Make a webhook, or change its settings",
                 webhook_schemas.WebhookWritten, webhook_schemas.WebhookSettings),
    ExposedRoute("delete", "/webhooks/{name}", "webhooks", CheckedByHandler(), "Remove a webhook",
                 webhook_schemas.WebhookRemoved),
    ExposedRoute("get", "/webhooks/{name}/log", "read", CheckedByHandler(),
                 "Last posts, or with `failed` what is not delivered", webhook_schemas.WebhookPosts,
                 parameters=_query("failed", "limit")),
    ExposedRoute("post", "/webhooks/{name}/test", "webhooks", CheckedByHandler(), "Post samples",
                 webhook_schemas.WebhookAnswers, webhook_schemas.WebhookSamples),
    ExposedRoute("post", "/webhooks/{name}/pause", "webhooks", CheckedByHandler(), "Pause the posts of a webhook",
                 webhook_schemas.WebhookPaused),
    ExposedRoute("post", "/webhooks/{name}/resume", "webhooks", CheckedByHandler(),
                 "Resume with the events that are kept, or with new ones", webhook_schemas.WebhookResumed,
                 webhook_schemas.WebhookResumption),
    ExposedRoute("post", "/webhooks/{name}/replay", "webhooks", CheckedByHandler(), "Post events again",
                 webhook_schemas.WebhookReplayed, webhook_schemas.WebhookReplay),
)  # fmt: skip

EXPOSED = (*_LISTS, *_SENDERS, *_SETTINGS, *_QUEUE, *_WHY, *_WEBHOOKS, *_REPORTS)


NOT_EXPOSED: Mapping[str, str] = {
    "status": "all domains share the server",
    "configuration": "all domains share the server",
    "reload": "all domains share the server",
    "metrics": "they have an address of their own",
    "readyz": "it is at the address of the metrics",
    "nodes": "all domains share them",
    "providers": "all domains share them",
    "sites": "they are servers of others",
    "imap": "it is a mailbox of the operator",
    "oauth": "it has access tokens of providers",
    "people": "they are persons of the console",
    "changes": "they have what all persons and keys did",
    "links": "a link is blocked for the mail of all senders",
    "queue/{queue_id}": "messages have the same, by their ids",
    "trace": "messages have the same",
    "suppressions/replay": "it changes the lists of all senders",
    "reports/bounces/messages": "it has no pages; /reports/recipients has the same rows",
}
"""Routes of the admin socket that the API has not, by the begin of their path, and why."""
