"""The routes of people: their logins, and the audit of their changes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.admin.requests import before_text, json_body, parse_before, parse_limit, reject_unknown_parameters
from relay.clock import Clock
from relay.config.console import Console
from relay.mail.canonical_address import canonical
from relay.people.grants import has_password
from relay.people.login import People
from relay.people.ports import Account, Change, ChangeQuery, ChangeStore
from relay.reports.serialize import JsonObject, time_json


@dataclass(frozen=True, slots=True)
class PersonRow:
    """A person as lists show one. Times are Unix seconds, 0 for never."""

    address: str
    role: str
    """Empty if the configuration does not name the address any more."""
    domains: Sequence[str]
    chose_password: bool
    has_app: bool
    logged_in_at: float
    sessions: int


@dataclass(frozen=True, slots=True)
class PeopleRoutes:
    """GET /people, POST /people/logout, /people/totp and /people/forget, GET /changes."""

    console: Callable[[], Console]
    people: People
    changes: ChangeStore
    clock: Clock

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/people", self.listed),
            web.post("/people/logout", self.log_out),
            web.post("/people/totp", self.remove_app),
            web.post("/people/forget", self.forget),
            web.get("/changes", self.audit),
        ]

    async def rows(self) -> Sequence[PersonRow]:
        """Return the people of the configuration, and those who still have an account. Raises StoreError."""
        people = self.console().people
        accounts = {one.address: one for one in await self.people.accounts.accounts()}
        sessions = [one.address for one in await self.people.sessions.sessions(self.clock())]
        rows = []
        for address in sorted({*people, *accounts}):
            person, account = people.get(address), accounts.get(address, Account(address))
            rows.append(
                PersonRow(
                    address,
                    person.role if person else "",
                    person.domains if person else (),
                    person is not None and has_password(person, account),
                    bool(account.totp),
                    account.logged_in_at,
                    sessions.count(address),
                )
            )
        return rows

    async def listed(self, request: web.Request) -> web.Response:
        """GET /people: who may log in, and who did."""
        reject_unknown_parameters(request.query, ())
        return web.json_response({"people": [person_json(row) for row in await self.rows()]})

    async def log_out(self, request: web.Request) -> web.Response:
        """POST /people/logout {"address"}: end the sessions of a person."""
        address = await _address(request)
        ended = await self.people.sessions.end_all(address)
        await self._note("logout", address, f"{ended} sessions ended")
        return web.json_response({"address": address, "sessions": ended})

    async def remove_app(self, request: web.Request) -> web.Response:
        """POST /people/totp {"address"}: remove the app of a person, whose sessions end."""
        address = await _address(request)
        removed = await self.people.remove_app(address)
        if removed:
            await self._note("app", address, "removed")
        return web.json_response({"address": address, "removed": removed})

    async def forget(self, request: web.Request) -> web.Response:
        """POST /people/forget {"address"}: delete the account of an address that is no longer in the configuration."""
        address = await _address(request)
        if address in self.console().people:
            raise web.HTTPConflict(text=f"{address} is a person of the console: relay person remove {address}")
        await self.people.sessions.end_all(address)
        await self.people.accounts.forget(address)
        await self._note("forget", address, "removed")
        return web.json_response({"address": address})

    async def _note(self, action: str, address: str, after: str) -> None:
        """Record what an operator of this machine did; the socket has no logins."""
        await self.people.audit.note(action, person="operator", client="admin socket", subject=address, after=after)

    async def audit(self, request: web.Request) -> web.Response:
        """GET /changes?person=&action=&subject=&since=&before=&limit=: the audit, latest first."""
        query = request.query
        reject_unknown_parameters(query, {"person", "action", "subject", "since", "before", "limit"})
        limit = parse_limit(query)
        found = await self.changes.changes(
            ChangeQuery(
                person=canonical(query.get("person", "")),
                action=query.get("action", ""),
                subject=query.get("subject", ""),
                since=_seconds(query),
                before=parse_before(query.get("before", "")),
                limit=limit,
            )
        )
        following = before_text((found[-1].at, found[-1].id)) if len(found) == limit else None
        return web.json_response({"changes": [change_json(one) for one in found], "next": following})


def person_json(row: PersonRow) -> JsonObject:
    """Return the JSON of a person."""
    return {
        "address": row.address,
        "role": row.role,
        "domains": list(row.domains),
        "password": row.chose_password,
        "app": row.has_app,
        "logged_in_at": time_json(row.logged_in_at) if row.logged_in_at else None,
        "sessions": row.sessions,
    }


def change_json(change: Change) -> JsonObject:
    """Return the JSON of a row of the audit."""
    return {
        "at": time_json(change.at),
        "person": change.person,
        "action": change.action,
        "subject": change.subject,
        "before": change.before,
        "after": change.after,
        "client": change.client,
    }


async def _address(request: web.Request) -> str:
    address = (await json_body(request)).get("address")
    if not isinstance(address, str) or not address:
        raise web.HTTPBadRequest(text='a body {"address": "jane@acme.test"} is needed')
    return canonical(address)


def _seconds(query: Mapping[str, str]) -> float:
    try:
        return float(query.get("since", "0"))
    except ValueError:
        raise web.HTTPBadRequest(text="since must be Unix seconds") from None
