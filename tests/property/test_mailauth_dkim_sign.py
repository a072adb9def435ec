from hypothesis import given
from hypothesis import strategies as st

from relay.mailauth.dkim_keys import generate_key, load_key
from relay.mailauth.dkim_sign import SEALED, SEALED_WHEN_PRESENT, SIGNED, sign
from tests.dkim_verifiers import dkimpy

KEYS = (
    load_key(generate_key("rsa-sha256", 1024), "acme.test", "rsa"),
    load_key(generate_key("ed25519-sha256"), "acme.test", "ed25519"),
)

_TEXT = st.binary(max_size=40).map(lambda text: text.replace(b"\r", b"").replace(b"\n", b""))

_NAME = st.sampled_from([*SEALED, *SEALED_WHEN_PRESENT, *SIGNED, "Received", "X-Other"]).flatmap(
    lambda name: st.sampled_from([name, name.lower(), name.upper()])
)

# dkimpy strips a vertical tab or form feed from a value's ends, which RFC 6376 does not: there are none in these.
_VALUE = st.lists(_TEXT, min_size=1, max_size=3).map(lambda lines: b"\r\n ".join(lines).translate(None, b"\x0b\x0c"))

_FIELD = st.tuples(_NAME, _VALUE).map(lambda pair: pair[0].encode() + b":" + pair[1] + b"\r\n")

_BODY = st.lists(st.one_of(_TEXT, st.sampled_from([b"", b" ", b"\t", b".", b"a  b "])), max_size=8).map(b"\r\n".join)

_CONTENT = st.builds(
    lambda fields, body: b"".join([b"From: a@acme.test\r\n", *fields]) + b"\r\n" + body + b"\r\n",
    st.lists(_FIELD, max_size=8),
    _BODY,
)


@given(_CONTENT, st.integers(0, 1_736_156_000))
def test_whatever_is_signed_verifies(content: bytes, now: int) -> None:
    assert dkimpy(sign(content, KEYS, now) + content, KEYS) == [True, True]


@given(_CONTENT, _FIELD)
def test_a_sealed_field_cannot_be_added_and_another_can(content: bytes, added: bytes) -> None:
    name = added.partition(b":")[0].lower().decode()
    present = f"\r\n{name}:".encode() in b"\r\n" + content.partition(b"\r\n\r\n")[0].lower()
    always = {sealed.lower() for sealed in SEALED}
    sealed = name in always or (present and name in {maybe.lower() for maybe in SEALED_WHEN_PRESENT})
    verdict = dkimpy(added + sign(content, KEYS, 1_736_156_000) + content, KEYS)
    assert verdict == [not sealed, not sealed]
