"""The routes of credentials: their keys with last use, and revocation."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.admin.requests import json_body, reject_unknown_parameters
from relay.config.settings import Settings
from relay.log import Emit
from relay.reports.serialize import JsonObject, time_json
from relay.submission.credential_keys import CredentialKeys
from relay.submission.ports import KeyUse


@dataclass(frozen=True, slots=True)
class CredentialRoutes:
    """GET /credentials and POST /credentials/revoke."""

    settings: Callable[[], Settings]
    keys: CredentialKeys
    log: Emit

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.get("/credentials", self.listed), web.post("/credentials/revoke", self.revoke)]

    async def listed(self, request: web.Request) -> web.Response:
        """GET /credentials: the keys of all credentials, by name."""
        reject_unknown_parameters(request.query, ())
        return web.json_response({"keys": await self.rows()})

    async def rows(self) -> list[JsonObject]:
        """Return the rows of the list. Raises StoreError."""
        return list(_rows(self.settings(), await self.keys.uses()))

    async def revoke(self, request: web.Request) -> web.Response:
        """POST /credentials/revoke {"credential": NAME, "key": KEY}: revoke a key, without "key" all of them."""
        body = await json_body(request)
        name, key = body.get("credential"), body.get("key", "")
        credential = self.settings().credentials.get(name) if isinstance(name, str) else None
        if credential is None or not isinstance(name, str):
            known = ", ".join(sorted(self.settings().credentials)) or "none"
            raise web.HTTPNotFound(text=f"there is no credential {name!r}; configured: {known}")
        marks = [mark for mark, _ in credential.hashes()]
        if key and key not in marks:
            raise web.HTTPNotFound(text=f"{name} has no key {key!r}; it has: {', '.join(marks)}")

        revoked = [key] if key else marks
        await self.end_keys(name, revoked)
        rows = await self.rows()
        return web.json_response({"keys": [row for row in rows if row["key"] in revoked and row["credential"] == name]})

    async def end_keys(self, name: str, revoked: Sequence[str]) -> None:
        """Revoke keys of a credential, by their fingerprints. Raises StoreError."""
        await self.keys.revoke(name, revoked)
        for one in revoked:
            self.log("credential.revoked", credential=name, key=one)


def _rows(settings: Settings, uses: dict[str, KeyUse]) -> Iterator[JsonObject]:
    for name, credential in sorted(settings.credentials.items()):
        for number, (mark, parsed) in enumerate(credential.hashes(), 1):
            use = uses.get(mark, KeyUse(mark, name))
            yield {
                "credential": name,
                "key": mark,
                "number": number,
                "scheme": parsed.scheme,
                "used_at": time_json(use.used_at) if use.used_at else None,
                "revoked_at": time_json(use.revoked_at) if use.revoked_at else None,
            }
