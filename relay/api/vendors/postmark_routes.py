"""The API of Postmark as its clients use it: email, and email/batch."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.api.messages import client_of, key_of
from relay.api.problems import ProblemError
from relay.api.submitter import Client, Submitted, derived
from relay.api.vendors.forms import FormError, Translated
from relay.api.vendors.postmark import (
    INVALID,
    MAX_BATCH,
    NO_JSON,
    NO_JSON_TYPE,
    NO_TOKEN,
    OTHER,
    RATE,
    TOO_MANY,
    all_inactive,
    failure,
    success,
    translate,
)
from relay.api.vendors.routes import Failure, Sending, VendorRoute, accepted
from relay.mail.dialects.field_values import DialectContext
from relay.webhooks.formats.postmark import message_uuid

FIELD = "X-Postmark-Server-Token"

AT_ONCE = 20
"""Messages of a batch that are accepted at the same time."""


@dataclass(frozen=True, slots=True)
class PostmarkRoutes:
    """POST /email and /email/batch."""

    sending: Sending

    def routes(self) -> Sequence[VendorRoute]:
        """Return the routes."""
        return [
            VendorRoute("POST", "/email", "send", self.send),
            VendorRoute("POST", "/email/batch", "send", self.send_batch),
        ]

    async def send(self, request: web.Request) -> web.Response:
        """POST /email: 200 when the message is on disk, 422 with the code of the error."""
        client, context, key = client_of(request), self.sending.context(request), key_of(request)
        async with self.sending.memory.body(request, self.sending.limit()) as body:
            answer = await self._answer(client, context, await self._read_json(request, body), key)
        return _json(422 if answer["ErrorCode"] else 200, answer)

    async def send_batch(self, request: web.Request) -> web.Response:
        """POST /email/batch: 200 with an answer for each message."""
        client, context, key = client_of(request), self.sending.context(request), key_of(request)
        turns = asyncio.Semaphore(AT_ONCE)

        async def answer(number: int, one: object) -> Mapping[str, object]:
            async with turns:
                return await self._answer(client, context, one, derived(key, str(number)))

        async with self.sending.memory.body(request, self.sending.limit()) as body:
            given = await self._read_json(request, body)
            if not isinstance(given, list) or not 1 <= len(given) <= MAX_BATCH:
                code = TOO_MANY if isinstance(given, list) and given else INVALID
                raise FormError(f"a list of 1 to {MAX_BATCH} messages is needed", code=code)
            answers = await asyncio.gather(*(answer(number, one) for number, one in enumerate(given)))
        return _json(200, answers)

    async def _read_json(self, request: web.Request, body: bytes) -> object:
        """Return the JSON value of a body. Raises FormError with the code that clients read."""
        try:
            return await self.sending.read_json(request, body)
        except ProblemError as error:
            raise FormError(error.detail, code=NO_JSON_TYPE if error.status == 415 else NO_JSON) from None

    async def _answer(self, client: Client, context: DialectContext, given: object, key: str) -> Mapping[str, object]:
        try:
            translated = await self.sending.parsed(translate, given, context)
            submitted = await self.sending.submit(client, translated, key)
        except FormError as error:
            return failure(INVALID, str(error))
        except ProblemError as error:
            if error.status >= 500:
                raise
            return failure(INVALID, error.detail)
        return self._result(translated, submitted)

    def _result(self, translated: Translated, submitted: Sequence[Submitted]) -> Mapping[str, object]:
        (message,) = accepted(submitted)
        suppressed = [one.recipient for one in message.entries if one.reason.startswith("suppressed")]
        given = {address for one in submitted for address in one.recipients}
        if given and given <= set(suppressed):
            return all_inactive(suppressed)
        to = ", ".join(translated.message.to)
        return success(message_uuid(message.message.queue_id), to, self.sending.clock(), suppressed)


def server_token(request: web.Request) -> tuple[str, str]:
    """Return the key of a request; its name is in it."""
    return "", request.headers.get(FIELD, "")


def failed(found: Failure) -> web.Response:
    """Return an error as Postmark's clients read it."""
    match found.status:
        case 400 | 422:
            return _json(422, failure(found.code or INVALID, found.text))
        case 401:
            return _json(401, failure(NO_TOKEN, f"No valid key in the {FIELD} field: {found.text}"))
        case 429:
            return _json(429, failure(RATE, found.text))
        case status:
            return _json(status, failure(OTHER, found.text))


def _json(status: int, value: object) -> web.Response:
    return web.Response(status=status, text=json.dumps(value), content_type="application/json")
