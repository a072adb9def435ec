"""Other people's DKIM verifiers, asked without DNS: dkimpy, OpenDKIM and Perl's Mail::DKIM."""

import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import dkim
import pytest

from relay.mailauth.dkim_keys import SigningKey, dns_record, record_name

_PERL_VERIFIER = Path(__file__).parent / "golden" / "sign" / "verify.pl"

_OPENDKIM_VERDICT = re.compile(r"dkim=(\w+)[^;]*header\.s=(\S+)")


def records(keys: Iterable[SigningKey]) -> dict[str, str]:
    """Return what DNS would answer for these keys: name → text."""
    return {record_name(key.selector, key.domain): dns_record(key) for key in keys}


def dkimpy(message: bytes, keys: Sequence[SigningKey]) -> list[bool]:
    """Return dkimpy's verdict on the first signatures of the message, one for each key, from the top.

    It needs PyNaCl for Ed25519; the test is skipped where that is not installed.
    """
    if any(key.algorithm == "ed25519-sha256" for key in keys):
        pytest.importorskip("nacl", reason="dkimpy needs PyNaCl to verify Ed25519 (pip install pynacl)")
    published = records(keys)

    def lookup(name: bytes, timeout: int = 5) -> bytes | None:
        text = published.get(name.decode().rstrip("."))
        return None if text is None else text.encode()

    def verdict(index: int) -> bool:
        try:
            return bool(dkim.DKIM(message).verify(index, dnsfunc=lookup))  # type: ignore[no-untyped-call]
        except dkim.ValidationError:  # how it says that the body is another one
            return False

    return [verdict(index) for index in range(len(keys))]


def opendkim(message: bytes, keys: Sequence[SigningKey], folder: Path) -> dict[str, str]:
    """Return OpenDKIM's verdict by selector ("pass", "fail", …); skip the test where it is not installed."""
    program = shutil.which("opendkim", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip("needs the opendkim program (Debian package opendkim)")
    (folder / "message.eml").write_bytes(message)
    _write_records(folder / "records", keys)
    config = folder / "opendkim.conf"
    config.write_text(f"Mode v\nTestPublicKeys {folder / 'records'}\nBackground no\nSyslog no\n")
    command = [program, "-x", str(config), "-vvv", "-t", str(folder / "message.eml")]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60, check=False)
    results = done.stdout.partition("Authentication-Results")[2].replace("\n\t", " ")
    return {selector: verdict for verdict, selector in _OPENDKIM_VERDICT.findall(results)}


def mail_dkim(message: bytes, keys: Sequence[SigningKey], folder: Path) -> dict[str, str]:
    """Return Mail::DKIM's verdict by selector; skip the test where Perl or the module is not installed."""
    perl = shutil.which("perl")
    if perl is None or subprocess.run([perl, "-MMail::DKIM", "-e1"], capture_output=True, check=False).returncode:
        pytest.skip("needs Perl with Mail::DKIM (Debian package libmail-dkim-perl)")
    _write_records(folder / "records", keys)
    command = [perl, str(_PERL_VERIFIER), str(folder / "records")]
    done = subprocess.run(command, input=message, capture_output=True, timeout=60, check=True)
    return dict(line.split(" ", 1) for line in done.stdout.decode().splitlines())


def _write_records(path: Path, keys: Iterable[SigningKey]) -> None:
    path.write_text("".join(f"{name} {text}\n" for name, text in records(keys).items()))
