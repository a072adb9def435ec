"""The compiled functions; their source is `_native.pyx`."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

SOURCES: str

def decode_dots(raw: bytes) -> bytes | None: ...
def header_fields(
    content: bytes, start: int, stop: int, make: Callable[[tuple[bytes, int, int, int]], T]
) -> list[T]: ...
def relaxed_body(content: bytes, start: int) -> bytes: ...
def read_url_token(text: str) -> tuple[bytes, str, int, bytes, bool] | None: ...
