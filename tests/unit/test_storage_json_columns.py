"""The JSON inside rows: what an earlier version wrote is read, and so is what it never knew."""

from dataclasses import replace

from relay.render.message_policy import MessagePolicy
from relay.rewrite.options import Tracking
from relay.storage.json_columns import decode_policy, encode_policy, join_policy, split_policy

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


def test_policies_that_differ_in_one_field_keep_it() -> None:
    plain = MessagePolicy("acme.test", tracking=Tracking(base_url="https://t.acme.test", clicks=True))
    others = (
        replace(plain, added_fields=b"Received: a\r\n"),
        replace(plain, send_at=None),
        replace(plain, sandbox=True),
        replace(plain, reply_to=("a@acme.test",), reply_domain="r.acme.test"),
    )
    for policy in (plain, *others, plain):
        assert join_policy(*split_policy(policy)) == policy
    assert split_policy(others[0])[0] == split_policy(plain)[0]
