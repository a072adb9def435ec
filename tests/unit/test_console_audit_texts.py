"""What the audit has of a changed table: the keys that differ, and no secret, wherever it stands."""

from pathlib import Path

import pytest

from relay.config.table_files import Table, TableName
from relay.config.table_names import MAILBOX
from relay.people.table_editor import Edit, audit_texts

PROVIDER = TableName("provider", ("provider", "news"), is_element=True)
WEBHOOK = TableName("webhook", ("webhook", "crm"), is_element=True)
CREDENTIAL = TableName("credential", ("credentials", "shop"))

SECRETS = [
    (PROVIDER, {"password": "hunter2"}),
    (PROVIDER, {"password_file": "secrets/hunter2"}),
    (PROVIDER, {"oauth": {"preset": "google", "client_secret": "hunter2"}}),
    (WEBHOOK, {"headers": {"X-Api-Key": "hunter2"}}),
    (WEBHOOK, {"url": "https://hooks.chat.test/hunter2"}),
    (WEBHOOK, {"secret": ["whsec_hunter2"]}),
    (MAILBOX, {"password": "hunter2"}),
    (MAILBOX, {"oauth": {"client_secret": "hunter2"}}),
    (CREDENTIAL, {"secret_hash": ["blake2b:hunter2"]}),
]


@pytest.mark.parametrize(("name", "secret"), SECRETS)
def test_no_secret_is_in_the_audit(name: TableName, secret: dict[str, object]) -> None:
    plain = {"host": "a.test"}
    with_secret, without = Table(name, Path(), {**plain, **secret}, "1"), Table(name, Path(), plain, "1")
    changed = {**plain, **{key: f"{one}x" if isinstance(one, str) else one for key, one in secret.items()}}
    for before, values in (
        (with_secret, None),
        (with_secret, plain),
        (with_secret, {**changed, "host": "b.test"}),
        (without, {**plain, **secret}),
    ):
        texts = audit_texts(before, Edit(name, values, "1", "x"))
        assert "hunter2" not in "".join(texts), texts
    assert audit_texts(with_secret, Edit(name, {**plain, **secret, "host": "b.test"}, "1", "x")) == (
        'host = "a.test"',
        'host = "b.test"',
    )
