"""The configuration of webhooks: each fault names what is wrong and what would be right."""

from pathlib import Path
from typing import Any

import pytest

from relay.config import check
from relay.config.settings import Settings
from relay.config.show import plain
from tests.servers.webhook_harness import SECRET


def faults(folder: Path, text: str) -> str:
    file = folder / "relay.toml"
    file.write_text(f'[server]\nhostname = "relay.test"\ndata_dir = "{folder}"\nallow_open = true\n{text}')
    file.chmod(0o600)
    _, found, warnings = check(file, {})
    return "\n".join(map(str, (*found, *warnings)))


def webhook(url: str = "https://crm.example.com/hooks", more: str = f'secret = ["{SECRET}"]') -> str:
    return f'[[webhook]]\nname = "crm"\nurl = "{url}"\n{more}\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (webhook(more=f'secret = ["{SECRET}"]\nevents = ["opened"]'), '"open"'),
        (webhook("http://crm.example.com/"), "has no TLS"),
        (webhook("https://127.0.0.1/"), 'allow_networks = ["127.0.0.1/32"]'),
        (webhook("https://[::1]/"), 'allow_networks = ["::1/128"]'),
        (webhook("https://169.254.169.254/latest"), "is not public"),
        (webhook("https://localhost/"), "is not public"),
        (webhook("https://user:pw@crm.example.com/"), "has a fragment or a user in it"),
        (webhook("crm.example.com"), "is not an absolute URL"),
        *(
            (webhook(f"https://{host}/"), "neither a name nor an address")
            for host in ("127.1", "2130706433", "0177.0.0.1", "0", "0x7f.1", "127.0.0.1.", "0X7F000001", "a.0x", "%31")
        ),
        (webhook(more='secret = ["hunter2"]'), "a key begins with whsec_"),
        (webhook(more='format = "sendgrid"'), "signs each post"),
        (webhook(more=f'secret = ["{SECRET}"]\nbatch = 100'), "one event a post"),
        (webhook(more=f'secret = ["{SECRET}"]\nusername = "a:b"\npassword = "x"'), "has a colon"),
        (webhook(more=f'secret = ["{SECRET}"]\nusername = "a"'), "password: is missing"),
        (webhook(more=f'secret = ["{SECRET}"]\nheaders = {{ Host = "x" }}'), "cannot be set"),
        (webhook(more=f'secret = ["{SECRET}"]\nheaders = {{ X-A = "a\\nb" }}'), "no header field can have"),
        (webhook() + webhook(), "is the name of webhook 1 too"),
        (webhook(more=""), "has no secret"),
        ('[api]\naddress = "0.0.0.0:8027"', "in clear text"),
    ],
)
def test_a_fault_says_what_is_wrong_and_what_would_be_right(tmp_path: Path, text: str, said: str) -> None:
    found = faults(tmp_path, text)
    assert said in found
    assert "hunter2" not in found


def test_a_usable_webhook_has_no_fault(tmp_path: Path) -> None:
    (tmp_path / "crm.webhook").write_text(f"{SECRET}\n{SECRET}\n")
    (tmp_path / "crm.webhook").chmod(0o600)
    text = webhook(more='secret_file = "crm.webhook"\nallow_networks = ["10.0.0.0/8"]\nheaders = { X-Key = "geheim" }')
    assert faults(tmp_path, text) == ""


def test_secrets_are_masked() -> None:
    keys: dict[str, Any] = {"secret": [SECRET], "headers": {"X-Key": "geheim"}, "username": "a", "password": "hidden"}
    settings = Settings.model_validate({"webhook": [{"name": "crm", "url": "https://x.example/", **keys}]})
    shown = str(plain(settings))
    assert "geheim" not in shown
    assert "hidden" not in shown
    assert SECRET not in shown
