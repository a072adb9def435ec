"""Where keys stand in a TOML document."""

import tomllib
from typing import Any

import pytest

from relay.config.toml_positions import KeyPath, key_positions

_DOCUMENT = '''\
# a comment with = and [brackets]
top = 1
[server]
hostname = "x" # [not.a.table]
"quo.ted".inner.'literal' = """
[fake]
fake = 3
"escaped\\" \\"""
""""
literal = \'\'\'
[fake]
quote\'\'\'\'
array = [
  "1, ] [", # ] a comment
  { k = 1, deep.er = [2,
    3] },
]
[[listener]]
name = "a"
[listener.sub]
q = 1979-05-27 07:32:00
  [[listener]]
  name = 'a]#b'
[ "domains" . 'a.test' ]
t = {"a b" = {}, c = []}
'''


def _paths(values: Any, path: KeyPath = ()) -> set[KeyPath]:
    found = {path}
    if isinstance(values, dict):
        found = found.union(*(_paths(value, (*path, key)) for key, value in values.items()))
    elif isinstance(values, list):
        found = found.union(*(_paths(value, (*path, index)) for index, value in enumerate(values)))
    return found


def test_exactly_the_paths_of_the_document_have_lines() -> None:
    assert set(key_positions(_DOCUMENT)) == _paths(tomllib.loads(_DOCUMENT)) - {()}


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("server",), 3),
        (("server", "hostname"), 4),
        (("server", "quo.ted", "inner", "literal"), 5),
        (("server", "literal"), 10),
        (("server", "array"), 13),
        (("server", "array", 0), 14),
        (("server", "array", 1, "k"), 15),
        (("server", "array", 1, "deep", "er", 0), 15),
        (("server", "array", 1, "deep", "er", 1), 16),
        (("listener", 0), 18),
        (("listener", 0, "sub", "q"), 21),
        (("listener", 1), 22),
        (("listener", 1, "name"), 23),
        (("domains", "a.test"), 24),
        (("domains", "a.test", "t", "a b"), 25),
    ],
)
def test_each_key_has_its_line(path: KeyPath, line: int) -> None:
    assert key_positions(_DOCUMENT)[path] == line


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment", "a=1", '[a]\nb=""', "a = ''''''\nb = \"\"\"\"\"\"\n"])
def test_small_documents_have_a_line_for_each_key(text: str) -> None:
    assert set(key_positions(text)) == _paths(tomllib.loads(text)) - {()}
