"""An application of the container: what `relay init` printed is all it has. Runs inside, with no packages."""

import re
import smtplib
import ssl
import sys
from pathlib import Path

MAIL = b"From: news@example.com\r\nTo: delivered@simulator.relay.invalid\r\nSubject: Hello\r\n\r\nHello\r\n"


def main(init_output: str) -> None:
    """Send a mail as `relay init` said, and print the replies."""
    found = re.search(r"user name (\S+)  password (\S+)", init_output)
    assert found is not None, init_output
    plain = smtplib.SMTP(sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1", 2525, timeout=20)
    plain.ehlo()
    assert not plain.has_extn("auth"), plain.esmtp_features
    code, text = plain.docmd("AUTH", "PLAIN AGEAYg==")
    print(f"AUTH before TLS is refused: {code} {text.decode()}")

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = (
        False,
        ssl.CERT_NONE,
    )  # The certificate of `relay init` proves nothing.
    plain.starttls(context=context)
    plain.ehlo()
    code, text = plain.mail("news@example.com")
    print(f"without a login it is refused: {code} {text.decode()}")

    plain.login(*found.groups())
    plain.mail("news@example.com")
    plain.rcpt("delivered@simulator.relay.invalid")
    code, text = plain.data(MAIL)
    print(f"accepted: {code} {text.decode()}")
    plain.quit()


main(Path(sys.argv[1]).read_text(encoding="utf-8"))
