"""Passwords that a form carries open for the same login only, and for a quarter of an hour."""

from typing import Any

import pytest

from relay.console.kept_secrets import KEPT, KeptSecrets
from relay.console.roles import Role, Viewer, set_viewer
from relay.people.grants import SignedIn, Stage

KEYS = [("k1", b"1" * 32), ("k0", b"0" * 32)]


def request_of(token_hash: str) -> Any:
    request: Any = {}
    signed_in = SignedIn("olga@acme.test", "owner", (), Stage.FULL, token_hash, "csrf")
    set_viewer(request, Viewer(name="olga@acme.test", role=Role.OWNER, signed_in=signed_in))
    return request


@pytest.mark.parametrize("secret", ["hunter2", "two words  and spaces ", "Zürich €", "x" * 1500])
def test_a_password_opens_for_its_login_and_time_only(secret: str) -> None:
    now = 1000.0
    kept = KeptSecrets(lambda: KEYS, lambda: now)
    mine, other = request_of("a"), request_of("b")
    carried = kept.keep(mine, secret)
    assert secret not in carried
    assert carried != kept.keep(mine, secret), "each is another text"
    assert kept.opened(mine, carried) == secret
    assert kept.opened(other, carried) == ""
    assert KeptSecrets(lambda: KEYS[::-1], lambda: now).opened(mine, carried) == secret, "after a rotation"
    assert KeptSecrets(lambda: KEYS[1:], lambda: now).opened(mine, carried) == ""
    now += KEPT + 1
    assert kept.opened(mine, carried) == ""


@pytest.mark.parametrize("carried", ["", "k1:", "k1:AAAA", "k9:AAAA", "hunter2", "x" * 5000, "k1:é"])
def test_what_was_not_carried_opens_nothing(carried: str) -> None:
    assert KeptSecrets(lambda: KEYS, lambda: 0.0).opened(request_of("a"), carried) == ""


def test_no_password_is_carried_as_nothing() -> None:
    kept = KeptSecrets(lambda: KEYS, lambda: 0.0)
    assert kept.keep(request_of("a"), "") == ""
    assert kept.keep(request_of("a"), "x" * 5000) == ""
