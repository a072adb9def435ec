"""Addresses made of names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.address import parse_address
from relay.mail.address_from_name import free_address, local_part


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("Jane Doe", "jane.doe"),
        ("  Dr. Jane   M. Doe ", "dr.jane.m.doe"),
        ("Zoë Müller-Lüdenscheidt", "zoe.muller.ludenscheidt"),
        ("Bjørn Łukasz Æthelred", "bjorn.lukasz.aethelred"),
        ("Jürgen Groß", "jurgen.gross"),
        ("O'Brien, Miles", "obrien.miles"),
        ("Ａｄａ", "ada"),
        ("日本語", ""),
        ("...", ""),
    ],
)
def test_names_become_words_joined_by_dots(name: str, local: str) -> None:
    assert local_part(name) == local


def test_a_used_address_gets_a_number() -> None:
    taken = {"jane.doe@acme.test", "jane.doe2@acme.test"}
    assert free_address("Jane Doe", "acme.test", set()) == "jane.doe@acme.test"
    assert free_address("Jane Doe", "acme.test", taken) == "jane.doe3@acme.test"
    assert free_address("日本語", "acme.test", taken) == ""


@given(st.text(max_size=200))
def test_any_name_gives_a_valid_address(name: str) -> None:
    address = free_address(name, "acme.test", {f"{local_part(name)}@acme.test"})
    assert address == "" or parse_address(address).domain == "acme.test"
