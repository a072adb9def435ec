"""The steps of the verification without a server: what is sent, what confirms, what is remarked."""

import email
import email.policy
import re
from collections.abc import AsyncIterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from relay.config.settings import Settings
from relay.events.ports import StoreError
from relay.mail.reply import Reply
from relay.mailauth.dkim_verify import Signature
from relay.mailauth.evaluate import Authentication, DmarcVerdict
from relay.mailauth.spf import SpfVerdict
from relay.rewrite.tokens import Kind, verify_token
from relay.storage.sqlite.store import SqliteStore
from relay.verification.challenge import LIFETIME
from relay.verification.codes import PER_ADDRESS
from relay.verification.context import TEST_RECIPIENTS, TESTS, TESTS_EACH
from relay.verification.messages import code_mail, response_mail
from relay.verification.messages import test_mail as mail_of_test
from relay.verification.received_copies import remarks_on
from relay.verification.sending import copy_address
from relay.verification.tracking import response_address
from tests.servers.verification_harness import RING, VerificationHarness

NOW = 1_800_000_000.0

JANE = "jane@acme.test"

QUEUE_ID = "0ABCDFGHJKLMNP"

SETTINGS = Settings.model_validate(
    {
        "server": {"hostname": "relay.test"},
        "identities": {JANE: {"forward_to": ["owner@x.test"]}},
        "domains": {"acme.test": {"return_path": "bounces.acme.test", "reply_domain": "reply.acme.test"}},
        "listener": [{"name": "mx", "kind": "inbound", "address": "127.0.0.1:0"}],
    }
)


def read(content: bytes) -> EmailMessage:
    """Read a mail with the standard library, which must find nothing wrong with it."""
    assert b"\n" not in content.replace(b"\r\n", b"")
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert [part.defects for part in message.walk() if part.defects] == []
    return message


def text_of(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content())


class TestMails:
    def test_the_test_mail_has_a_link_to_be_tracked(self) -> None:
        message = read(mail_of_test(QUEUE_ID, JANE, ["a@x.test", "b@x.test"], "relay.test", "https://acme.test/"))
        assert (message["From"], message["To"]) == (JANE, "a@x.test, b@x.test")
        assert 'href="https://acme.test/"' in text_of(message, "html")
        assert "https://acme.test/" in text_of(message, "plain")
        assert message["X-Relay-Track"] is None

    def test_the_code_stands_in_subject_text_and_html_and_is_not_tracked(self) -> None:
        link, page = "https://t.acme.test/v/x", "https://t.acme.test/verify"
        message = read(code_mail(QUEUE_ID, JANE, ["a@x.test"], "012345", link, page))
        assert message["Subject"] == f"012345 is the code for {JANE}"
        for kind in ("plain", "html"):
            assert {"012345", link, page} <= set(re.findall(r"\b\d{6}\b|https:[^\s\"<,]+", text_of(message, kind)))
            assert "relay identity" not in text_of(message, kind), "outsiders have no shell"
        assert (message["X-Relay-Track"], message["Auto-Submitted"]) == ("none", "auto-generated")
        bare = read(code_mail(QUEUE_ID, JANE, ["a@x.test"], "012345", "", ""))
        assert "Confirm" not in text_of(bare, "html")
        for kind in ("plain", "html"):
            assert "where you were asked for it, within 10 minutes" in text_of(bare, kind)

    def test_the_mail_names_what_its_code_confirms(self) -> None:
        own = text_of(read(code_mail(QUEUE_ID, JANE, [JANE], "012345", "", "")), "plain")
        assert own.startswith(f"Somebody, probably you, wants to send mail as {JANE}.")
        readers = text_of(read(code_mail(QUEUE_ID, JANE, ["a@x.test"], "012345", "", "")), "plain")
        assert readers.startswith(f"Answers to mail of {JANE} are to arrive in this mailbox.")

    def test_the_response_is_a_robots_answer_to_the_test_mail(self) -> None:
        message = read(response_mail(QUEUE_ID, JANE, "r@x.test", "<1@acme.test>"))
        assert (message["In-Reply-To"], message["Auto-Submitted"]) == ("<1@acme.test>", "auto-replied")

    def test_addresses_beyond_ascii_and_markup_in_them_harm_nothing(self) -> None:
        message = read(mail_of_test(QUEUE_ID, "j&o@\u00e9.test", ["a@x.test"], "relay.test", "https://x/"))
        assert "j&amp;o@\u00e9.test" in text_of(message, "html")


class TestAddresses:
    def test_copies_and_responses_come_back_by_signed_addresses(self) -> None:
        assert copy_address(SETTINGS, RING, JANE, QUEUE_ID, 1).endswith("@bounces.acme.test")
        assert response_address(SETTINGS, RING, JANE, QUEUE_ID).endswith("@reply.acme.test")

    def test_they_need_a_domain_and_a_listener(self) -> None:
        deaf = Settings.model_validate(
            {"domains": {"acme.test": {"return_path": "b.acme.test", "reply_domain": "r.acme.test"}}}
        )
        assert copy_address(deaf, RING, JANE, QUEUE_ID, 1) == response_address(deaf, RING, JANE, QUEUE_ID) == ""
        assert copy_address(SETTINGS, RING, "a@other.test", QUEUE_ID, 1) == ""
        assert response_address(SETTINGS, RING, "a@other.test", QUEUE_ID) == ""


class TestReceiving:
    @pytest.fixture
    async def harness(self, tmp_path: Path) -> AsyncIterator[VerificationHarness]:
        self.now = NOW
        store = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
        yield VerificationHarness(store, SETTINGS, lambda: self.now)
        await store.close()

    async def test_a_code_goes_to_the_forward_address_and_confirms(self, harness: VerificationHarness) -> None:
        form = await harness.verifier.run("Jane@acme.test", "receiving")
        assert (form["state"], form["address"], form["verdict"]) == ("pending", JANE, "")
        ((queue_id, sent),) = harness.sent.items()
        assert [one.address for one in sent.envelope.recipients] == ["owner@x.test"]
        assert sent.envelope.reverse_path == JANE
        link = re.search(rb"http://127\.0\.0\.1:8025/v/([\w-]+)", sent.content)
        assert link is not None
        token = verify_token(RING, Kind.VERIFY, link[1].decode())
        assert token is not None
        assert token.queue_id == queue_id
        assert not harness.proven(JANE)
        assert (await harness.verifier.confirm_code(JANE, "999999"))["state"] == "failed"
        assert not harness.proven(JANE)
        assert (await harness.verifier.confirm_code(JANE, "000001"))["state"] == "passed"
        steps = {one.step: (one.state, one.detail) for one in await harness.table.find(JANE)}
        assert steps == {"receiving": ("passed", "the code sent to owner@x.test came back")}
        assert not harness.proven(JANE), "whoever reads at the forward address has proven that address, not this one"

    async def test_a_code_to_the_address_itself_proves_it(self, harness: VerificationHarness) -> None:
        form = await harness.verifier.prove("Jane@acme.test")
        assert (form["step"], form["state"]) == ("sender", "pending")
        ((_, sent),) = harness.sent.items()
        assert [one.address for one in sent.envelope.recipients] == [JANE]
        assert (await harness.verifier.confirm_code(JANE, "999999"))["step"] == "sender"
        assert not harness.proven(JANE)
        assert (await harness.verifier.confirm_code(JANE, "000001"))["step"] == "sender"
        assert harness.proven(JANE)

        await harness.verifier.prove(JANE)
        assert harness.proven(JANE), "an address stays verified while another code is out"

    async def test_a_withdrawn_proof_comes_back_by_no_old_code_or_link(self, harness: VerificationHarness) -> None:
        await harness.verifier.prove(JANE)
        (queue_id,) = harness.sent
        assert await harness.owner.confirm_link(queue_id)
        assert not await harness.verifier.withdraw(JANE)
        assert not harness.proven(JANE)
        assert not await harness.owner.confirm_link(queue_id)
        assert (await harness.verifier.confirm_code(JANE, "000001"))["state"] == "failed"
        assert not harness.proven(JANE)

    @pytest.mark.parametrize("readers", [["owner@x.test"], [JANE, "owner@x.test"]])
    async def test_nobody_else_proves_an_address(self, harness: VerificationHarness, readers: list[str]) -> None:
        listed = SETTINGS.model_dump(mode="json", by_alias=True) | {"identities": {JANE: {"forward_to": readers}}}
        harness.settings = Settings.model_validate(listed)
        await harness.verifier.run(JANE, "receiving")
        (queue_id,) = harness.sent
        assert await harness.owner.confirm_link(queue_id)
        assert not harness.proven(JANE)

    async def test_the_code_of_the_readers_is_void_once_the_address_got_one(self, harness: VerificationHarness) -> None:
        await harness.verifier.run(JANE, "receiving")
        await harness.verifier.prove(JANE)
        assert (await harness.verifier.confirm_code(JANE, "000001"))["state"] == "failed"
        assert not harness.proven(JANE)

    async def test_the_dns_of_the_operator_proves_addresses_of_its_platform(self, harness: VerificationHarness) -> None:
        server = SETTINGS.server.model_copy(update={"identities_domain": "acme.test"})
        harness.settings = SETTINGS.model_copy(update={"server": server})
        form = await harness.verifier.prove(JANE)
        assert (form["step"], form["state"]) == ("dns", "failed")
        assert not harness.sent

    async def test_the_link_confirms_once_and_its_code_is_used_then(self, harness: VerificationHarness) -> None:
        await harness.verifier.prove(JANE)
        (queue_id,) = harness.sent
        assert not await harness.owner.confirm_link(QUEUE_ID)
        assert await harness.owner.confirm_link(queue_id)
        assert harness.proven(JANE)
        first = await harness.table.find(JANE)
        self.now += 60
        assert await harness.owner.confirm_link(queue_id)
        assert await harness.table.find(JANE) == first
        assert (await harness.verifier.confirm_code(JANE, "000001"))["state"] == "failed"

    async def test_a_late_code_confirms_nothing_and_stays_pending(self, harness: VerificationHarness) -> None:
        await harness.verifier.run(JANE, "receiving")
        self.now += LIFETIME + 1
        form = await harness.verifier.confirm_code(JANE, "000001")
        assert form["remarks"] == [
            {
                "status": "wrong",
                "text": "the code is older than 10 minutes",
                "fix": f"relay identity verify {JANE} --step receiving sends a new one",
            }
        ]
        assert [one.state for one in await harness.table.find(JANE)] == ["pending"]

    async def test_too_many_codes_change_nothing_of_what_is_known(self, harness: VerificationHarness) -> None:
        for _ in range(5):
            await harness.verifier.run(JANE, "receiving")
        await harness.verifier.confirm_code(JANE, "000005")
        form = await harness.verifier.run(JANE, "receiving")
        assert form["state"] == "failed"
        assert len(harness.sent) == 5
        assert {one.state for one in await harness.table.find(JANE)} == {"passed"}

    async def test_what_the_relay_itself_refuses_is_reported(self, harness: VerificationHarness) -> None:
        harness.reply = Reply(451, "4.7.1", "Sending limit is used up")
        form = await harness.verifier.run(JANE, "sending")
        assert (form["state"], "451 4.7.1 Sending limit is used up" in str(form["remarks"])) == ("failed", True)
        form = await harness.verifier.run(JANE, "tracking")
        assert "--step sending" in str(form["remarks"])

    async def test_tests_are_no_way_to_send_mail_to_anybody(self, harness: VerificationHarness) -> None:
        """Applications start tests over HTTP, with recipients of their choice, also of a paused identity."""
        tools, victim = harness.verifier.tools, "victim@rcpt.test"
        replies = [(await tools.send_test(f"Q{n}", f"i{n}@acme.test", (victim, f"{n}@x.test"), b"")) for n in range(12)]
        assert [one.code for one in replies] == [250] * TESTS_EACH + [450] * 2
        by_one = [(await tools.send_test(f"R{n}", JANE, (f"r{n}@x.test",), b"")).code for n in range(TESTS + 1)]
        assert by_one == [250] * TESTS + [450]
        many = tuple(f"m{n}@x.test" for n in range(TEST_RECIPIENTS + 1))
        assert (await tools.send_test("S", "other@acme.test", many, b"")).code == 554
        assert len(harness.sent) == TESTS_EACH + TESTS
        self.now += 3601
        assert (await tools.send_test("T", JANE, (victim,), b"")).code == 250

    async def test_a_store_that_is_away_keeps_what_was_known(self, harness: VerificationHarness) -> None:
        await harness.verifier.prove(JANE)
        await harness.verifier.confirm_code(JANE, "000001")

        async def away() -> frozenset[str]:
            raise StoreError("database is locked")

        harness.proven._sources = (away,)
        with pytest.raises(StoreError):
            await harness.proven.load()
        assert harness.proven(JANE)


def seen(spf: str, signatures: tuple[Signature, ...], dmarc: str) -> Authentication:
    return Authentication(
        SpfVerdict(spf, "bounces.acme.test", "", "because", 1),  # type: ignore[arg-type]
        "mailfrom",
        signatures,
        DmarcVerdict(dmarc, "acme.test", None, "why"),  # type: ignore[arg-type]
    )


GOOD = Signature("pass", "acme.test", "s1", "the signature holds")

BAD = Signature("fail", "acme.test", "s1", "the body is not the one that was signed")

FOREIGN = Signature("pass", "provider.test", "s1", "the signature holds")


class TestRemarks:
    @pytest.mark.parametrize(
        ("authentication", "client", "statuses"),
        [
            (seen("pass", (GOOD,), "pass"), "192.0.2.1", ["ok", "ok", "ok", "ok"]),
            (seen("fail", (GOOD,), "pass"), "8.8.8.8", ["ok", "warning", "ok", "ok"]),
            (seen("pass", (), "pass"), "8.8.8.8", ["ok", "ok", "warning", "ok"]),
            (seen("fail", (BAD,), "fail"), "8.8.8.8", ["ok", "wrong", "wrong", "wrong"]),
            (seen("fail", (BAD,), "fail"), "10.0.0.1", ["ok", "warning", "wrong", "wrong"]),
            (seen("pass", (), "none"), "8.8.8.8", ["ok", "ok", "warning", "warning"]),
            (seen("none", (GOOD,), "none"), "8.8.8.8", ["ok", "warning", "ok", "warning"]),
            (seen("none", (), "none"), "8.8.8.8", ["ok", "wrong", "wrong", "warning"]),
            (seen("none", (FOREIGN,), "none"), "8.8.8.8", ["ok", "wrong", "ok", "warning"]),
            (seen("fail", (FOREIGN,), "temperror"), "8.8.8.8", ["ok", "wrong", "ok", "warning"]),
        ],
    )
    def test_something_must_speak_for_the_domain(
        self, authentication: Authentication, client: str, statuses: list[str]
    ) -> None:
        remarks = remarks_on(authentication, client, "relay.test")
        assert [one.status for one in remarks] == statuses
        assert remarks[0].text.startswith("Authentication-Results: relay.test; spf=")
        assert all(one.fix for one in remarks if one.status != "ok")


async def test_one_mailbox_gets_a_bounded_number_of_codes_whatever_number_of_identities_it_reads(
    tmp_path: Path,
) -> None:
    identities = {f"i{number}@acme.test": {"forward_to": ["Victim@bank.test"]} for number in range(PER_ADDRESS + 1)}
    store = await SqliteStore.open(tmp_path / "relay.db", now=NOW)
    harness = VerificationHarness(store, Settings.model_validate({"identities": identities}), lambda: NOW)
    states = [(await harness.verifier.run(identity, "receiving"))["state"] for identity in identities]
    assert states == ["pending"] * PER_ADDRESS + ["failed"]
    assert len(harness.sent) == PER_ADDRESS
    await store.close()
