"""A page to read the description of the API: HTML without scripts, of the same OpenAPI document. Pure."""

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

from relay.api.html import Markup, fragment, tag

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2024}"
    "code{font:14px ui-monospace,monospace;background:#f1f3f5;padding:.1em .3em;border-radius:3px}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;"
    "border-bottom:1px solid #e3e6e9}h2{margin-top:2.5rem}h3{margin-top:2rem}"
    "@media(prefers-color-scheme:dark){body{background:#16181a;color:#e6e8ea}code{background:#26292c}"
    "td,th{border-color:#33373b}a{color:#7cb7ff}}"
)

POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of the page: its own style sheet, and nothing else."""

_REF = "#/components/schemas/"


def page(description: Mapping[str, Any]) -> str:
    """Return the page of an OpenAPI document."""
    schemas: Mapping[str, Any] = description["components"]["schemas"]
    operations = [
        (method, path, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]
    body = tag(
        "main",
        tag("h1", f"API of relay {description['info']['version']}"),
        tag("p", "The same as ", tag("a", "openapi.json", href="openapi.json"), "."),
        tag("ul", *(tag("li", tag("a", f"{one[0].upper()} {one[1]}", href=f"#{one[2]['operationId']}"), " ",
                        one[2]["summary"]) for one in operations)),
        *(_operation(*one) for one in operations),
        tag("h2", "Models"),
        *(_model(name, schema) for name, schema in sorted(schemas.items())),
    )  # fmt: skip
    head = fragment(
        Markup('<meta charset="utf-8"><meta name="viewport" content="width=device-width">'),
        tag("title", "API of relay"),
        Markup(f"<style>{_STYLE}</style>"),
    )
    return f"<!doctype html>{tag('html', tag('head', head), tag('body', body), lang='en')}"


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> Markup:
    parts: list[object] = [tag("h2", tag("code", f"{method.upper()} {path}"), id=operation["operationId"])]
    parts.append(tag("p", operation["summary"], ". ", operation["description"]))
    rows = [
        (one["name"], one["in"], _kind(one["schema"]), one["description"]) for one in operation.get("parameters", [])
    ]
    if rows:
        parts.append(_table(("parameter", "in", "type", "meaning"), rows))
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(tag("p", "Body, ", tag("code", kind), ": ", _kind(content["schema"])))
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            kinds = [fragment(tag("code", kind), ": ", _kind(one["schema"]), " ")
                     for kind, one in answer["content"].items()]  # fmt: skip
            parts.append(tag("p", f"Answer {status}, ", *kinds))
    return tag("section", *parts)


def _model(name: str, schema: Mapping[str, Any]) -> Markup:
    required = set(schema.get("required", ()))
    rows = [
        (key, _kind(one), "required" if key in required else "", one.get("description", ""))
        for key, one in schema.get("properties", {}).items()
    ]
    table = _table(("key", "type", "", "meaning"), rows) if rows else None
    return tag("section", tag("h3", name, id=name), tag("p", schema.get("description", "")), table)


def _kind(schema: Mapping[str, Any]) -> Markup:
    """Return the type of a value in a few words, with links to models."""
    return fragment(*_words(schema))


def _words(schema: Mapping[str, Any]) -> Iterator[object]:
    if reference := schema.get("$ref", ""):
        name = reference.removeprefix(_REF)
        yield tag("a", name, href=f"#{name}")
    elif "anyOf" in schema:
        for number, one in enumerate(schema["anyOf"]):
            yield " or " if number else ""
            yield _kind(one)
    elif "enum" in schema or "const" in schema:
        yield " or ".join(map(str, schema.get("enum") or [schema["const"]]))
    elif schema.get("type") == "array":
        yield fragment("list of ", _kind(schema.get("items") or {}))
    elif isinstance(schema.get("additionalProperties"), Mapping):
        yield fragment("object of ", _kind(schema["additionalProperties"]))
    else:
        yield schema.get("format") or schema.get("type") or "any"


def _table(head: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> Markup:
    return tag(
        "table",
        tag("tr", *(tag("th", one) for one in head)),
        *(tag("tr", tag("td", tag("code", row[0])), *(tag("td", one) for one in row[1:])) for row in rows),
    )
