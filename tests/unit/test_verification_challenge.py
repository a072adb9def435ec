"""Codes: six digits, ten minutes, five tries, one use, five an hour."""

from dataclasses import replace

from relay.limits.quota import TooMany
from relay.verification.challenge import (
    LIFETIME,
    LINK_LIFETIME,
    PAGE_PER_HOUR,
    PER_HOUR,
    TRIES,
    Challenge,
    Confirmed,
    Rejected,
    code_of,
    digest_of,
    follow_link,
    issue,
    try_code,
)

NOW = 1_800_000_000.0

KEY = b"k" * 32

CODE = "012345"

SENT = Challenge("jane@acme.test", "owner@acme.test", "5a17", digest_of(KEY, "5a17", CODE), "Q1", (NOW,))


def tried(challenge: Challenge | None, code: str, now: float = NOW) -> tuple[Challenge, str]:
    after, answer = try_code(challenge, KEY, code, now)
    assert isinstance(answer, Rejected)
    assert after is not None
    return after, answer.why


def test_a_code_has_six_digits_whatever_the_number() -> None:
    assert [code_of(number) for number in (0, 12345, 999_999, 1_000_007)] == ["000000", "012345", "999999", "000007"]


def test_what_is_kept_depends_on_key_salt_and_code() -> None:
    digests = {digest_of(key, salt, code) for key in (KEY, b"l" * 32) for salt in ("1", "2") for code in ("1", "2")}
    assert len(digests) == 8
    assert not any(CODE in digest for digest in digests)


def test_the_right_code_confirms_once() -> None:
    after, answer = try_code(SENT, KEY, CODE, NOW + LIFETIME)
    assert answer == Confirmed("owner@acme.test")
    assert after is not None
    assert (after.digest, after.confirmed_at) == ("", NOW + LIFETIME)
    assert tried(after, CODE) == (after, "was used already")


def test_a_code_that_is_too_old_is_none() -> None:
    assert tried(SENT, CODE, NOW + LIFETIME + 0.1) == (SENT, "is older than 10 minutes")


def test_after_five_wrong_tries_the_right_code_is_void_too() -> None:
    after = SENT
    whys = []
    for _ in range(TRIES):
        after, why = tried(after, "999999")
        whys.append(why)
    assert whys[0] == "is another one; 4 more tries"
    assert whys[3:] == ["is another one; 1 more try", "is another one, and now void"]
    assert tried(after, CODE) == (after, "is void after 5 wrong tries")
    assert try_code(None, KEY, CODE, NOW) == (None, Rejected("was never sent"))


def test_a_new_code_takes_the_place_of_the_old_one_and_its_tries() -> None:
    worn, _ = tried(SENT, "999999")
    fresh = Challenge("jane@acme.test", "new@acme.test", "5a18", digest_of(KEY, "5a18", "777777"), "Q2", ())
    issued = issue(worn, fresh, PER_HOUR, NOW + 60)
    assert isinstance(issued, Challenge)
    assert issued == replace(fresh, sent=(NOW, NOW + 60))
    assert tried(issued, CODE, NOW + 61)[1].startswith("is another one")
    assert try_code(issued, KEY, "777777", NOW + 61)[1] == Confirmed("new@acme.test")


def test_codes_are_sent_five_times_an_hour_at_most() -> None:
    challenge: Challenge | None = None
    for number in range(PER_HOUR):
        issued = issue(challenge, SENT, PER_HOUR, NOW + number)
        assert isinstance(issued, Challenge)
        challenge = issued
    assert issue(challenge, SENT, PER_HOUR, NOW + 100) == TooMany(NOW + 3600)
    later = issue(challenge, SENT, PER_HOUR, NOW + 3600)
    assert isinstance(later, Challenge)
    assert later.sent == (NOW + 1, NOW + 2, NOW + 3, NOW + 4, NOW + 3600)
    assert isinstance(issue(challenge, SENT, PER_HOUR, NOW - 10_000), Challenge)


def test_the_page_leaves_codes_to_the_operator() -> None:
    three = replace(SENT, sent=(NOW, NOW + 1, NOW + 2))
    assert issue(three, SENT, PAGE_PER_HOUR, NOW + 3) == TooMany(NOW + 3600)
    assert isinstance(issue(three, SENT, PER_HOUR, NOW + 3), Challenge)


def test_the_link_outlives_the_code_and_may_be_followed_twice() -> None:
    worn = replace(SENT, tries=TRIES)
    after, answer = follow_link(worn, "Q1", NOW + LINK_LIFETIME)
    assert answer == Confirmed("owner@acme.test")
    assert follow_link(after, "Q1", NOW + 2 * LINK_LIFETIME) == (after, answer)
    assert tried(after, CODE) == (after, "was used already")


def test_the_link_of_an_earlier_mail_and_a_late_one_confirm_nothing() -> None:
    assert isinstance(follow_link(SENT, "Q0", NOW)[1], Rejected)
    assert isinstance(follow_link(None, "Q1", NOW)[1], Rejected)
    assert follow_link(SENT, "Q1", NOW + LINK_LIFETIME + 1) == (SENT, Rejected("is older than 24 hours"))
