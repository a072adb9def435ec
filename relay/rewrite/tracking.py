"""What is tracked in a message: the switches frozen with it when it is accepted."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Tracking:
    """The tracking switches of one message.

    `base_url` is where readers reach the tracker, such as "https://t.acme.test"; without it nothing is rewritten.
    `exclude_hosts` are host names whose links stay as they are; "*.example.com" takes every host below example.com.
    """

    opens: bool = True
    clicks: bool = True
    base_url: str = ""
    text_links: bool = False
    skip_sensitive: bool = True
    skip_visible_urls: bool = True
    exclude_hosts: tuple[str, ...] = ()
    pixel: Literal["start", "end"] = "end"
