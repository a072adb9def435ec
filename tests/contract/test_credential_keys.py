"""The last use and the revocation of keys are kept, whichever comes first."""

from relay.storage.store import Store
from relay.submission.ports import KeyUse


async def test_the_latest_use_and_the_first_revocation_are_kept(store: Store) -> None:
    keys = store.credential_keys
    await keys.note_uses([KeyUse("ff", "app1", used_at=20.5), KeyUse("ee", "app2", used_at=7.0)])
    await keys.note_uses([KeyUse("ff", "app1", used_at=10.0)])
    await keys.revoke([KeyUse("ff", "app1", revoked_at=30.0), KeyUse("dd", "app1", revoked_at=30.0)])
    await keys.revoke([KeyUse("ff", "app1", revoked_at=40.0)])
    await keys.note_uses([KeyUse("ff", "app1", used_at=25.0)])
    assert list(await keys.keys()) == [
        KeyUse("dd", "app1", 0.0, 30.0),
        KeyUse("ff", "app1", 25.0, 30.0),
        KeyUse("ee", "app2", 7.0, 0.0),
    ]
