"""Who a message is from, and who may send for whom: facts of its header, and refusals of senders."""

from dataclasses import replace
from typing import Any

import pytest

from relay.config.secret_hash import hash_secret
from relay.mail.transaction import Envelope
from relay.policy.decide import Acceptance, Rejection, decide
from relay.policy.message_facts import parse_facts
from relay.policy.refusals import refuse_relaying, refuse_sender, refuse_unverified
from tests.unit.policy_helpers import BILLING, CREDENTIALS, facts, session, settings


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
