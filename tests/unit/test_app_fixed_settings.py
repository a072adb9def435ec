"""What a reload changes, and what stays as at the start until a restart."""

from typing import Any

import pytest

from relay.app.fixed_settings import FIXED_KEYS, FIXED_SECTIONS, keep_fixed, restart_needed
from relay.config.settings import Settings

LISTENER = {"name": "submission", "address": "127.0.0.1:25"}

STARTED = Settings.model_validate({"listener": [LISTENER]})


def _after(tables: dict[str, Any]) -> tuple[Settings, tuple[str, ...]]:
    """Return what is in force after a reload of these tables, and the keys that need a restart."""
    new = Settings.model_validate({"listener": [LISTENER], **tables})
    new.senders  # noqa: B018 - cached values of the file must not appear in the settings in force
    in_force = keep_fixed(new, STARTED)
    return in_force, restart_needed(new, in_force)


@pytest.mark.parametrize(
    ("tables", "needed"),
    [
        ({"server": {"hostname": "other.test", "identities_domain": "acme.test"}}, ()),
        ({"server": {"event_loop": "asyncio"}}, ("server.event_loop",)),
        ({"tracker": {"base_url": "https://t.acme.test"}}, ()),
        ({"tracker": {"address": "127.0.0.1:1"}}, ("tracker.address", "tracker.base_url")),
        ({"tracker": {"address": "127.0.0.1:1", "base_url": "https://t.acme.test"}}, ("tracker.address",)),
        ({"log": {"level": "debug"}, "metrics": {"address": "127.0.0.1:2"}}, ("log", "metrics")),
        ({"listener": [{**LISTENER, "auth": "required", "allow_networks": []}]}, ()),
        ({"listener": [{**LISTENER, "address": "127.0.0.1:26"}]}, ("listener",)),
        ({"listener": [{**LISTENER, "proxy_protocol": True, "trusted_proxies": ["10.0.0.1"]}]}, ("listener",)),
        ({"listener": [{**LISTENER, "name": "other"}]}, ("listener",)),
        ({"listener": [{**LISTENER, "tls": "implicit", "certificate": "/c.pem"}]}, ("listener",)),
        ({"queue": {"lifetime": "1h"}, "smtp": {"max_errors": 3}}, ()),
    ],
)
def test_what_needs_a_restart(tables: dict[str, Any], needed: tuple[str, ...]) -> None:
    assert _after(tables)[1] == needed


def test_a_reload_changes_who_may_send_through_a_listener_and_not_its_address() -> None:
    changed = {**LISTENER, "address": "127.0.0.1:26", "auth": "required", "allow_networks": ["10.0.0.0/8"]}
    (listener,) = _after({"listener": [changed]})[0].listeners
    assert (listener.address, listener.auth, [str(one) for one in listener.allow_networks]) == (
        STARTED.listeners[0].address,
        "required",
        ["10.0.0.0/8"],
    )


def test_a_network_that_a_reload_removes_may_not_send_after_it() -> None:
    assert STARTED.listeners[0].allows("127.0.0.1")
    (listener,) = _after({"listener": [{**LISTENER, "allow_networks": ["10.0.0.0/8"]}]})[0].listeners
    assert not listener.allows("127.0.0.1")
    assert listener.allows("10.0.0.1")


def test_links_lead_to_the_tracker_that_runs() -> None:
    in_force, _ = _after({"tracker": {"address": "127.0.0.1:1"}, "domains": {"acme.test": {}}})
    assert in_force.tracking_for("acme.test").base_url == STARTED.tracker.base_url


def test_each_key_of_what_is_partly_fixed_is_known_to_change_or_not() -> None:
    """A new key is in one of these lists, after a look at the code that reads it."""
    changing = {
        "server": {"hostname", "identities_domain"},
        "tracker": {"base_url", "keys"},
        "console": {"people", "require_totp", "session", "audit_retention"},
    }
    for section, names in FIXED_KEYS.items():
        assert changing[section] | set(names) == set(type(getattr(STARTED, section)).model_fields)
    assert set(type(STARTED.listeners[0]).model_fields) == {
        *("name", "kind", "address", "tls", "reserved_connections", "proxy_protocol", "trusted_proxies"),
        *("certificate", "key", "auth", "allow_networks"),
    }


def test_fixed_settings_are_fields() -> None:
    assert set(FIXED_SECTIONS) < set(Settings.model_fields)
    for section, names in FIXED_KEYS.items():
        assert set(names) < set(type(getattr(STARTED, section)).model_fields)
