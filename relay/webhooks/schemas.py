"""The JSON Schema of each type, made from the models. Pure."""

from typing import Any, Literal

from pydantic import create_model

from relay.webhooks.bodies import MODELS, EventBody


def schema_of(kind: str, *, refs: str = "#/$defs/{model}") -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the body of a type, such as "message.delivered"."""
    data = MODELS[kind]
    only: Any = Literal[kind]
    model = create_model(kind, __base__=EventBody, type=(only, ...), data=(data, ...))
    made = model.model_json_schema(by_alias=True, mode="validation", ref_template=refs)
    about = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": kind,
        "description": data.__doc__ or "",
    }
    return made | about


def event_schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas of all types, with references into the components of an OpenAPI description."""
    return {kind: schema_of(kind, refs="#/components/schemas/{model}") for kind in MODELS}
