"""The operations of the API as data: the server makes its routes of them, and OpenAPI its description."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from relay.config.credentials import Scope

PREFIX = "/api/v1"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query."""

    name: str
    description: str
    schema: Mapping[str, Any]
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path, the scope it needs, and the model of its answer."""

    method: str
    path: str
    summary: str
    scope: Scope
    parameters: Sequence[Parameter]
    answer: type[BaseModel]
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    streams: bool = False
    """Whether the answer may be a stream of events too (`text/event-stream`)."""
    examples: Sequence[Mapping[str, Any]] = ()
    """Further schemas that the answer has, such as those of the types of events."""
