"""Warnings of checks across settings."""

from typing import Any

import pytest

from relay.config.checks import find_warnings
from relay.config.errors import key_text
from relay.config.settings import Settings
from tests.unit.checked_settings import HOST, IMAP, errors_of, listener_table, warnings_of


@pytest.mark.parametrize(
    ("tables", "messages"),
    [
        (
            {"listener": [listener_table(auth="required")]},
            "listener[0].auth: no client can send: there are no [credentials]",
        ),
        (
            {"listener": [listener_table(certificate="/c.pem")]},
            'listener[0].tls: is "none", so the certificate is not used',
        ),
        (
            {"provider": [{"name": "p", **HOST, "tls": "none", "username": "u", "password": "s"}]},
            "provider[0].tls: the password is sent in clear text",
        ),
        ({"queue": {"delay_notice": "80h"}}, "queue.delay_notice: is never sent: the message expires first"),
        ({"tracker": {"address": "0.0.0.0:80"}}, "tracker.base_url: no reader can reach 0.0.0.0"),
        (
            {"tracker": {"address": "192.0.2.1:80", "proxy_protocol": True, "trusted_proxies": ["10.0.0.1"]}},
            "tracker.base_url: is the tracker itself, which answers through the proxy only",
        ),
        (
            {"listener": [listener_table(trusted_proxies=["10.0.0.1"])]},
            "listener[0].trusted_proxies: has no effect without proxy_protocol",
        ),
        (
            {"domains": {"a.test": {"return_path": "b.a.test"}}},
            'domains."a.test".return_path: no [[listener]] of kind "inbound" receives mail for it',
        ),
        (
            {"listener": [listener_table(kind="inbound")]},
            "alerts.mail_to: is empty, so mail to postmaster@ and abuse@ is refused (RFC 5321 section 4.5.1)",
        ),
        (
            {"identities": {"x@a.test": {"reply_to": "y@a.test", "forward_to": ["z@b.test"]}}},
            'identities."x@a.test".reply_to: is fixed, so replies are not tracked, and forward_to gets none',
        ),
        (
            {"identities": {"x@a.test": {"reply_to": "y@a.test", "reply_tracking": True}}},
            'identities."x@a.test".reply_to: is fixed, so replies are not tracked, although reply_tracking is on',
        ),
        (
            {
                "listener": [listener_table(kind="inbound")],
                "alerts": {"mail_to": ["me@b.test"]},
                "domains": {"a.test": {"reply_domain": "r.a.test"}},
                "identities": {"x@a.test": {"forward_to": ["me@a.test", "me@R.a.test"]}},
            },
            'identities."x@a.test".forward_to[1]: mail to r.a.test is received by this relay, which has no mailboxes',
        ),
        (
            {"bounces": {"address": "b@a.test"}},
            "bounces.address: is set, but no bounces are read from that mailbox",
        ),
        (
            {"bounces": {"address": "b@a.test", "imap": IMAP}, "defaults": {"return_path": "r.a.test"}},
            "bounces.address: is not used: all mail has a signed address at its return_path",
        ),
        (
            {"bounces": {"address": "b@r.a.test", "imap": IMAP}, "domains": {"a.test": {"return_path": "r.a.test"}}},
            "bounces.address: mail to r.a.test is received by this relay, which has no mailboxes",
        ),
    ],
)
def test_doubtful_settings_are_warnings(tables: dict[str, Any], messages: str) -> None:
    assert errors_of(tables) == []
    assert warnings_of(tables) == [messages]


def test_bounces_may_come_back_by_imap() -> None:
    assert warnings_of({"defaults": {"return_path": "b.a.test"}, "bounces": {"imap": IMAP}}) == []
    assert warnings_of({"bounces": {"address": "b@a.test", "imap": IMAP}}) == []


def test_a_global_exclusion_is_explained_where_it_is_set() -> None:
    tables = {"defaults": {"exclusion": "global"}, "domains": {"a.test": {}, "b.test": {"exclusion": "domain"}}}
    (warning,) = find_warnings(Settings.model_validate(tables))
    assert key_text(warning.path) == "defaults.exclusion"
    assert "every campaign of this relay" in warning.problem
    assert '"domain" for the campaigns of one domain' in warning.allowed
    (warned,) = warnings_of({"domains": {"a.test": {"exclusion": "global"}, "b.test": {}}})
    assert warned.startswith('domains."a.test".exclusion: is "global": ')


def test_fallbacks_of_campaign_mail_need_its_provider() -> None:
    useless = "campaign_fallback_providers: has no effect: there is no campaign_provider"
    tables = {"defaults": {"campaign_fallback_providers": ["direct"]}, "domains": {"a.test": {}}}
    assert warnings_of(tables) == [f"defaults.{useless}"]
    assert warnings_of({"domains": {"a.test": {"campaign_fallback_providers": ["direct"]}}}) == [
        f'domains."a.test".{useless}'
    ]
    both = {"campaign_provider": "direct", "campaign_fallback_providers": ["direct"]}
    assert warnings_of({"defaults": both, "domains": {"a.test": {"campaign_fallback_providers": ["direct"]}}}) == []
