"""Policy: who may send what, and which way it goes."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.config.secret_hash import hash_secret
from relay.config.settings import Settings
from relay.limits.principal import Principal, limits_for, principal_of
from relay.limits.window import DAY, HOUR, Window
from relay.mail.instructions import Instructions
from relay.mail.received import received
from relay.mail.transaction import Envelope, Recipient, Session
from relay.policy.decide import Acceptance, Rejection, decide, tracking_of
from relay.policy.message_facts import MessageFacts, parse_facts
from relay.policy.refusals import refuse_relaying, refuse_sender, refuse_unverified

NOW = 1_800_000_000.0

SECRET = {"secret_hash": "blake2b:AAAAAAAAAAAAAAAAAAAAAA==:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}

CREDENTIALS = {"app1": SECRET, "app2": SECRET}

BILLING = {"identities": {"billing@acme.test": {"credentials": ["app1"]}}, "credentials": CREDENTIALS}

PROVIDERS = {
    "provider": [
        {"name": "news", "host": "smtp.news.test", "daily_limit": 1000},
        {"name": "backup", "host": "smtp.backup.test"},
    ]
}


def settings(**sections: Any) -> Settings:
    return Settings.model_validate({"server": {"hostname": "relay.test"}, **sections})


def session(client: str = "127.0.0.1", credential: str = "") -> Session:
    return Session("submission", "submission", client, credential=credential)


def facts(*lines: str) -> MessageFacts:
    """Read the facts of a message with these header fields, and a From where they have none."""
    lines = lines if any(line.lower().startswith("from:") for line in lines) else ("From: app@acme.test", *lines)
    return parse_facts("".join(f"{line}\r\n" for line in (*lines, "", "hello")).encode())


def principal(of: Settings, author: str) -> Principal:
    return principal_of(of, author, "", "127.0.0.1")


def decided(
    of: Settings, *lines: str, reverse_path: str = "app@acme.test", credential: str = ""
) -> Acceptance | Rejection:
    return decide(of, session(credential=credential), Envelope(reverse_path), facts(*lines), NOW)


def route(of: Settings, *lines: str, **more: str) -> Acceptance:
    found = decided(of, *lines, **more)
    assert isinstance(found, Acceptance)
    return found


def refusal(of: Settings, *lines: str, **more: str) -> str:
    found = decided(of, *lines, **more)
    assert isinstance(found, Rejection)
    return str(found.reply)


class TestFacts:
    def test_all_facts_are_parsed(self) -> None:
        found = facts(
            "Received: from a",
            "Received: from b",
            "From: =?utf-8?q?Zo=C3=AB?= <zoe@acme.test>, Bob <bob@acme.test>",
            "Subject: hello",
            "Date: Wed, 25 Nov 2026 09:00:00 +0000",
            "Message-ID: <1@acme.test>",
            "X-Relay-Tag: t",
        )
        assert found.senders == ("zoe@acme.test", "bob@acme.test")
        assert found.agents == ()
        assert (found.subject, found.message_id, found.has_date, found.hops) == ("hello", "<1@acme.test>", True, 2)
        assert found.instructions.tags == ("t",)

    def test_none_but_the_author(self) -> None:
        found = facts("From: a@acme.test")
        assert (found.senders, found.agents, found.message_id, found.has_date, found.hops) == (
            ("a@acme.test",),
            (),
            "",
            False,
            0,
        )

    def test_who_sends_it_for_the_author(self) -> None:
        found = facts(
            "From: a@acme.test", "Sender: b@x.test", "Resent-From: c@x.test, d@x.test", "Resent-Sender: e@x.test"
        )
        assert found.agents == ("b@x.test", "c@x.test", "d@x.test", "e@x.test")

    @pytest.mark.parametrize(
        ("lines", "why"),
        [
            (["From: a@acme.test", "From: b@other.test"], "The message has 2 From fields; it needs exactly one"),
            (["From:"], "From has no address"),
            (["From: Group:;"], "From has no address"),
            (["From: <a@acme.test> <b@other.test>"], "From cannot be read: '<' stands where a comma between"),
            (["From: a@acme.test", "Sender: someone"], "Sender cannot be read: the field ends"),
            (["From: a@acme.test", "Resent-From: (open <b@other.test>"], "Resent-From cannot be read: a comment"),
            (["From: a@acme.test", "Resent-Sender:"], "Resent-Sender has no address"),
        ],
    )
    def test_a_message_may_not_say_for_certain_who_sends_it(self, lines: list[str], why: str) -> None:
        found = facts(*lines)
        assert found.author_fault.startswith(why)
        assert found.senders == found.agents == ()

    def test_a_message_may_have_no_from(self) -> None:
        found = parse_facts(b"Subject: x\r\n\r\n")
        assert found.author_fault == "The message has no From fields; it needs exactly one"


class TestRefuseUnknownAuthor:
    """A message without a From that can be read is refused where anything depends on its author."""

    @pytest.mark.parametrize(
        ("changes", "credential"),
        [
            ({}, "app"),
            ({"identities": {"ceo@acme.test": {}}}, ""),
            ({"limits": {"require_identity": True}}, ""),
            ({"verification": {"transactional": True}}, ""),
        ],
    )
    def test_it_is_refused(self, changes: dict[str, Any], credential: str) -> None:
        found = decide(
            settings(**changes),
            session(credential=credential),
            Envelope("app@x.test"),
            facts("From: a@acme.test <"),
            0.0,
        )
        assert isinstance(found, Rejection)
        assert str(found.reply).startswith("554 5.6.0 From cannot be read: ")

    def test_it_is_the_network_that_answers_where_nothing_depends_on_the_author(self) -> None:
        found = decide(settings(), session(), Envelope("app@x.test"), parse_facts(b"Subject: x\r\n\r\n"), 0.0)
        assert isinstance(found, Acceptance)
        assert found.author == "app@x.test"

    def test_the_null_reverse_path_names_no_author_either(self) -> None:
        found = decide(settings(), session(), Envelope(""), parse_facts(b"Subject: x\r\n\r\n"), 0.0)
        assert isinstance(found, Acceptance)
        assert found.author == ""


class TestMayRelay:
    def test_loopback_may(self) -> None:
        assert refuse_relaying(settings(), session()) is None
        assert refuse_relaying(settings(), session("::1")) is None

    def test_nobody_else_may(self) -> None:
        assert str(refuse_relaying(settings(), session("192.0.2.1"))).startswith(
            "550 5.7.1 Relaying denied: 192.0.2.1 is not"
        )

    def test_a_proxy_that_names_no_client_may_not_by_its_own_address(self) -> None:
        unknown = replace(session(), client_known=False)
        assert str(refuse_relaying(settings(), unknown)).startswith("550 5.7.1 ")
        assert refuse_relaying(settings(credentials=CREDENTIALS), replace(unknown, credential="app1")) is None

    def test_with_credentials_around_others_have_to_log_in(self) -> None:
        assert str(refuse_relaying(settings(credentials=CREDENTIALS), session("192.0.2.1"))).startswith("530 5.7.0")

    def test_who_logged_in_may(self) -> None:
        assert refuse_relaying(settings(credentials=CREDENTIALS), session("192.0.2.1", "app1")) is None

    def test_where_auth_is_required_loopback_may_not_without(self) -> None:
        strict = settings(
            listener=[{"name": "submission", "address": "127.0.0.1:2525", "auth": "required"}], credentials=CREDENTIALS
        )
        assert str(refuse_relaying(strict, session())) == "530 5.7.0 Authentication required"
        assert refuse_relaying(strict, session(credential="app2")) is None

    def test_a_listener_that_a_reload_took_away(self) -> None:
        gone = settings(listener=[{"name": "other", "address": "127.0.0.1:2525"}])
        assert str(refuse_relaying(gone, session())).startswith("451 4.3.5")


class TestMayUse:
    def test_anything_goes_where_nothing_is_listed(self) -> None:
        assert refuse_sender(settings(), session(), "anything@acme.test") is None

    def test_the_null_reverse_path_is_nobodys(self) -> None:
        assert refuse_sender(settings(limits={"require_identity": True}), session(), "") is None

    @pytest.mark.parametrize("address", ["billing@acme.test", "Billing@ACME.test"])
    def test_an_identity_belongs_to_its_credentials(self, address: str) -> None:
        of = settings(**BILLING)
        assert refuse_sender(of, session(credential="app1"), address) is None
        for credential in ("", "app2"):
            assert "belongs to other credentials" in str(refuse_sender(of, session(credential=credential), address))

    def test_a_credential_that_identities_name_may_use_nothing_else(self) -> None:
        of = settings(**BILLING)
        told = str(refuse_sender(of, session(credential="app1"), "ceo@acme.test"))
        assert told == '550 5.7.1 Credential "app1" may not send as <ceo@acme.test>'
        assert refuse_sender(of, session(credential="app2"), "ceo@acme.test") is None

    def test_an_identity_without_credentials_is_for_all(self) -> None:
        of = settings(identities={"info@acme.test": {}}, limits={"require_identity": True})
        assert refuse_sender(of, session(), "info@acme.test") is None

    def test_unlisted_addresses_may_be_refused(self) -> None:
        told = str(refuse_sender(settings(limits={"require_identity": True}), session(), "New@acme.test"))
        assert told == '550 5.7.1 <New@acme.test> is not a listed identity; add [identities."new@acme.test"]'


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


class TestVerification:
    def refusal(self, *lines: str, proven: str = "", **keys: bool) -> str:
        of = settings(verification=keys)
        found = refuse_unverified(of, facts(*lines), lambda address: address == proven)
        return str(found) if found else ""

    def test_campaign_mail_needs_it_and_other_mail_does_not(self) -> None:
        campaign = ("From: app@acme.test", "X-Relay-Campaign: autumn")
        assert self.refusal(*campaign).endswith("not verified for campaign mail: relay identity verify app@acme.test")
        assert self.refusal(*campaign, proven="app@acme.test") == ""
        assert self.refusal(*campaign, campaign=False) == ""
        assert self.refusal("From: app@acme.test") == ""

    def test_other_mail_may_need_it_too(self) -> None:
        wanted = "550 5.7.1 <a@b.test> is not verified for transactional mail: relay identity verify a@b.test"
        assert self.refusal("From: a@b.test", transactional=True) == wanted
        assert self.refusal("From: A <x@y.test>, a@b.test", proven="x@y.test", transactional=True) == wanted
        assert self.refusal("From: Group: a@b.test;", transactional=True) == wanted


@pytest.mark.parametrize(
    ("address", "refused"),
    [("a@acme.test", False), ("a@ACME.test", False), ("a@sub.acme.test", True), ("a@b.test", True)],
)
def test_a_credential_with_domains_sends_for_them_only(address: str, refused: bool) -> None:
    secret = {"secret_hash": hash_secret("s", b"s" * 16), "domains": ["acme.test"]}
    found = settings(credentials={"app1": secret})
    reply = refuse_sender(found, session(credential="app1"), address)
    assert (reply is not None and "may send for acme.test only" in str(reply)) == refused
