"""The routes of the settings of identities and sending domains: tables of the configuration, in files of their own."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from relay.admin.requests import (
    APPLICATION,
    OWNS,
    address_or_400,
    optional_json_body,
    reject_unknown_parameters,
)
from relay.admin.table_changes import check_preconditions, restricted_domains, save_table, table_response
from relay.config.parsers import HOST_NAME
from relay.config.settings import Settings
from relay.config.table_files import Table
from relay.config.table_names import domain_table, identity_table
from relay.mail.address_from_name import free_address
from relay.mail.canonical_address import canonical, canonical_domain
from relay.people.own_choices import credentials_in, opened_credentials
from relay.people.restricted_settings import domain_faults, identity_faults, removal_fault
from relay.people.table_editor import TableEditor
from relay.queue.pause import BY_APPLICATION, HOLD_BY_APPLICATION, Pause

_KEPT = ("credentials", "sandbox", "bcc")
"""Keys that bound a sender, and copies of its mail: one that is not given stays as it is."""

MAX_NAME = 200
"""Characters of a name of which an address is made, at most."""


@dataclass(frozen=True, slots=True)
class SenderSettingsRoutes:
    """GET, PUT and DELETE /identities/ADDRESS/settings; GET and PUT /domains/DOMAIN/settings; GET /identity-address.

    A PUT gives the table these settings in the place of its own. A repetition changes nothing.
    """

    editor: TableEditor
    settings: Callable[[], Settings]
    pauses: Callable[[], Mapping[str, Pause]]
    """Returns the pauses of identities, by address."""
    creation_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while an application makes an identity: two requests at once do not exceed the limit."""

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        identity, domain = "/identities/{address}/settings", "/domains/{domain}/settings"
        return [
            web.get("/identity-address", self.get_address),
            web.get(identity, self.get_identity),
            web.put(identity, self.put_identity),
            web.delete(identity, self.delete_identity),
            web.get(domain, self.get_domain),
            web.put(domain, self.put_domain),
        ]

    async def get_address(self, request: web.Request) -> web.Response:
        """GET /identity-address?name=Jane+Doe: an unused address for a name, at `server.identities_domain`."""
        reject_unknown_parameters(request.query, ("name",))
        name, settings = request.query.get("name", "").strip(), self.settings()
        domain, owns = settings.server.identities_domain, request.get(OWNS)
        if not 0 < len(name) <= MAX_NAME:
            raise web.HTTPBadRequest(text=f"name must have 1 to {MAX_NAME} characters, such as Jane Doe")
        if not domain or (owns is not None and not owns(domain)):
            text = "addresses are made at server.identities_domain, which is not one of yours: choose the address"
            raise web.HTTPConflict(text=text)
        address = free_address(name, domain, settings.identities)
        if not address:
            raise web.HTTPBadRequest(text="name has no letter for an address: choose the address")
        return web.json_response({"address": address})

    async def get_identity(self, request: web.Request) -> web.Response:
        """GET /identities/ADDRESS/settings: the keys that its table has; others have their defaults."""
        return table_response("address", await self._existing(await self._identity(request)))

    async def put_identity(self, request: web.Request) -> web.Response:
        """PUT /identities/ADDRESS/settings with keys of `[identities."…"]`: make it, or change it."""
        table = await self._identity(request)

        def faults(after: Mapping[str, Any]) -> Mapping[str, str]:
            return identity_faults(self.settings(), restricted_domains(request), table.name.name, table.values, after)

        if table.exists or OWNS not in request:
            return await self._put("address", request, table, faults)
        async with self.creation_lock:
            # Another request may have made it meanwhile: a repetition is no further identity.
            table = await self._identity(request)
            if not table.exists:
                self._check_number(request)
            return await self._put("address", request, table, faults)

    def _check_number(self, request: web.Request) -> None:
        """Raise 409 if the application has as many identities as it may have: each is a file that is always read."""
        settings, owns = self.settings(), request[OWNS]
        most = settings.api.max_identities
        if sum(map(owns, settings.identities)) >= most:
            text = f"there are {most} identities of your senders, the most that are allowed (api.max_identities)"
            raise web.HTTPConflict(text=f"{text}: remove one, or an operator raises the limit")

    async def delete_identity(self, request: web.Request) -> web.Response:
        """DELETE /identities/ADDRESS/settings: its mail is then that of any address of its domain.

        `opened` has the credentials that may then send as each identity that is open to all.
        """
        table = await self._existing(await self._identity(request))
        check_preconditions(request, table)
        settings, address, names = self.settings(), table.name.name, credentials_in(table.values)
        pause = self.pauses().get(address)
        if APPLICATION in request and pause and pause.category not in (BY_APPLICATION, HOLD_BY_APPLICATION):
            raise web.HTTPForbidden(text=f"{pause.why}; an operator must resume it before it can be removed")
        if fault := removal_fault(settings, restricted_domains(request), table.values):
            raise web.HTTPForbidden(text=fault)
        opened = opened_credentials(settings, address, names)
        await save_table(self.editor, request, table, None)
        return web.json_response({"address": address, "removed": True, "opened": opened})

    async def get_domain(self, request: web.Request) -> web.Response:
        """GET /domains/DOMAIN/settings: the keys that its table has; others have their defaults."""
        return table_response("domain", await self._existing(await self._domain(request)))

    async def put_domain(self, request: web.Request) -> web.Response:
        """PUT /domains/DOMAIN/settings with keys of `[domains."…"]`: make it, or change it."""
        table = await self._domain(request)

        def faults(after: Mapping[str, Any]) -> Mapping[str, str]:
            return domain_faults(self.settings(), restricted_domains(request), table.values, after)

        return await self._put("domain", request, table, faults)

    async def _put(
        self,
        key: str,
        request: web.Request,
        table: Table,
        faults: Callable[[Mapping[str, Any]], Mapping[str, str]],
    ) -> web.Response:
        given = await optional_json_body(request)
        check_preconditions(request, table)
        kept = {one: table.values[one] for one in _KEPT if one in table.values and one not in given}
        values = {**given, **kept}
        if found := faults(values):
            raise web.HTTPForbidden(text="; ".join(f"{name}: {text}" for name, text in found.items()))
        await save_table(self.editor, request, table, values)
        return table_response(key, await self.editor.read(table.name), {"created": not table.exists})

    async def _identity(self, request: web.Request) -> Table:
        reject_unknown_parameters(request.query, ())
        return await self.editor.read(identity_table(canonical(address_or_400(request.match_info["address"]))))

    async def _domain(self, request: web.Request) -> Table:
        reject_unknown_parameters(request.query, ())
        name = canonical_domain(request.match_info["domain"])
        if not HOST_NAME.fullmatch(name):
            raise web.HTTPBadRequest(text=f'{name[:255]!r} is not a domain name; give one such as "acme.test"')
        return await self.editor.read(domain_table(name))

    async def _existing(self, table: Table) -> Table:
        if not table.exists:
            raise web.HTTPNotFound(text=f"{table.name.name[:255]} has no settings; PUT makes them")
        return table
