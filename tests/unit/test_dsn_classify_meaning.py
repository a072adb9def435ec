"""Replies that no server ever wrote: every subject with everything that is said of one, in many languages.

Rules of whole sentences fail here. Rules of the subject and of what is said of it pass.
"""

import tomllib
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from relay.dsn.classify import classify
from relay.dsn.rules_file import built_in_rules

RULES = built_in_rules()

MEANINGS = Path(__file__).parents[1] / "golden" / "meanings"

ENGLISH: dict[str, list[str]] = tomllib.loads((MEANINGS / "english.toml").read_text("utf-8"))

LANGUAGES: dict[str, dict[str, list[str]]] = tomllib.loads((MEANINGS / "languages.toml").read_text("utf-8"))

REASONS = tomllib.loads((MEANINGS / "reasons.toml").read_text("utf-8"))

SAID = ("unknown", "disabled", "full")

NO_ADDRESS = frozenset(("bad_mailbox", "mailbox_disabled"))
"""What was removed or closed is one or the other: both suppress."""

SUPPRESSING = NO_ADDRESS | {"bad_domain"}

MEANT = {"unknown": NO_ADDRESS, "disabled": NO_ADDRESS, "full": frozenset(("mailbox_full",))}

REPLIES = (("rcpt", "550 5.7.1 {}"), ("rcpt", "550 {}"), ("", "554 {}"))

WRITTEN_WITHOUT_SPACES = ("Japanese", "Chinese", "Korean")


def sentences(subjects: list[str], said: list[str], gap: str = " ") -> Iterator[str]:
    """Yield each subject with everything said of it."""
    for subject, predicate in product(subjects, said):
        yield predicate.format(subject) if "{}" in predicate else f"{subject}{gap}{predicate}"


def categories(subjects: list[str], said: list[str], gap: str = " ") -> Iterator[tuple[str, str]]:
    """Yield the replies that say so, each with its category."""
    for sentence, (phase, reply) in product(sentences(subjects, said, gap), REPLIES):
        text = reply.format(sentence)
        yield text, classify(RULES, text, phase=phase).category


@pytest.mark.parametrize("said", [*SAID, "unknown_before"])
def test_english_of_any_server_is_understood(said: str) -> None:
    got = list(categories(ENGLISH["recipient"], ENGLISH[said]))
    missed = [one for one in got if one[1] not in MEANT[said.split("_")[0]]]
    assert len(missed) <= 0.03 * len(got), missed[:20]


def test_what_is_unknown_closed_or_full_at_our_side_suppresses_nobody() -> None:
    got = list(categories(ENGLISH["sender"], [one for said in SAID for one in ENGLISH[said]]))
    wrong = [one for one in got if one[1] in SUPPRESSING]
    assert len(wrong) <= 0.002 * len(got), wrong[:20]


@pytest.mark.parametrize("language", LANGUAGES)
def test_other_languages_are_understood(language: str) -> None:
    words = LANGUAGES[language]
    gap = "" if language in WRITTEN_WITHOUT_SPACES else " "
    for said in SAID:
        got = list(categories(words["recipient"], words[said], gap))
        missed = [one for one in got if one[1] not in MEANT[said]]
        assert len(missed) <= 0.05 * len(got), missed[:20]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_sender_in_another_language_is_no_recipient(language: str) -> None:
    words = LANGUAGES[language]
    gap = "" if language in WRITTEN_WITHOUT_SPACES else " "
    got = list(categories(words["sender"], [one for said in SAID for one in words[said]], gap))
    assert not [one for one in got if one[1] in SUPPRESSING]


@pytest.mark.parametrize("language", [one for one, words in LANGUAGES.items() if "reasons" in words])
def test_a_reason_in_another_language_suppresses_nobody(language: str) -> None:
    words = LANGUAGES[language]
    replies = [refusal.format(reason) for refusal, reason in product(words["refusals"], words["reasons"])]
    assert not [text for text in replies if classify(RULES, text, phase="rcpt").category in SUPPRESSING]


def test_a_reason_about_something_else_suppresses_nobody() -> None:
    replies = [refusal.format(reason) for refusal, reason in product(REASONS["refusals"], REASONS["reasons"])]
    wrong = [text for text in replies if classify(RULES, text, phase="rcpt").category in SUPPRESSING]
    assert not wrong


@pytest.mark.parametrize("wrong", REASONS["wrong"])
def test_the_words_around_a_reason_do_not_hide_it(wrong: str) -> None:
    replies = [frame.format(said) for frame, said in product(REASONS["frames"], REASONS["wrong"][wrong])]
    accepted = NO_ADDRESS if wrong in NO_ADDRESS else {wrong}
    missed = [text for text in replies if classify(RULES, text, phase="rcpt").category not in accepted]
    assert len(missed) <= 0.07 * len(replies), missed
