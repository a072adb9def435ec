"""How much of each limit is used. Pure."""

from collections.abc import Mapping, Sequence

from relay.limits.ports import Usage
from relay.limits.window import Window


def used_ratio(windows: Sequence[Window], usage: Usage) -> float:
    """Return the highest share of its windows that one ledger has used: 1.0 if a further message has to wait."""
    return max((left / window.limit for window, left in zip(windows, usage.left, strict=True)), default=0.0)


def used_ratios(
    windows: Mapping[str, Sequence[Window]], usages: Mapping[str, Usage]
) -> Mapping[tuple[str, str], float]:
    """Return the ratios by kind and name of the provider; of identities the highest, with the name "".

    Keys are those of ledgers, such as "provider:newsletter". Identities are too many for a name each.
    """
    ratios: dict[tuple[str, str], float] = {}
    for key, usage in usages.items():
        kind, _, name = key.partition(":")
        label = kind, name if kind == "provider" else ""
        ratios[label] = max(ratios.get(label, 0.0), used_ratio(windows[key], usage))
    return ratios
