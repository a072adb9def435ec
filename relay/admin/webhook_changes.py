"""The routes that make, change and remove webhooks: tables of the configuration, in files of their own."""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from aiohttp import web

from relay.admin.key_audit import REQUESTING_KEY
from relay.admin.requests import APPLICATION, OWNS, json_body, reject_unknown_parameters
from relay.admin.webhooks import is_own
from relay.config.values import RESERVED_NAMES
from relay.config.webhooks import OperatorEvents
from relay.webhooks.control import WebhookControl
from relay.webhooks.signing import new_secret

KEYS = (
    *("url", "format", "events", "domains", "identities", "campaigns", "tags", "type", "machines", "include"),
    *("username", "headers", "timeout", "concurrency", "batch"),
)
"""Keys that a request may give beside secrets. Networks and files of the relay are the operator's."""

SECRETS = ("secret", "password")
"""Keys that are written to files of their own."""

MAX_WEBHOOKS = 20
"""Webhooks of the senders of one application, at most: each one has its tasks, and reads all events."""

SECRET_OCTETS = 32
"""Octets of a secret that is made here."""


@dataclass(frozen=True, slots=True)
class WebhookChange:
    """A webhook that is to be written. `values` None removes it. Secrets that are not given stay as they are."""

    name: str
    values: Mapping[str, Any] | None
    secrets: Mapping[str, str]
    author: str
    """Credential of the key that changes it, "" for the admin socket."""
    client: str
    owns: Callable[[str], bool] | None = None
    """Whether a sender is one of the application, None for others: they may write every webhook."""


@dataclass(frozen=True, slots=True)
class WriteFailure:
    """Why a webhook could not be written; nothing has changed. `is_input`: the given values are not valid."""

    faults: Sequence[str]
    is_input: bool


WriteWebhook = Callable[[WebhookChange], Awaitable[WriteFailure | None]]
"""Writes a webhook and puts it in force; returns None if that is done."""


@dataclass(frozen=True, slots=True)
class WebhookChangeRoutes:
    """PUT and DELETE /webhooks/NAME. An application has those only that post events of its own senders."""

    control: WebhookControl
    write: WriteWebhook

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.put("/webhooks/{name}", self.put), web.delete("/webhooks/{name}", self.delete)]

    async def put(self, request: web.Request) -> web.Response:
        """PUT /webhooks/NAME with the keys of `[[webhook]]`: make it, or give it these settings in place of its own.

        A new one gets a secret if none is given; the answer has it, this once.
        """
        reject_unknown_parameters(request.query, ())
        name, body = request.match_info["name"], await json_body(request)
        if unknown := sorted(set(body) - {*KEYS, *SECRETS}):
            known = ", ".join((*KEYS, *SECRETS))
            raise web.HTTPBadRequest(text=f"{unknown[0][:100]!r} cannot be set here; known are {known}")
        present = self.control.webhooks().get(name)
        if present is not None and not is_own(request, present):
            raise web.HTTPConflict(text=name_taken(name))
        if present is None and name.lower() in RESERVED_NAMES:
            raise web.HTTPBadRequest(text=f'the name "{name}" is reserved: choose another')
        _check_senders(request, body)
        if present is None and APPLICATION in request:
            self._check_number(request)

        given = {key: _text_of(key, body[key]) for key in SECRETS if body.get(key)}
        made = "" if present is not None or "secret" in given else new_secret(secrets.token_bytes(SECRET_OCTETS))
        values = {key: body[key] for key in KEYS if body.get(key) is not None}
        await self._write(request, values, given | ({"secret": made} if made else {}))
        return web.json_response({"name": name, "created": present is None, "secret": made or None})

    def _check_number(self, request: web.Request) -> None:
        """Raise 409 if the application has as many webhooks as it may have."""
        if sum(is_own(request, one) for one in self.control.webhooks().values()) >= MAX_WEBHOOKS:
            raise web.HTTPConflict(text=f"there are {MAX_WEBHOOKS} webhooks of your senders: remove one, or change one")

    async def delete(self, request: web.Request) -> web.Response:
        """DELETE /webhooks/NAME: end it. Its place in the feed is forgotten after a day."""
        reject_unknown_parameters(request.query, ())
        name = request.match_info["name"]
        present = self.control.webhooks().get(name)
        if present is None or not is_own(request, present):
            raise web.HTTPNotFound(text=f'there is no [[webhook]] "{name[:100]}" of yours')
        await self._write(request, None, {})
        return web.json_response({"name": name, "removed": True})

    async def _write(self, request: web.Request, values: Mapping[str, Any] | None, given: Mapping[str, str]) -> None:
        by = request.get(REQUESTING_KEY)
        author, client = (by.credential, by.client) if by else ("", request.remote or "")
        table = WebhookChange(request.match_info["name"], values, given, author, client, request.get(OWNS))
        failed = await self.write(table)
        if failed is not None:
            text = "; ".join(failed.faults)
            raise web.HTTPBadRequest(text=text) if failed.is_input else web.HTTPConflict(text=text)


def name_taken(name: str) -> str:
    """Return the refusal of a name that a webhook of others has."""
    return f'the name "{name[:100]}" is taken: choose another'


def _check_senders(request: web.Request, body: Mapping[str, Any]) -> None:
    """Raise 403 unless all events are of senders of the application."""
    owns = request.get(OWNS)
    if owns is None:
        return
    senders = [one for key in ("domains", "identities") for one in body.get(key) or ()]
    if not senders or not all(isinstance(one, str) and owns(one) for one in senders):
        raise web.HTTPForbidden(text='"domains" or "identities" must be given, and all of them yours')
    if own := [one for one in body.get("events") or () if one in get_args(OperatorEvents)]:
        raise web.HTTPForbidden(text=f"events: {own[0]} is about the relay itself, which all senders share")


def _text_of(key: str, value: object) -> str:
    """Return a secret as its file has it: a line each."""
    lines = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) and one.isprintable() for one in lines):
        raise web.HTTPBadRequest(text=f"{key} must be a text, or for a secret a list of them")
    return "\n".join(map(str, lines))
