"""What policy decides about a message: refusals, providers, times, tracking, and limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.limits.principal import limits_for, principal_of
from relay.limits.window import DAY, HOUR, Window
from relay.mail.instructions import Instructions
from relay.mail.received import received
from relay.mail.transaction import Envelope, Recipient
from relay.policy.decide import Acceptance, Rejection, tracking_of
from tests.unit.policy_helpers import (
    BILLING,
    NOW,
    PROVIDERS,
    SECRET,
    decided,
    facts,
    principal,
    refusal,
    route,
    session,
    settings,
)


class TestDecide:
    def test_a_plain_message_has_the_policy_of_its_domain(self) -> None:
        found = route(settings(), "From: news@Acme.test")
        policy = found.policy
        assert (policy.identity, policy.domain, policy.providers) == ("", "acme.test", ("direct",))
        assert (found.limits, found.not_before, policy.return_path) == ({"direct": {}}, 0.0, "")
        assert policy.tracking is not None
        assert (policy.tracking.opens, policy.tracking.clicks) == (True, True)

    def test_the_author_is_the_first_listed_identity_of_from(self) -> None:
        of = settings(identities={"info@acme.test": {}})
        found = route(of, "From: a@other.test, Info@acme.test")
        assert (found.author, found.policy.identity, found.policy.domain) == (
            "Info@acme.test",
            "info@acme.test",
            "acme.test",
        )
        assert route(of, "From: a@other.test, b@acme.test").author == "a@other.test"

    @pytest.mark.parametrize("field", ["Sender", "Resent-From", "Resent-Sender"])
    @pytest.mark.parametrize("reverse_path", ["", "ceo@acme.test"])
    def test_whoever_sends_for_the_author_must_be_allowed_too(self, field: str, reverse_path: str) -> None:
        lines = ("From: ceo@acme.test", f"{field}: Billing <billing @ acme.test>")
        told = refusal(settings(**BILLING), *lines, reverse_path=reverse_path)
        assert "<billing@acme.test> belongs to other credentials" in told

    @pytest.mark.parametrize(
        "lines",
        [
            ["From: billing@acme.test"],
            ["From: x@acme.test, billing@acme.test"],
            ["From: Group: x@acme.test, Billing <billing (not me) @acme.test>;"],
            ["From: <billing@\r\n acme.test>"],
        ],
    )
    def test_every_author_must_be_allowed(self, lines: list[str]) -> None:
        assert "<billing@acme.test> belongs to other credentials" in refusal(settings(**BILLING), *lines)

    def test_a_loop_is_refused(self) -> None:
        hops = ["Received: from x"] * 100
        assert refusal(settings(), *hops) == "554 5.4.6 Mail loop: 100 Received fields (RFC 5321 section 6.3)"
        assert isinstance(decided(settings(), *hops[1:]), Acceptance)

    def test_what_left_this_host_and_comes_back_too_often_is_refused(self) -> None:
        envelope = Envelope("app@acme.test", (Recipient("b@x.test"),))
        own = received("0123456789ABCD", session(), envelope, "Relay.Test", NOW).replace("\r\n", "\r\n ")
        other = received("0123456789ABCD", session(), envelope, "other.test", NOW)
        told = refusal(settings(), *[own, other] * 4)
        assert told == "554 5.4.6 Mail loop: this host has passed the message on 4 times already"
        assert isinstance(decided(settings(), *[own] * 3, *[other] * 50), Acceptance)

    def test_a_header_with_a_line_that_may_not_leave(self) -> None:
        assert refusal(settings(), "From: app@acme.test", "no field", "Subject: x").startswith(
            "554 5.6.0 The header has a line that is no field: "
        )
        assert refusal(settings(), "X: " + "a" * 999).startswith("554 5.6.0 The field x has a line of more than 998 ")
        assert isinstance(decided(settings(), "Bcc: " + "a" * 999), Acceptance)

    def test_fields_behind_the_end_of_a_header_are_body(self) -> None:
        found = facts("From: app@acme.test", "Subject: x", "no field", "--x", "Subject: y", "From: other@acme.test")
        assert (found.senders, found.subject, found.header_fault) == (("app@acme.test",), "x", "")

    def test_a_provider_that_is_not_there_is_refused_with_those_that_are(self) -> None:
        told = refusal(settings(**PROVIDERS), "From: a@acme.test", "X-Relay-Provider: nws")
        assert told == '554 5.6.0 X-Relay-Provider: you have no provider "nws"; you have: direct, news, backup'

    @pytest.mark.parametrize(
        ("author", "credential", "allowed"),
        [
            ("a@acme.test", "app1", ["news"]),
            ("own@acme.test", "app1", ["backup", "news"]),
            ("a@other.test", "app1", ["direct"]),
            ("a@acme.test", "app2", ["news", "direct", "backup"]),
        ],
    )
    def test_a_credential_has_the_providers_of_identity_domain_and_its_own(
        self, author: str, credential: str, allowed: list[str]
    ) -> None:
        of = settings(
            provider=[*PROVIDERS["provider"], {"name": "theirs", "host": "smtp.theirs.test"}],
            domains={
                "acme.test": {"provider": "news", "fallback_providers": ["news"]},
                "b.test": {"provider": "theirs"},
            },
            identities={"own@acme.test": {"provider": "backup"}, "b@b.test": {"provider": "theirs"}},
            credentials={"app1": SECRET, "app2": SECRET | {"providers": ["direct", "backup", "news"]}},
        )
        for name in ("direct", "news", "backup", "theirs", "nosuch"):
            found = decided(of, f"From: {author}", f"X-Relay-Provider: {name}", credential=credential)
            if name in allowed:
                assert isinstance(found, Acceptance)
                assert found.policy.providers == (name,)
            else:
                assert isinstance(found, Rejection)
                told = f'554 5.6.0 X-Relay-Provider: you have no provider "{name}"; you have: {", ".join(allowed)}'
                assert str(found.reply) == told

    def test_the_way_is_the_applications_or_the_identitys_or_the_domains_or_the_default(self) -> None:
        of = settings(
            **PROVIDERS,
            defaults={"provider": "backup"},
            domains={"acme.test": {"provider": "news", "fallback_providers": ["backup", "direct"]}},
            identities={"own@acme.test": {"provider": "direct"}},
        )
        assert route(of, "From: a@other.test").policy.provider == "backup"
        by_domain = route(of, "From: a@acme.test").policy
        assert by_domain.providers == ("news", "backup", "direct")
        assert route(of, "From: own@acme.test").policy.provider == "direct"
        asked = route(of, "From: a@acme.test", "X-Relay-Provider: direct").policy
        assert asked.providers == ("direct",)

    def test_campaign_mail_has_a_provider_of_its_own(self) -> None:
        of = settings(
            **PROVIDERS,
            defaults={"campaign_provider": "news"},
            domains={
                "acme.test": {"campaign_provider": "news", "campaign_fallback_providers": ["backup", "news"]},
                "b.test": {"provider": "backup", "fallback_providers": ["direct"]},
            },
            identities={"own@acme.test": {"provider": "direct"}},
        )
        campaign = "X-Relay-Campaign: autumn"
        assert route(of, "From: a@acme.test").policy.providers == ("direct",)
        assert route(of, "From: a@acme.test", campaign).policy.providers == ("news", "backup")
        assert route(of, "From: own@acme.test", campaign).policy.providers == ("news", "backup")
        assert route(of, "From: a@b.test").policy.providers == ("backup", "direct")
        assert route(of, "From: a@b.test", campaign).policy.providers == ("news",)
        assert "provider:news" in route(of, "From: a@b.test", campaign).limits["news"]
        asked = route(of, "From: a@acme.test", campaign, "X-Relay-Provider: direct")
        assert asked.policy.providers == ("direct",)

    def test_a_credential_can_select_the_providers_of_either_kind_of_mail(self) -> None:
        of = settings(**PROVIDERS, domains={"acme.test": {"campaign_provider": "news"}}, credentials={"app1": SECRET})
        for name, is_allowed in (("news", True), ("direct", True), ("backup", False)):
            found = decided(of, "From: a@acme.test", f"X-Relay-Provider: {name}", credential="app1")
            assert isinstance(found, Acceptance) is is_allowed

    def test_send_at_is_the_earliest_time(self) -> None:
        assert route(settings(), "X-Relay-Send-At: 2027-01-15T08:00:01Z").not_before == NOW + 1
        assert route(settings(), "X-Relay-Send-At: 2026-01-01T00:00:00Z").not_before == 0.0

    def test_send_at_beyond_the_horizon_is_refused(self) -> None:
        shorter = settings(queue={"max_send_at": "36h"})
        assert route(settings(), "X-Relay-Send-At: 2027-02-14T08:00:00Z").not_before == NOW + 30 * DAY
        assert refusal(settings(), "X-Relay-Send-At: 2027-02-14T08:00:01Z") == (
            "554 5.6.0 X-Relay-Send-At: the time is more than 30 days ahead"
        )
        assert route(shorter, "X-Relay-Send-At: 2027-01-16T20:00:00Z").not_before == NOW + 36 * HOUR
        told = refusal(shorter, "X-Relay-Send-At: 2027-01-16T20:00:01Z", reverse_path="")
        assert told == "554 5.6.0 X-Relay-Send-At: the time is more than 1.5 days ahead"

    def test_the_field_of_the_vendor_that_gave_a_time_too_late_is_named(self) -> None:
        for field, place in (
            ("X-Mailgun-Deliver-By: Mon, 15 Mar 2027 08:00:00 GMT", "X-Mailgun-Deliver-By"),
            ('X-SMTPAPI: {"send_at": 1805100000}', "X-SMTPAPI send_at"),
            ("X-MC-SendAt: 2027-03-15 08:00:00", "X-MC-SendAt"),
            ('X-MSYS-API: {"options": {"start_time": "2027-03-15T08:00:00Z"}}', "X-MSYS-API options.start_time"),
        ):
            assert refusal(settings(), field) == f"554 5.6.0 {place}: the time is more than 30 days ahead"

    def test_bounces_of_an_application_are_not_tracked(self) -> None:
        assert route(settings(), "From: a@acme.test", reverse_path="").policy.tracking is None

    def test_an_identity_is_found_whatever_its_case(self) -> None:
        of = settings(identities={"info@acme.test": {}})
        assert route(of, "From: INFO@acme.test").policy.identity == "info@acme.test"


class TestLedgers:
    def test_an_identity_and_its_provider(self) -> None:
        of = settings(**PROVIDERS, identities={"info@acme.test": {"hourly_limit": 7, "daily_limit": 70}})
        assert limits_for(of, principal(of, "Info@acme.test"), "news") == {
            "identity:info@acme.test": (Window(7, HOUR), Window(70, DAY)),
            "provider:news": (Window(1000, DAY),),
        }
        assert set(limits_for(of, principal(of, "info@acme.test"), "backup")) == {"identity:info@acme.test"}

    def test_an_identity_has_the_default_limits(self) -> None:
        of = settings(identities={"info@acme.test": {}})
        assert limits_for(of, principal(of, "info@acme.test"), "direct") == {
            "identity:info@acme.test": (Window(40, HOUR), Window(200, DAY))
        }

    @pytest.mark.parametrize(
        ("credential", "client", "ledger"),
        [
            ("app2", "127.0.0.1", "credential:app2"),
            ("", "192.0.2.1", "network:192.0.2.1"),
            ("", "2001:db8::1", "network:2001:0db8:0000:0000"),
            ("", "", "relay"),
        ],
    )
    def test_unlisted_addresses_count_for_whoever_uses_them(self, credential: str, client: str, ledger: str) -> None:
        assert limits_for(settings(), principal_of(settings(), "a@acme.test", credential, client), "direct") == {}
        of = settings(limits={"unlisted_hourly": 5})
        for author in ("a@acme.test", "b@acme.test"):
            found = limits_for(of, principal_of(of, author, credential, client), "direct")
            assert found == {ledger: (Window(5, HOUR),)}

    @given(st.text(max_size=20), st.sampled_from(["", "app1"]), st.sampled_from(["", "127.0.0.1", "::1"]))
    def test_a_principal_always_has_a_ledger(self, author: str, credential: str, client: str) -> None:
        assert principal_of(settings(), author, credential, client).ledger


class TestTracking:
    @pytest.mark.parametrize(
        ("switches", "asked", "expected"),
        [
            ((True, True), Instructions(), (True, True)),
            ((True, True), Instructions(clicks="off"), (True, False)),
            ((True, True), Instructions(opens=False), (False, True)),
            ((True, True), Instructions(opens=False, clicks="off"), None),
            ((False, True), Instructions(), (False, True)),
            ((False, True), Instructions(opens=True, clicks="off"), None),
            ((False, False), Instructions(opens=True, clicks="all"), None),
        ],
    )
    def test_an_application_narrows_what_the_domain_allows(
        self, switches: tuple[bool, bool], asked: Instructions, expected: tuple[bool, bool] | None
    ) -> None:
        of = settings(defaults={"tracking": {"opens": switches[0], "clicks": switches[1]}})
        found = tracking_of(of.domain_for("a@acme.test").tracking, asked)
        assert (None if found is None else (found.opens, found.clicks)) == expected

    def test_the_other_switches_are_the_domains(self) -> None:
        of = settings(
            domains={
                "acme.test": {
                    "tracking": {
                        "base_url": "https://t.acme.test",
                        "text_links": True,
                        "skip_sensitive": False,
                        "skip_visible_urls": False,
                        "exclude_hosts": ["*.x.test"],
                        "pixel": "start",
                    }
                }
            }
        )
        found = route(of, "From: a@acme.test").policy.tracking
        assert found is not None
        assert (found.base_url, found.text_links, found.pixel) == ("https://t.acme.test", True, "start")
        assert (found.skip_sensitive, found.skip_visible_urls, found.exclude_hosts) == (False, False, ("*.x.test",))


class TestAuthorName:
    def test_it_is_the_identitys(self) -> None:
        of = settings(identities={"app@acme.test": {"display_name": " Acme App", "company": "Acme Ltd"}})
        assert route(of, "From: App@acme.test").policy.author_name == "Acme App (Acme Ltd)"
        assert route(of, "From: other@acme.test").policy.author_name == ""
