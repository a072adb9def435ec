"""Routes of the pages that verify addresses: the link in a mail, and the page that sends and takes codes.

Nothing happens by GET, because scanners fetch links. The answers to POST /verify do not depend on whether the address
is known here. Pages of other sites cannot use the form in the name of a reader: browsers mark their requests
(Fetch Metadata). Origin is no help, because with `Referrer-Policy: no-referrer` it is "null" for this page too.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import assert_never
from urllib.parse import parse_qsl

from aiohttp import web

from relay.clock import Clock
from relay.events.ports import StoreError
from relay.mail.address import AddressError, parse_address
from relay.mail.canonical_address import canonical
from relay.tracker import pages, responses
from relay.tracker import verification_pages as html
from relay.tracker.ports import AddressVerification, CodeTerms, Confirmation, TooManyRequests, WrongCode
from relay.tracker.request import MAX_BODY, read_body

LOOKUP_TIMEOUT = 5.0
"""Seconds for which the page of a link waits for the store."""

_MAX_FIELDS = 8

_BETWEEN_DIGITS = re.compile(r"[\s\-\u2010-\u2015]+")


class VerificationRoutes:
    """Answers /v/<token> and /verify. Without `verification`, as in a standalone tracker, they ask for the code."""

    def __init__(self, verification: AddressVerification | None, clock: Clock) -> None:
        self._verification = verification
        self._clock = clock

    async def link(self, request: web.BaseRequest, queue_id: str) -> web.Response:
        """GET: the page that names the address. POST: confirm it."""
        verification = self._verification
        if verification is None:
            return _page(html.ELSEWHERE)
        try:
            if request.method != "POST":
                async with asyncio.timeout(LOOKUP_TIMEOUT):
                    found = await verification.pending(queue_id)
            elif await read_body(request) is None:
                return _too_long()
            else:
                found = await verification.confirm_link(queue_id)
        except (StoreError, TimeoutError):
            return _page(html.TRY_LATER, 503)

        if found is None:
            return _page(html.too_late(has_page=verification.terms() is not None), 410)
        return _page(html.confirmed(found) if found.at else html.ask_confirmation(found))

    async def code(self, request: web.BaseRequest, client: str) -> web.Response:
        """GET: the page that asks for an address. POST with `address`: send a code. With `code` too: try it.

        `client` is the subject of quotas.
        """
        verification = self._verification
        if verification is None:
            return _page(html.ELSEWHERE)
        terms = verification.terms()
        if terms is None:
            return responses.plain(404, "Not found.")
        if request.method != "POST":
            return _page(html.ask_address())
        if request.headers.get("Sec-Fetch-Site", "none").lower() not in ("none", "same-origin"):
            return _page(html.FOREIGN, 403)

        body = await read_body(request)
        if body is None:
            return _too_long()
        fields = _fields(body)
        address = fields.get("address", "").strip()
        try:
            parse_address(address)
        except AddressError as error:
            return _page(html.ask_address(address, html.not_an_address(str(error))), 400)

        try:
            if "code" in fields:
                return await self._try(verification, terms, address, fields["code"], client)
            if fields.get("have"):
                return _page(html.ask_code(address, terms, sent=False))
            return await self._send(verification, terms, address, client)
        except StoreError:
            return _page(html.TRY_LATER, 503)

    async def _send(
        self, verification: AddressVerification, terms: CodeTerms, address: str, client: str
    ) -> web.Response:
        refused = await verification.request_code(canonical(address), client)
        if refused is None:
            return _page(html.ask_code(address, terms, sent=True))
        return self._too_many(address, terms, refused)

    async def _try(
        self, verification: AddressVerification, terms: CodeTerms, address: str, text: str, client: str
    ) -> web.Response:
        code = _BETWEEN_DIGITS.sub("", text)
        if not (code.isascii() and code.isdigit() and len(code) == terms.digits):
            return _page(html.ask_code(address, terms, sent=False, fault=html.not_a_code(terms.digits)), 400)

        match result := await verification.enter_code(canonical(address), code, client):
            case Confirmation():
                return _page(html.confirmed(result))
            case WrongCode():
                return _page(html.ask_code(address, terms, sent=False, fault=html.wrong_code()), 422)
            case TooManyRequests():
                return self._too_many(address, terms, result)
            case _:
                assert_never(result)

    def _too_many(self, address: str, terms: CodeTerms, refused: TooManyRequests) -> web.Response:
        """Return 429 with Retry-After (RFC 6585 section 4)."""
        answer = _page(html.ask_code(address, terms, sent=False, fault=html.too_many(refused.again_at)), 429)
        answer.headers["Retry-After"] = str(max(1, round(refused.again_at - self._clock())))
        return answer


def _fields(body: bytes) -> Mapping[str, str]:
    """Return the first value of each field of a form; malformed bodies have none."""
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict")
    except ValueError:
        return {}
    return dict(reversed(pairs))


def _page(text: str, status: int = 200) -> web.Response:
    return responses.page(text, pages.POLICY, status=status)


def _too_long() -> web.Response:
    return responses.plain(413, f"The body is longer than {MAX_BODY} octets.")
