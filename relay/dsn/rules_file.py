"""The bounce rules on disk: `bounce_rules.toml` beside the configuration, else those that come with the program."""

from importlib import resources
from pathlib import Path

from relay.dsn.classify import Rules, RulesError, load_rules

NAME = "bounce_rules.toml"


def load_bounce_rules(config: Path | None) -> Rules:
    """Read the rules; raise RulesError naming the file and every fault in it."""
    own = config.parent / NAME if config is not None else None
    if own is None or not own.exists():
        return load_rules(resources.files("relay.dsn").joinpath(NAME).read_text("utf-8"))
    try:
        return load_rules(own.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError(f"{own}: cannot be read: {error}") from error
    except RulesError as error:
        raise RulesError(f"{own}: {error}") from error
