"""The routes of the services' forms: each behind a scope, and with errors in the form of the service."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from aiohttp import web

from relay.api.access import CALLER, Access, parse_login
from relay.api.messages import client_of
from relay.api.problems import ERROR_FORM, Handler, ProblemError
from relay.api.replies import refusal
from relay.api.request_bodies import BodyMemory, read_json
from relay.api.submitter import Client, Mail, Submitted, Submitter
from relay.api.substitutions import TextTooLongError, substitute
from relay.api.vendors.forms import FormError, Translated
from relay.config.credentials import Scope
from relay.config.settings import Settings
from relay.events.ports import StoreError
from relay.mail.dialects.field_values import DialectContext
from relay.mail.reply import Reply
from relay.mail.transaction import Envelope
from relay.policy.dialect_rules import dialect_context
from relay.queue.message import NewMessage
from relay.submission.content_replies import too_large

T = TypeVar("T")

RETRY_AFTER = 5
"""Seconds after which a request may be repeated while the store does not answer."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that failed. `field` is the key of the request that is wrong, "" for none."""

    status: int
    text: str
    field: str = ""
    code: int = 0
    """Number of the fault at the service, 0 for none."""


Login = Callable[[web.Request], tuple[str, str]]
"""Returns user name and secret of a request, "" for what is missing."""


def authorization(request: web.Request) -> tuple[str, str]:
    """Return the login of the Authorization field."""
    return parse_login(request.headers.get("Authorization", ""))


@dataclass(frozen=True, slots=True)
class VendorRoute:
    """A method of a path, in the form of a service."""

    method: str
    path: str
    scope: Scope
    handler: Handler


def guarded(access: Access, route: VendorRoute, failed: Callable[[Failure], web.Response], login: Login) -> Handler:
    """Return the handler of a route behind its login. `failed` returns an error in the form of the service."""

    async def handle(request: web.Request) -> web.StreamResponse:
        request[ERROR_FORM] = lambda status, text: failed(Failure(status, text))
        try:
            request[CALLER] = await access.logged_in(request, *login(request), route.scope)
            with access.turn(request[CALLER]):
                return await route.handler(request)
        except FormError as error:
            return failed(Failure(400, str(error), error.field, error.code))
        except ProblemError as error:
            return _with(failed(Failure(error.status, error.detail)), error.headers)
        except web.HTTPException as error:
            kept = {name: value for name, value in error.headers.items() if name == "Retry-After"}
            return _with(failed(Failure(error.status, error.text or error.reason)), kept)
        except StoreError as error:
            answer = failed(Failure(503, f"the store does not answer: {error}"))
            return _with(answer, {"Retry-After": str(RETRY_AFTER)})

    return handle


def _with(answer: web.Response, headers: Mapping[str, str]) -> web.Response:
    answer.headers.update(headers)
    return answer


@dataclass(frozen=True, slots=True)
class Sending:
    """What the routes that send share."""

    settings: Callable[[], Settings]
    submitter: Submitter
    memory: BodyMemory
    clock: Callable[[], float]

    def context(self, request: web.Request) -> DialectContext:
        """Return what the form can refer to: groups, streams and pools of the settings, rights of the credential."""
        return dialect_context(self.settings(), client_of(request).session, Envelope(""), b"", self.clock())

    def limit(self) -> int:
        """Return the octets of a body: a message of the largest size in base64, with its keys."""
        return self.settings().limits.max_message_size * 3 // 2 + (1 << 20)

    async def read_json(self, request: web.Request, body: bytes) -> Any:
        """Return the JSON value of a body. Raises ProblemError: 415 for another type, 400."""
        if "Content-Type" in request.headers and request.content_type != "application/json":
            raise ProblemError(415, f"the Content-Type must be application/json, not {request.content_type[:100]}")
        return await read_json(body)

    async def parsed(self, read: Callable[..., T], *given: object) -> T:
        """Return what a function reads from a body, in a thread: a large one would delay other mail."""
        return await asyncio.to_thread(read, *given)

    async def submit(self, client: Client, translated: Translated, key: str = "") -> Sequence[Submitted]:
        """Accept a message; raise ProblemError if it is refused for all recipients. `key` is an idempotency key."""
        message = translated.message
        if translated.texts:
            limit = self.settings().limits.max_message_size
            try:
                message = await asyncio.to_thread(substitute, message, translated.texts, limit)
            except TextTooLongError:
                raise refusal(too_large(limit)) from None
        submitted = await self.submitter.submit(client, message, key, translated.instructions)
        if not any(isinstance(one.result, NewMessage) for one in submitted):
            raise refusal(next(one.result for one in submitted if isinstance(one.result, Reply)))
        return submitted

    async def submit_mail(self, client: Client, mail: Mail) -> Sequence[Submitted]:
        """Accept a composed message; raise ProblemError if it is refused."""
        submitted = await self.submitter.submit_mail(client, mail)
        if isinstance(submitted.result, Reply):
            raise refusal(submitted.result)
        return [submitted]


def accepted(submitted: Sequence[Submitted]) -> Sequence[NewMessage]:
    """Return the messages that were accepted."""
    return [one.result for one in submitted if isinstance(one.result, NewMessage)]


def table(
    access: Access,
    routes: Sequence[VendorRoute],
    failed: Callable[[Failure], web.Response],
    login: Login = authorization,
) -> Sequence[web.RouteDef]:
    """Return the routes of one service for the server, and for other methods of their paths an error in its form."""
    methods: dict[str, list[str]] = {}
    for one in routes:
        methods.setdefault(one.path, []).append(one.method)
    return [
        *(web.route(one.method, one.path, guarded(access, one, failed, login)) for one in routes),
        *(web.route("*", path, _not_allowed(failed, ", ".join(sorted(found)))) for path, found in methods.items()),
    ]


def _not_allowed(failed: Callable[[Failure], web.Response], methods: str) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        text = f"{request.method} is not allowed here; allowed: {methods}"
        return _with(failed(Failure(405, text)), {"Allow": methods})

    return handle
