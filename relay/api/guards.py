"""Guards of routes that the admin socket has too: which requests of a restricted caller concern what is its own.

A guard reads what the handler reads: the path, the query, or the body. What names nothing of the caller is refused.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, assert_never

from aiohttp import web

from relay.admin.requests import json_body
from relay.api.access import Caller
from relay.api.problems import ProblemError


@dataclass(frozen=True, slots=True)
class DomainInPath:
    """The path has the domain."""


@dataclass(frozen=True, slots=True)
class AddressInPath:
    """The path has the address of a sender."""


@dataclass(frozen=True, slots=True)
class SenderInQuery:
    """The query has `domain`, or with `identities` an `identity`, of the caller."""

    identities: bool = False


@dataclass(frozen=True, slots=True)
class DomainOfEntries:
    """Each entry of this list in the body has a `domain`: a domain, or the address of an identity."""

    name: str


@dataclass(frozen=True, slots=True)
class DomainInBody:
    """The body has a `domain`."""


@dataclass(frozen=True, slots=True)
class OwnRows:
    """The answer has rows under `name`, of which the caller gets those whose `key` is its own."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class CheckedByHandler:
    """The handler leaves out and refuses what is not the caller's: `relay.admin.requests.OWNS`."""


Guard = DomainInPath | AddressInPath | SenderInQuery | DomainOfEntries | DomainInBody | OwnRows | CheckedByHandler


async def check_guard(guard: Guard, caller: Caller, request: web.Request) -> None:
    """Raise ProblemError 403 or 404 unless the request concerns what is the caller's own."""
    if caller.sees_all:
        return
    match guard:
        case DomainInPath():
            _own_subject(caller.sees_domain(request.match_info["domain"]), request.match_info["domain"])
        case AddressInPath():
            _own_subject(caller.sees_address(request.match_info["address"]), request.match_info["address"])
        case SenderInQuery(identities=identities):
            _check_query(caller, request, identities=identities)
        case DomainOfEntries(name=name):
            given = (await json_body(request)).get(name)
            entries = given if isinstance(given, list) else []
            _check_scopes(caller, [one.get("domain") if isinstance(one, Mapping) else None for one in entries])
        case DomainInBody():
            _check_scopes(caller, [(await json_body(request)).get("domain")])
        case OwnRows() | CheckedByHandler():
            pass  # The answer is filtered, or the handler does it.
        case _:
            assert_never(guard)


def own_rows(guard: OwnRows, caller: Caller, rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rows that are the caller's own."""
    return [one for one in rows if owns(caller, str(one[guard.key]))]


def owns(caller: Caller, scope: str) -> bool:
    """Whether a domain, or the address of an identity, is the caller's own."""
    return caller.sees_address(scope) if "@" in scope else caller.sees_domain(scope)


def _own_subject(own: bool, subject: str) -> None:
    if not own:
        raise ProblemError(404, f"there is no {subject[:200]} of yours")


def _check_query(caller: Caller, request: web.Request, *, identities: bool) -> None:
    """Check that the query is about one sender of the caller."""
    given = request.query.getall("domain", [])
    addresses = request.query.getall("identity", []) if identities else []
    for one in (*given, *addresses):
        if not owns(caller, one):
            raise ProblemError(403, f"{one[:200]!r} is not yours; yours: {_named(caller)}")
    if len(given) + len(addresses) != 1 and not (len(given) == 1 and len(addresses) == 1):
        names = "domain or identity" if identities else "domain"
        raise ProblemError(403, f"give one {names} of yours, such as ?domain=…; yours: {_named(caller)}")


def _check_scopes(caller: Caller, scopes: Iterable[object]) -> None:
    for one in scopes:
        if not (isinstance(one, str) and one and owns(caller, one)):
            raise ProblemError(403, f'"domain" must be one of yours in each entry; yours: {_named(caller)}')


def _named(caller: Caller) -> str:
    return ", ".join((caller.domains or caller.identities or ())[:20]) or "none"
