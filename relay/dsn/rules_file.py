"""Loads the bounce rules: `bounce_rules.toml` beside the configuration, else the built-in file."""

from functools import cache
from importlib import resources
from pathlib import Path
from threading import Lock

from relay.dsn.bounce_rules import Rules, RulesError, load_rules

NAME = "bounce_rules.toml"


def load_bounce_rules(config: Path | None) -> Rules:
    """Load the rules; raise RulesError naming the file and every fault."""
    return load_custom_rules(config) or built_in_rules()


def load_custom_rules(config: Path | None) -> Rules | None:
    """Load the rules beside the configuration, None if there are none; raise RulesError with the faults."""
    own = config.parent / NAME if config is not None else None
    if own is None or not own.exists():
        return None
    try:
        return load_rules(own.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError(f"{own}: cannot be read: {error}") from error
    except RulesError as error:
        raise RulesError(f"{own}: {error}") from error


def built_in_rules() -> Rules:
    """Return the rules of the built-in file. The first call takes a fifth of a second; a server uses a thread."""
    with _LOADING:
        return _built_in_rules()


_LOADING = Lock()
"""Held while the built-in rules are loaded: a refusal that comes meanwhile waits for them."""


@cache
def _built_in_rules() -> Rules:
    return load_rules(resources.files("relay.dsn").joinpath(NAME).read_text("utf-8"))
