"""Words of subjects, and what a person enters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.reports.search import MAX_WORD, Search, Term, has, parsed, terms_of, words


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("Invoice 2026-1042", ["invoice", "2026", "1042"]),
        ("Größe ÜBER Straße", ["große".replace("ß", "ss"), "uber", "strasse"]),
        ("snake_case e-mail", ["snake", "case", "e", "mail"]),
        ("請求書", ["請求", "求書"]),
        ("No.5請求abc", ["no", "5", "請求", "abc"]),
        ("本", ["本"]),
        ("", []),
        ("…!?", []),
    ],
)
def test_words_of_a_subject(subject: str, expected: list[str]) -> None:
    assert list(words(subject)) == expected


@given(st.text())
def test_each_word_finds_its_subject(subject: str) -> None:
    terms = terms_of(subject, (), (), "", ())
    for word in words(subject):
        if f"w:{word}" in terms:  # A long subject has its first words only.
            assert len(word) <= MAX_WORD
            assert has(terms, (Term(f"w:{word}"),))


def test_what_is_entered_becomes_conditions() -> None:
    assert parsed("invoice=1042") == Search(labels=(("invoice", "1042"),))
    assert parsed("name=Ada Lovelace") == Search(labels=(("name", "Ada Lovelace"),))
    assert parsed("a=1 b=2") == Search(labels=(("a", "1"), ("b", "2")))
    assert parsed("#receipt <ada@reader.test>") == Search(labels=(("", "receipt"),), address="ada@reader.test")
    assert parsed("to be") == Search(groups=((Term("w:to"),), (Term("w:be"),)))
    assert parsed("news") == Search(groups=((Term("w:news", True),),))
    assert parsed("Gmail.test").groups == ((Term("r:gmail.test"), Term("f:gmail.test"), Term("w:gmail", True)),)
    assert parsed("   ") == Search()


@given(st.text())
def test_nothing_that_is_entered_raises(query: str) -> None:
    parsed(query)
