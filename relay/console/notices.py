"""What came of something that a person tried: a sentence, and what follows from it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice on a page. States: ok, wait, bad, off."""

    state: str
    what: str
    follows: str = ""

    @property
    def role(self) -> str:
        """Role for screen readers: faults interrupt them."""
        return "alert" if self.state == "bad" else "status"
