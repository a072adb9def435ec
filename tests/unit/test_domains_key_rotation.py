from typing import Any

import pytest

from relay.domains.key_rotation import (
    CONFIRMED_AFTER,
    RETIREMENT,
    Choice,
    KeyState,
    Observed,
    RotationError,
    decide,
    known_keys,
    next_selector,
    observe_keys,
    signing_selectors,
    waiting_keys,
)
from relay.domains.records import DkimKey
from relay.mailauth.dkim_keys import dns_record, generate_key, load_key, zone_line
from tests.servers import DnsServer

OLD, NEW = DkimKey("s1", "v=DKIM1; k=rsa; p=AAAA"), DkimKey("s2", "v=DKIM1; k=rsa; p=BBBB")

EDWARDS = DkimKey("e1", "v=DKIM1; k=ed25519; p=CCCC")


@pytest.mark.parametrize(
    ("new", "old", "current", "signs", "waiting"),
    [
        ("absent", "shown", "s1", "s1", "s2"),
        ("different", "shown", "s1", "s1", "s2"),
        ("unknown", "shown", "s1", "s1", "s2"),
        ("shown", "shown", "s1", "s2", ""),
        ("shown", "absent", "s1", "s2", ""),
        ("unknown", "unknown", "s1", "s1", "s2"),
        ("unknown", "shown", "s2", "s2", ""),
        ("absent", "shown", "s2", "s1", "s2"),
        ("absent", "absent", "s1", "s1", "s2"),
        ("absent", "absent", "s9", "s2", ""),
        ("absent", "unknown", "s9", "s2", ""),
    ],
)
def test_a_new_key_signs_once_dns_shows_it(
    new: Observed, old: Observed, current: str, signs: str, waiting: str
) -> None:
    (choice,) = signing_selectors([NEW, OLD], {"s2": new, "s1": old}, [current])
    assert (choice.selector, choice.waiting) == (signs, waiting)


def test_each_kind_of_key_signs_for_itself() -> None:
    choices = signing_selectors([NEW, EDWARDS, OLD], {"s2": "absent", "s1": "shown", "e1": "shown"}, ["s1"])
    assert choices == (Choice("s1", "DNS shows s1, not yet s2", "s2"), Choice("e1", "DNS shows e1"))


def test_without_keys_nothing_signs() -> None:
    assert signing_selectors([], {}, ["s1"]) == ()


async def test_keys_are_looked_up() -> None:
    names = ("s1", "s2", "s3", "s4")
    keys = [DkimKey(n, dns_record(load_key(generate_key("ed25519-sha256"), "acme.test", n))) for n in names]
    lines = [
        zone_line("s1._domainkey.acme.test", keys[0].record).replace(" IN ", " "),
        zone_line("s2._domainkey.acme.test", keys[0].record).replace(" IN ", " "),
    ]
    async with DnsServer("\n".join(lines), {"s4._domainkey.acme.test": "SERVFAIL"}) as server:
        seen = await observe_keys(server.resolver(), "acme.test", keys)
    assert seen == {"s1": "shown", "s2": "different", "s3": "absent", "s4": "unknown"}


NOW = 1_800_000_000.0


def state(key: DkimKey, age: float = 0.0, shown: float | None = None, **more: Any) -> KeyState:
    """A key made `age` seconds ago, which DNS has shown for `shown` seconds."""
    return KeyState(key.selector, key.record, NOW - age, 0.0 if shown is None else NOW - shown, **more)


def signs(keys: tuple[KeyState, ...]) -> list[str]:
    return [key.selector for key in keys if key.signing]


@pytest.mark.parametrize(
    ("old", "new", "shown", "chosen"),
    [
        ("shown", "shown", None, "s1"),
        ("shown", "shown", CONFIRMED_AFTER - 1, "s1"),
        ("shown", "shown", CONFIRMED_AFTER, "s2"),
        ("unknown", "shown", None, "s1"),
        ("unknown", "unknown", CONFIRMED_AFTER, "s1"),
        ("absent", "shown", None, "s2"),
        ("different", "shown", None, "s2"),
        ("absent", "absent", None, "s1"),
        ("unknown", "absent", CONFIRMED_AFTER, "s1"),
    ],
)
def test_a_new_key_takes_over_when_it_was_seen_twice(
    old: Observed, new: Observed, shown: float | None, chosen: str
) -> None:
    keys = (state(OLD, 1e6, 1e6, signing=True), state(NEW, 600, shown))
    after = decide(keys, {"s1": old, "s2": new}, NOW)
    assert signs(after) == [chosen]
    assert after[0].signed_until == (0.0 if chosen == "s1" else NOW)


def test_the_first_key_signs_before_dns_was_asked_and_whatever_it_says() -> None:
    keys = known_keys([OLD, NEW, EDWARDS], (), NOW)
    assert signs(decide(keys, {}, NOW)) == ["s1", "e1"]
    assert signs(decide(keys, {"s1": "absent", "s2": "absent", "e1": "absent"}, NOW)) == ["s1", "e1"]
    assert signs(decide(keys, {"s1": "absent", "s2": "shown"}, NOW)) == ["s2"]


def test_beside_a_signature_that_verifies_another_kind_waits_for_dns() -> None:
    both = (state(OLD, 1e6, 1e6, signing=True), state(EDWARDS, 60))
    waiting = decide(both, {"s1": "shown", "e1": "absent"}, NOW)
    assert (signs(waiting), [key.selector for key in waiting_keys(waiting)]) == (["s1"], ["e1"])
    beside = decide(waiting, {"s1": "shown", "e1": "shown"}, NOW)
    assert (signs(beside), waiting_keys(beside)) == (["s1", "e1"], ())
    assert signs(decide(beside, {"s1": "unknown", "e1": "unknown"}, NOW)) == ["s1", "e1"]
    assert signs(decide(beside, {"s1": "shown", "e1": "absent"}, NOW)) == ["s1"]
    assert signs(decide(beside, {"s1": "absent", "e1": "absent"}, NOW)) == ["s1", "e1"]


def test_a_break_in_what_dns_shows_begins_the_wait_anew() -> None:
    keys = (state(OLD, 1e6, 1e6, signing=True), state(NEW, 600, CONFIRMED_AFTER))
    broken = decide(keys, {"s1": "shown", "s2": "absent"}, NOW)
    again = decide(broken, {"s1": "shown", "s2": "shown"}, NOW + 1)
    assert (signs(again), again[1].shown_since) == (["s1"], NOW + 1)


def test_a_key_file_that_was_replaced_is_a_new_key() -> None:
    keys = (state(OLD, 100, 100, signing=True),)
    assert known_keys([OLD], keys, NOW) == keys
    other = DkimKey("s1", NEW.record)
    assert known_keys([other], keys, NOW) == (KeyState("s1", NEW.record, NOW),)


def test_the_next_key_takes_a_selector_without_one() -> None:
    assert next_selector(["s1", "s2"], [state(OLD, signing=True)], "rsa", NOW) == "s2"


def test_the_next_key_replaces_one_that_is_not_needed_any_more() -> None:
    keys = [state(OLD, 9e6, signed_until=NOW - RETIREMENT), state(NEW, 1e6, signing=True)]
    assert next_selector(["s1", "s2"], keys, "rsa", NOW) == "s1"


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ([state(OLD, 9e6, signed_until=NOW - 1), state(NEW, 1e6, signing=True)], "rotate again from 2027-01-22 on"),
        ([state(OLD, 9e6, signing=True), state(NEW, 600)], "s2 was made on 2027-01-15 and does not sign yet"),
        ([state(OLD, 9e6, signing=True), state(EDWARDS, 9e6, signing=True)], 'dkim.selectors = ["s1", "e1", "s3"]'),
    ],
)
def test_without_a_selector_to_take_it_is_said_what_to_do(keys: list[KeyState], told: str) -> None:
    with pytest.raises(RotationError) as refused:
        next_selector([key.selector for key in keys], keys, "rsa", NOW)
    assert told in str(refused.value)
