import pytest

from relay.mail.canonical_address import canonical
from relay.mail.reply import Reply
from relay.mail.smtp_command import (
    BdatCommand,
    CommandLine,
    MailCommand,
    parse_bdat,
    parse_helo,
    parse_line,
    parse_mail,
    parse_rcpt,
)
from relay.mail.transaction import Envelope, Recipient

HOST = "relay.test"


def refusal(parsed: object) -> tuple[int, str]:
    assert isinstance(parsed, Reply), parsed
    return parsed.code, parsed.status


def reverse_path(argument: str) -> str:
    parsed = parse_mail(argument)
    assert isinstance(parsed, MailCommand), parsed
    return parsed.envelope.reverse_path


def forward_path(argument: str) -> str:
    parsed = parse_rcpt(argument, HOST, smtputf8=False)
    assert isinstance(parsed, Recipient), parsed
    return parsed.address


def test_a_line_is_verb_and_argument() -> None:
    assert parse_line(b"mail FROM:<a@b.test>  SIZE=1 ") == CommandLine("MAIL", "FROM:<a@b.test>  SIZE=1")
    assert parse_line(b"QUIT") == CommandLine("QUIT", "")


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", 500),
        (b"   ", 500),
        (b"NOOP \x1b[2J", 501),
        (b"NOOP a\rMAIL", 501),
        (b"NOOP a\0b", 501),
        (b"NOOP a\tb", 501),
        (b"NOOP \x7f", 501),
        (b"VRFY \xff\xfe", 501),
        (b"MAIL FROM:<j\xf6rg@b.test>", 501),
        ("NOOP a\u2028b".encode(), 501),
    ],
)
def test_a_line_holds_only_what_prints(raw: bytes, code: int) -> None:
    assert refusal(parse_line(raw)) == (code, "5.5.2")


@pytest.mark.parametrize("name", ["a.test", "[127.0.0.1]", "[IPv6:::1]", "my_pc", "${jndi:ldap://x}", "x" * 255])
def test_any_word_greets(name: str) -> None:
    assert parse_helo(name) == name


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (b"EHLO My PC", "My_PC"),
        (b"HELO PhpStorm  9.0.3", "PhpStorm_9.0.3"),
        (b"EHLO (none)", "_none_"),
        (b"ehlo <script>", "_script_"),
        (b'EHLO x" (evil) by z;', "x_evil_by_z_"),
        (b"EHLO a\\b", "a_b"),
        (b"EHLO\tpc\t1", "pc_1"),
        (b"EHLO a\x1b[31m\x00b", "a_[31m_b"),
        ("EHLO Büro-PC".encode("latin-1"), "B_ro-PC"),
        ("HELO Дмитрий".encode("cp1251"), "_"),
        ("EHLO höst".encode(), "h_st"),
    ],
)
def test_no_client_is_refused_for_its_name_which_is_safe_in_a_received_field(line: bytes, name: str) -> None:
    """RFC 5321 section 4.1.4."""
    parsed = parse_line(line)
    assert isinstance(parsed, CommandLine)
    assert parse_helo(parsed.argument) == name


def test_no_name_is_refused_and_an_endless_one_is_cut() -> None:
    assert refusal(parse_helo("")) == (501, "5.5.4")
    assert parse_helo("x" * 300) == "x" * 255


@pytest.mark.parametrize("local", ["a..b", "a.", ".a", "try..this...0511"])
def test_dots_that_need_quotes_get_them_if_that_is_allowed(local: str) -> None:
    """RFC 5321 section 4.1.2: with quotes it is the same mailbox."""
    path = f"<{local}@docomo.test>"
    quoted = f'"{local}"@docomo.test'
    assert parse_rcpt(f"TO:{path}", HOST, smtputf8=False, lenient=True) == Recipient(quoted)
    assert parse_mail(f"FROM:{path}", lenient=True) == MailCommand(Envelope(quoted), 0)
    assert refusal(parse_rcpt(f"TO:{path}", HOST, smtputf8=False)) == (553, "5.1.3")
    assert refusal(parse_mail(f"FROM:{path}")) == (553, "5.1.7")
    assert canonical(quoted) == canonical(f"{local}@docomo.test")


@pytest.mark.parametrize(
    ("argument", "path"),
    [
        ("FROM:<a@b.test>", "a@b.test"),
        ("from:<a@b.test>", "a@b.test"),
        ("FROM: <a@b.test>", "a@b.test"),
        ("FROM:a@b.test", "a@b.test"),
        ("FROM:<>", ""),
        ("FROM:<> BODY=7BIT", ""),
        ("FROM:<@x.test,@y.test:a@b.test>", "a@b.test"),
        ('FROM:<"a>b c"@b.test>', '"a>b c"@b.test'),
        ("FROM:<a@[127.0.0.1]>", "a@[127.0.0.1]"),
        ("FROM:<a@[IPv6:2001:db8::1]>", "a@[IPv6:2001:db8::1]"),
        ("FROM:<jörg@b.test> SMTPUTF8", "jörg@b.test"),
    ],
)
def test_reverse_paths_are_parsed(argument: str, path: str) -> None:
    assert reverse_path(argument) == path


def test_parameters_of_mail_are_parsed() -> None:
    parsed = parse_mail("FROM:<a@b.test> SIZE=1234 body=8bitmime SMTPUTF8 RET=hdrs ENVID=QQ+2B314 AUTH=<> ")
    assert parsed == MailCommand(Envelope("a@b.test", (), "8BITMIME", True, "HDRS", "QQ+2B314"), 1234)
    assert parse_mail("FROM:<> AUTH=e+3Dmc2@b.test") == MailCommand(Envelope(""), 0)


@pytest.mark.parametrize(
    ("argument", "code", "status"),
    [
        ("", 501, "5.5.4"),
        ("<a@b.test>", 501, "5.5.4"),
        ("FROM:", 501, "5.5.4"),
        ("FROM:<a@b.test", 501, "5.5.4"),
        ("FROM:<<a@b.test>>", 501, "5.5.4"),
        ("FROM:<a@b.test>x", 501, "5.5.4"),
        ("FROM:<a@b.test> FOO=BAR", 555, "5.5.4"),
        ("FROM:<a@b.test> BODY=BINARYMIME", 501, "5.5.4"),
        ("FROM:<a@b.test> SIZE=abc", 501, "5.5.4"),
        ("FROM:<a@b.test> SIZE=-1", 501, "5.5.4"),
        ("FROM:<a@b.test> SIZE=١", 501, "5.5.4"),
        ("FROM:<a@b.test> SIZE=" + "9" * 21, 501, "5.5.4"),
        ("FROM:<a@b.test> SIZE", 501, "5.5.4"),
        ("FROM:<a@b.test> SIZE=", 501, "5.5.4"),
        ("FROM:<a@b.test> SIZE=1 size=2", 501, "5.5.4"),
        ("FROM:<a@b.test> RET=SOME", 501, "5.5.4"),
        ("FROM:<a@b.test> ENVID=a+0D+0Ab", 501, "5.5.4"),
        ("FROM:<a@b.test> ENVID=" + "e" * 101, 501, "5.5.4"),
        ("FROM:<a@b.test> SMTPUTF8=yes", 501, "5.5.4"),
        ("FROM:<a@b.test> AUTH=a+b", 501, "5.5.4"),
        ("FROM:<a@b.test> =x", 501, "5.5.4"),
        ("FROM:<a b@c.test>", 553, "5.1.7"),
        ("FROM:<nobody>", 553, "5.1.7"),
        ("FROM:<a@[999.1.1.1]>", 501, "5.1.7"),
        ("FROM:<jörg@b.test>", 553, "5.6.7"),
    ],
)
def test_faults_of_mail_have_their_codes(argument: str, code: int, status: str) -> None:
    assert refusal(parse_mail(argument)) == (code, status)


@pytest.mark.parametrize(
    ("argument", "path"),
    [
        ("TO:<a@b.test>", "a@b.test"),
        ("to: a@b.test", "a@b.test"),
        ("TO:<postmaster>", "postmaster@relay.test"),
        ("TO:<Postmaster>", "Postmaster@relay.test"),
        ("TO:<a%b.test@c.test>", "a%b.test@c.test"),
        ("TO:<@x.test:a@b.test>", "a@b.test"),
    ],
)
def test_forward_paths_are_parsed(argument: str, path: str) -> None:
    assert forward_path(argument) == path


def test_parameters_of_rcpt_are_parsed() -> None:
    parsed = parse_rcpt("TO:<a@b.test> notify=delay,SUCCESS ORCPT=rfc822;A+2Bb@b.test", HOST, smtputf8=False)
    assert parsed == Recipient("a@b.test", ("SUCCESS", "DELAY"), "rfc822;A+2Bb@b.test")
    assert parse_rcpt("TO:<ö@b.test> NOTIFY=NEVER", HOST, smtputf8=True) == Recipient("ö@b.test", ("NEVER",))


@pytest.mark.parametrize(
    ("argument", "code", "status"),
    [
        ("", 501, "5.5.4"),
        ("TO:a b c", 555, "5.5.4"),
        ("TO:<>", 501, "5.1.3"),
        ("TO:<a@b.test", 501, "5.5.4"),
        ("TO:<a@b@c.test>", 553, "5.1.3"),
        ("TO:<nobody>", 553, "5.1.3"),
        ("TO:<a@b..test>", 553, "5.1.3"),
        ("TO:<a@" + "x" * 64 + ".test>", 553, "5.1.3"),
        ("TO:<" + "l" * 65 + "@b.test>", 553, "5.1.3"),
        ("TO:<a@[1.2.3]>", 501, "5.1.3"),
        ("TO:<a@[IPv6:xyz]>", 501, "5.1.3"),
        ("TO:<ö@b.test>", 553, "5.6.7"),
        ("TO:<a@b.test> NOTIFY=NEVER,DELAY", 501, "5.5.4"),
        ("TO:<a@b.test> NOTIFY=OFTEN", 501, "5.5.4"),
        ("TO:<a@b.test> NOTIFY", 501, "5.5.4"),
        ("TO:<a@b.test> NOTIFY=DELAY,", 501, "5.5.4"),
        ("TO:<a@b.test> ORCPT=nokind", 501, "5.5.4"),
        ("TO:<a@b.test> ORCPT=rfc822;", 501, "5.5.4"),
        ("TO:<a@b.test> ORCPT=rfc822;a+0Ab", 501, "5.5.4"),
        ("TO:<a@b.test> ORCPT=rfc822;" + "a" * 500, 501, "5.5.4"),
        ("TO:<a@b.test> SIZE=1", 555, "5.5.4"),
    ],
)
def test_faults_of_rcpt_have_their_codes(argument: str, code: int, status: str) -> None:
    assert refusal(parse_rcpt(argument, HOST, smtputf8=False)) == (code, status)


def test_sizes_of_chunks_are_parsed() -> None:
    assert parse_bdat("100") == BdatCommand(100, last=False)
    assert parse_bdat("0 last") == BdatCommand(0, last=True)
    for argument in ("", "x", "-1", "1 FIRST", "1 LAST LAST", "9" * 21, "١"):
        assert refusal(parse_bdat(argument)) == (521, "5.5.4")
