"""All inputs on which a parser failed once, and the address lists with what is to be read in them."""

from pathlib import Path

import pytest

from relay.mail.address_list import Unreadable, parse_address_list
from relay.mail.canonical_address import canonical
from tests.fuzz.python_reading import seen_by_python
from tests.fuzz.seeds import cases, seeds_of
from tests.fuzz.targets import FOUND, TARGETS, check

INPUTS = sorted(path for path in FOUND.glob("*/*") if path.is_file())


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_broke_a_parser_once_does_not_break_it_again(path: Path) -> None:
    check(path.parent.name, path.read_bytes())


@pytest.mark.parametrize("name", [name for name in TARGETS if name != "http"])
def test_the_seeds_of_a_target_break_nothing(name: str) -> None:
    for seed in list(seeds_of(name))[:60]:
        check(name, seed)


@pytest.mark.parametrize("case", cases(), ids=lambda case: ascii(case["value"])[:60])
def test_an_address_list_is_read_as_the_standards_say(case: dict[str, object]) -> None:
    value = str(case["value"])
    read = parse_address_list(value)
    if "fault" in case:
        assert isinstance(read, Unreadable), f"{value!r} was read: {read}"
        assert str(case["fault"]) in str(read)
        return
    assert not isinstance(read, Unreadable), f"{value!r}: {read}"
    assert [one.address for one in read] == case["addresses"]
    assert seen_by_python(value) <= {canonical(one.address) for one in read}


def test_every_folder_of_inputs_belongs_to_a_target() -> None:
    assert {path.parent.name for path in INPUTS} <= set(TARGETS)
