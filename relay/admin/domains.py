"""The routes of sending domains and their DKIM keys."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from relay.admin.key_audit import audit_change
from relay.admin.requests import APPLICATION
from relay.config.settings import Settings
from relay.domains.key_rotation import KeyState, RotationError, waiting_keys
from relay.domains.records import DkimKey, WantedRecord, records, sending_domain
from relay.domains.signing_keys import SigningKeys
from relay.domains.status import DomainStatus
from relay.mail.canonical_address import canonical_domain
from relay.mailauth.dkim_keys import ALGORITHMS, Algorithm, KeyFaultError, dns_record, zone_line
from relay.reports.serialize import JsonObject, time_json

_BITS = range(1024, 4097)
"""Bits of an RSA key."""


class DomainRoutes:
    """The routes of domains and keys: list, records to publish, check now, rotate."""

    def __init__(self, signing: SigningKeys, settings: Callable[[], Settings]) -> None:
        self._signing = signing
        self._settings = settings

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/domains", self.listing),
            web.get("/domains/{domain}/records", self.records),
            web.post("/domains/{domain}/look", self.look),
            web.get("/dkim/{domain}", self.keys),
            web.post("/dkim/{domain}/rotate", self.rotate),
        ]

    async def listing(self, _: web.Request) -> web.Response:
        """GET /domains: the configured domains with the result of their last check."""
        return web.json_response({"domains": [domain_json(one) for one in self._signing.watch.watched()]})

    async def records(self, request: web.Request) -> web.Response:
        """GET /domains/DOMAIN/records: the DNS records to publish, with the status that the last check found."""
        watched = self._find(request)
        keys = [DkimKey(one.selector, one.record) for one in watched.keys]
        wanted = records(sending_domain(self._settings(), watched.domain, keys))
        rows = [record_json(one, watched.statuses.get(f"{one.kind} {one.name}", "")) for one in wanted]
        return web.json_response({"domain": watched.domain, "records": rows})

    async def look(self, request: web.Request) -> web.Response:
        """POST /domains/DOMAIN/look: check its DNS now."""
        watched = self._find(request)
        await self._signing.watch.schedule_check(watched.domain)
        await audit_change(request, "domain.look", watched.domain)
        return web.json_response(domain_json(watched))

    async def keys(self, request: web.Request) -> web.Response:
        """GET /dkim/DOMAIN: the keys of a domain."""
        watched = self._find(request)
        waiting = waiting_keys(watched.keys)
        names = [self._signing.published_at(watched.domain, key.selector) for key in watched.keys]
        rows = [key_json(*one, waiting=one[1] in waiting) for one in zip(names, watched.keys, strict=True)]
        return web.json_response({"keys": [{"domain": watched.domain, **row} for row in rows]})

    async def rotate(self, request: web.Request) -> web.Response:
        """POST /dkim/DOMAIN/rotate with {"algorithm": "rsa", "bits": 2048}: create the next key; 409 if that fails."""
        watched = self._find(request)
        algorithm, bits = await _key_parameters(request)
        try:
            key = await self._signing.rotate(watched.domain, algorithm, bits)
        except (RotationError, KeyFaultError, OSError) as error:
            raise web.HTTPConflict(text=str(error)) from None
        await audit_change(request, "domain.rotate", watched.domain, after=f"key {key.selector}")
        name, record = self._signing.published_at(key.domain, key.selector), dns_record(key)
        return web.json_response(
            {"selector": key.selector, "name": name, "record": record, "zone_line": zone_line(name, record)}
        )

    def _find(self, request: web.Request) -> DomainStatus:
        domain = canonical_domain(request.match_info["domain"])
        watched = self._signing.watch.find(domain)
        if watched is None:
            domains = ", ".join(one.domain for one in self._signing.watch.watched()) or "none"
            known = "" if APPLICATION in request else f"; its domains are: {domains}"
            raise web.HTTPNotFound(text=f"{domain} is not in the configuration of the server{known}")
        return watched


async def _key_parameters(request: web.Request) -> tuple[Algorithm, int]:
    """Return algorithm and length of the requested key."""
    try:
        body: Any = await request.json()
    except ValueError:
        body = None
    given: dict[str, Any] = body if isinstance(body, dict) else {}
    algorithm, bits = ALGORITHMS.get(str(given.get("algorithm", ""))), given.get("bits", 2048)
    if algorithm is None or bits not in _BITS:
        raise web.HTTPBadRequest(text='a body {"algorithm": "rsa" or "ed25519", "bits": 1024 to 4096} is needed')
    return algorithm, bits


def domain_json(one: DomainStatus) -> JsonObject:
    """Return the JSON of a domain and its last check."""
    return {
        "domain": one.domain,
        "state": one.health,
        "since": time_json(one.health_since),
        "checked_at": time_json(one.checked_at),
        "next_check_at": time_json(one.next_check_at),
        "verified": one.verified,
        "signing": [key.selector for key in one.keys if key.signing],
        "wrong": [record for record, status in one.statuses.items() if status == "wrong"],
        "warnings": [record for record, status in one.statuses.items() if status == "warning"],
    }


def record_json(record: WantedRecord, status: str) -> JsonObject:
    """Return the JSON of a record to publish. `status` is "" for one without an answer of DNS."""
    return {**asdict(record), "zone_line": record.zone_line, "status": status}


def key_json(name: str, key: KeyState, *, waiting: bool) -> JsonObject:
    """Return the JSON of a key. Its state is signing, waiting (for DNS), resting (it signed before) or standby."""
    resting = "resting" if key.signed_until else "standby"
    return {
        "selector": key.selector,
        "algorithm": key.kind,
        "created_at": time_json(key.created_at),
        "published": bool(key.shown_since),
        "shown_since": time_json(key.shown_since),
        "state": "signing" if key.signing else "waiting" if waiting else resting,
        "signed_until": time_json(key.signed_until),
        "keep_published_until": None if key.signing else time_json(key.needed_until),
        "name": name,
        "record": key.record,
    }
