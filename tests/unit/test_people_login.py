"""Logins of people: codes, passwords, apps, sessions and their ends; with a store and a clock of their own."""

from pathlib import Path
from typing import Any

import pytest

from relay.config.secret_hash import PASSWORD_COST, parse_secret_hash
from relay.people import login
from relay.people.files import add_person
from relay.people.grants import Stage
from relay.people.login import FIRST_SESSION, LoggedIn, Refused, TooSoon
from relay.people.passwords import password_fault, typed_code
from relay.people.ports import ChangeQuery
from tests.unit.people_world import (
    CLIENT,
    CODE,
    JANE,
    OTHER_CODE,
    PASSWORD,
    SECRET,
    World,
    hashed,
    world,
    world_at_full_cost,
)

__all__ = ["world", "world_at_full_cost"]


async def test_the_code_is_for_a_password_only_and_is_replaced_by_it(world: World) -> None:
    token = await world.token(CODE.replace("-", " ").upper())
    first = await world.signed_in(token)
    assert first.stage is Stage.PASSWORD
    done = await world.service.set_password(first, CODE, PASSWORD, PASSWORD, client=CLIENT)
    assert isinstance(done, LoggedIn)
    assert done.token != token
    assert await world.service.signed_in(token) is None, "the session of the code ended"
    assert (await world.signed_in(done.token)).stage is Stage.FULL
    assert isinstance(await world.log_in(CODE), Refused)
    assert isinstance(await world.log_in(PASSWORD), LoggedIn)


async def test_a_password_is_hashed_at_the_cost_of_a_code_and_of_nobody(world_at_full_cost: World) -> None:
    world = world_at_full_cost
    first = await world.signed_in(await world.token(CODE))
    await world.service.set_password(first, CODE, PASSWORD, PASSWORD, client=CLIENT)
    account = await world.store.accounts.account(JANE)
    assert account is not None
    costs = {parse_secret_hash(one).cost for one in (account.password_hash, login._NOBODY)}
    assert costs == {("scrypt", *PASSWORD_COST)}


async def test_a_login_with_a_code_lasts_a_quarter_of_an_hour_and_others_twelve_hours(world: World) -> None:
    token = await world.token(CODE)
    world.now += FIRST_SESSION
    assert await world.service.signed_in(token) is None
    token = await world.with_password()
    world.now += 12 * 3600 - 1
    assert await world.service.signed_in(token) is not None
    world.now += 1
    assert await world.service.signed_in(token) is None


@pytest.mark.parametrize(
    ("present", "new", "again", "why"),
    [
        ("wrong", PASSWORD, PASSWORD, "present password or code is wrong"),
        (CODE, "short", "short", "At least 12"),
        (CODE, PASSWORD, PASSWORD + "x", "differ"),
        (CODE, CODE, CODE, "is the present one"),
        (CODE, f"my {JANE} 12", f"my {JANE} 12", "has the address in it"),
        (CODE, "abababababab", "abababababab", "fewer than five"),
        (CODE, "x" * 257, "x" * 257, "At most 256"),
    ],
)
async def test_a_password_that_is_not_accepted_changes_nothing(
    world: World, present: str, new: str, again: str, why: str
) -> None:
    first = await world.signed_in(await world.token(CODE))
    done = await world.service.set_password(first, present, new, again, client=CLIENT)
    assert isinstance(done, Refused)
    assert why in done.text
    assert await world.store.accounts.account(JANE) is None or isinstance(await world.log_in(CODE), LoggedIn)


async def test_wrong_logins_look_alike_and_slow_down(world: World) -> None:
    texts = set()
    for address in (JANE, "nobody@acme.test"):
        found = await world.service.log_in(address, "wrong password", "", client=CLIENT)
        assert isinstance(found, Refused)
        texts.add(found.text)
    assert texts == {"Address, password or code is wrong."}
    for _ in range(3):
        await world.log_in("wrong password")
    found = await world.log_in(CODE)
    assert found == TooSoon(1.0), "the network failed five times"
    assert isinstance(await world.log_in(CODE, client="198.51.100.1"), LoggedIn), "the account failed four times only"


async def test_an_account_slows_down_over_networks_but_not_for_its_own(world: World) -> None:
    await world.token(CODE)
    for number in range(5):
        assert isinstance(await world.log_in("wrong password", client=f"198.51.100.{number}"), Refused)
    assert isinstance(await world.log_in(CODE, client="198.51.100.9"), TooSoon)
    assert isinstance(await world.log_in(CODE, client=CLIENT), LoggedIn)


async def test_the_present_password_cannot_be_tried_without_limit_in_a_session(world: World) -> None:
    signed_in = await world.signed_in(await world.with_password())
    for _ in range(5):
        done = await world.service.set_password(
            signed_in, "a guess", "another at dawn", "another at dawn", client=CLIENT
        )
        assert isinstance(done, Refused)
        assert "wrong" in done.text
    done = await world.service.set_password(signed_in, PASSWORD, "another at dawn", "another at dawn", client=CLIENT)
    assert isinstance(done, Refused)
    assert done.text == "Too soon after wrong passwords. Try again in 1 seconds."
    assert [why for line, fields in world.lines if line == "console.login_failed" for why in [fields["why"]]] == [
        "wrong present password"
    ] * 5


@pytest.mark.parametrize("given", ["jane\x00@acme.test", "jane\ud800@acme.test", "j" * 400 + "@acme.test"])
async def test_what_is_no_address_is_not_looked_up(world: World, given: str) -> None:
    asked = []

    async def account(address: str) -> None:
        asked.append(address)

    world.service.accounts.account = account  # type: ignore[method-assign]
    assert await world.log_in("wrong password", address=given) == Refused("Address, password or code is wrong.")
    assert asked == [""]


def test_the_hash_of_a_new_code_costs_as_much_as_that_of_nobody(tmp_path: Path) -> None:
    """Else the time of a login shows who has not chosen a password yet."""
    (tmp_path / "relay.toml").write_text("")
    add_person(tmp_path / "relay.toml", JANE, "operator", (), present=None, random=bytes(26), environ={})
    written = next((tmp_path / "conf.d").iterdir()).read_text()
    assert f"scrypt:{':'.join(map(str, PASSWORD_COST))}:" in written


@pytest.mark.parametrize("change", ["role", "domains", "code", "removed"])
async def test_another_grant_ends_the_sessions(world: World, change: str) -> None:
    token = await world.with_password()
    person = dict(world.people[JANE])
    changes: dict[str, dict[str, Any]] = {
        "role": {"role": "viewer"},
        "domains": {"domains": ["acme.test"]},
        "code": {"code_hash": hashed(OTHER_CODE)},
        "removed": {},
    }
    world.people[JANE] = person | changes[change]
    if change == "removed":
        del world.people[JANE]
    assert await world.service.signed_in(token) is None
    world.people[JANE] = person
    assert await world.service.signed_in(token) is None, "it does not come back"


async def test_a_new_code_voids_the_password(world: World) -> None:
    await world.with_password()
    world.people[JANE] = {"role": "operator", "code_hash": hashed(OTHER_CODE)}
    assert isinstance(await world.log_in(PASSWORD), Refused)
    assert isinstance(await world.log_in(CODE), Refused)
    assert (await world.signed_in(await world.token(OTHER_CODE))).stage is Stage.PASSWORD


async def test_a_password_ends_the_sessions_elsewhere(world: World) -> None:
    one = await world.with_password()
    other = await world.token(PASSWORD)
    done = await world.service.set_password(
        await world.signed_in(one), PASSWORD, "another one of mine", "another one of mine", client=CLIENT
    )
    assert isinstance(done, LoggedIn)
    assert [await world.service.signed_in(token) for token in (one, other)] == [None, None]
    assert await world.service.signed_in(done.token) is not None


async def test_the_token_of_before_ends_at_the_login_and_is_never_taken(world: World) -> None:
    assert await world.service.signed_in("chosen by somebody else") is None
    first = await world.with_password()
    done = await world.service.log_in(JANE, PASSWORD, "", client=CLIENT, former=first)
    assert isinstance(done, LoggedIn)
    assert done.token != first
    assert await world.service.signed_in(first) is None
    await world.service.log_out(done.token)
    assert await world.service.signed_in(done.token) is None


async def test_logins_and_changes_are_in_audit_and_log_without_secrets(world: World) -> None:
    await world.with_app(SECRET)
    await world.log_in("wrong password")
    found = await world.store.changes.changes(ChangeQuery())
    assert sorted((one.person, one.action, one.after, one.client) for one in found) == [
        (JANE, "app", "changed", CLIENT),
        (JANE, "login", "", CLIENT),
        (JANE, "password", "changed", CLIENT),
    ]
    assert [line for line, _ in world.lines] == [*["console.changed"] * 3, "console.login_failed"]
    assert world.lines[-1][1] == {"person": JANE, "client": CLIENT, "why": "Address, password or code is wrong."}
    said = repr((found, world.lines))
    assert not [secret for secret in (CODE, PASSWORD, SECRET.hex()) if secret in said]


def test_codes_are_typed_as_people_type_them() -> None:
    assert len(CODE) == 19
    assert typed_code(f" {CODE.upper().replace('-', ' ')} ") == CODE
    assert typed_code("a password of mine") == "a password of mine"
    assert password_fault(PASSWORD, JANE) == ""
