"""What a relay imports before it accepts mail. What answers HTTP is imported after that (relay/app/relay.py)."""

import subprocess
import sys

LATER = (
    "aiohttp",
    "jinja2",
    "imapclient",
    "relay.console",
    "relay.api",
    "relay.admin",
    "relay.people.login",
    "relay.dev",
)


def test_mail_does_not_wait_for_modules_of_http() -> None:
    program = f"import sys, relay.cli.serve; print(*(one for one in {LATER!r} if one in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
