"""Who asks to be unsubscribed, and who only talks about it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.inbound.replies import UnsubscribeRequest, find_unsubscribe_request

QUOTE = "\n\nOn Monday, Acme wrote:\n> Our offer\n> Unsubscribe\n"


@pytest.mark.parametrize(
    "line",
    [
        "unsubscribe",
        "Unsubscribe.",
        "UNSUBSCRIBE!!!",
        " Please unsubscribe me ",
        "Please remove me from your mailing list",
        "take me off this list",
        "stop emailing me",
        "opt out",
        "unsubscribe from this newsletter",
        "Abmelden",
        "Bitte abmelden",
        "Newsletter abbestellen",
        "Bitte nehmen Sie mich aus dem Verteiler heraus",
        "désinscrire",
        "Me désinscrire",
        "Désabonnement",
        "darse de baja",
        "Darme de baja, por favor",
        "cancelar suscripción",
        "Cancelar a inscrição, por favor",
        "disiscrivimi",
        "afmelden",
        "uitschrijven aub",
        "avregistrera",
        "wypisz mnie",
        "отписаться",
        "退订",
        "配信停止",
    ],
)
def test_a_line_that_is_the_request(line: str) -> None:
    assert find_unsubscribe_request("Re: Our offer", f"\n{line}\n", "Our offer") == UnsubscribeRequest(bare=True)
    assert find_unsubscribe_request(f"Re: {line}", "", "Our offer") == UnsubscribeRequest(bare=True)
    assert find_unsubscribe_request("Re: Our offer", f"{line}{QUOTE}", "Our offer") is not None


@pytest.mark.parametrize(
    "text",
    [
        "Thanks, but how do I unsubscribe Tom?",
        "Please do not unsubscribe me",
        "I would like to unsubscribe from the premium plan and take the basic one",
        "Hello\nunsubscribe",
        "> unsubscribe",
        "| unsubscribe",
        "Stop the presses, this is great",
        "Baja California is where we live",
        "We remove me from nothing",
        "",
        "   \n\n",
        f"Thanks!{QUOTE}",
        "unsubscribe " * 40,
        "Stop.",
        "please",
    ],
)
def test_an_ordinary_reply_unsubscribes_nobody(text: str) -> None:
    assert find_unsubscribe_request("Re: Our offer", text, "Our offer") is None


def test_a_subject_that_only_repeats_ours_asks_for_nothing() -> None:
    assert find_unsubscribe_request("Re: Unsubscribe", "Yes please, tell me more", "Unsubscribe") is None
    assert find_unsubscribe_request("AW: Unsubscribe!", "ok", "unsubscribe") is None
    assert find_unsubscribe_request("unsubscribe", "", "Our offer") == UnsubscribeRequest(bare=True)


def test_what_else_it_says_is_to_be_read() -> None:
    asked = find_unsubscribe_request(
        "Re: Our offer", "unsubscribe\n\nThis is the third time, and delete my data.\n", "Our offer"
    )
    assert asked == UnsubscribeRequest(bare=False)
    assert find_unsubscribe_request("unsubscribe", "I am moving house, Ada", "Our offer") == UnsubscribeRequest(
        bare=False
    )
    assert find_unsubscribe_request("unsubscribe", "unsubscribe\n> Our offer\n", "Our offer") == UnsubscribeRequest(
        bare=True
    )


def test_only_marks_in_front_of_a_subject_are_passed_over() -> None:
    assert find_unsubscribe_request("unsubre: scribe", "", "Our offer") is None
    assert find_unsubscribe_request("Re: AW: unsubscribe", "", "Our offer") == UnsubscribeRequest(bare=True)


def test_blanks_in_a_subject_take_no_time() -> None:
    started = time.process_time()
    assert find_unsubscribe_request("x" + " " * 20_000 + "y", "", "Our offer") is None
    assert time.process_time() - started < 1.0


@given(st.text(max_size=300), st.text(max_size=300))
def test_it_never_raises(subject: str, text: str) -> None:
    find_unsubscribe_request(subject, text, "Our offer")
