"""The configuration of a running relay: the settings in force, and how the file differs from them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from relay.app.fixed_settings import keep_fixed, restart_needed
from relay.config import Settings, check
from relay.config.differences import Difference, find_differences
from relay.config.load import source_files
from relay.config.node_settings import settings_of_node
from relay.config.show import plain
from relay.dsn.bounce_rules import Rules, RulesError
from relay.dsn.rules_file import NAME, built_in_rules, load_bounce_rules, load_custom_rules

FileStates = tuple[tuple[str, int, int, int], ...]
"""Name, inode, size and time of change of each file of the configuration; zeros for a missing one."""


@dataclass(frozen=True, slots=True)
class FileContent:
    """What the file of the configuration holds now: settings and rules, or faults."""

    settings: Settings | None = None
    rules: Rules | None = None
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FileComparison:
    """The file compared with what was read from it last. `changed` has the sections, `faults` what is wrong with it."""

    state: Literal["in force", "changed", "faulty"]
    changed: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


class Configuration:
    """Settings and bounce rules in force. `path` is None for a relay without a file.

    `node` is the number of one of several nodes on this machine, 0 for a relay that is alone; the file is for all.
    """

    def __init__(self, settings: Settings, path: Path | None, environ: Mapping[str, str], node: int = 0) -> None:
        settings = settings_of_node(settings, node) if node else settings
        self.path = path
        self._node = node
        self.in_force = settings
        self._rules = load_custom_rules(path)
        self.restart_needed: tuple[str, ...] = ()
        """Keys whose values in the file hold only after a restart."""
        self._environ = environ
        self._started = settings
        self._read = settings
        self._files: tuple[Path, ...] = ()
        self._compared: tuple[FileStates, FileComparison] | None = None

    @property
    def rules(self) -> Rules:
        """The bounce rules. Blocks if the built-in ones are in force and not loaded yet."""
        return self._rules or built_in_rules()

    def read(self) -> FileContent:
        """Read and check the file. Blocks."""
        if self.path is None:
            return FileContent(faults=("this server was started without a configuration file",))
        settings, faults, warnings = check(self.path, self._environ)
        if settings is not None and self._node:
            settings = settings_of_node(settings, self._node)
        found, rules = [str(fault) for fault in faults], None
        try:
            rules = load_bounce_rules(self.path)
        except RulesError as error:
            found += str(error).splitlines()
        return FileContent(settings, rules, tuple(found), tuple(map(str, warnings)))

    def storage_password(self) -> str:
        """Return the password of the database as the file has it now, "" if it has none or has faults. Blocks."""
        settings = self.read().settings
        if settings is None:
            return ""
        url = urlsplit(settings.storage.url)
        in_url = unquote(url.password or "") or dict(parse_qsl(url.query)).get("password", "")
        return in_url or settings.storage.password.get_secret_value()

    def after_reload(self, settings: Settings) -> Settings:
        """Return what is in force after a reload of these settings of the file."""
        return keep_fixed(settings, self._started)

    def use(self, settings: Settings, rules: Rules) -> tuple[str, ...]:
        """Put settings that were read in force, except those that need a restart; return the changed sections."""
        changed = sections_changed(self._read, settings)
        self._read, self._rules = settings, rules
        self.in_force = self.after_reload(settings)
        self.restart_needed = restart_needed(settings, self.in_force)
        self._compared = None
        return changed

    def compare(self) -> FileComparison:
        """Compare the file with what was read from it. Blocks. An unchanged file is not read again."""
        if self.path is None:
            return FileComparison("in force")
        states = _states(self._files)
        if self._compared is None or self._compared[0] != states:
            self._files = (*source_files(self.path, self._environ), self.path.parent / NAME)
            states = _states(self._files)
            self._compared = states, self._comparison(self.read())
        return self._compared[1]

    def _comparison(self, found: FileContent) -> FileComparison:
        if found.settings is None or found.rules is None or found.faults:
            return FileComparison("faulty", faults=found.faults)
        changed = sections_changed(self._read, found.settings)
        changed += (NAME,) if found.rules != self.rules else ()
        return FileComparison("changed" if changed else "in force", changed)

    def shown(self) -> dict[str, object]:
        """Return the settings in force as JSON, and the differences of the file. Blocks.

        A difference has `path`, `file` (the value there, absent if it has none), `added` (only the file has it), and
        `needs`: "reload" or "restart".
        """
        found, in_force = self.read(), self.in_force.resolved()
        differences: list[dict[str, object]] = []
        if found.settings is not None and not found.faults:
            wanted = found.settings.resolved()
            after_reload = self.after_reload(found.settings).resolved()
            fixed = {one.path for one in find_differences(after_reload, wanted)}
            differences = [
                _difference_json(one, "restart" if one.path in fixed else "reload")
                for one in find_differences(in_force, wanted)
            ]
        return {"settings": plain(in_force), "differences": differences, "faults": found.faults}


def _difference_json(one: Difference, needs: str) -> dict[str, object]:
    shown: dict[str, object] = {"path": one.path, "needs": needs, "added": one.added}
    return shown if one.other is None else shown | {"file": one.other}


def sections_changed(before: Settings, after: Settings) -> tuple[str, ...]:
    """Return the names of the sections that differ, as in the file."""
    return tuple(dict.fromkeys(str(one.path[0]) for one in find_differences(before, after)))


def _states(files: tuple[Path, ...]) -> FileStates:
    found: list[tuple[str, int, int, int]] = []
    for file in files:
        try:
            state = file.stat()
        except OSError:
            found.append((str(file), 0, 0, 0))
        else:
            found.append((str(file), state.st_ino, state.st_size, state.st_mtime_ns))
    return tuple(found)
