"""The JSON inside rows: what an earlier version wrote is read, and so is what it never knew."""

from relay.render.message_policy import MessagePolicy
from relay.storage.json_columns import decode_policy, encode_policy

OLD = (
    '{"domain":"acme.test","identity":"app@acme.test","return_path":"","provider":"direct",'
    '"fallback_providers":["backup"]}'
)


def test_a_policy_of_the_first_version_is_read() -> None:
    policy = decode_policy(OLD)
    assert policy == MessagePolicy("acme.test", "app@acme.test", fallback_providers=("backup",), send_at=None)
    assert encode_policy(policy) == OLD


def test_a_name_goes_with_its_policy() -> None:
    policy = MessagePolicy("acme.test", "app@acme.test", author_name="Zo\u00eb (Acme)")
    assert decode_policy(encode_policy(policy)) == policy
