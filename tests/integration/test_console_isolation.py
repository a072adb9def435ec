"""A person of one sending domain is shown nothing of another: a table with an entry for every route of the console."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from unittest.mock import MagicMock

import pytest
import pytest_asyncio

from relay.console.routes import acting_routes, routes
from tests.servers.actions import Say
from tests.servers.login_console import LoginRelay, Person, people_toml, person
from tests.servers.sink import Sink
from tests.servers.waiting import until

SECRET = "5ecret"
"""Is in all that the other domain has."""

WAY = "other-way"
"""The provider of the other domain."""

SENDERS = f"""
[domains."acme.test"]
[domains."beta.test"]
provider = "{WAY}"
campaign_provider = "{WAY}"
[identities."news@acme.test"]
display_name = "Alpha News"
[identities."{SECRET}@beta.test"]
display_name = "{SECRET}"
[[provider]]
name = "{WAY}"
host = "127.0.0.1"
port = %d
tls = "none"
[[webhook]]
name = "hook-{SECRET}"
url = "http://127.0.0.1:9/hook"
allow_networks = ["127.0.0.1/32"]
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A request of a person of acme.test, and what answers it."""

    query: str = ""
    status: int = 200
    shows: str = ""
    """What is the person's own in the answer, or why it is refused."""
    form: tuple[tuple[str, str], ...] = ()


REFUSED, NOTHING, NO_DOMAIN = "Not for your domains", "No message found", "is not among your sending domains"

OTHER = "{other}"
"""Queue id of a message of the other domain."""

CONNECTED = {
    (method, path): (Case(status=403, shows=REFUSED),)
    for method in ("GET", "POST")
    for path in (
        *("/providers/new", "/providers/{name}/edit", "/mailbox/edit", "/webhooks/new", "/webhooks/{name}/edit"),
        *("/credentials/new", "/credentials/{name}/edit"),
    )
}
"""Forms of what the relay is connected to, which all domains share."""

CASES: dict[tuple[str, str], tuple[Case, ...]] = {
    ("GET", "/static/{name}"): (Case(),),
    ("GET", "/login"): (Case(),),
    ("POST", "/login"): (Case(status=403, shows="is wrong", form=(("email", "x@acme.test"), ("pw", "no"))),),
    ("GET", "/password"): (Case(shows="Change your password"),),
    ("POST", "/password"): (Case(status=400),),
    ("GET", "/app"): (Case(),),
    ("POST", "/app"): (Case(shows="The form was changed"),),
    ("GET", "/"): (Case(shows="<span>Delivered</span><b>1</b>"), Case(shows="Alpha waits")),
    ("GET", "/messages"): (
        Case(shows="Alpha"),
        *(Case(f"?status={status}", shows="Alpha") for status in ("delivered", "bounced", "waiting")),
        *(Case(f"?{given}", shows="Alpha") for given in ("category=bad_mailbox", "to=reader.test", "q=reader.test")),
        *(Case(f"?{given}", shows="Alpha") for given in ("q=%23label", "q=letters", "q=common%40reader.test")),
        *(Case(f"?{given}", shows=NOTHING) for given in ("q=plans", "q=beta.test", "from=beta.test", f"q={OTHER}")),
        Case("?q=%3Cother1%40beta.test%3E", shows=NOTHING),
    ),
    ("GET", "/messages.csv"): (Case(shows="Alpha bounces"), Case("?q=plans"), Case("?from=beta.test")),
    ("GET", "/messages/{queue_id}"): (Case(status=404, shows="There is no such message"),),
    ("GET", "/messages/{queue_id}/preview"): (Case(status=404, shows="is not kept"),),
    ("GET", "/message/{queue_id}"): (Case(status=404, shows="There is no such message"),),
    ("GET", "/queue"): (
        Case(shows="Alpha waits"),
        Case("?state=waiting", shows="Alpha waits"),
        Case("?q=common%40reader.test", shows="Alpha waits"),
        Case("?q=sink", shows="Alpha waits"),
        *(Case(f"?{given}", shows="Nothing in the queue") for given in ("domain=beta.test", f"q={OTHER}", "q=plans")),
    ),
    ("GET", "/queue.csv"): (Case(shows="Alpha waits"), Case("?domain=beta.test"), Case(f"?q={OTHER}")),
    ("GET", "/bounces"): (
        Case(shows="1 of 2 recipients"),
        Case("?identity=news@acme.test", shows="1 of 2 recipients"),
        Case("?domain=beta.test", status=403, shows=NO_DOMAIN),
        Case("?identity=x@beta.test", status=403, shows=NO_DOMAIN),
    ),
    ("GET", "/bounces.csv"): (
        Case(shows="Alpha bounces"),
        Case("?domain=beta.test", status=403, shows=NO_DOMAIN),
        Case("?identity=x@beta.test", status=403, shows=NO_DOMAIN),
    ),
    ("GET", "/domains"): (Case(shows="acme.test"),),
    ("GET", "/domains.csv"): (Case(shows="acme.test"),),
    ("GET", "/domains/{domain}"): (Case(status=404, shows="is no sending domain here"),),
    ("GET", "/domains/new"): (Case(status=403, shows=REFUSED),),
    ("POST", "/domains/new"): (Case(status=403, shows=REFUSED),),
    ("GET", "/domains/{domain}/edit"): (Case(status=404, shows="is no sending domain here"),),
    ("POST", "/domains/{domain}/edit"): (Case(status=404, shows="is no sending domain here"),),
    ("POST", "/domains/{domain}/actions"): (Case(status=404, form=(("action", "domain.look"),)),),
    ("GET", "/identities"): (Case(shows="Alpha News"),),
    ("GET", "/identities.csv"): (Case(shows="Alpha News"),),
    ("GET", "/identities/new"): (Case(),),
    ("POST", "/identities/new"): (Case(status=400, form=(("address", "x@beta.test"),)),),
    ("GET", "/identities/{address}"): (Case(status=404, shows="is no identity here"),),
    ("GET", "/identities/{address}/edit"): (Case(status=404, shows="is no identity here"),),
    ("POST", "/identities/{address}/edit"): (Case(status=404, shows="is no identity here"),),
    ("POST", "/identities/{address}/actions"): (Case(status=404, shows="is no identity here"),),
    ("GET", "/providers"): (Case(shows="sink"),),
    ("GET", "/providers.csv"): (Case(shows="sink"),),
    ("GET", "/providers/{name}"): (Case(status=403, shows=REFUSED),),
    ("POST", "/providers/actions"): (Case(status=403, shows=REFUSED),),
    ("POST", "/providers/{name}/test"): (Case(status=403, shows=REFUSED),),
    ("POST", "/providers/{name}/mail"): (Case(status=403, shows=REFUSED),),
    ("GET", "/mailbox"): (Case(status=403, shows=REFUSED),),
    ("POST", "/mailbox/test"): (Case(status=403, shows=REFUSED),),
    ("GET", "/suppressions"): (Case(shows="alpha@reader.test"), Case("?q=common%40reader.test")),
    ("GET", "/suppressions.csv"): (Case(shows="alpha@reader.test"),),
    ("GET", "/unsubscribes"): (Case(shows="alpha@reader.test"),),
    ("GET", "/unsubscribes.csv"): (Case(shows="alpha@reader.test"),),
    ("GET", "/webhooks"): (Case(status=403, shows=REFUSED),),
    ("GET", "/webhooks.csv"): (Case(status=403, shows=REFUSED),),
    ("GET", "/webhooks/{name}"): (Case(status=403, shows=REFUSED),),
    ("POST", "/webhooks/actions"): (Case(status=403, shows=REFUSED),),
    ("POST", "/webhooks/{name}/test"): (Case(status=403, shows=REFUSED),),
    ("GET", "/credentials"): (Case(status=403, shows=REFUSED),),
    ("GET", "/credentials.csv"): (Case(status=403, shows=REFUSED),),
    ("GET", "/credentials/{name}"): (Case(status=403, shows=REFUSED),),
    ("POST", "/credentials/actions"): (Case(status=403, shows=REFUSED),),
    ("GET", "/confirm/{plan}"): (Case(status=410),),
    ("POST", "/confirm/{plan}"): (Case(status=410),),
    ("POST", "/queue/actions"): (
        Case(shows="Hold 1 waiting recipient?", form=(("action", "queue.hold"),)),
        Case(shows="nothing that it could change", form=(("action", "queue.hold"), ("domain", "beta.test"))),
        Case(shows="nothing that it could change", form=(("action", "queue.hold"), ("q", OTHER))),
    ),
    ("POST", "/messages/{queue_id}/actions"): (
        Case(shows="nothing that it could change", form=(("action", "message.delete"),)),
    ),
    ("POST", "/suppressions/actions"): (
        Case(status=400, form=(("action", "suppressions.add"), ("address", "a@x.test"), ("domain", "beta.test"))),
    ),
    ("POST", "/unsubscribes/actions"): (
        Case(status=400, form=(("action", "unsubscribes.add"), ("address", "a@x.test"), ("domain", "beta.test"))),
    ),
    ("GET", "/audit"): (Case(shows="dora@acme.test"),),
    ("GET", "/people"): (Case(status=403, shows=REFUSED),),
    ("POST", "/people/actions"): (Case(status=403, shows=REFUSED, form=(("action", "people.remove"),)),),
    ("POST", "/mailbox/actions"): (Case(status=403, shows=REFUSED),),
    **CONNECTED,
    ("POST", "/logout"): (Case(),),
}


def test_every_route_has_an_entry() -> None:
    known = {(one.method, one.path) for one in (*routes(MagicMock()), *acting_routes(MagicMock()))}
    assert known == CASES.keys()


@dataclass(frozen=True, slots=True)
class World:
    dora: Person
    other: str


async def mails(relay: LoginRelay, sink: Sink, sender: str, subject: str, names: str) -> str:
    """Send mail that arrives, bounces and waits; return the queue id of the last one."""
    fields = {"X-Relay-Tag": "label", "X-Relay-Campaign": names}
    domain = sender.partition("@")[2]
    await relay.send(f"{names}@reader.test", f"{subject} letters", f"<other0@{domain}>", fields, sender=sender)
    sink.once(f"RCPT {names}-gone@reader.test", Say(f"550 5.1.1 No such user: {names}"))
    await relay.send(f"{names}-gone@reader.test", f"{subject} bounces", f"<other1@{domain}>", fields, sender=sender)
    sink.once("RCPT common@reader.test", Say(f"452 4.2.2 Mailbox full: {names}"))
    return await relay.send("common@reader.test", f"{subject} waits", f"<other2@{domain}>", fields, sender=sender)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    people = people_toml({"dora@acme.test": "owner", f"{SECRET}@beta.test": "owner"}, {"dora@acme.test": "acme.test"})
    async with Sink() as sink, LoginRelay(tmp_path_factory.mktemp("relay"), sink, SENDERS % sink.port, people) as relay:
        other = await mails(relay, sink, f"{SECRET}@beta.test", f"{SECRET} plans", SECRET)
        await mails(relay, sink, "news@acme.test", "Alpha", "alpha")
        for name, domain in (("alpha", "acme.test"), (SECRET, "beta.test")):
            about = (f"{name}@reader.test", "--domain", domain)
            await relay.run("suppression", "add", *about)
            await relay.run("unsubscribe", "add", *about)
        async with person(relay, f"{SECRET}@beta.test"), person(relay, "dora@acme.test") as dora:

            async def own_figures() -> bool:
                page = await dora.get("/")
                return all(f"<span>{tile}</span><b>1</b>" in page for tile in ("Delivered", "Waiting", "Bounced"))

            # Figures that her login read before the last count stay on her pages for some seconds.
            await relay.shows("/", "<span>Bounced</span><b>2</b>")
            await until(own_figures)
            yield World(dora, other)


ALL = [(*key, case) for key, cases in CASES.items() for case in cases]
"""The logout, which comes last, and the login end the session of a browser: both are tried by others."""


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("method", "path", "case"), ALL, ids=[f"{one[0]} {one[1]}{one[2].query}" for one in ALL])
async def test_nothing_of_another_domain_is_shown(world: World, method: str, path: str, case: Case) -> None:
    dora = Person(world.dora.url)
    dora.token, dora.csrf = world.dora.token, world.dora.csrf
    if path == "/logout" or (method, path) == ("POST", "/login"):
        dora.token = ""
    values = {"name": "style.css", "queue_id": world.other, "domain": "beta.test", "plan": "none"}
    target = path.format(**values, address=f"{SECRET}@beta.test") + case.query.replace(OTHER, world.other)
    async with dora:
        if method == "GET":
            await dora.get(target)
        else:
            await dora.post(target, {name: value.replace(OTHER, world.other) for name, value in case.form})
        # The page repeats what was asked for.
        answer = dora.page.replace(f"{SECRET}@beta.test", "")
        assert dora.status == case.status, answer
        assert case.shows in answer
        assert SECRET not in answer
        assert WAY not in answer
        assert case.query or case.form or "beta" not in answer.replace("beta.test is no sending domain here", "")
