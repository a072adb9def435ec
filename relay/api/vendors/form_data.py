"""Forms as browsers send them: multipart/form-data (RFC 7578), and application/x-www-form-urlencoded. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from urllib.parse import parse_qsl

from relay.api.vendors.forms import FormError

MULTIPART, URLENCODED = "multipart/form-data", "application/x-www-form-urlencoded"

MAX_FIELDS = 5000
"""Values of one form, at most."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a form."""

    field: str
    name: str
    type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Form:
    """The values of each key in their order, and the files."""

    values: Mapping[str, Sequence[str]]
    files: Sequence[File] = field(default_factory=tuple)


def parse_form(content_type: str, body: bytes) -> Form:
    """Return the form of a body. Raises FormError."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == URLENCODED:
        return Form(_collected(_urlencoded(body)))
    if kind == MULTIPART:
        return _multipart(content_type, body)
    raise FormError(f"the Content-Type must be {MULTIPART} or {URLENCODED}")


def _urlencoded(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        raise FormError("the body is no form: it has octets that are not UTF-8, or too many values") from None


def _multipart(content_type: str, body: bytes) -> Form:
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    whole = BytesParser(_class=EmailMessage, policy=policy.HTTP).parsebytes(head + body)
    parts = list(whole.iter_parts()) if whole.is_multipart() else []
    if not parts or len(parts) > MAX_FIELDS:
        raise FormError(f"the body is no {MULTIPART} with the boundary of its Content-Type, or has too many values")

    pairs: list[tuple[str, str]] = []
    files: list[File] = []
    for part in parts:
        name = str(part.get_param("name", "", header="content-disposition"))
        file_name, content = part.get_filename(), part.get_payload(decode=True)
        octets = content if isinstance(content, bytes) else b""
        if file_name is not None:
            files.append(File(name, file_name, part.get_content_type(), octets))
            continue
        try:
            pairs.append((name, octets.decode("utf-8")))
        except UnicodeDecodeError as error:
            raise FormError(f"{name}: octet {error.start + 1} is not UTF-8", name) from None
    return Form(_collected(pairs), tuple(files))


def _collected(pairs: Sequence[tuple[str, str]]) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found
