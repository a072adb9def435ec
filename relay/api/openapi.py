"""The description of the API in OpenAPI 3.1, made of its operations and their models. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from relay.api.operations import Operation
from relay.api.problems import PROBLEM_TYPE

_REF = "#/components/schemas/{model}"

_PROBLEM = {
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong, and what would be right"},
    },
    "required": ["title", "status", "detail"],
}

_ERRORS: Mapping[str, str] = {
    "400": "A parameter is wrong",
    "401": "The login is missing or wrong",
    "403": "The credential has not the scope",
    "410": "The position is of another database",
    "429": "Too many wrong logins",
    "503": "The store does not answer",
}


def openapi(operations: Sequence[Operation], version: str) -> dict[str, Any]:
    """Return the description of these operations."""
    models: list[type[BaseModel]] = [operation.answer for operation in operations]
    _, schemas = models_json_schema([(model, "validation") for model in models], by_alias=True, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "relay", "version": version, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "security": [{"basic": []}, {"bearer": []}],
        "components": {
            "schemas": {**schemas.get("$defs", {}), **_further(operations), "Problem": _PROBLEM},
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic", "description": "Name and secret of a credential"},
                "bearer": {"type": "http", "scheme": "bearer", "description": "NAME:SECRET of a credential"},
            },
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": {"$ref": _REF.format(model=operation.answer.__name__)}}}
    if operation.streams:
        content["text/event-stream"] = {
            "schema": {"type": "string", "description": "id: position, event: type, data: one event as JSON"}
        }
    problem = {PROBLEM_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}}
    errors = {status: {"description": text, "content": problem} for status, text in _ERRORS.items()}
    return {
        "summary": operation.summary,
        "description": f"Needs the scope `{operation.scope}`.",
        "parameters": [
            {
                "name": one.name,
                "in": "query",
                "description": one.description,
                "schema": {"type": "array", "items": one.schema} if one.repeats else one.schema,
            }
            for one in operation.parameters
        ],
        "responses": {"200": {"description": "The answer", "content": content}, **errors},
    }


def _further(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the schemas of further forms, by title."""
    found: dict[str, Any] = {}
    for operation in operations:
        for schema in operation.examples:
            own = {key: value for key, value in schema.items() if key not in ("$defs", "$schema")}
            found |= {**schema.get("$defs", {}), str(schema["title"]): own}
    return found
