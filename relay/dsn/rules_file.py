"""Loads the bounce rules: `bounce_rules.toml` beside the configuration, else the built-in file."""

from functools import cache
from importlib import resources
from pathlib import Path

from relay.dsn.bounce_rules import Rules, RulesError, load_rules

NAME = "bounce_rules.toml"


def load_bounce_rules(config: Path | None) -> Rules:
    """Load the rules; raise RulesError naming the file and every fault."""
    own = config.parent / NAME if config is not None else None
    if own is None or not own.exists():
        return built_in_rules()
    try:
        return load_rules(own.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError(f"{own}: cannot be read: {error}") from error
    except RulesError as error:
        raise RulesError(f"{own}: {error}") from error


@cache
def built_in_rules() -> Rules:
    """Return the rules of the built-in file. Compiling their phrases takes a quarter of a second."""
    return load_rules(resources.files("relay.dsn").joinpath(NAME).read_text("utf-8"))
