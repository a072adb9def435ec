"""The bounce mailbox is read in safety, and what was handled goes elsewhere; what providers say of themselves."""

from typing import Any

import pytest
from pydantic import ValidationError

from relay.config.settings import Settings


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
