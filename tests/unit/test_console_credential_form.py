"""The form of a credential offers each scope of the configuration: saving would remove one that it lacks."""

from typing import get_args

from relay.config.credentials import Scope
from relay.console.credential_form import SCOPES


def test_each_scope_can_be_chosen() -> None:
    assert {option.value for option in SCOPES} == set(get_args(Scope))
