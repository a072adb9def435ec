"""The configuration that `relay init` writes, as text."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from relay.config.parsers import HostPort
from relay.config.show import toml_value

SELECTOR = "s1"
"""Name of the first DKIM key."""

LOGIN = "app1"
"""Name of the first login."""

HASH_FILE = f"{LOGIN}.hash"
"""File of the hash of the login, beside the configuration."""

PASSWORD_FILE = "provider.secret"  # noqa: S105 - a name
"""File of the password of the provider, beside the configuration."""

CERTIFICATE_FILE = "listener.pem"
"""File of the certificate that is made for a listener, beside the configuration."""


@dataclass(frozen=True, slots=True)
class FirstConfiguration:
    """What the first configuration has. "" for none."""

    domain: str
    hostname: str
    data_dir: Path
    provider: HostPort | None = None
    username: str = ""
    listen: HostPort | None = None
    """Where applications of other machines connect; None: those of this machine only."""
    certificate: str = CERTIFICATE_FILE
    base_url: str = ""


def configuration(run: FirstConfiguration) -> str:
    """Return the configuration as TOML."""
    lines = [
        "# relay config describe shows every key with its default, relay doctor what is missing.",
        "",
        "[server]",
        f"hostname = {toml_value(run.hostname)}",
        f"data_dir = {toml_value(str(run.data_dir))}",
        *_listener(run),
        *_tracker(run),
        "",
        f"[domains.{toml_value(run.domain)}]",
        f'dkim = {{ selectors = ["{SELECTOR}"] }}',
        "",
        f"[credentials.{LOGIN}]",
        f'secret_hash_file = "{HASH_FILE}"',
        *_provider(run),
    ]
    return "\n".join(lines) + "\n"


def _listener(run: FirstConfiguration) -> Iterator[str]:
    if run.listen is None:
        return
    yield ""
    yield "# Applications of other machines need a login, and TLS for it. Networks in allow_networks need neither."
    yield "[[listener]]"
    yield 'name = "submission"'
    yield f"address = {toml_value(_address(run.listen))}"
    yield 'tls = "implicit"' if run.listen.port == 465 else 'tls = "starttls"'
    yield f"certificate = {toml_value(run.certificate)}"
    yield 'auth = "required"'
    yield "allow_networks = []"


def _tracker(run: FirstConfiguration) -> Iterator[str]:
    yield ""
    yield "# The HTTP server of pixels and links. Set base_url to the https URL by which readers reach it."
    yield "[tracker]"
    if run.listen is None:
        yield 'address = "127.0.0.1:8025"'
    else:
        yield f"address = {toml_value(_address(HostPort(run.listen.host, 8025)))}"
    if run.base_url:
        yield f"base_url = {toml_value(run.base_url)}"
    elif run.listen is None:
        yield f'#base_url = "https://t.{run.domain}"'
    else:
        yield 'base_url = "http://127.0.0.1:8025"  # readers on this machine only'


def _provider(run: FirstConfiguration) -> Iterator[str]:
    host = run.provider
    if host is None:
        return
    yield from ("", "[[provider]]", 'name = "provider"', f"host = {toml_value(host.host)}", f"port = {host.port}")
    if host.port == 465:
        yield 'tls = "implicit"'
    if run.username:
        yield f"username = {toml_value(run.username)}"
        yield f'password_file = "{PASSWORD_FILE}"'
    yield from ("", "[defaults]", 'provider = "provider"')


def _address(at: HostPort) -> str:
    return f"[{at.host}]:{at.port}" if ":" in at.host else f"{at.host}:{at.port}"
