"""Connections are shared while there are several parties, lately or as configured."""

from relay.config.settings import Settings
from relay.delivery.recent_principals import SHARED_FOR, RecentPrincipals

ALONE = Settings()

LISTED = Settings.model_validate({"identities": {"a@acme.test": {}, "b@acme.test": {}}})


def test_a_second_party_shares_the_connections_for_an_hour() -> None:
    now = 100.0
    parties = RecentPrincipals(lambda: now)
    for party in ("network:10.0.0.1", "network:10.0.0.1", "relay", ""):
        parties.add(party)
        assert not parties.are_several(ALONE)
    parties.add("network:10.0.0.2")
    assert parties.are_several(ALONE)
    now += SHARED_FOR
    assert not parties.are_several(ALONE)


def test_listed_identities_share_before_their_first_mail() -> None:
    assert RecentPrincipals(lambda: 0.0).are_several(LISTED)
