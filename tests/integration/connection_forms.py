"""What tests of the forms of providers, webhooks and credentials share."""

from tests.integration.test_console_actions import text_of
from tests.ports import free_port
from tests.servers.login_console import LoginRelay, Person
from tests.servers.sink import Sink

DOMAIN = '[domains."acme.test"]\n'

SECRET = "hunter2 & <hunter3>"

EVIL = "<img src=x onerror=alert(1)>"


def auth_sink() -> Sink:
    return Sink(extensions=("AUTH PLAIN",), port=free_port())


def written(relay: LoginRelay) -> str:
    """Return all that the relay wrote about its people and settings, without the files of secrets."""
    files = [relay.log_file, *(relay.folder / "conf.d").glob("*")]
    return "\n".join(one.read_text() for one in files)


async def confirmed(one: Person, path: str, **form: str) -> str:
    await one.post(path, form)
    assert one.path.startswith("/confirm/"), text_of(one.page)
    await one.post(one.path)
    return text_of(one.page)
