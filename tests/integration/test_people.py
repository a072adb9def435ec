"""`relay person`: files in conf.d, codes that are shown once, and what a running server says of people."""

import re
from pathlib import Path

from relay.config import load
from relay.config.secret_hash import parse_secret_hash
from tests.ports import free_port
from tests.servers.relay_process import RelayProcess
from tests.servers.sink import Sink

CODE = re.compile(r"Code of the first login: (\S{19}) ")


def code_in(text: str) -> str:
    found = CODE.search(text)
    assert found, text
    return found[1]


async def test_a_person_from_the_first_day_to_the_last(tmp_path: Path) -> None:
    more = f'[domains."acme.test"]\n[console]\naddress = "127.0.0.1:{free_port()}"\n'
    async with Sink() as sink, RelayProcess(tmp_path, sink.port, more) as relay:
        made = await relay.run("person", "new", "Jane@acme.test", "--role", "owner", "--reload")
        file = tmp_path / "conf.d" / "person-Jane@acme.test.toml"
        assert [one.name.lower() for one in file.parent.iterdir()] == ["person-jane@acme.test.toml"]
        person = load(relay.config, {}).console.people["jane@acme.test"]
        first = parse_secret_hash(person.code_hash.get_secret_value())
        assert first.matches(code_in(made))
        (row,) = await relay.json("person", "list")
        assert (row["address"], row["role"], row["password"], row["app"]) == ("jane@acme.test", "owner", False, False)

        code, said = await relay.ran("person", "new", "jane@acme.test", "--role", "viewer")
        assert (code, "is in" in said, "already" in said) == (64, True, True)
        code, said = await relay.ran("person", "new", "carl", "--role", "viewer")
        assert (code, "is not a mail address" in said) == (64, True)

        again = await relay.run("person", "reset", "jane@acme.test", "--reload")
        assert code_in(again) != code_in(made)
        changed = await relay.run(
            "person", "change", "jane@acme.test", "--role", "support", "--domain", "acme.test", "--reload"
        )
        assert "jane@acme.test is support of acme.test" in changed
        person = load(relay.config, {}).console.people["jane@acme.test"]
        assert (person.role, person.domains) == ("support", ("acme.test",))
        assert parse_secret_hash(person.code_hash.get_secret_value()).matches(code_in(again)), "the code stays"

        assert "has no app" in await relay.run("person", "totp", "jane@acme.test")
        assert "has no app" in await relay.run("person", "totp", "jane@acme.test", "--remove")
        assert "0 sessions" in await relay.run("person", "logout", "jane@acme.test")
        assert [row["action"] for row in await relay.json("person", "audit")] == ["logout"]

        assert "is removed" in await relay.run("person", "remove", "jane@acme.test", "--reload")
        assert await relay.json("person", "list") == []
        code, said = await relay.ran("person", "remove", "jane@acme.test")
        assert (code, "is not a person of the console" in said) == (64, True)


async def test_a_person_of_another_file_is_changed_there(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    async with Sink() as sink:
        draft = RelayProcess(made, sink.port)
        await draft.run("person", "new", "jane@acme.test", "--role", "owner")
        text = (made / "conf.d" / "person-jane@acme.test.toml").read_text()
        relay = RelayProcess(tmp_path, sink.port, text)
        for command in ("reset", "remove"):
            code, said = await relay.ran("person", command, "jane@acme.test")
            assert code == 64
            assert re.search(r"jane@acme\.test is in \S*relay\.toml:\d+: change it there", said), said
