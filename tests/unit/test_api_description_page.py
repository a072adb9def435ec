"""The page that describes the API: each operation and model is on it, and a text of the description is never markup."""

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from relay.api.all_operations import description
from relay.api.description_page import page


def described(text: str) -> dict[str, Any]:
    """Return an OpenAPI document that has the text wherever a text can be."""
    value = {"type": "array", "items": {"anyOf": [{"enum": [text]}, {"$ref": f"#/components/schemas/{text}"}]}}
    operation = {
        "operationId": text,
        "summary": text,
        "description": text,
        "parameters": [{"name": text, "in": "query", "schema": value, "description": text}],
        "requestBody": {"content": {text: {"schema": value}}},
        "responses": {"200": {"content": {text: {"schema": {"additionalProperties": value}}}}},
    }
    model = {"description": text, "required": [text], "properties": {text: {**value, "description": text}}}
    return {"info": {"version": text}, "paths": {text: {"get": operation}}, "components": {"schemas": {text: model}}}


def elements(html: str) -> list[str]:
    return re.findall(r"<(/?[a-z0-9]+)", html)


@given(st.text(min_size=1))
def test_a_text_is_never_markup(text: str) -> None:
    hostile = f"{text}\"'><script>alert(1)</script>"
    assert elements(page(described(hostile))) == elements(page(described("plain")))


def test_each_operation_and_each_model_has_its_place() -> None:
    document = description()
    html = page(document)
    ids = set(re.findall(r' id="([^"]+)"', html))
    operations = {one["operationId"] for methods in document["paths"].values() for one in methods.values()}
    assert ids == operations | set(document["components"]["schemas"])
    assert {link for link in re.findall(r'href="#([^"]+)"', html) if link not in ids} == set()
