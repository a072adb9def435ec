"""Credentials: which application may send, when was each key last used?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.admin.credentials import CredentialRoutes
from relay.config.credentials import Credential
from relay.config.settings import Settings
from relay.console.csv_export import csv_answer, one_page
from relay.console.formats import counted, listed, time_of_json
from relay.console.layout import Layout

STATES = {"used": ("ok", "In use"), "unused": ("new", "Not used"), "revoked": ("off", "Revoked")}
"""Class and word of the badge of a credential and of a key."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a credential: a fingerprint of its hash, and times as Unix seconds, 0 for never."""

    mark: str
    used_at: float
    revoked_at: float

    @property
    def badge(self) -> tuple[str, str]:
        """Class and word."""
        return STATES["revoked" if self.revoked_at else "used" if self.used_at else "unused"]


@dataclass(frozen=True, slots=True)
class CredentialRow:
    """One credential, without its hashes."""

    name: str
    one: Credential
    keys: Sequence[Key]
    identities: Sequence[str]
    """Identities that name it."""

    @property
    def used_at(self) -> float:
        """Unix time of the last login, 0 for never."""
        return max((key.used_at for key in self.keys), default=0.0)

    @property
    def badge(self) -> tuple[str, str]:
        """Class and word."""
        if all(key.revoked_at for key in self.keys):
            return STATES["revoked"]
        return STATES["used" if self.used_at else "unused"]

    @property
    def may(self) -> str:
        """What its clients may do, as text."""
        return ", ".join(self.one.scopes)

    @property
    def bounds(self) -> str:
        """Sending domains and identities that it may use, as text."""
        domains = f"of {listed(list(self.one.domains))}" if self.one.domains else ""
        return ", ".join(part for part in (domains, listed(list(self.identities))) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialPages:
    """GET /credentials, /credentials.csv and /credentials/{name}."""

    layout: Layout
    settings: Callable[[], Settings]
    routes: CredentialRoutes

    async def show(self, request: web.Request) -> web.StreamResponse:
        """GET /credentials: the logins of applications."""
        rows = await self.rows()
        unused = sum(not one.used_at for one in rows)
        headline = f"{counted(len(rows), 'credential')}" if rows else "There is no credential"
        text = f"{counted(unused, 'was', 'were')} never used." if rows and unused else ""
        return await self.layout.page(
            request, "credentials.html", title="Credentials", rows=rows, headline=headline, text=text
        )

    async def one(self, request: web.Request) -> web.StreamResponse:
        """GET /credentials/{name}: one credential, with its keys."""
        row = await self.row(request.match_info["name"])
        return await self.layout.page(request, "credential.html", title=row.name, section="/credentials/", row=row)

    async def row(self, name: str) -> CredentialRow:
        """Return a credential. Raises 404."""
        found = next((one for one in await self.rows() if one.name == name), None)
        if found is None:
            raise web.HTTPNotFound(text=f"There is no credential {name[:80]}.")
        return found

    async def export(self, request: web.Request) -> web.StreamResponse:
        """GET /credentials.csv: a line for each key."""
        header = ("name", "key", "used_at", "revoked_at", "scopes", "domains")
        found = self.settings().credentials
        rows = [
            (
                *(one["credential"], one["key"], one["used_at"], one["revoked_at"]),
                " ".join(found[str(one["credential"])].scopes),
                " ".join(found[str(one["credential"])].domains),
            )
            for one in await self.routes.rows()
        ]
        return await csv_answer(request, "credentials", header, one_page(rows))

    async def rows(self) -> Sequence[CredentialRow]:
        """Return all credentials, by name. Raises StoreError."""
        settings = self.settings()
        keys: dict[str, list[Key]] = {}
        for one in await self.routes.rows():
            key = Key(str(one["key"]), time_of_json(one["used_at"]), time_of_json(one["revoked_at"]))
            keys.setdefault(str(one["credential"]), []).append(key)
        users = _users(settings)
        return [
            CredentialRow(name, one, keys.get(name, []), users.get(name, []))
            for name, one in sorted(settings.credentials.items())
        ]


def _users(settings: Settings) -> Mapping[str, Sequence[str]]:
    """Return the identities that name each credential."""
    found: dict[str, list[str]] = {}
    for address, identity in settings.identities.items():
        for name in identity.credentials:
            found.setdefault(name, []).append(address)
    return found
