"""Signed tokens: what was signed comes back, anything else does not."""

import pickle

import pytest

from relay.mail.queue_id import RANDOM_SPACE, queue_id
from relay.rewrite.tokens import (
    Keyring,
    Kind,
    Token,
    new_key,
    parse_keyring,
    sign_address_token,
    sign_token,
    verify_address_token,
    verify_token,
)

QUEUE_ID = queue_id(1_764_000_000.0, 12345)

RING = parse_keyring([new_key(b"a" * 32, "k1")])


def test_click_token_carries_its_target() -> None:
    token = Token(Kind.CLICK, QUEUE_ID, 3, "https://shop.test/ü?a=1&b=\N{SNOWMAN}#x")
    assert verify_token(RING, Kind.CLICK, sign_token(RING, token)) == token


@pytest.mark.parametrize("recipient", [0, 1, 127, 128, 16383, 16384, 2**28 - 1])
def test_recipients_of_every_width_come_back(recipient: int) -> None:
    token = Token(Kind.OPEN, QUEUE_ID, recipient)
    assert verify_token(RING, Kind.OPEN, sign_token(RING, token)) == token


@pytest.mark.parametrize("moment", [0.0, 1.0, 1_764_000_000.123, 4e9, 3.5e10])
@pytest.mark.parametrize("serial", [0, 1, RANDOM_SPACE - 1])
def test_every_queue_id_can_be_packed(moment: float, serial: int) -> None:
    token = Token(Kind.UNSUBSCRIBE, queue_id(moment, serial), 0)
    assert verify_token(RING, Kind.UNSUBSCRIBE, sign_token(RING, token)) == token


def test_open_token_is_short() -> None:
    assert len(sign_token(RING, Token(Kind.OPEN, QUEUE_ID, 0))) == 36


def test_a_token_of_one_kind_is_refused_for_all_others() -> None:
    text = sign_token(RING, Token(Kind.OPEN, QUEUE_ID, 0))
    assert [kind for kind in Kind if verify_token(RING, kind, text) is not None] == [Kind.OPEN]


def test_every_changed_character_is_noticed() -> None:
    text = sign_token(RING, Token(Kind.CLICK, QUEUE_ID, 1, "https://shop.test/"))
    for at, char in enumerate(text):
        for other in ("A", "b", "_", "-"):
            if other != char:
                assert verify_token(RING, Kind.CLICK, text[:at] + other + text[at + 1 :]) is None


@pytest.mark.parametrize("text", ["", "=", "A", "A" * 35, "A" * 36, "A" * 5000, "ü" * 40, "\ud800" * 40, "\0" * 36])
@pytest.mark.parametrize("kind", list(Kind))
def test_rubbish_is_refused_without_raising(text: str, kind: Kind) -> None:
    assert verify_token(RING, kind, text) is None
    assert verify_address_token(RING, kind, text) is None


def test_padding_white_space_and_the_other_alphabet_are_not_canonical() -> None:
    text = sign_token(RING, Token(Kind.CLICK, QUEUE_ID, 1, "https://shop.test/??>>~~"))
    assert "-" in text or "_" in text
    for other in (text + "=", text + "\n", " " + text, text.replace("-", "+").replace("_", "/")):
        assert verify_token(RING, Kind.CLICK, other) is None


def test_address_token_survives_a_change_of_case() -> None:
    token = Token(Kind.BOUNCE, QUEUE_ID, 999)
    text = sign_address_token(RING, token)
    assert text == text.lower()
    assert len(text) <= 60
    assert verify_address_token(RING, Kind.BOUNCE, text.upper()) == token
    assert verify_address_token(RING, Kind.REPLY, text) is None


def test_unused_bits_of_an_address_token_must_be_zero() -> None:
    text = sign_address_token(RING, Token(Kind.REPLY, QUEUE_ID, 5))
    verified = [verify_address_token(RING, Kind.REPLY, text[:-1] + last) for last in "abcdefghijklmnopqrstuvwxyz234567"]
    assert sum(token is not None for token in verified) == 1


def test_old_keys_still_verify_and_the_first_signs() -> None:
    old = parse_keyring([new_key(b"o" * 32, "old")])
    both = parse_keyring([new_key(b"n" * 32, "new"), new_key(b"o" * 32, "old")])
    token = Token(Kind.OPEN, QUEUE_ID, 0)
    assert verify_token(both, Kind.OPEN, sign_token(old, token)) == token
    assert verify_token(old, Kind.OPEN, sign_token(both, token)) is None


def test_the_key_id_is_under_the_mac() -> None:
    token = Token(Kind.OPEN, QUEUE_ID, 0)
    same_key = parse_keyring([new_key(b"a" * 32, "k2")])
    assert verify_token(same_key, Kind.OPEN, sign_token(RING, token)) is None


def test_a_keyring_crosses_processes_and_does_not_show_its_keys() -> None:
    assert pickle.loads(pickle.dumps(RING)) == RING
    assert "aaaa" not in repr(RING)


@pytest.mark.parametrize(
    ("texts", "named"),
    [
        ([], "at least one key"),
        (["abc"], "key 1 has no id"),
        (["k1:!!!"], "'k1'\\) is not base64"),
        (["k1:" + "YWE="], "has 2 bytes"),
        (["k 1:" + "YWFh" * 8], "key id 'k 1'"),
        ([new_key(b"a" * 32), new_key(b"b" * 32)], "given twice"),
    ],
)
def test_unusable_keys_are_named(texts: list[str], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        parse_keyring(texts)


def test_faults_of_keys_do_not_tell_the_secret() -> None:
    with pytest.raises(ValueError) as fault:
        parse_keyring(["k1:c2VjcmV0LXNlY3JldC1zZWNyZXQ=!"])
    assert "c2Vj" not in str(fault.value)


@pytest.mark.parametrize(
    ("token", "named"),
    [
        (Token(Kind.OPEN, "abc", 0), "not a queue id"),
        (Token(Kind.OPEN, QUEUE_ID, -1), "out of range"),
        (Token(Kind.OPEN, QUEUE_ID, 2**28), "out of range"),
        (Token(Kind.OPEN, QUEUE_ID, 0, "https://x.test/"), "has no target"),
        (Token(Kind.BOUNCE, QUEUE_ID, 0), "belongs in an address"),
    ],
)
def test_what_cannot_be_signed_is_refused(token: Token, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        sign_token(RING, token)


def test_address_tokens_are_for_addresses_only() -> None:
    with pytest.raises(ValueError, match="belongs in a URL"):
        sign_address_token(RING, Token(Kind.OPEN, QUEUE_ID, 0))


def test_a_lone_surrogate_in_a_target_comes_back() -> None:
    token = Token(Kind.CLICK, QUEUE_ID, 0, "https://x.test/\ud800")
    assert verify_token(RING, Kind.CLICK, sign_token(RING, token)) == token


def test_two_key_ids_with_the_same_tag_are_both_tried() -> None:
    from relay.rewrite.tokens import _key_tag

    tags: dict[bytes, str] = {}
    for number in range(2000):
        twin = tags.setdefault(_key_tag(f"k{number}"), f"k{number}")
        if twin != f"k{number}":
            break
    ring = Keyring(((twin, b"a" * 32), (f"k{number}", b"b" * 32)))
    second = Keyring((ring.keys[1],))
    token = Token(Kind.OPEN, QUEUE_ID, 0)
    assert verify_token(ring, Kind.OPEN, sign_token(second, token)) == token


@pytest.mark.parametrize(
    "target", ["https://e.test/", "https://shop.acme.test/?utm_source=newsletter&uid=8f14", "x", "\udc80" * 9]
)
def test_short_tokens_have_the_same_content(target: str) -> None:
    token = Token(Kind.CLICK, QUEUE_ID, 300, target)
    short, long = sign_token(RING, token, short=True), sign_token(RING, token)
    assert verify_token(RING, Kind.CLICK, short) == verify_token(RING, Kind.CLICK, long) == token
    assert len(short) <= len(long)
    assert verify_token(RING, Kind.OPEN, short) is None


def test_a_short_token_saves_a_third_of_a_usual_newsletter_url() -> None:
    token = Token(
        Kind.CLICK, QUEUE_ID, 0, "https://shop.acme.test/item-1?utm_source=newsletter&utm_medium=email&utm_campaign=a"
    )
    assert len(sign_token(RING, token, short=True)) * 3 < len(sign_token(RING, token)) * 2


def test_other_kinds_are_never_compressed() -> None:
    token = Token(Kind.OPEN, QUEUE_ID, 0)
    assert sign_token(RING, token, short=True) == sign_token(RING, token)
