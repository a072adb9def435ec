"""The description of the API in OpenAPI 3.1, made of its operations and their models. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from relay.api.operations import Operation, Parameter, has_required_key
from relay.api.problems import PROBLEM_TYPE
from relay.api.responses import Problem
from relay.webhooks.schemas import event_schemas

_REF = "#/components/schemas/{model}"

_ERRORS: Mapping[str, str] = {
    "400": "A parameter is wrong",
    "401": "The login is missing or wrong",
    "403": "The credential has not the scope, or may not do this",
    "404": "There is no such thing that the credential may see",
    "408": "The body did not arrive in time",
    "409": "The state of the thing does not allow it now, or a request with the same key is in progress",
    "410": "The position is of another database",
    "412": "It is not as If-Match or If-None-Match say",
    "413": "The body or the message is too large",
    "415": "The media type of the body is not supported",
    "422": "The body is not valid, or the message is refused",
    "429": "Too many requests, or too many wrong logins",
    "500": "An unexpected error; the log of the relay has it under the X-Request-Id",
    "503": "A temporary failure: the store does not answer, or the message has a temporary refusal",
}


def openapi(operations: Sequence[Operation], version: str) -> dict[str, Any]:
    """Return the description of these operations."""
    bodies = [one.body for one in operations if one.body is not None]
    models: list[type[BaseModel]] = list(dict.fromkeys([Problem, *(one.answer for one in operations), *bodies]))
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
            "schemas": {**schemas.get("$defs", {}), **_event_types(operations)},
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic", "description": "Name and secret of a credential"},
                "bearer": {"type": "http", "scheme": "bearer", "description": "NAME:SECRET of a credential"},
            },
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    content = {"application/json": {"schema": _reference(operation.answer)}}
    if operation.streams:
        content["text/event-stream"] = {
            "schema": {"type": "string", "description": "id: position, event: type, data: one event as JSON"}
        }
    problem = {PROBLEM_TYPE: {"schema": _reference(Problem)}}
    errors = {status: {"description": text, "content": problem} for status, text in _ERRORS.items()}
    described: dict[str, Any] = {
        "operationId": f"{operation.method}{operation.path.title()}".translate(_NO_LETTERS),
        "summary": operation.summary,
        "description": f"Needs the scope `{operation.scope}`.",
        "parameters": [_parameter(one) for one in operation.parameters],
        "responses": {str(operation.status): {"description": "The answer", "content": content}, **errors},
    }
    return described | ({"requestBody": _body(operation)} if operation.body else {})


_NO_LETTERS = {ord(one): None for one in "/{}_-"}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.required,
        "description": parameter.description,
        "schema": {"type": "array", "items": parameter.schema} if parameter.repeats else parameter.schema,
    }


def _body(operation: Operation) -> dict[str, Any]:
    assert operation.body is not None
    content: dict[str, Any] = {"application/json": {"schema": _reference(operation.body)}}
    if operation.other_body:
        content[operation.other_body] = {"schema": {"type": "string", "format": "binary"}}
    return {"required": has_required_key(operation.body), "content": content}


def _reference(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": _REF.format(model=model.__name__)}


def _event_types(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the schemas of the types of events by title, if an operation answers with events."""
    if not any(operation.streams for operation in operations):
        return {}
    found: dict[str, Any] = {}
    for schema in event_schemas().values():
        own = {key: value for key, value in schema.items() if key not in ("$defs", "$schema")}
        found |= {**schema.get("$defs", {}), str(schema["title"]): own}
    return found
