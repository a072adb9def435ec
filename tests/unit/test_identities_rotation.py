import pytest

from relay.identities.rotation import Choice, Observed, observe_keys, signing_selectors
from relay.identities.sending_domain import DkimKey
from relay.resolver import Resolver
from relay.sign.keys import dns_record, generate_key, load_key, zone_line
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
        seen = await observe_keys(Resolver([server.endpoint], timeout=0.2, lifetime=0.4), "acme.test", keys)
    assert seen == {"s1": "shown", "s2": "different", "s3": "absent", "s4": "unknown"}
