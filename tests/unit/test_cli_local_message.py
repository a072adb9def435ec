"""Messages of programs on this machine, as sendmail(8) reads them."""

from relay.cli.local_message import LocalMessage, local_message


def read(text: str, *recipients: str, from_header: bool = False, whole: bool = False, name: str = "") -> LocalMessage:
    return local_message(
        text.encode().splitlines(keepends=True),
        recipients,
        from_header=from_header,
        whole=whole,
        full_name=name,
        domain="host.acme.test",
        user="web",
    )


def test_a_message_ends_at_a_dot_unless_it_is_whole() -> None:
    text = "From: a@x.test\n\none\n.\ntwo\n"
    assert read(text, "b@x.test").content == b"From: a@x.test\r\n\r\none\r\n"
    assert read(text, "b@x.test", whole=True).content == b"From: a@x.test\r\n\r\none\r\n.\r\ntwo\r\n"


def test_the_recipients_of_the_header_are_added_and_bcc_is_removed() -> None:
    text = 'From: a@x.test\nTo: "B, C" <b@x.test>,\n c@x.test\nBcc: secret@x.test,\n more@x.test\nSubject: s\n\nbody\n'
    message = read(text, "d@x.test", "b@x.test", from_header=True)
    assert message.recipients == ("d@x.test", "b@x.test", "c@x.test", "secret@x.test", "more@x.test")
    assert b"secret" not in message.content
    assert b"more@x.test" not in message.content
    assert b"Subject: s\r\n\r\nbody" in message.content


def test_a_message_that_is_sent_again_goes_to_the_new_recipients() -> None:
    message = read("Resent-To: new@x.test\nFrom: a@x.test\nTo: old@x.test\n\n", from_header=True)
    assert message.recipients == ("new@x.test",)


def test_without_t_the_header_names_no_recipients_and_stays() -> None:
    message = read("From: a@x.test\nTo: b@x.test\nBcc: c@x.test\n\n", "d@x.test")
    assert message.recipients == ("d@x.test",)
    assert b"Bcc: c@x.test" in message.content


def test_a_missing_from_is_the_user_with_the_name_given() -> None:
    message = read("Subject: cron\n\nout\n", "root", name="Cron Daemon")
    assert message.recipients == ("root@host.acme.test",)
    assert message.author == "web@host.acme.test"
    assert message.content.startswith(b"From: Cron Daemon <web@host.acme.test>\r\nSubject: cron\r\n\r\nout")


def test_text_without_a_header_is_a_body() -> None:
    assert read("just text: indeed\n", "b@x.test").content.endswith(b"\r\n\r\njust text: indeed\r\n")
    assert read("", "b@x.test").content == b"From: web@host.acme.test\r\n\r\n"
