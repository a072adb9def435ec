"""What the audit has of a change of a table: the keys that differ, and nothing of a secret."""

from pathlib import Path

from relay.config.table_files import Table, TableName
from relay.config.table_names import identity_table
from relay.people.table_editor import Edit, audit_texts

JANE = identity_table("jane@acme.test")
NEWS = TableName("provider", ("provider", "news"), is_element=True)


def test_the_keys_that_differ_are_in_the_audit() -> None:
    before = Table(JANE, Path("f"), {"company": "Acme", "hourly_limit": 40, "bcc": ["a@x.test"]}, "v")
    edit = Edit(JANE, {"company": "Acme", "hourly_limit": 20, "display_name": 'J "D"'}, "v", "identity.change")
    was, now = audit_texts(before, edit)
    assert was == 'hourly_limit = 40, bcc = ["a@x.test"]'
    assert now == 'hourly_limit = 20, display_name = "J \\"D\\""'
    assert audit_texts(before, Edit(JANE, None, "v", "identity.remove"))[1] == "removed"
    assert audit_texts(Table(JANE, Path("f")), Edit(JANE, {}, "", "identity.new")) == ("", "nothing")


def test_a_secret_is_named_as_changed_only() -> None:
    before = Table(NEWS, Path("f"), {"name": "news", "host": "h.test", "password": "hush"}, "v")
    edit = Edit(NEWS, {"name": "news", "host": "h.test"}, "v", "provider.change", {"password": "new secret"})
    assert audit_texts(before, edit) == ("password = changed", "password = changed")
    moved = Edit(NEWS, {"name": "news", "host": "i.test", "password": "hush"}, "v", "provider.change")
    assert audit_texts(before, moved) == ('host = "h.test"', 'host = "i.test"')
    assert "hush" not in str(audit_texts(before, Edit(NEWS, None, "v", "provider.remove")))
    assert "hush" not in repr(before)
    assert "new secret" not in repr(edit)


def test_secrets_of_new_tables_are_not_in_the_audit() -> None:
    key, hook = (
        TableName("credential", ("credentials", "app1")),
        TableName("webhook", ("webhook", "crm"), is_element=True),
    )
    nothing = Table(key, Path("f"))
    values: dict[str, object] = {"secret_hash": ["blake2b:AAAA:BBBB"], "scopes": ["send"]}
    assert (
        audit_texts(nothing, Edit(key, values, "", "credential.new"))[1] == 'secret_hash = changed, scopes = ["send"]'
    )
    values = {"url": "https://u:pass@crm.test/?key=k", "headers": {"Authorization": "Bearer t"}, "secret_file": "s"}
    now = audit_texts(Table(hook, Path("f")), Edit(hook, values, "", "webhook.new"))[1]
    assert now == "url = changed, headers = changed, secret_file = changed"
