"""A Dockerfile as data, and its stages built in clean roots: no container engine is needed."""

import json
import re
import shlex
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from tests.packages.clean_root import CleanRoot


@dataclass(frozen=True)
class Instruction:
    """The word of an instruction, its flags by name, and what follows them."""

    word: str
    flags: dict[str, str]
    text: str

    @property
    def words(self) -> list[str]:
        """The arguments, in the form of JSON or of a shell."""
        return json.loads(self.text) if self.text.startswith("[") else shlex.split(self.text)


@dataclass
class Stage:
    """From one FROM to the next."""

    image: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def last(self, word: str) -> Instruction:
        """Return the last instruction of this word."""
        return next(one for one in reversed(self.instructions) if one.word == word)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of all ENV."""
        words = [word for one in self.instructions if one.word == "ENV" for word in one.words]
        return dict(word.split("=", 1) for word in words)


def parse(text: str) -> list[Stage]:
    """Return the stages. Variables of ARG before the first FROM have their defaults."""
    lines = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    stages: list[Stage] = []
    defaults: dict[str, str] = {}
    for line in filter(None, map(str.strip, lines)):
        word, _, rest = line.partition(" ")
        flags = {}
        while found := re.match(r"--([\w-]+)=(\S+)\s+", rest := rest.strip()):
            flags[found[1]] = found[2]
            rest = rest[found.end() :]
        if word == "ARG" and not stages:
            variable, _, value = rest.partition("=")
            defaults[variable] = value
        elif word == "FROM":
            for variable, value in defaults.items():
                rest = rest.replace(f"${{{variable}}}", value)
            image, _, name = rest.partition(" AS ")
            stages.append(Stage(image, name.strip()))
        else:
            stages[-1].instructions.append(Instruction(word, flags, rest))
    return stages


def build(stage: Stage, root: CleanRoot, context: Path, others: dict[str, CleanRoot]) -> None:
    """Carry out RUN and COPY of a stage in a root. `others` are the roots of stages before it."""
    folder = "/"
    for number, one in enumerate(stage.instructions):
        match one.word:
            case "RUN":
                so_far = Stage(stage.image, stage.name, stage.instructions[:number])
                root.run("/bin/sh", "-c", one.text, env=so_far.environment, folder=folder)
            case "WORKDIR":
                folder = one.text
                (root.changed / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "COPY":
                source = others[one.flags["from"]].changed if "from" in one.flags else context
                _copy(source, root.changed, folder, one.words)
            case _:
                pass


def _copy(source: Path, target: Path, folder: str, words: list[str]) -> None:
    """Copy as COPY does: what is in a folder, not the folder itself; several sources need a folder."""
    *names, to = words
    into = target / (Path(folder) / to).as_posix().lstrip("/")
    for name in names:
        path = source / name.lstrip("/")
        if path.is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.so", "_native.c")
            shutil.copytree(
                path, into, symlinks=True, dirs_exist_ok=True, ignore=ignored if source == path.parent else None
            )
        else:
            whole = into / path.name if len(names) > 1 or to.endswith("/") else into
            whole.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, whole)
