"""Subjects without what answers, forwards and gateways put in front of them."""

import pytest

from relay.mail.subject import base_subject, is_answer, is_forwarded


@pytest.mark.parametrize(
    "prefix",
    [
        "Re: ",
        "RE : ",
        "Re[2]: ",
        "Re: [#12] ",
        "[EXTERNAL] AW: ",
        "RV: ",
        "Antw: ",
        "SV: Re: ",
        "Vá: ",
        "YNT: ",
        "Απ: ",
        "Отв: ",
        "回复：",
        "회신: ",
        "***SPAM*** Re: ",
        "{Spam?} Re: ",
        "[list] [EXT] Fwd: WG: ",
        "EXT: Re: ",
        "EXTERNAL | RE: ",
        "EXTERN - AW: ",
        "(External Sender) Re: ",
        "*EXT* Re: ",
        "#4711: Re: ",
        "Ticket #4711 - RE: ",
        "[Case: 0012] Ticket#2026112410000012: AW: ",
        "<EXTERNAL> RE: ",
        "CAUTION: EXTERNAL EMAIL - RE: ",
        "⚠ EXTERNAL: Re: ",
        "Re：",
        "RE:RE: ",
        "Re [2]: ",
        "TR : ",
        "R: I: ",
    ],
)
def test_prefixes_and_tags_are_taken_off(prefix: str) -> None:
    assert base_subject(f"{prefix}Offer for May") == "Offer for May"
    assert is_answer(f"{prefix}Offer for May")


@pytest.mark.parametrize(
    "subject",
    [
        "Offer: two of them",
        "Retour: 4711",
        "Order #4711 - 2 pieces",
        "External audit - 4 May",
        "*Important*",
        "Invoice [4711]",
        "",
        "Re:",
        "[EXTERNAL]",
    ],
)
def test_what_is_no_prefix_stays(subject: str) -> None:
    assert base_subject(subject) == subject


def test_tags_alone_make_no_answer() -> None:
    assert not is_answer("[EXTERNAL] Offer")
    assert not is_answer("Offer")


@pytest.mark.parametrize(
    ("subject", "forwarded"),
    [("Fwd: Re: Offer", True), ("[EXT] WG: Offer", True), ("Re: Fwd: Offer", False), ("Offer", False)],
)
def test_the_outermost_prefix_tells_forwarded_mail(subject: str, forwarded: bool) -> None:
    assert is_forwarded(subject) is forwarded
