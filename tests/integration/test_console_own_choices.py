"""What people who are restricted to domains may choose: no bound of a credential of others goes by their hands."""

from pathlib import Path

from tests.integration.test_console_tables import edited, form_of, fragment
from tests.servers.login_console import HASH, LoginRelay, Person, people_toml, person
from tests.servers.sink import Sink

OTHER = '[[provider]]\nname = "{0}"\nhost = "smtp.{0}.test"\n'

SENDERS = f"""
[domains."b.test"]
provider = "theirs"
[credentials.news]
secret_hash = "{HASH}"
[credentials.a-app]
secret_hash = "{HASH}"
domains = ["a.test"]
[credentials.b-app]
secret_hash = "{HASH}"
domains = ["b.test"]
[credentials.both]
secret_hash = "{HASH}"
domains = ["a.test", "b.test"]
{OTHER.format("mine")}
{OTHER.format("theirs")}
"""

PEOPLE = people_toml({"ada@a.test": "operator", "olga@a.test": "operator"}, {"ada@a.test": "a.test"})


def relay_of(folder: Path, sink: Sink) -> LoginRelay:
    """A relay with a file of an identity and a file of a domain."""
    (folder / "conf.d").mkdir()
    (folder / "conf.d" / "identity-x@a.test.toml").write_text('[identities."x@a.test"]\ncredentials = ["news"]\n')
    (folder / "conf.d" / "domain-a.test.toml").write_text('[domains."a.test"]\nfallback_providers = ["mine"]\n')
    return LoginRelay(folder, sink, SENDERS, PEOPLE)


async def removal(one: Person, address: str) -> None:
    """Ask for the removal of an identity."""
    await one.post(f"/identities/{address}/actions", {"action": "remove"})


async def test_a_person_of_one_domain_lifts_no_bound_of_a_credential_of_others(tmp_path: Path) -> None:
    async with Sink() as sink, relay_of(tmp_path, sink) as relay, person(relay, "ada@a.test") as ada:
        before = fragment(relay, "identity-x@a.test.toml")
        page = await ada.get("/identities/x@a.test/edit")
        assert "there are: a-app. " in page
        assert not [one for one in ("b-app", "both") if one in page]
        for given in ("", "a-app", "news, b-app", "news, both", "news, nobody"):
            await edited(ada, "/identities/x@a.test/edit", credentials=given)
            assert (ada.status, "You cannot add or remove" in ada.page) == (400, True), given
        await edited(ada, "/identities/new", address="y@a.test", credentials="b-app")
        assert (ada.status, "You cannot add or remove b-app." in ada.page) == (400, True)
        await removal(ada, "x@a.test")
        assert (ada.status, "You cannot add or remove news." in ada.page) == (400, True)
        assert fragment(relay, "identity-x@a.test.toml") == before

        await edited(ada, "/identities/x@a.test/edit", credentials="news, a-app", company="Acme")
        assert ada.path == "/identities/x@a.test?saved=1", ada.page
        await edited(ada, "/identities/new", address="y@a.test", credentials="a-app")
        assert ada.path == "/identities/y@a.test?saved=1", ada.page
        await removal(ada, "y@a.test")
        await ada.post(ada.path)
        assert "y@a.test is removed." in ada.page


async def test_what_others_changed_meanwhile_is_shown_before_it_is_refused(tmp_path: Path) -> None:
    async with (
        Sink() as sink,
        relay_of(tmp_path, sink) as relay,
        person(relay, "ada@a.test") as ada,
        person(relay, "olga@a.test") as olga,
    ):
        await ada.get("/identities/x@a.test/edit")
        seen = form_of(ada.page)
        await edited(olga, "/identities/x@a.test/edit", credentials="news, b-app")
        await ada.post("/identities/x@a.test/edit", seen | {"company": "Acme"})
        assert (ada.status, "news, b-app" in ada.page) == (409, True)
        await ada.post("/identities/x@a.test/edit", form_of(ada.page))
        assert fragment(relay, "identity-x@a.test.toml") == {
            "identities": {"x@a.test": {"company": "Acme", "credentials": ["news", "b-app"]}}
        }


async def test_nobody_opens_a_credential_without_a_word(tmp_path: Path) -> None:
    async with Sink() as sink, relay_of(tmp_path, sink) as relay, person(relay, "olga@a.test") as olga:
        await edited(olga, "/identities/x@a.test/edit", credentials="")
        assert (olga.status, "news could send as each identity that is open to all" in olga.page) == (400, True)
        await removal(olga, "x@a.test")
        warning = "No other identity names news: from then on it may send as each identity that is open to all."
        assert warning in olga.page
        first = olga.path
        await edited(olga, "/identities/new", address="z@b.test", credentials="news, b-app")
        await olga.post(first)
        assert "What its credentials may do was changed meanwhile." in olga.page

        await removal(olga, "x@a.test")
        assert "No other identity names" not in olga.page
        await olga.post(olga.path)
        assert "x@a.test is removed." in olga.page
        await removal(olga, "z@b.test")
        assert "No other identity names news:" in olga.page
        await olga.post(olga.path)
        assert "z@b.test is removed." in olga.page


async def test_a_person_of_one_domain_chooses_among_its_providers(tmp_path: Path) -> None:
    async with Sink() as sink, relay_of(tmp_path, sink) as relay, person(relay, "ada@a.test") as ada:
        for path in ("/identities/x@a.test/edit", "/identities/new", "/domains/a.test/edit"):
            page = await ada.get(path)
            assert ('value="mine"' in page, "theirs" in page) == (True, False), path
        await edited(ada, "/identities/x@a.test/edit", provider="theirs")
        assert (ada.status, "is not one of the choices" in ada.page) == (400, True)
        await edited(ada, "/identities/x@a.test/edit", provider="mine")
        assert ada.path == "/identities/x@a.test?saved=1", ada.page
        await edited(ada, "/domains/a.test/edit", provider="theirs")
        assert (ada.status, "is not one of the choices" in ada.page) == (400, True)
        await edited(ada, "/domains/a.test/edit", fallback_providers="mine, theirs")
        assert (ada.status, "You cannot choose theirs. Allowed: sink, mine." in ada.page) == (400, True)
        await edited(ada, "/domains/a.test/edit", provider="mine", fallback_providers="sink")
        assert ada.path == "/domains/a.test?saved=1", ada.page
        assert fragment(relay, "domain-a.test.toml") == {
            "domains": {"a.test": {"provider": "mine", "fallback_providers": ["sink"]}}
        }


async def test_a_person_of_one_domain_ends_no_sandbox_and_no_limit(tmp_path: Path) -> None:
    async with Sink() as sink, relay_of(tmp_path, sink) as relay, person(relay, "ada@a.test") as ada:
        boxed = tmp_path / "conf.d" / "identity-box@a.test.toml"
        boxed.write_text('[identities."box@a.test"]\nsandbox = true\nhourly_limit = 20\n')
        await relay.run("config", "reload")
        await removal(ada, "box@a.test")
        assert (ada.status, "You cannot end the sandbox." in ada.page) == (400, True), ada.page
        await edited(ada, "/identities/box@a.test/edit", hourly_limit="0")
        assert ada.status == 400, "the daily ceiling is a bound of each identity"
        assert fragment(relay, boxed.name) == {"identities": {"box@a.test": {"sandbox": True, "hourly_limit": 20}}}


NAMES = {
    "return_path": ("bounces.b.test", "bounces.a.test"),
    "reply_domain": ("replies.b.test", "replies.a.test"),
    "tracking.base_url": ("https://click.b.test", "https://click.a.test"),
}
"""Keys of a domain that take a name: one of another domain, and an own one."""


async def test_a_person_of_one_domain_uses_no_name_of_another(tmp_path: Path) -> None:
    async with Sink() as sink, relay_of(tmp_path, sink) as relay, person(relay, "ada@a.test") as ada:
        before = fragment(relay, "domain-a.test.toml")
        for key, (foreign, _) in NAMES.items():
            await edited(ada, "/domains/a.test/edit", **{key.replace(".", "__"): foreign})
            told = f"{foreign.removeprefix('https://')} is not a name of your domains. Allowed: names below them"
            assert (ada.status, told in ada.page) == (400, True), ada.page
        assert fragment(relay, "domain-a.test.toml") == before
        own = {key.replace(".", "__"): name for key, (_, name) in NAMES.items()}
        await edited(ada, "/domains/a.test/edit", **own)
        assert ada.path == "/domains/a.test?saved=1", ada.page
        assert fragment(relay, "domain-a.test.toml")["domains"] == {
            "a.test": {
                "fallback_providers": ["mine"],
                "return_path": "bounces.a.test",
                "reply_domain": "replies.a.test",
                "tracking": {"base_url": "https://click.a.test"},
            }
        }
