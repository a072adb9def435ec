"""The page that verifies an address: what it answers, what it sends, and what it never does."""

import asyncio
from pathlib import Path
from urllib.parse import quote

import pytest

from relay.tracker import verification_pages
from relay.verification.challenge import LIFETIME, PAGE_PER_HOUR, TRIES
from relay.verification.owner_verification import CLIENT_PER_HOUR, CLIENT_TRIES
from tests.servers.verification_site import JANE, NOW, OTHER, Site, serving, site

__all__ = ["site"]


class TestPage:
    async def test_an_owner_verifies_an_address(self, site: Site) -> None:
        start = await site.ask("GET", "/verify")
        assert (start.status, start.title) == (200, "Verify your address")
        asked = await site.post(f" {JANE} ")
        assert (asked.status, asked.title) == (200, "Type in the code")
        assert f"If <strong>{JANE}</strong> can be verified here, a code is on its way to it." in asked.text
        await site.sent_to(JANE)
        wrong = await site.post(JANE, code="999999")
        assert (wrong.status, wrong.fault) == (422, verification_pages.wrong_code())
        assert (await site.post(JANE, code="12345")).fault == "The code has 6 digits."
        done = await site.post("Jane@ACME.test", code="000 001")
        assert (done.status, done.title) == (200, "Your address is verified")
        assert f"{JANE}</strong><br>verified, <time" in done.text
        assert site.harness.proven(JANE)
        assert ("identity.verified", "sender", "passed") in [
            (line, fields["step"], fields["state"]) for line, fields in site.harness.lines if isinstance(fields, dict)
        ]

    async def test_the_code_of_an_operator_can_be_typed_in(self, site: Site) -> None:
        await site.harness.verifier.prove("u@elsewhere.test")
        asked = await site.post("u@elsewhere.test", have="yes")
        assert (asked.status, len(site.harness.sent)) == (200, 1)
        assert (await site.post("u@elsewhere.test", code="000001")).title == "Your address is verified"
        await site.harness.verifier.run(JANE, "receiving")
        assert (await site.post(JANE, code="000002")).title == "Answers arrive"

    async def test_unknown_addresses_get_the_same_answers_and_no_mail(self, site: Site) -> None:
        known, unknown = "info@xn--bcher-kva.test", ["eve@unlisted.test", OTHER, "rita@platform.test"]
        steps = [{}, {"have": "yes"}, *[{"code": "999999"}] * (TRIES + 1), {}, {}, {}, {"code": "1"}]
        answers = {}
        for number, address in enumerate([*unknown, known]):
            site.client = f"192.0.2.{number}"
            found = [await site.post(address, **fields) for fields in steps]
            answers[address] = [(one.status, one.text.replace(address, "X"), one.retry_after) for one in found]
        for address in unknown:
            assert answers[address] == answers[known]
        assert [status for status, _, _ in answers[known]] == [200, 200, *[422] * (TRIES + 1), 200, 200, 429, 400]
        await site.sent_to(*[known] * PAGE_PER_HOUR)

    async def test_an_address_gets_three_codes_an_hour(self, site: Site) -> None:
        await site.harness.verifier.run(JANE, "receiving")
        for number in range(PAGE_PER_HOUR):
            site.client = f"192.0.2.{number}"
            site.now += 60
            assert (await site.post(JANE)).status == 200
        await site.sent_to("owner@x.test", JANE, JANE)
        site.client, site.now = "192.0.2.99", NOW + 200
        refused = await site.post("JANE@acme.test")
        assert (refused.status, refused.retry_after) == (429, str(3600 + 60 - 200))
        assert "The next one is possible at 09:01 UTC" in refused.fault
        site.now = NOW + 3700
        assert (await site.post(JANE)).status == 200
        await site.sent_to("owner@x.test", JANE, JANE, JANE)

    @pytest.mark.parametrize(
        ("same", "other"),
        [
            (["192.0.2.1", "::ffff:192.0.2.1"], "192.0.2.2"),
            (["2001:db8::1", "2001:db8::2:0:0:1"], "2001:db8:0:1::1"),
        ],
    )
    async def test_a_client_gets_ten_codes_an_hour(
        self, site: Site, tmp_path: Path, same: list[str], other: str
    ) -> None:
        for number in range(CLIENT_PER_HOUR):
            site.client = same[number % 2]
            assert (await site.post(f"a{number}@acme.test")).status == 200
        for site.client in same:
            assert (await site.post(JANE)).status == 429
        site.client = other
        assert (await site.post(JANE)).status == 200
        await site.sent_to(JANE)
        stored = b"".join(file.read_bytes() for file in tmp_path.glob("relay.db*"))
        assert b"quotas" in stored
        assert other.encode() not in stored, "client addresses are personal data"

    async def test_a_code_has_five_tries_and_ten_minutes(self, site: Site) -> None:
        await site.post(JANE)
        await site.sent_to(JANE)
        for _ in range(TRIES):
            await site.post(JANE, code="999999")
        assert (await site.post(JANE, code="000001")).fault == verification_pages.wrong_code()
        await site.post(JANE)
        await site.sent_to(JANE, JANE)
        site.now += LIFETIME + 1
        assert (await site.post(JANE, code="000002")).fault == verification_pages.wrong_code()
        assert not site.harness.proven(JANE)

    async def test_a_client_has_fifty_tries_an_hour(self, site: Site) -> None:
        answers = await asyncio.gather(*(site.post(OTHER, code="999999") for _ in range(CLIENT_TRIES + 5)))
        assert sorted(one.status for one in answers) == [422] * CLIENT_TRIES + [429] * 5
        site.client = "192.0.2.2"
        assert (await site.post(OTHER, code="999999")).status == 422

    async def test_a_domain_in_any_spelling_is_the_listed_one(self, site: Site) -> None:
        asked = await site.post("Info@B\u00dcCHER.test.")
        assert "<strong>Info@B\u00dcCHER.test.</strong>" in asked.text
        await site.sent_to("info@xn--bcher-kva.test")
        assert "<strong>info@b\u00fccher.test</strong>" in (await site.ask("GET", site.link())).text
        assert (await site.post("info@b\u00fccher.test", code="000001")).title == "Your address is verified"

    @pytest.mark.parametrize(
        ("body", "fault"),
        [
            ("", "no @ in the address"),
            ("address=", "no @ in the address"),
            ("address=jane", "no @ in the address"),
            (f"address={quote(JANE)}%0d%0aBcc:%20eve@x.test", "the part before the @ is not a valid local part"),
            ("address=a@b%00c.test", "the part after the @ is not a domain name"),
            ("address=%ff@acme.test", "no @ in the address"),
            (b"address=\xff@acme.test", "no @ in the address"),
            ("address=" + "a" * 65 + "@acme.test", "the part before the @ is longer than 64 octets"),
            ("&".join(f"f{number}=1" for number in range(50)), "no @ in the address"),
        ],
    )
    async def test_what_is_no_address_is_asked_again(self, site: Site, body: bytes | str, fault: str) -> None:
        answer = await site.ask("POST", "/verify", body)
        assert (answer.status, answer.title, answer.fault) == (
            400,
            "Verify your address",
            f"That is not a mail address: {fault}.",
        )

    async def test_markup_in_an_address_stays_text(self, site: Site) -> None:
        evil = '"<script>alert(1)</script>\'"@x.test'
        for answer in (
            await site.post(evil),
            await site.post(evil.replace("@", "@@")),
            await site.post(evil, have="y"),
        ):
            assert "<script>" not in answer.text
            assert "&lt;script&gt;alert(1)&lt;/script&gt;" in answer.text

    async def test_methods_sizes_and_pages_of_other_sites(self, site: Site) -> None:
        head = await site.ask("HEAD", "/verify")
        assert (head.status, head.text) == (200, "")
        assert (await site.ask("PUT", "/verify")).status == 405
        assert (await site.ask("POST", "/verify", "address=" + "a" * 5000)).status == 413
        assert (await site.ask("GET", "/verify/")).status == 404
        assert (await site.ask("GET", f"/verify?address={JANE}")).text == (await site.ask("GET", "/verify")).text
        for origin in ("cross-site", "same-site"):
            answer = await site.ask("POST", "/verify", f"address={JANE}", Sec_Fetch_Site=origin)
            assert (answer.status, answer.text) == (403, verification_pages.FOREIGN)
        assert (await site.ask("POST", "/verify", f"address={JANE}", Sec_Fetch_Site="same-origin")).status == 200
        await site.sent_to(JANE)

    async def test_the_page_can_be_switched_off(self, site: Site) -> None:
        await site.harness.verifier.prove(JANE)
        assert b"/verify, within 10 minutes" in list(site.harness.sent.values())[-1].content
        off = site.harness.settings.verification.model_copy(update={"page": False})
        site.harness.settings = site.harness.settings.model_copy(update={"verification": off})
        for method in ("GET", "POST"):
            assert (await site.ask(method, "/verify", f"address={JANE}")).status == 404
        await site.harness.verifier.prove(JANE)
        assert b"/verify" not in list(site.harness.sent.values())[-1].content
        assert (await site.ask("GET", site.link())).status == 200

    async def test_a_full_line_of_waiting_codes_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("relay.verification.owner_verification.MAX_PENDING", 1)
        async with serving(tmp_path) as site:
            blocked = asyncio.Event()

            async def slow(*_: object) -> None:
                await blocked.wait()

            monkeypatch.setattr(type(site.harness.verifier), "prove", slow)
            for number, status in enumerate((200, 200, 429)):
                answer = await site.post(JANE)
                assert (answer.status, number) == (status, number)
                await asyncio.sleep(0)
            assert answer.retry_after == "60"
