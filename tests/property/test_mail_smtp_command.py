from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from relay.mail import smtp_command
from relay.mail.address import AddressError, parse_address
from relay.mail.reply import Reply
from relay.mail.sasl import decode_response, parse_auth, parse_plain
from relay.mail.smtp_command import CommandLine, MailCommand, parse_bdat, parse_helo, parse_line, parse_mail, parse_rcpt
from relay.mail.transaction import Recipient

PIECES = [
    "FROM:",
    "TO:",
    "<",
    ">",
    "@",
    "a",
    "b.test",
    '"',
    "\\",
    " ",
    "SIZE=1",
    "NOTIFY=",
    ",",
    ":",
    "[",
    "]",
    "ö",
    "=",
]

TEXT = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=30).map("".join))


@given(TEXT)
def test_every_argument_gets_a_value_or_a_refusal(text: str) -> None:
    for parsed in (
        parse_mail(text),
        parse_rcpt(text, "relay.test", smtputf8=False),
        parse_bdat(text),
        parse_auth(text),
        parse_helo(text),
        decode_response(text),
        parse_plain(text),
    ):
        if isinstance(parsed, Reply):
            assert parsed.is_permanent
            assert parsed.status[0] == "5"
            assert parsed.text.isprintable()


@given(st.binary(max_size=80))
def test_what_passes_as_a_line_prints(raw: bytes) -> None:
    line = parse_line(raw)
    assert isinstance(line, Reply) or (line.verb + line.argument).isprintable()


@given(TEXT)
def test_what_passes_as_a_path_is_an_address(text: str) -> None:
    mail, recipient = parse_mail(f"FROM:<{text}>"), parse_rcpt(f"TO:<{text}>", "relay.test", smtputf8=False)
    if isinstance(mail, MailCommand) and mail.envelope.reverse_path:
        assert parse_address(mail.envelope.reverse_path)
    if isinstance(recipient, Recipient):
        assert parse_address(recipient.address)
        assert recipient.address.isascii()


LOCAL = st.text("abcXYZ019!#$%&'*+/=?^_`{|}~-", min_size=1, max_size=30)

QUOTED = st.text(" !#$%abc@<>():;,.[]", max_size=30).map(lambda text: f'"{text}"')

LABEL = st.text("abcxyz019", min_size=1, max_size=20)


@given(st.one_of(LOCAL, QUOTED), st.lists(LABEL, min_size=1, max_size=5).map(".".join))
def test_every_legal_address_comes_through_as_it_was_sent(local: str, domain: str) -> None:
    line = parse_line(f"MAIL FROM:<{local}@{domain}> SIZE=7".encode())
    assert isinstance(line, CommandLine)
    mail = parse_mail(line.argument)
    assert isinstance(mail, MailCommand)
    assert mail.envelope.reverse_path == f"{local}@{domain}"
    assert mail.size == 7


@given(st.text(max_size=80))
def test_an_address_is_parsed_or_refused_and_parses_again(text: str) -> None:
    try:
        address = parse_address(text)
    except AddressError:
        return
    assert parse_address(str(address)) == address


NEAR_ADDRESS = st.text('ab.-_@1A+<>" ', max_size=80)

PARAMETERS = st.sampled_from(
    ("", "  ", " SIZE=7", " BODY=8BITMIME SMTPUTF8", " NOTIFY=NEVER", " ORCPT=rfc822;a@b.test", " X=1", "x")
)


@given(st.one_of(st.builds("{}@{}".format, LOCAL, NEAR_ADDRESS), NEAR_ADDRESS), PARAMETERS, st.booleans())
def test_usual_forms_are_read_like_all_others(address: str, parameters: str, lenient: bool) -> None:
    argument = f"FROM:<{address}>{parameters}", f"TO:<{address}>{parameters}"
    read = (
        parse_mail(argument[0], lenient=lenient),
        parse_rcpt(argument[1], "relay.test", smtputf8=False, lenient=lenient),
    )
    with patch.object(smtp_command, "_plain", return_value=None):
        assert parse_mail(argument[0], lenient=lenient) == read[0]
        assert parse_rcpt(argument[1], "relay.test", smtputf8=False, lenient=lenient) == read[1]
