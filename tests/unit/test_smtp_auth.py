"""Credentials: the right secret of a known name is the only one that authenticates."""

import pytest

from relay.config.secret_hash import hash_secret
from relay.config.settings import Settings
from relay.smtp.auth import has_credential

SETTINGS = Settings.model_validate(
    {
        "server": {"hostname": "relay.test"},
        "credentials": {"app1": {"secret_hash": hash_secret("s3cret", bytes(16))}},
    }
)


async def test_the_secret_of_a_credential_authenticates() -> None:
    assert await has_credential(SETTINGS, "app1", "s3cret")


@pytest.mark.parametrize(("username", "secret"), [("app1", "wrong"), ("app1", ""), ("app2", "s3cret"), ("app2", "")])
async def test_other_names_and_secrets_do_not(username: str, secret: str) -> None:
    """The empty secret is the one of the credential that is checked for unknown names."""
    assert not await has_credential(SETTINGS, username, secret)
