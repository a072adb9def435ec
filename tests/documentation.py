"""README.md and docs/ as data: the blocks of each page, and the markers that say how a test runs them.

A marker is an HTML comment on the lines before a block:

    <!-- not run: REASON -->   The block cannot run here. It is only checked for syntax.
    <!-- setup: COMMANDS -->   Shell commands that run before the block. The reader does not need them.
    <!-- file: NAME -->        The block is the content of this file, relative to the folder of the page.
    <!-- serve -->             The block is a server. It runs until all blocks of its page have run.
    <!-- exit: CODE -->        The exit code of the block; 0 without this marker.
    <!-- needs: PROGRAM -->    The block runs only where this program is installed.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]

PAGES = tuple(
    str(page.relative_to(ROOT))
    for page in sorted((*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))
    if page.name != "CHANGELOG.md"
)
"""The pages whose examples are run, relative to the root of the repository."""

_BLOCK = re.compile(r"((?:<!-- (?:(?!-->).)* -->\n+)*)^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

_MARKER = re.compile(r"<!-- (not run|setup|file|serve|exit|needs)(?:: ((?:(?!-->).)*?))? -->", re.DOTALL)

_CODE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, its markers by name, and the line it begins at."""

    language: str
    text: str
    line: int
    markers: dict[str, str] = field(default_factory=dict)

    @property
    def runs(self) -> bool:
        """Whether a test runs it."""
        return "not run" not in self.markers


@dataclass(frozen=True)
class Step:
    """One command of a `console` block, and the output shown below it."""

    command: str
    output: str


def text_of(page: str) -> str:
    """The Markdown of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def blocks_of(text: str) -> list[Block]:
    """The fenced blocks of a page in their order."""
    return [_block(text, match) for match in _BLOCK.finditer(text)]


def _block(text: str, match: re.Match[str]) -> Block:
    line = text.count("\n", 0, match.start(2)) + 1
    comments = match[1].count("<!--")
    markers = dict(_MARKER.findall(match[1]))
    if comments != len(markers):
        raise ValueError(f"line {line}: a marker that is not known, or is there twice: {match[1]}")
    return Block(match[2], match[3], line, markers)


def steps_of(text: str) -> Iterator[Step]:
    """The commands of a `console` block; a line that ends with a backslash goes on in the next."""
    command, output = "", list[str]()
    for line in text.splitlines():
        if command.endswith("\\"):
            command += f"\n{line}"
        elif line.startswith("$ "):
            if command:
                yield Step(command, "\n".join(output))
            command, output = line[2:], []
        else:
            output.append(line)
    yield Step(command, "\n".join(output))


def commands_in_prose(text: str) -> list[str]:
    """Code spans outside of blocks that are commands of the relay."""
    prose = _BLOCK.sub("", text)
    return [span for span in _CODE.findall(prose) if span.startswith("relay ")]


_ID = re.compile(r"\b[0-9A-Z]{14}\b")

_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?")


def shows(shown: str, written: str) -> bool:
    """Whether the output a page shows is what a command wrote.

    `…` stands for any text within a line, a line of its own for any lines. Queue ids and times are examples.
    """
    lines = [_pattern(line) for line in _anonymous(shown).splitlines()]
    return re.fullmatch("".join(lines), f"{_anonymous(written)}\n") is not None


def _pattern(line: str) -> str:
    if line.strip() == "…":
        return r"(?:.*\n)*?"
    return ".*?".join(re.escape(part) for part in line.rstrip().split("…")) + r"[ ]*\n"


def _anonymous(text: str) -> str:
    return _TIME.sub("<time>", _ID.sub("<id>", text.strip("\n")))
