"""A match over an enum or a closed union ends in assert_never, so that mypy reports a forgotten case."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import relay

Trees = dict[str, ast.Module]


@cache
def trees() -> Trees:
    """Return the modules of the package, parsed once, and not before a test asks: that takes seconds."""
    folder = Path(relay.__path__[0])
    return {path.relative_to(folder).as_posix(): ast.parse(path.read_text("utf-8")) for path in folder.rglob("*.py")}


@cache
def classes() -> list[ast.ClassDef]:
    """Return the classes of the package."""
    return [node for tree in trees().values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


@cache
def enums() -> set[str]:
    """Return the names of the enums."""
    return {node.name for node in classes() if any("Enum" in ast.unparse(base) for base in node.bases)}


def members_of(union: ast.expr) -> Iterator[str]:
    """Yield the names a union `A | B | C` is made of."""
    for node in ast.walk(union):
        if isinstance(node, ast.Name):
            yield node.id


@cache
def unions() -> set[str]:
    """Return the names of the classes that unions of our own are made of."""
    own = {node.name for node in classes()}
    return {
        name
        for tree in trees().values()
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp) and isinstance(node.value.op, ast.BitOr)
        for name in members_of(node.value)
        if name in own
    }


def is_closed(match: ast.Match) -> bool:
    """Tell whether a pattern names a member of an enum or a class of a union of our own."""
    nodes = [node for case in match.cases for node in ast.walk(case.pattern)]
    values = (node.value for node in nodes if isinstance(node, ast.MatchValue))
    matched_enums = {ast.unparse(value.value) for value in values if isinstance(value, ast.Attribute)}
    matched_classes = {ast.unparse(node.cls) for node in nodes if isinstance(node, ast.MatchClass)}
    return bool(matched_enums & enums() or matched_classes & unions())


def hides_a_case(match: ast.Match) -> bool:
    """Tell whether the last arm takes everything else and does something with it."""
    last = match.cases[-1]
    takes_all = isinstance(last.pattern, ast.MatchAs) and last.pattern.pattern is None and last.guard is None
    return takes_all and not ast.unparse(last.body[0]).startswith("assert_never(")


def test_the_enums_and_unions_are_found() -> None:
    assert {"State", "Kind"} <= enums()
    assert {"Delivered", "Refused", "NoSuchDomain", "TemporaryFailure", "FoundPolicy"} <= unions()


def test_no_match_over_a_closed_type_hides_a_case() -> None:
    matches = [(name, node) for name, tree in trees().items() for node in ast.walk(tree) if isinstance(node, ast.Match)]
    assert [(name, node.lineno) for name, node in matches if is_closed(node) and hides_a_case(node)] == []
