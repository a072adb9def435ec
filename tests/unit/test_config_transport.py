"""The bounce mailbox is read in safety, and what was handled goes elsewhere."""

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
def test_no_password_travels_in_the_clear(host: str) -> None:
    assert _faults(host=host, tls="none") == [("bounces.imap.tls", "the password would travel in the clear")]
    assert _faults(host=host, tls="starttls") == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_loopback_needs_no_tls(host: str) -> None:
    assert _faults(host=host, tls="none") == []


@pytest.mark.parametrize("keys", [{"handled_folder": "INBOX"}, {"folder": "Handled"}])
def test_handled_mail_is_not_moved_to_where_it_is(keys: dict[str, str]) -> None:
    ((path, problem),) = _faults(**keys)
    assert path == "bounces.imap.handled_folder"
    assert "is the folder that is watched" in problem
    assert _faults(**keys, handled="flag") == []
