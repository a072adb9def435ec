"""Who asks to be unsubscribed in a line, a word or a subject, and who only talks about it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.inbound.unsubscribe_request import Answered, UnsubscribeRequest, find_unsubscribe_request
from tests.unit.unsubscribe_answers import CAMPAIGN, JO, QUOTE, RECEIPT


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
    assert find_unsubscribe_request("Re: Our offer", f"\n{line}\n", RECEIPT) == UnsubscribeRequest(bare=True)
    assert find_unsubscribe_request(f"Re: {line}", "", RECEIPT) == UnsubscribeRequest(bare=True)
    assert find_unsubscribe_request("Re: Our offer", f"{line}{QUOTE}", RECEIPT) is not None


@pytest.mark.parametrize(
    "text",
    [
        "Thanks, but how do I unsubscribe Tom?",
        "Please do not unsubscribe me",
        "I would like to unsubscribe from the premium plan and take the basic one",
        "> unsubscribe",
        "| unsubscribe",
        "Stop the presses, this is great",
        "Baja California is where we live",
        "We remove me from nothing",
        "",
        "   \n\n",
        f"Thanks!{QUOTE}",
        "unsubscribe " * 40,
        "please",
    ],
)
def test_an_ordinary_reply_unsubscribes_nobody(text: str) -> None:
    assert find_unsubscribe_request("Re: Our offer", text, RECEIPT) is None


def test_a_subject_that_only_repeats_ours_asks_for_nothing() -> None:
    assert find_unsubscribe_request("Re: Unsubscribe", "Yes please, tell me more", Answered("Unsubscribe")) is None
    assert find_unsubscribe_request("AW: Unsubscribe!", "ok", Answered("unsubscribe")) is None
    assert find_unsubscribe_request("unsubscribe", "", RECEIPT) == UnsubscribeRequest(bare=True)


def test_what_else_it_says_is_to_be_read() -> None:
    asked = find_unsubscribe_request(
        "Re: Our offer", "unsubscribe\n\nThis is the third time, and delete my data.\n", RECEIPT
    )
    assert asked == UnsubscribeRequest(bare=False)
    assert find_unsubscribe_request("unsubscribe", "I am moving house, Ada", RECEIPT) == UnsubscribeRequest(bare=False)
    assert find_unsubscribe_request("unsubscribe", "unsubscribe\n> Our offer\n", RECEIPT) == UnsubscribeRequest(
        bare=True
    )


def test_only_marks_in_front_of_a_subject_are_passed_over() -> None:
    assert find_unsubscribe_request("unsubre: scribe", "", RECEIPT) is None
    assert find_unsubscribe_request("Re: AW: unsubscribe", "", RECEIPT) == UnsubscribeRequest(bare=True)


def test_blanks_in_a_subject_take_no_time() -> None:
    started = time.process_time()
    assert find_unsubscribe_request("x" + " " * 20_000 + "y", "", RECEIPT) is None
    assert time.process_time() - started < 1.0


@given(st.text(max_size=300), st.text(max_size=300))
def test_it_never_raises(subject: str, text: str) -> None:
    find_unsubscribe_request(subject, text, RECEIPT)


@pytest.mark.parametrize(
    "word", ["STOP", "Stop.", "Cancel", "Baja", "Sair", "Стоп", "停止", "Διαγραφή", "הסר", "Stop, please. Jo"]
)
def test_a_single_word_is_a_request_in_answer_to_campaign_mail_only(word: str) -> None:
    """Under a receipt or a reminder it may be about an order or an appointment: somebody has to read it."""
    assert find_unsubscribe_request("Re: Our offer", word, CAMPAIGN, JO) == UnsubscribeRequest(bare=True)
    assert find_unsubscribe_request("Re: Our offer", word, RECEIPT, JO) is None
    assert find_unsubscribe_request("Re: Our offer", f"{word}\nWe meet at noon", CAMPAIGN, JO) is None


def test_a_single_word_as_the_subject_of_an_empty_mail() -> None:
    assert find_unsubscribe_request("STOP", "", CAMPAIGN) == UnsubscribeRequest(bare=True)
    assert find_unsubscribe_request("STOP", "Please call me", CAMPAIGN) is None
    assert find_unsubscribe_request("Re: Stop", "", Answered("Stop", is_campaign=True)) is None


def test_a_word_under_a_single_word_is_no_signature_of_somebody_else() -> None:
    assert find_unsubscribe_request("Re: Our offer", "Stop.\nWonderful", CAMPAIGN, JO) is None
    assert find_unsubscribe_request("Re: Our offer", "Unsubscribe.\nAnna", CAMPAIGN, JO) is not None


def test_a_courtesy_with_more_in_it_is_read_by_somebody() -> None:
    assert find_unsubscribe_request("Re: Our offer", "Unsubscribe. Thanks but call me", CAMPAIGN, JO) is None
    asked = find_unsubscribe_request("Re: Our offer", "Unsubscribe.\nThanks but call me", CAMPAIGN, JO)
    assert asked == UnsubscribeRequest(bare=False)


def test_the_address_that_the_message_went_to_is_the_reader() -> None:
    """A reader may answer from another mailbox than the one on the list."""
    for recipient, asks in (("office@there.test", True), ("ann@there.test", False)):
        answered = Answered("Our offer", recipient=recipient)
        asked = find_unsubscribe_request("Re: Our offer", "Please remove office@there.test", answered, JO)
        assert (asked is not None) == asks


def test_long_texts_take_no_time() -> None:
    started = time.process_time()
    for text in ("please " * 20_000, "unsubscribe " * 20_000, "x. " * 20_000, "meld sie mich " * 20_000, "a@" * 20_000):
        find_unsubscribe_request("Re: Our offer", text, CAMPAIGN, JO)
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize("word", ["a", "a@", "@a", "me@x.test,", "中"])
def test_a_word_of_any_length_takes_linear_time(word: str) -> None:
    """A word of 300 KB took six minutes, in which no other thread ran."""
    answered = Answered(recipient="me@x.test")
    started = time.process_time()
    assert find_unsubscribe_request("Hello", word * (400_000 // len(word)), answered, "me@x.test") is None
    assert time.process_time() - started < 5.0
