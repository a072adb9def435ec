"""SMTP replies: code, enhanced status and text (RFC 5321 section 4.2, RFC 3463, RFC 2034)."""

import re

from relay.frozen import dataclass

_ENHANCED = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?:\s+|$)")


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. `status` is the enhanced code ("4.7.1"), "" if there is none."""

    code: int
    status: str
    text: str

    @property
    def is_positive(self) -> bool:
        """Whether the code is 2yz."""
        return self.code // 100 == 2

    @property
    def is_permanent(self) -> bool:
        """Whether the code is 5yz."""
        return self.code // 100 == 5

    def __str__(self) -> str:
        return " ".join(filter(None, (str(self.code), self.status, self.text)))

    def encode(self) -> bytes:
        """Return the reply as sent, one line per line of the text."""
        if "\n" not in self.text:
            line = f"{self.code} {self.status} {self.text}\r\n" if self.status else f"{self.code} {self.text}\r\n"
            return line.encode("utf-8", "replace")
        prefix = f"{self.status} " if self.status else ""
        start = f"{self.code}-{prefix}"
        lines, _, last = self.text.rpartition("\n")
        lines = lines.replace("\n", f"\r\n{start}")
        return f"{start}{lines}\r\n{self.code} {prefix}{last}\r\n".encode("utf-8", "replace")


def parse_reply(code: int, text: str) -> Reply:
    """Parse the text of a remote reply (lines joined by newlines), separating the enhanced status.

    A status whose class contradicts the code remains in the text: the basic code wins (RFC 2034 section 4).
    """
    lines = text.split("\n")
    match = _ENHANCED.match(lines[0])
    if match is None or int(match[1]) != code // 100:
        return Reply(code, "", text)
    status = match[0].strip()
    return Reply(code, status, "\n".join(line.removeprefix(status).lstrip() for line in lines))
