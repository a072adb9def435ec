"""The normal form of a reply."""

import pytest

from relay.dsn.reply_normal_form import normal_form


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
    assert (found.prose, found.names) == (
        "blocked using <host> see <link>",
        "zen.list.example https://www.list.example/query?ip=1",
    )


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("550 User unknown (queue id 4711)", ("user unknown", "queue id 4711")),
        ("550 the certificate (CN=x) has expired", ("the certificate has expired", "cn=x")),
        ("550 Refused: no such user; client - none", ("refused", "no such user", "client", "none")),
        ("550 <a@b.example>: unknown", ("<@> unknown",)),
        ("550 the key, unknown", ("the key unknown",)),
        ("550 From: domain invalid", ("from domain invalid",)),
        ('550 the queue "abc" is frozen', ("the queue is frozen", "abc")),
        ("550 it: a key, is not ours", ("it", "a key", "is not ours", "it is not ours", "a key is not ours")),
        ("550 refusé parce que la clé manque", ("refusé", "la clé manque")),
        ("550 收件人被拒绝：主机名不存在", ("收件人被拒绝", "主机名不存在")),
    ],
)
def test_clauses_end_at_punctuation_and_before_reasons(text: str, clauses: tuple[str, ...]) -> None:
    assert normal_form(text).clauses == clauses


@pytest.mark.parametrize(
    "text",
    [
        "550 No such user. The message was returned to sender.",
        "550 No such user, message returned to the sender",
        "550 No such user. Contact the sender of the message by phone.",
    ],
)
def test_what_happened_to_the_mail_is_taken_off(text: str) -> None:
    assert "sender" not in normal_form(text).prose


@pytest.mark.parametrize(
    "text",
    [
        "550 Callback to sender failed: user unknown",
        "550 DSN can not be returned to sender, no such user",
        "550 verification sent to sender failed",
        "550 contact the sender: his mailbox is unknown",
        "550 message was not returned to sender",
    ],
)
def test_a_refusal_that_is_about_the_sender_keeps_the_word(text: str) -> None:
    assert "sender" in normal_form(text).prose
