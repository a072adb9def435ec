"""What an operator of this machine does to people is in the audit."""

import pytest

from relay.people.ports import ChangeQuery
from tests.unit.admin_harness import NOW, AdminHarness, admin

__all__ = ["admin"]

JANE = "jane@acme.test"


@pytest.mark.parametrize(
    ("path", "action", "after"),
    [("logout", "logout", "0 sessions ended"), ("totp", "app", "removed"), ("forget", "forget", "removed")],
)
async def test_a_change_by_the_admin_socket_is_recorded(
    admin: AdminHarness, path: str, action: str, after: str
) -> None:
    await admin.store.accounts.set_totp(JANE, "k:x", 1)
    assert (await admin.ask("POST", f"/people/{path}", {"address": JANE}))[0] == 200

    (change,) = await admin.store.changes.changes(ChangeQuery(limit=9))
    assert (change.at, change.person, change.client) == (NOW, "operator", "admin socket")
    assert (change.action, change.subject, change.after) == (action, JANE, after)
    assert [fields["action"] for line, fields in admin.lines if line == "console.changed"] == [action]


async def test_what_changed_nothing_is_not_recorded(admin: AdminHarness) -> None:
    await admin.ask("POST", "/people/totp", {"address": JANE})
    assert await admin.store.changes.changes(ChangeQuery(limit=9)) == []
