"""JSON Schema of the configuration file, for editors that check and complete TOML."""

from collections.abc import Mapping
from typing import Any

from relay.config.reference import reference
from relay.config.schema import fields_of, keys_from_file, table_at
from relay.config.settings import Settings
from relay.config.toml_positions import KeyPath
from relay.config.values import Section

DIALECT = "https://json-schema.org/draft/2020-12/schema"

ANY: KeyPath = ("*", 0)
"""Parts of a path that stand for any name, and any place in an array."""

Node = dict[str, Any]
"""A part of a schema."""


def configuration_schema() -> Node:
    """Return the schema, with the text of the reference for each key, and `<key>_file` for values of files."""
    schema = Settings.model_json_schema(by_alias=True, mode="validation")
    texts: dict[KeyPath, str] = {one.path: one.text for one in reference() if one.text}
    _complete(schema, schema["$defs"], Settings, (), texts)
    return {"$schema": DIALECT, **schema, "title": "relay.toml", "description": "The configuration of relay."}


def _complete(
    table: Node, definitions: Node, section: type[Section], path: KeyPath, texts: Mapping[KeyPath, str]
) -> None:
    """Add texts and the keys of files to a table and to those below it. A table at two paths keeps the first texts."""
    properties = table["properties"]
    for key in fields_of(section):
        place = (*path, key)
        if text := texts.get(tuple(part for part in place if part not in ANY)):
            properties[key].setdefault("description", text)
        definition = _definition(properties[key], definitions)
        for inside in (place, *((*place, one) for one in ANY)):
            below = table_at(inside)
            if below is not None and definition is not None:
                _complete(definition, definitions, below, inside, texts)
                break

    for key in keys_from_file(section):
        properties[f"{key}_file"] = {"type": "string", "description": f"File with the value of {key}."}
        if key in table.get("required", ()):
            table["required"].remove(key)


def _definition(node: Node, definitions: Node) -> Node | None:
    """Return the definition of the table that a key has: as it is, in an array or by names. None if it has none."""
    if "$ref" in node:
        found: Node = definitions[node["$ref"].rpartition("/")[2]]
        return found
    parts = [*node.get("anyOf", ()), node.get("items"), node.get("additionalProperties")]
    found_in = (_definition(part, definitions) for part in parts if isinstance(part, dict))
    return next((one for one in found_in if one is not None), None)
