"""The routes of the admin socket that applications may use too: the same handlers, each behind a scope and a guard."""

import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from relay.admin.requests import APPLICATION, KEY, OWNS
from relay.api.access import caller_of
from relay.api.exposed_routes import EXPOSED, NOT_EXPOSED
from relay.api.guards import Guard, OwnRows, check_guard, own_rows, owns
from relay.api.operations import PREFIX, Route, has_required_key
from relay.api.problems import Handler
from relay.api.request_bodies import read_json, validate

_PATTERN = re.compile(r"\{(\w+):[^}]*\}")


def management_routes(tables: Iterable[Iterable[web.RouteDef]]) -> list[Route]:
    """Return the routes of the API over these routes of the admin socket.

    Raises KeyError for one that is missing there, and for one there that is in neither table.
    """
    found = {(one.method.lower(), _PATTERN.sub(r"{\1}", one.path)): one for table in tables for one in table}
    for method, path in set(found) - {(one.method, one.path) for one in EXPOSED}:
        if not any(f"{path}/".startswith(f"/{begin}/") for begin in NOT_EXPOSED):
            raise KeyError(f"{method.upper()} {path} of the admin socket is neither in EXPOSED nor in NOT_EXPOSED")
    routes = []
    for one in EXPOSED:
        own = found[(one.method, one.path)]
        routes.append(Route(one.operation, guarded(one.guard, own.handler, one.body), f"{PREFIX}{own.path}"))
    return routes


async def _check_body(model: type[BaseModel], request: web.Request) -> None:
    """Raise ProblemError unless the body is one of the model. Its handler reads it again: aiohttp keeps it."""
    given = await request.read()
    if given or has_required_key(model):
        await validate(model, await read_json(given), len(given))


def guarded(guard: Guard, handler: Any, body: type[BaseModel] | None = None) -> Handler:
    """Return the handler for requests that pass the guard, and whose body is one of this model.

    The admin socket takes more: an operator may import evidence with its provenance, an application may claim none.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        caller = caller_of(request)
        await check_guard(guard, caller, request)
        request[KEY] = caller.credential
        if not caller.sees_all:
            request[APPLICATION] = caller.credential
            owned: Callable[[str], bool] = partial(owns, caller)
            request[OWNS] = owned
        if body is not None:
            await _check_body(body, request)
        answer: web.StreamResponse = await handler(request)
        if isinstance(guard, OwnRows) and not caller.sees_all and isinstance(answer, web.Response):
            whole = json.loads(answer.text or "{}")
            # Other lists of the answer are about what all senders share.
            emptied = {name: [] if isinstance(value, list) else value for name, value in whole.items()}
            return web.json_response({**emptied, guard.name: own_rows(guard, caller, whole[guard.name])})
        return answer

    return handle
