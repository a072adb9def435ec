"""The operations of the API as data: the server makes its routes of them, and OpenAPI its description."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from relay.api.problems import Handler
from relay.config.credentials import Scope

PREFIX = "/api/v1"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of the query, of the path, or of the header."""

    name: str
    description: str
    schema: Mapping[str, Any]
    repeats: bool = False
    place: Literal["query", "path", "header"] = "query"
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path, the scope it needs, and the models of its body and its answer."""

    method: str
    path: str
    summary: str
    scope: Scope
    answer: type[BaseModel]
    parameters: Sequence[Parameter] = ()
    body: type[BaseModel] | None = None
    """Model of the body in JSON, None without a body."""
    other_body: str = ""
    """A further media type that the body may have."""
    status: int = 200
    """Status of the answer."""
    streams: bool = False
    """Whether the answer has events, and may be a stream of them (`text/event-stream`)."""


@dataclass(frozen=True, slots=True)
class Route:
    """An operation and its handler.

    The server checks the scope before it calls the handler; `relay.api.access.caller_of` returns the caller.
    """

    operation: Operation
    handler: Handler
    pattern: str = ""
    """Path as aiohttp reads it, if it is more than that of the operation."""


def has_required_key(body: type[BaseModel]) -> bool:
    """Whether a model has a key without a default; without one the body may be left out."""
    return any(one.is_required() for one in body.model_fields.values())
