"""Classification takes any reply, and phrases find themselves in what they were written from."""

import time

from hypothesis import given
from hypothesis import strategies as st

from relay.dsn.categories import CATEGORIES
from relay.dsn.classify import classify
from relay.dsn.phrases import compile_phrase
from relay.dsn.reply_normal_form import MAX_TEXT, normal_form
from relay.dsn.rules_file import built_in_rules

RULES = built_in_rules()

WORDS = (
    "user",
    "unknown",
    "mailbox",
    "full",
    "550 ",
    "5.1.1 ",
    "blocked",
    "sender",
    "not",
    "a@b.example",
    "in 5 min",
    ".",
)


@given(st.text(max_size=400), st.none() | st.integers(400, 599), st.sampled_from(["", "rcpt", "mail", "data"]))
def test_any_reply_has_a_category(text: str, code: int | None, phase: str) -> None:
    found = classify(RULES, text, code, "", phase)
    assert found.category in CATEGORIES
    assert found.wait is None or found.wait >= 0


@given(st.lists(st.sampled_from(WORDS), max_size=60))
def test_any_mixture_of_words(words: list[str]) -> None:
    assert classify(RULES, " ".join(words)).category in CATEGORIES


@given(st.text(max_size=300))
def test_the_normal_form_is_normal(text: str) -> None:
    once = normal_form(text).prose
    assert "  " not in once
    assert once == once.strip()


@given(st.from_regex(r"[a-z]{1,8}( [a-z]{1,8}){0,4}", fullmatch=True))
def test_plain_words_match_themselves_between_other_words(words: str) -> None:
    if not {"cannot", "n't"} & set(words.split()):
        assert compile_phrase(words).matches(normal_form(f"550 <{words}>, so there!").prose)


def test_long_replies_cost_no_more_than_short_ones() -> None:
    for word in WORDS:
        started = time.process_time()
        classify(RULES, f"{word} " * 50_000)
        assert time.process_time() - started < 1.0, word
    assert len(normal_form("x " * 50_000).prose) <= MAX_TEXT
