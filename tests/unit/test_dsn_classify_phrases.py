"""The language of the rules."""

import re

import pytest

from relay.dsn.phrases import PhraseError, compile_phrase
from relay.dsn.reply_normal_form import normal_form


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("user unknown", "550 5.1.1 User\r\n unknown"),
        ("user unknown", "user-unknown!"),
        ("user {is |}unknown", "user is unknown"),
        ("user {is |}unknown", "user unknown"),
        ("reject*", "rejected"),
        ("reject*", "reject"),
        ("limit of #", "limit of 40"),
        ("too .. mail", "too much mail"),
        ("too .. mail", "too mail"),
        ("{a|b {c|d}}", "b d"),
        ("does not exist", "doesn't exist"),
        ("does not exist", "doesn\u2019t exist"),
        ("can not open", "cannot open"),
        ("over quota", "over_quota"),
        ("email", "E-Mail"),
        ("user <@> unknown", "user <a@b.example> unknown"),
        ("存在しません", "宛先は存在しません。"),
        ("{прав|权限}", "нет прав"),
        ("{прав|权限}", "您没有权限"),
    ],
)
def test_a_phrase_matches_its_spellings(phrase: str, text: str) -> None:
    assert compile_phrase(phrase).matches(normal_form(text).prose)


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("full", "fully booked"),
        ("прав", "отправку прервали"),
        ("user", "superuser"),
        ("too .. mail", "too much. You have mail"),
        ("too .. mail", "too " + "x" * 70 + " mail"),
        ("limit of #", "limit of many"),
        ("full", "full@b.example"),
    ],
)
def test_a_phrase_matches_no_other_words(phrase: str, text: str) -> None:
    assert not compile_phrase(phrase).matches(normal_form(text).prose)


def test_the_needle_is_what_every_match_contains() -> None:
    assert compile_phrase("the {mailbox|inbox} is").needles == ("mailbox", "inbox")
    assert compile_phrase("{a|b} certainly {c|d}").needles == (" certainly ",)
    assert compile_phrase("{a|}").needles == ("",)


def test_a_phrase_names_a_class_of_words() -> None:
    classes = {"mailbox": "mailbox|$box", "box": "inbox|postbox"}
    phrase = compile_phrase("the $mailbox is full", classes)
    assert phrase.matches("the postbox is full")
    assert phrase.source == "the $mailbox is full"


@pytest.mark.parametrize(("classes", "fault"), [({}, "not in [words]"), ({"mailbox": "$mailbox"}, "name each other")])
def test_a_class_that_is_not_there_is_a_fault(classes: dict[str, str], fault: str) -> None:
    with pytest.raises(PhraseError, match=re.escape(fault)):
        compile_phrase("the $mailbox", classes)


def test_a_fault_names_the_phrase_as_it_is_written() -> None:
    with pytest.raises(PhraseError, match=r"phrase 'no \$user .. of .. us' has more than 2 gaps"):
        compile_phrase("no $user .. of .. us", {"user": "user|user .. name"})


def test_a_phrase_of_a_whole_clause_is_all_of_it() -> None:
    phrase = compile_phrase("=no such {user|mailbox}")
    assert phrase.matches("no such user")
    assert not phrase.matches("no such user agent")
