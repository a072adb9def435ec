"""The normal form of a reply."""

import pytest

from relay.dsn.reply_normal_form import Wording, normal_form


@pytest.mark.parametrize(
    ("text", "prose"),
    [
        ("550-5.1.1 User (#5.1.1) unknown 550 5.1.1", "user unknown"),
        ("550 <a.b@c.example>: No such user", "<@> no such user"),
        (
            "554 Mail from 192.0.2.7 refused, see https://spam.example/list?ip=192.0.2.7",
            "mail from <ip> refused see <link>",
        ),
        ("421 [2001:db8:0:1::7] too many connections", "<ip> too many connections"),
        ("451 4.3.0 mail.server.example: unknown. Try again", "<host> unknown. try again"),
        ("550 5.1.1 RESOLVER.ADR.RecipNotFound; not found", "resolver.adr.recip not found not found"),
        ("501 <mx.example.org> unknown to <192.0.2.7>", "<host> unknown to <ip>"),
        ("552 OverQuotaPerm", "over quota perm"),
        ("550 SpamHaus lists you", "spamhaus lists you"),
        ("version 5.1.1.1 of 10.5.1", "version <ip> of 10.5.1"),
    ],
)
def test_names_are_tokens_and_codes_are_taken_off(text: str, prose: str) -> None:
    assert normal_form(text).prose == prose


@pytest.mark.parametrize(
    "text",
    [
        "host mx.example.net[192.0.2.1] said: 550 No such user (in reply to RCPT TO command)",
        "SMTP error from remote mail server after RCPT TO:<a@b.example>: host b.example [192.0.2.1]: 550 No such user",
        "Remote host said: 550 No such user",
    ],
)
def test_the_words_of_the_sending_server_are_taken_off(text: str) -> None:
    assert normal_form(text).prose == "no such user"


def test_hosts_and_links_are_kept_beside_the_prose() -> None:
    found = normal_form("550 Blocked using zen.list.example; see https://www.List.example/query?ip=1")
    assert found == Wording("blocked using <host> see <link>", "zen.list.example https://www.list.example/query?ip=1")
