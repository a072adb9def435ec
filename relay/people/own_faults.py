"""The faults of the configuration that somebody may see who is restricted to domains. Pure."""

from collections.abc import Sequence

from relay.config.errors import Fault
from relay.config.table_files import Table

OTHERS = "nothing was changed, because the configuration has faults: tell an operator"


def own_faults(
    present: Table, faults: Sequence[Fault], texts: Sequence[str]
) -> tuple[tuple[Fault, ...], tuple[str, ...]]:
    """Return those of the own table, and that there are others."""
    own = tuple(one for one in faults if one.file == str(present.file))
    return own, (OTHERS,) if texts or not own else ()
