import pytest

from relay.mail.reply import Reply, parse_reply


def test_a_reply_goes_over_the_wire_with_its_status_on_every_line() -> None:
    assert Reply(250, "2.0.0", "Ok").encode() == b"250 2.0.0 Ok\r\n"
    assert Reply(550, "5.7.1", "one\ntwo").encode() == b"550-5.7.1 one\r\n550 5.7.1 two\r\n"
    assert Reply(334, "", "").encode() == b"334 \r\n"


def test_a_reply_in_a_log_line_has_no_gaps() -> None:
    assert str(Reply(250, "2.0.0", "Ok")) == "250 2.0.0 Ok"
    assert str(Reply(220, "", "hello")) == "220 hello"


@pytest.mark.parametrize(
    ("code", "text", "reply"),
    [
        (250, "2.0.0 Ok", Reply(250, "2.0.0", "Ok")),
        (250, "Ok", Reply(250, "", "Ok")),
        (550, "5.1.1 no such user\n5.1.1 here", Reply(550, "5.1.1", "no such user\nhere")),
        (550, "4.2.1 odd", Reply(550, "", "4.2.1 odd")),
        (421, "4.7.0", Reply(421, "4.7.0", "")),
        (550, "5.1.1234 x", Reply(550, "", "5.1.1234 x")),
    ],
)
def test_the_status_is_taken_from_the_text_when_it_agrees_with_the_code(code: int, text: str, reply: Reply) -> None:
    assert parse_reply(code, text) == reply


def test_the_first_digit_decides() -> None:
    assert Reply(251, "", "").is_positive
    assert not Reply(354, "", "").is_positive
    assert Reply(554, "", "").is_permanent
    assert not Reply(451, "", "").is_permanent
