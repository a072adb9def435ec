"""What the sink can do instead of behaving, and what it keeps of the mail it is given."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Say:
    """These lines instead of the right ones; `drop`: and then close."""

    text: str | bytes
    drop: bool = False

    @property
    def octets(self) -> bytes:
        return self.text if isinstance(self.text, bytes) else f"{self.text}\r\n".encode()


@dataclass(frozen=True)
class Drop:
    """Close the connection."""


@dataclass(frozen=True)
class Reset:
    """Close it with a TCP reset."""


@dataclass(frozen=True)
class Hang:
    """Say nothing until the other side gives up."""


@dataclass(frozen=True)
class Wait:
    """Let the other side wait, then behave."""

    seconds: float


@dataclass(frozen=True)
class Dribble:
    """The reply octet by octet."""

    text: str


Action = Say | Drop | Reset | Hang | Wait | Dribble


@dataclass
class Received:
    """One message: `content` with the dots undone."""

    connection: int
    reverse_path: str
    recipients: list[str]
    content: bytes
    mail_parameters: list[str] = field(default_factory=list)
    recipient_parameters: list[list[str]] = field(default_factory=list)
    helo: str = ""
    tls: bool = False
    login: str = ""
