"""Parses requests of the routes: parameters, JSON bodies and list entries. An error is a 400 that names all faults."""

import math
import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any, TypeVar

from aiohttp import web

from relay.mail.address import AddressError, parse_address
from relay.reports.ports import EventPlace

T = TypeVar("T")

_NO_TEXT = re.compile("[\0\ud800-\udfff]")
"""Characters that no database stores in a text."""

_MAX_SHOWN = 100
"""Characters of an address that a fault repeats, at most."""

APPLICATION = web.RequestKey("application", str)
"""The credential that a request comes from, if it is restricted to senders of its own; absent for operators."""

KEY = web.RequestKey("key", str)
"""The credential that a request comes from, restricted or not; absent for the admin socket."""

OWNS: web.RequestKey[Callable[[str], bool]] = web.RequestKey("owns")
"""Whether a domain, or the address of an identity, is one of these senders; absent for operators, as APPLICATION is."""

MAX_REASON = 200
"""Characters of the reason of a pause, at most: it stands in replies, lists and events."""

_MAX_PAGE = 10_000
"""Rows of one page, at most."""

_ROW = re.compile(r"[0-9]{1,18}")

_NUMBER = re.compile(r"[0-9]{1,9}")


def reject_unknown_parameters(query: Mapping[str, str], known: Collection[str]) -> None:
    """Raise 400 if the query has an unknown parameter."""
    if unknown := set(query) - set(known):
        raise web.HTTPBadRequest(text=f"unknown parameter {', '.join(sorted(unknown))}")


def reason_or_400(body: Mapping[str, object]) -> str:
    """Return the `reason` of a body, "" without one."""
    reason = body.get("reason", "")
    if not isinstance(reason, str) or len(reason) > MAX_REASON or not reason.isprintable():
        raise web.HTTPBadRequest(text=f'"reason" must be one line of at most {MAX_REASON} characters')
    return reason


def parse_limit(query: Mapping[str, str]) -> int:
    """Return the size of a page."""
    limit = query.get("limit", "1000")
    if not (_NUMBER.fullmatch(limit) and 0 < int(limit) <= _MAX_PAGE):
        raise web.HTTPBadRequest(text=f"limit must be a number from 1 to {_MAX_PAGE}")
    return int(limit)


async def json_body(request: web.Request) -> dict[str, Any]:
    """Return the JSON object of a body."""
    try:
        value = await request.json()
    except ValueError:
        raise web.HTTPBadRequest(text="the body is not JSON") from None
    if not isinstance(value, dict):
        raise web.HTTPBadRequest(text="the body must be a JSON object")
    return value


async def optional_json_body(request: web.Request) -> dict[str, Any]:
    """Return the JSON object of a body, an empty one without a body."""
    return await json_body(request) if await request.read() else {}


def address_or_400(text: str) -> str:
    """Return the mail address in standard form; raise 400 for any other text."""
    try:
        return str(parse_address(text))
    except AddressError as error:
        raise web.HTTPBadRequest(text=f"{text!r} is not a mail address: {error}") from None


def parse_after(query: Mapping[str, str]) -> tuple[str, int]:
    """Return queue id and number of the last entry of the page before."""
    if "after" not in query:
        return "", -1
    queue_id, _, number = query["after"].rpartition("/")
    if not _NUMBER.fullmatch(number):
        raise web.HTTPBadRequest(text="after must be QUEUE-ID/NUMBER")
    return queue_id, int(number)


Before = tuple[float, str]
"""Creation time and queue id of the last message of a page: `MessageQuery.before` of the next one."""


def before_text(before: Before | None) -> str:
    """Return the parameter `before`, "" at the end."""
    return f"{before[0]!r}:{before[1]}" if before else ""


def parse_before(text: str) -> Before | None:
    """Return the value of a parameter `before`, None for ""."""
    at, _, queue_id = text.partition(":")
    try:
        return (float(at), queue_id) if text else None
    except ValueError:
        raise web.HTTPBadRequest(text="before must be a value of next") from None


def parse_place(query: Mapping[str, str]) -> EventPlace | None:
    """Return the place of the last event of the page before, None without one."""
    if not query.get("after"):
        return None
    at, _, row = query["after"].partition("/")
    try:
        place = float(at), int(row) if _ROW.fullmatch(row) else -1
    except ValueError:
        place = 0.0, -1
    if place[1] < 0 or not math.isfinite(place[0]):
        raise web.HTTPBadRequest(text="after must be a value of next_events")
    return place


async def parse_entries(request: web.Request, name: str, read: Callable[[object], T]) -> list[T]:
    """Parse the entries under `name`. If any is invalid, raise 400 with all faults."""
    found, faults = await parse_each(request, name, read)
    if faults:
        raise web.HTTPBadRequest(text="\n".join(f"entry {number + 1}: {fault}" for number, fault in faults))
    return found


async def parse_each(
    request: web.Request, name: str, read: Callable[[object], T]
) -> tuple[list[T], list[tuple[int, str]]]:
    """Parse the entries under `name`; return the valid ones, and the faults with the index of their entry."""
    given = (await json_body(request)).get(name)
    if not isinstance(given, list):
        raise web.HTTPBadRequest(text=f'a body {{"{name}": [{{"address": "a@example.com"}}]}} is needed')

    found: list[T] = []
    faults: list[tuple[int, str]] = []
    for number, one in enumerate(given):
        try:
            found.append(read(one))
        except ValueError as error:
            faults.append((number, str(error)))
    return found, faults


def parse_fields(given: object, known: Collection[str]) -> dict[str, str]:
    """Return the fields of one entry, "" for missing ones; raise ValueError for a fault.

    The address is valid, and so is the domain, an address or a domain name. All texts can be stored.
    """
    if not isinstance(given, Mapping):
        raise ValueError("must be an object with an address")  # noqa: TRY004  callers catch ValueError only
    if unknown := sorted(set(given) - set(known)):
        raise ValueError(f"unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
    texts = {key: given.get(key) or "" for key in known}
    if wrong := sorted(key for key, value in texts.items() if not isinstance(value, str)):
        raise ValueError(f"{wrong[0]} must be a string")
    for key, value in texts.items():
        if found := _NO_TEXT.search(value):
            raise ValueError(f"{key} has U+{ord(found[0]):04X}, which is no character of a text")

    _check_address("address", texts["address"])
    if domain := texts.get("domain", ""):
        _check_address("domain", domain, domain if "@" in domain else f"a@{domain}")
    return texts


def time_parameter(query: Mapping[str, str], key: str) -> float:
    """Return the Unix seconds of a parameter in RFC 3339, 0 without it; raise 400 for a fault."""
    if key not in query:
        return 0.0
    try:
        if not query[key]:
            raise ValueError(f"{key} is empty; use 2030-01-31T12:00:00Z, or leave it out")  # noqa: TRY301
        return parse_time(key, query[key])
    except ValueError as error:
        raise web.HTTPBadRequest(text=str(error)) from None


def _check_address(key: str, shown: str, address: str = "") -> None:
    """Raise ValueError unless it is an address without invisible characters, which would make another one of it."""
    if (hidden := next((char for char in shown if not char.isprintable()), None)) is not None:
        raise ValueError(f"{key} has the invisible character U+{ord(hidden):04X}")
    try:
        parse_address(address or shown)
    except AddressError as error:
        cut = shown if len(shown) <= _MAX_SHOWN else f"{shown[:_MAX_SHOWN]}…"
        raise ValueError(f"{cut or key}: {error}") from None


def parse_time(key: str, text: str) -> float:
    """Return the Unix seconds of an RFC 3339 time, 0 for ""; raise ValueError for a fault."""
    if not text:
        return 0.0
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{key}: {text!r} is not a time; use 2030-01-31T12:00:00Z") from None
    if at.tzinfo is None:
        raise ValueError(f"{key}: {text!r} has no time zone; use {text}Z")
    return at.timestamp()
