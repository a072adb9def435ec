"""The routes of credentials: their keys with last use, and revocation."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.admin.key_audit import audit_change
from relay.admin.requests import KEY, OWNS, json_body, reject_unknown_parameters
from relay.config.settings import Credential, Settings
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
        """GET /credentials: the keys of all credentials, by name; for an application those that are its own."""
        reject_unknown_parameters(request.query, ())
        own = self._own(request)
        return web.json_response({"keys": [row for row in await self.rows() if row["credential"] in own]})

    async def rows(self) -> list[JsonObject]:
        """Return the rows of the list. Raises StoreError."""
        return list(_rows(self.settings(), await self.keys.uses()))

    async def revoke(self, request: web.Request) -> web.Response:
        """POST /credentials/revoke {"credential": NAME, "key": KEY}: revoke a key, without "key" all of them."""
        body = await json_body(request)
        name, key = body.get("credential"), body.get("key", "")
        own = self._own(request)
        credential = own.get(name) if isinstance(name, str) else None
        if credential is None or not isinstance(name, str):
            known, shown = ", ".join(sorted(own)) or "none", repr(name)[:100]
            raise web.HTTPNotFound(text=f"there is no credential {shown}; configured: {known}")
        marks = [mark for mark, _ in credential.hashes()]
        if key and key not in marks:
            raise web.HTTPNotFound(text=f"{name} has no key {repr(key)[:100]}; it has: {', '.join(marks)}")

        revoked = [key] if key else marks
        await self.end_keys(name, revoked)
        await audit_change(
            request, "credential.revoke", f"{name} {' '.join(revoked)}", before="in force", after="revoked"
        )
        rows = await self.rows()
        return web.json_response({"keys": [row for row in rows if row["key"] in revoked and row["credential"] == name]})

    def _own(self, request: web.Request) -> Mapping[str, Credential]:
        """Return the credentials of the caller: all, or its own and those whose domains are all its own."""
        owns, key, found = request.get(OWNS), request.get(KEY, ""), self.settings().credentials
        if owns is None:
            return found
        return {
            name: one for name, one in found.items() if name == key or (one.domains and all(map(owns, one.domains)))
        }

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
