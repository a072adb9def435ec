"""Apps that show codes at the login of people: set up, replaced, required, and kept secret."""

from relay.people.grants import Stage
from relay.people.login import LoggedIn, Refused, hash_of
from relay.people.totp import code_of
from tests.unit.people_world import (
    CLIENT,
    JANE,
    NOW,
    OTHER_CODE,
    PASSWORD,
    SECRET,
    World,
    hashed,
    world,
    world_at_full_cost,
)

__all__ = ["world", "world_at_full_cost"]


async def test_an_app_is_replaced_with_the_present_password_only(world: World) -> None:
    await world.with_app(SECRET)
    world.now += 60
    signed_in = await world.signed_in(await world.token(PASSWORD, code_of(SECRET, int(world.now // 30))))
    other = SECRET[::-1]
    code = code_of(other, int(world.now // 30))
    for present in ("", "a guess"):
        refused = await world.service.confirm_app(signed_in, other, code, client=CLIENT, present=present)
        assert refused == Refused("The present password or code is wrong.", JANE)
    assert await world.service.confirm_app(signed_in, other, code, client=CLIENT, present=PASSWORD) is None


async def test_the_store_has_no_token_and_no_secret_of_an_app(world: World) -> None:
    await world.with_app(SECRET)
    (one,) = await world.store.sessions.sessions(NOW)
    assert len(one.token_hash) == 64
    account = await world.store.accounts.account(JANE)
    assert account is not None
    assert SECRET.hex() not in account.totp
    assert hash_of("x") != "x"


async def test_the_code_of_an_app_counts_once_and_only_with_the_password(world: World) -> None:
    await world.with_app(SECRET)
    step = int(NOW // 30)
    assert (await world.log_in(PASSWORD)) == Refused("The code of your app is needed.", JANE)
    assert "used before" in (await world.log_in(PASSWORD, code_of(SECRET, step))).text
    world.now += 30
    assert isinstance(await world.log_in(PASSWORD, "000000"), Refused)
    assert isinstance(await world.log_in(PASSWORD, code_of(SECRET, step + 1)), LoggedIn)
    assert "used before" in (await world.log_in(PASSWORD, code_of(SECRET, step + 1))).text


async def test_an_app_is_needed_with_a_new_code_too(world: World) -> None:
    await world.with_app(SECRET)
    world.people[JANE] = {"role": "operator", "code_hash": hashed(OTHER_CODE)}
    assert isinstance(await world.log_in(OTHER_CODE), Refused)
    assert await world.service.remove_app(JANE)
    assert not await world.service.remove_app(JANE)
    assert isinstance(await world.log_in(OTHER_CODE), LoggedIn)


async def test_the_owner_may_require_apps(world: World) -> None:
    token = await world.with_password()
    world.settings["require_totp"] = True
    found = await world.signed_in(token)
    assert found.stage is Stage.APP
    assert isinstance(await world.service.confirm_app(found, SECRET, "000000", client=CLIENT), Refused)
    assert await world.service.confirm_app(found, SECRET, code_of(SECRET, int(NOW // 30)), client=CLIENT) is None
    assert (await world.signed_in(token)).stage is Stage.FULL


async def test_a_secret_of_an_app_moves_to_the_newest_key(world: World) -> None:
    await world.with_app(SECRET)
    world.keys.insert(0, ("k2", b"2" * 32))
    world.now += 30
    assert isinstance(await world.log_in(PASSWORD, code_of(SECRET, int(world.now // 30))), LoggedIn)
    del world.keys[1]
    world.now += 30
    assert isinstance(await world.log_in(PASSWORD, code_of(SECRET, int(world.now // 30))), LoggedIn)
    world.keys[:] = [("k3", b"3" * 32)]
    world.now += 30
    assert "the key of the relay changed" in (await world.log_in(PASSWORD, code_of(SECRET, int(world.now // 30)))).text
