"""The bounce mailbox is read in safety, and what was handled goes elsewhere; what providers say of themselves."""

from typing import Any

import pytest
from pydantic import ValidationError

from relay.config.settings import Settings
from relay.config.sites import SiteProfile


def _faults(**keys: Any) -> list[tuple[str, str]]:
    imap = {"host": "imap.acme.test", "username": "u", "password": "p", **keys}
    try:
        Settings.model_validate({"bounces": {"imap": imap}})
    except ValidationError as error:
        return [(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors()]
    return []


@pytest.mark.parametrize("host", ["imap.acme.test", "192.0.2.1", "localhost.acme.test"])
def test_a_password_needs_tls(host: str) -> None:
    assert _faults(host=host, tls="none") == [("bounces.imap.tls", "the password would be sent in clear text")]
    assert _faults(host=host, tls="starttls") == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_loopback_needs_no_tls(host: str) -> None:
    assert _faults(host=host, tls="none") == []


@pytest.mark.parametrize("keys", [{"handled_folder": "INBOX"}, {"folder": "Handled"}])
def test_handled_mail_is_moved_to_another_folder(keys: dict[str, str]) -> None:
    ((path, problem),) = _faults(**keys)
    assert path == "bounces.imap.handled_folder"
    assert "is the polled folder" in problem
    assert _faults(**keys, handled="flag") == []


@pytest.mark.parametrize(
    "spf", ["", "include:_spf.provider.example", "ip4:192.0.2.0/24  a:out.provider.example mx", "a"]
)
def test_spf_of_a_provider_is_mechanisms_without_the_record(spf: str) -> None:
    provider = {"name": "p", "host": "smtp.provider.example", "spf": spf}
    assert Settings.model_validate({"provider": [provider]}).providers[0].spf == " ".join(spf.split())


@pytest.mark.parametrize("spf", ["v=spf1 include:a.example ~all", "_spf.provider.example", "-all", "include"])
def test_a_whole_spf_record_or_a_bare_host_is_a_fault(spf: str) -> None:
    provider = {"name": "p", "host": "smtp.provider.example", "spf": spf}
    with pytest.raises(ValidationError, match="is not an SPF mechanism"):
        Settings.model_validate({"provider": [provider]})


@pytest.mark.parametrize(
    ("rate", "a_minute"), [("50/s", 3000.0), ("20/min", 20.0), ("90 / h", 1.5), ("1440/d", 1.0), ("", 0.0)]
)
def test_rates_of_sites_are_read_per_minute(rate: str, a_minute: float) -> None:
    site = SiteProfile(name="x", mx=("*.mx.test",), rate=rate)
    assert site.messages_per_minute == pytest.approx(a_minute)


@pytest.mark.parametrize("rate", ["50", "50/m", "0/s", "-1/s", "1e3/s", "fast", "5/s/s"])
def test_other_rates_are_refused(rate: str) -> None:
    with pytest.raises(ValidationError, match="is not a rate"):
        SiteProfile(name="x", mx=("*.mx.test",), rate=rate)


@pytest.mark.parametrize("pattern", ["*.com", "*", "*.", "a b.test", "mx.*.test"])
def test_a_site_is_no_top_level_domain_and_no_other_pattern(pattern: str) -> None:
    with pytest.raises(ValidationError, match=r"top-level domain|is not a host"):
        SiteProfile(name="x", mx=(pattern,))


def test_a_profile_overrides_the_shipped_one_of_its_name_key_by_key_and_comes_first() -> None:
    settings = Settings.model_validate(
        {"site": [{"name": "google", "connections": 20}, {"name": "own", "mx": ["*.googlemail.com"], "rate": "1/s"}]}
    )
    google = settings.site_profiles.find("gmail-smtp-in.l.google.com")
    own = settings.site_profiles.find("aspmx2.googlemail.com")
    assert google is not None
    assert (google.name, google.connections, google.messages_per_connection) == ("google", 20, 50)
    assert own is not None
    assert own.name == "google", "the first profile that matches counts"


def test_an_own_profile_comes_before_a_shipped_one_with_a_longer_suffix() -> None:
    settings = Settings.model_validate({"site": [{"name": "all", "mx": ["*.outlook.com"]}]})
    found = settings.site_profiles.find("acme-com.mail.protection.outlook.com")
    assert found is not None
    assert found.name == "all"
