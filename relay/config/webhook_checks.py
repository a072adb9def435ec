"""Checks of webhooks: receivers that may not be reached, and settings that contradict each other."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import get_args

from relay.config.errors import Problem
from relay.config.toml_positions import KeyPath
from relay.config.webhooks import BATCHES, OperatorEvents, Webhook
from relay.mail.public_address import is_blocked

_SIGNED = frozenset({"standard", "cloudevents", "cloudevents-binary"})
"""Formats that a receiver accepts with a signature or without one."""

_PLAIN = frozenset({"standard", "cloudevents", "cloudevents-binary", "slack"})
"""Formats that have a form for events of the relay itself."""

_SECRET_NEEDED = frozenset({"sendgrid", "mailgun"})
"""Formats whose receivers refuse posts without a signature."""


def webhook_errors(path: KeyPath, webhook: Webhook) -> Iterator[Problem]:
    """Yield what makes a webhook unusable."""
    yield from _unreachable((*path, "url"), webhook)
    if webhook.batch > 1 and webhook.format not in BATCHES:
        problem = f'{webhook.batch} is not possible: the format "{webhook.format}" has one event a post'
        yield Problem((*path, "batch"), problem, f"1, or format = {', '.join(sorted(BATCHES))}")
    if webhook.format not in _PLAIN and (own := sorted(set(webhook.events) & set(get_args(OperatorEvents)))):
        problem = f'{own[0]} has no form in the format "{webhook.format}"'
        yield Problem((*path, "events"), problem, f"a webhook of its own, with format {', '.join(sorted(_PLAIN))}")
    if webhook.format in _SECRET_NEEDED and not webhook.secret:
        problem = f'is missing: the format "{webhook.format}" signs each post'
        yield Problem((*path, "secret"), problem, "secret_file with the output of `relay webhook new`")
    if ":" in webhook.username:
        yield Problem((*path, "username"), "has a colon, which ends the name (RFC 7617)", "a name without it")
    password = webhook.password.get_secret_value()
    if webhook.username and not password:
        yield Problem((*path, "password"), "is missing: there is a username", "password or password_file")
    elif password and not webhook.username:
        yield Problem((*path, "username"), "is missing: there is a password")


def _unreachable(path: KeyPath, webhook: Webhook) -> Iterator[Problem]:
    try:
        address = ip_address(webhook.host)
    except ValueError:
        if (webhook.is_plain or webhook.host == "localhost") and not webhook.allow_networks:
            problem = "is not public" if webhook.host == "localhost" else "has no TLS, so that anybody could read it"
            yield Problem(path, f"{webhook.host} {problem}", "https://, or the addresses of the host in allow_networks")
        return
    if is_blocked(address, webhook.allow_networks):
        allowed = f'a public host, or allow_networks = ["{address}/{address.max_prefixlen}"]'
        yield Problem(path, f"{address} is not public, so nothing is posted to it", allowed)
    elif webhook.is_plain and not webhook.allow_networks:
        yield Problem(path, f"{address} is reached without TLS", "https://, or the address in allow_networks")


def webhook_warnings(path: KeyPath, webhook: Webhook) -> Iterator[Problem]:
    """Yield what is probably a mistake."""
    if webhook.format in _SIGNED and not webhook.secret:
        yield Problem((*path, "name"), "has no secret: its receiver cannot tell posts of this relay from others")
    if webhook.is_plain and webhook.username:
        yield Problem((*path, "password"), "is sent in clear text: the URL has no TLS", "https://")
