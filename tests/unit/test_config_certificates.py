"""Certificates of listeners: what makes them unusable, and what needs attention."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from relay.config.certificates import CertificateError, find_certificate_warnings, read_certificate

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates and keys, usable and not."""
    made = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA()
    for name in ("one", "two"):
        issued = authority.issue_cert("mail.test", "*.acme.test", not_after=NOW + timedelta(days=20))
        issued.private_key_pem.write_to_path(str(made / f"{name}.key"))
        issued.cert_chain_pems[0].write_to_path(str(made / f"{name}.pem"))
        issued.private_key_and_cert_chain_pem.write_to_path(str(made / f"{name}.both"))
    key = serialization.load_pem_private_key((made / "one.key").read_bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )
    (made / "locked.key").write_bytes(locked)
    (made / "locked.both").write_bytes((made / "one.pem").read_bytes() + locked)
    damaged = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    (made / "damaged.both").write_bytes(damaged + (made / "one.key").read_bytes())
    (made / "empty").touch()
    os.mkfifo(made / "pipe")
    return made


@pytest.mark.parametrize(
    ("certificate", "key", "setting", "problem"),
    [
        ("none", None, "certificate", "none cannot be read: No such file or directory"),
        ("one.pem", "none", "key", "none cannot be read: No such file or directory"),
        (".", None, "certificate", "is not a file"),
        ("pipe", None, "certificate", "is not a file"),
        ("empty", None, "certificate", "empty has no certificate in PEM"),
        ("one.key", "one.key", "certificate", "one.key has no certificate in PEM"),
        ("one.pem", None, "certificate", "one.pem has no private key in PEM"),
        ("one.pem", "two.pem", "key", "two.pem has no private key in PEM"),
        ("one.pem", "two.key", "key", "two.key does not belong to the first certificate in"),
        ("one.pem", "locked.key", "key", "locked.key is encrypted"),
        ("locked.both", None, "certificate", "locked.both is encrypted"),
        ("damaged.both", None, "certificate", "damaged.both: the PEM is damaged"),
    ],
)
def test_what_cannot_be_used_is_named(
    folder: Path, certificate: str, key: str | None, setting: str, problem: str
) -> None:
    with pytest.raises(CertificateError) as raised:
        read_certificate(folder / certificate, folder / key if key else None)
    assert raised.value.key == setting
    assert problem in raised.value.problem
    assert raised.value.allowed


def test_key_and_certificate_in_one_file_or_in_two(folder: Path) -> None:
    for found in (read_certificate(folder / "one.both"), read_certificate(folder / "one.pem", folder / "one.key")):
        assert found.names == ("mail.test", "*.acme.test")
        assert found.not_after == (NOW + timedelta(days=20)).timestamp()


@pytest.mark.parametrize(
    ("hostname", "days", "warnings"),
    [
        ("mail.test", 0, []),
        ("mx.acme.test", 0, []),
        ("", 0, []),
        ("a.b.acme.test", 0, ["is for mail.test, *.acme.test, not for server.hostname (a.b.acme.test)"]),
        ("mail.test", 7, ["expires in 13 days: it is valid until 2030-01-21 00:00 UTC"]),
        (
            "mail.test",
            21,
            ["has expired: it was valid until 2030-01-21 00:00 UTC, so clients that verify it send nothing"],
        ),
        ("mail.test", -36500, ["is not valid before 2000-01-01 00:00 UTC"]),
    ],
)
def test_dates_and_names_that_need_attention(folder: Path, hostname: str, days: int, warnings: list[str]) -> None:
    certificate = read_certificate(folder / "one.both")
    now = (NOW + timedelta(days=days)).timestamp()
    assert list(find_certificate_warnings(certificate, hostname, now)) == warnings
