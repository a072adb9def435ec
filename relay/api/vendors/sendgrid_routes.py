"""The API of SendGrid as its clients use it: mail/send."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from relay.api.messages import client_of, key_of
from relay.api.problems import ProblemError
from relay.api.submitter import derived
from relay.api.vendors.forms import FormError
from relay.api.vendors.routes import Failure, Sending, VendorRoute, accepted
from relay.api.vendors.sendgrid import is_sandbox, translate


@dataclass(frozen=True, slots=True)
class SendGridRoutes:
    """POST /v3/mail/send."""

    sending: Sending

    def routes(self) -> Sequence[VendorRoute]:
        """Return the route."""
        return [VendorRoute("POST", "/v3/mail/send", "send", self.send)]

    async def send(self, request: web.Request) -> web.Response:
        """POST /v3/mail/send: 202 when all messages are on disk; 200 in the sandbox, where none is."""
        client, context, key = client_of(request), self.sending.context(request), key_of(request)
        async with self.sending.memory.body(request, self.sending.limit()) as body:
            given = await self.sending.read_json(request, body)
            if not isinstance(given, dict):
                raise FormError("a JSON object is expected")
            sandbox = is_sandbox(given)
            translated = await self.sending.parsed(translate, given, context)
            if sandbox:
                return web.Response(status=200)
            done: list[str] = []
            for number, one in enumerate(translated):
                try:
                    submitted = await self.sending.submit(client, one, derived(key, str(number)))
                except ProblemError as error:
                    raise _partly(error, number, len(done)) from None
                done.append(accepted(submitted)[0].message.queue_id)
        return web.Response(status=202, headers={"X-Message-Id": done[0]})


def failed(failure: Failure) -> web.Response:
    """Return an error as SendGrid's clients read it."""
    status = 400 if failure.status == 422 else failure.status
    errors = [{"message": failure.text, "field": failure.field or None, "help": None}]
    return web.Response(status=status, text=json.dumps({"errors": errors}), content_type="application/json")


def _partly(error: ProblemError, number: int, before: int) -> ProblemError:
    """Return the error of a personalization. It says how many before it were accepted: they must not be sent again."""
    if not before:
        return error
    detail = f"personalizations.{number}: {error.detail}; the {before} before it are accepted: send only the rest"
    return ProblemError(error.status, detail)
