"""Settings that a running relay cannot change: until a restart they keep their values of the start."""

from collections.abc import Iterator, Mapping

from relay.config.differences import find_differences
from relay.config.errors import key_text
from relay.config.settings import Listener, Section, Settings

FIXED_SECTIONS = ("storage", "api", "admin", "metrics", "render", "log", "resolver")
"""Sections of which a reload changes nothing."""

FIXED_KEYS: Mapping[str, tuple[str, ...]] = {
    "server": ("data_dir", "allow_open", "event_loop", "reuse_port"),
    "console": ("address", "url", "certificate", "key", "trusted_proxies"),
    "tracker": ("address", "trusted_proxies", "proxy_protocol", "guard"),
}
"""Fields of other sections that a reload does not change."""


def keep_fixed(new: Settings, started: Settings) -> Settings:
    """Return the new settings, with those of the start where a reload cannot change them.

    A listener keeps its address, TLS mode and proxies; its certificate, AUTH and networks change. Listeners are known
    by name.
    """
    replaced: dict[str, object] = {name: getattr(started, name) for name in FIXED_SECTIONS}
    for section, names in FIXED_KEYS.items():
        before: Section = getattr(started, section)
        after: Section = getattr(new, section)
        update = {name: getattr(before, name) for name in names}
        if section == "tracker" and "base_url" not in new.tracker.model_fields_set:
            update["base_url"] = started.tracker.base_url  # It is derived from the address, which does not change.
        replaced[section] = after.replaced(update)
    replaced["listeners"] = tuple(_listeners(new, started))
    return new.replaced(replaced)


def restart_needed(new: Settings, in_force: Settings) -> tuple[str, ...]:
    """Return the keys, such as `log` and `server.data_dir`, whose new values hold only after a restart.

    `in_force` is what `keep_fixed` made of the new settings.
    """
    found = (difference.path for difference in find_differences(in_force, new))
    return tuple(dict.fromkeys(key_text(path[: 2 if str(path[0]) in FIXED_KEYS else 1]) for path in found))


def _listeners(new: Settings, started: Settings) -> Iterator[Listener]:
    by_name = {one.name: one for one in new.listeners}
    for before in started.listeners:
        after = by_name.get(before.name)
        if after is None:
            yield before
            continue
        update: dict[str, object] = {"auth": after.auth, "allow_networks": after.allow_networks}
        if after.tls == before.tls:
            update |= {"certificate": after.certificate, "key": after.key}
        yield before.replaced(update)
