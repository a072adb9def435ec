"""Certificates of listeners: read as the server loads them, with the reason when that fails, and their dates."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cryptography import x509

WARNING_DAYS = 14
"""Days before the end of a certificate from which on it is reported."""

ALERT_DAYS = 3
"""Days before the end of a certificate from which on an alert is sent."""

_DAY = 86400.0


class CertificateError(Exception):
    """A certificate or its key cannot be used. `key` is the setting that names the file."""

    def __init__(self, key: Literal["certificate", "key"], problem: str, allowed: str = "") -> None:
        super().__init__(problem)
        self.key: Literal["certificate", "key"] = key
        self.problem = problem
        self.allowed = allowed


@dataclass(frozen=True, slots=True)
class Certificate:
    """The octets of the PEM files, and the validity of the chain in Unix seconds.

    `names` are the host names and IP addresses of the first certificate. If its form is accepted by OpenSSL only, there
    are no names, and it is valid for ever.
    """

    chain: bytes
    key: bytes
    not_before: float = 0.0
    not_after: float = float("inf")
    names: tuple[str, ...] = ()

    def days_left(self, now: float) -> float:
        """Return the days until the first certificate of the chain expires, negative after that."""
        return (self.not_after - now) / _DAY


def read_certificate(certificate: Path, key: Path | None = None) -> Certificate:
    """Read and try a certificate with its key as a server loads them. Without `key` the same file holds the key.

    Raises CertificateError. An encrypted key is refused: a server cannot ask for a password.
    """
    chain = _read("certificate", certificate)
    key_octets = _read("key", key) if key else chain
    load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), certificate, key, chain, key_octets)
    from cryptography import x509  # Not at the top: commands of a relay without TLS need not load it.

    try:
        found = x509.load_pem_x509_certificates(chain)
        starts = max(one.not_valid_before_utc.timestamp() for one in found)
        ends = min(one.not_valid_after_utc.timestamp() for one in found)
        return Certificate(chain, key_octets, starts, ends, _names(found[0]))
    except ValueError:
        return Certificate(chain, key_octets)


def load_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None, chain: bytes, octets: bytes) -> None:
    """Load the files into a context. Raises CertificateError with the reason, found in the octets of both files."""
    asked: list[bool] = []

    def refuse() -> str:
        asked.append(True)
        return ""

    try:
        context.load_cert_chain(certificate, key, password=refuse)
    except (OSError, ValueError) as error:
        raise _reason(certificate, key, chain, octets, error, encrypted=bool(asked)) from None


def find_certificate_warnings(
    certificate: Certificate, hostname: str, now: float, key: str = "server.hostname"
) -> Iterator[str]:
    """Yield what is wrong with a usable certificate: its dates, and its names if there is a hostname, of that key."""
    days = certificate.days_left(now)
    if days < 0:
        yield f"has expired: it was valid until {_date(certificate.not_after)}, so clients that verify it send nothing"
    elif days < WARNING_DAYS:
        yield f"expires in {days:.0f} days: it is valid until {_date(certificate.not_after)}"
    if certificate.not_before > now:
        yield f"is not valid before {_date(certificate.not_before)}"
    if hostname and certificate.names and not any(_covers(name, hostname) for name in certificate.names):
        yield f"is for {', '.join(certificate.names[:5])}, not for {key} ({hostname})"


def _read(key: Literal["certificate", "key"], file: Path) -> bytes:
    try:
        if file.exists() and not file.is_file():  # Reading a pipe would wait for its writer.
            raise CertificateError(key, f"{file} is not a file", "a PEM file")
        return file.read_bytes()
    except OSError as error:
        raise CertificateError(key, f"{file} cannot be read: {error.strerror}", "a PEM file") from None


def _reason(
    certificate: Path, key: Path | None, chain: bytes, octets: bytes, error: Exception, *, encrypted: bool
) -> CertificateError:
    key_file = key or certificate
    where: Literal["certificate", "key"] = "key" if key else "certificate"
    if b"-----BEGIN CERTIFICATE-----" not in chain and b"-----BEGIN TRUSTED CERTIFICATE-----" not in chain:
        return CertificateError("certificate", f"{certificate} has no certificate in PEM", "a PEM file")
    if encrypted:
        problem = f"the key in {key_file} is encrypted, and the server cannot ask for a password"
        return CertificateError(where, problem, f"a key without one: `openssl pkey -in {key_file} -out NEW`")
    if b"PRIVATE KEY-----" not in octets:
        problem = f"{key_file} has no private key in PEM"
        return CertificateError(where, problem, "a PEM file" if key else "the key in the same file, or `key`")
    reason = str(getattr(error, "reason", "") or error).replace("_", " ").lower()
    if "mismatch" in reason:
        problem = f"the key in {key_file} does not belong to the first certificate in {certificate}"
        return CertificateError(where, problem, "the key the certificate was made for")
    if "pem lib" in reason:
        return CertificateError("certificate", f"{_both(certificate, key)}: the PEM is damaged", "PEM files")
    return CertificateError("certificate", f"{_both(certificate, key)} cannot be used: {reason}", "PEM files")


def _both(certificate: Path, key: Path | None) -> str:
    return f"{certificate} with {key}" if key else str(certificate)


def _names(certificate: "x509.Certificate") -> tuple[str, ...]:
    """Return the host names and addresses of a certificate (RFC 9525 section 6.3: of the subject alternative name)."""
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    hosts = extension.value.get_values_for_type(x509.DNSName)
    return (*hosts, *map(str, extension.value.get_values_for_type(x509.IPAddress)))


def _covers(name: str, hostname: str) -> bool:
    """Return whether a name of a certificate covers the host; `*` stands for one label."""
    name, hostname = name.lower().rstrip("."), hostname.lower()
    return name == hostname or (name.startswith("*.") and name[2:] == hostname.partition(".")[2])


def _date(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
