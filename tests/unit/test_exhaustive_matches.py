"""A match over an enum or a closed union ends in assert_never, so that mypy reports a forgotten case."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import relay

TREES = {
    path.relative_to(relay.__path__[0]).as_posix(): ast.parse(path.read_text("utf-8"))
    for path in sorted(Path(relay.__path__[0]).rglob("*.py"))
}

ENUMS = {
    node.name
    for tree in TREES.values()
    for node in ast.walk(tree)
    if isinstance(node, ast.ClassDef) and any("Enum" in ast.unparse(base) for base in node.bases)
}

OWN_CLASSES = {node.name for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def members_of(union: ast.expr) -> Iterator[str]:
    """Yield the names a union `A | B | C` is made of."""
    for node in ast.walk(union):
        if isinstance(node, ast.Name):
            yield node.id


UNIONS = {
    name
    for tree in TREES.values()
    for node in tree.body
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp) and isinstance(node.value.op, ast.BitOr)
    for name in members_of(node.value)
    if name in OWN_CLASSES
}


def is_closed(match: ast.Match) -> bool:
    """Tell whether a pattern names a member of an enum or a class of a union of our own."""
    nodes = [node for case in match.cases for node in ast.walk(case.pattern)]
    values = (node.value for node in nodes if isinstance(node, ast.MatchValue))
    enums = {ast.unparse(value.value) for value in values if isinstance(value, ast.Attribute)}
    classes = {ast.unparse(node.cls) for node in nodes if isinstance(node, ast.MatchClass)}
    return bool(enums & ENUMS or classes & UNIONS)


def hides_a_case(match: ast.Match) -> bool:
    """Tell whether the last arm takes everything else and does something with it."""
    last = match.cases[-1]
    takes_all = isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None and last.guard is None
    return takes_all and not ast.unparse(last.body[0]).startswith("assert_never(")


def test_the_enums_and_unions_are_found() -> None:
    assert {"State", "Kind"} <= ENUMS
    assert {"Delivered", "Refused", "NoSuchDomain", "TemporaryFailure", "FoundPolicy"} <= UNIONS


@pytest.mark.parametrize("name", TREES)
def test_no_match_over_a_closed_type_hides_a_case(name: str) -> None:
    matches = [node for node in ast.walk(TREES[name]) if isinstance(node, ast.Match)]
    assert [node.lineno for node in matches if is_closed(node) and hides_a_case(node)] == []
