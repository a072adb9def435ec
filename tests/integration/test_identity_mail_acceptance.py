"""Which mail to the domain of an identity is taken, refused or deferred, and who reads it."""

from pathlib import Path

import pytest

from tests.integration.identity_world import CARL, CONFIG, GUS, RITA, World, answer, world

__all__ = ["world"]


async def test_who_takes_no_mail_says_so_at_rcpt(world: World) -> None:
    async def refused(to: str) -> tuple[int, str]:
        code, text = await world.relay.give(to, answer("Hello"))
        return code, text.split()[0]

    assert await refused(GUS) == (550, "5.2.1")
    assert await refused("nobody@acme.test") == (550, "5.1.1")
    assert await refused("postmaster@rcpt.test") == (550, "5.1.1")


async def test_a_backup_exchanger_takes_mail_too(world: World) -> None:
    assert (await world.relay.give("ann@away.test", answer("Hello")))[0] == 250
    (home,) = await world.owner.received(1)
    assert home.recipients == ["owner@home.test"]


async def test_while_dns_is_silent_mail_waits_at_its_sender(tmp_path: Path) -> None:
    config = CONFIG + '[identities."li@late.test"]\nforward_to = ["owner@home.test"]\n'
    async with World(tmp_path, config, {"late.test": "SERVFAIL"}) as world:
        code, text = await world.relay.give("li@late.test", answer("Hello"))
        assert (code, text.split()[0]) == (451, "4.4.3")


async def test_postmaster_and_abuse_are_read_by_the_operator(world: World) -> None:
    places = [
        "Postmaster@acme.test",
        "abuse@ACME.test",
        "abuse@bounces.acme.test",
        "postmaster@relay.test",
        "postmaster",
    ]
    for number, to in enumerate(places, 1):
        spam = answer("Look at this", author="eve@strict.test", more="X-Spam-Flag: YES\n", name=str(number))
        assert (await world.relay.give(to, spam))[0] == 250, to
        assert (await world.owner.received(number))[-1].recipients == ["owner@home.test"]


async def test_without_an_operator_they_say_so(tmp_path: Path) -> None:
    async with World(tmp_path, CONFIG.replace('mail_to = ["owner@home.test"]', "")) as world:
        code, text = await world.relay.give("postmaster@acme.test", answer("Hello"))
        assert (code, text.split()[0]) == (550, "5.2.1")
        _, text = await world.relay.ran("config", "check")
        assert "alerts.mail_to: is empty, so mail to postmaster@ and abuse@ is refused" in text


async def test_mail_to_a_return_path_is_read_or_refused_with_the_address_to_write_to(world: World) -> None:
    sent = await world.relay.send()
    (offer,) = await world.ben.received(1)
    assert offer.reverse_path.endswith("@bounces.acme.test")
    assert (await world.relay.give(offer.reverse_path, answer("Two, please.")))[0] == 250
    await world.owner.received(1)
    code, text = await world.relay.give(offer.reverse_path, answer("Two, please.", name="x"), "")
    assert (code, text.split()[0]) == (550, "5.7.1")
    assert f"<{RITA}>" in text
    assert len(await world.relay.events(sent)) == 1


@pytest.mark.parametrize("mark", ["X-Spam-Flag: YES\n", "X-Spam-Status: Yes, score=9\n", ""])
async def test_spam_and_forged_mail_is_recorded_and_stays_here(world: World, mark: str) -> None:
    author = "ben@rcpt.test" if mark else "ceo@strict.test"
    sent = await world.relay.send(to=author) if mark else ""
    spam = answer("unsubscribe", author=author, more=f"{mark}In-Reply-To: <offer@acme.test>\n")
    assert (await world.relay.give(RITA, spam, author))[0] == 250
    assert world.owner.messages == []
    (listed,) = await world.relay.json("report", "untied", "--spam")
    assert (listed["from"], listed["why"]) == (author, "spam")
    if sent:
        assert await world.relay.events(sent) == []
    assert await world.relay.json("unsubscribe", "list") == []
    assert (await world.relay.give(CARL, answer("buy", author=author, more=mark, name="s2"), author))[0] == 250
    assert (await world.relay.give(RITA, answer("hi", author="ben@loose.test", name="s3"), "ben@loose.test"))[0] == 250
    assert len(await world.owner.received(2)) == 2
