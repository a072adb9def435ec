"""The compiled fast path; its sources are `_native.pyx` and the `.pxi` files beside it."""

from collections.abc import Callable

from relay.rewrite import links

SOURCES: str

class Rules:
    def __init__(self, rules: links.Rules, classify: Callable[[bytes, bytes, int, int, int], bytes | None]) -> None: ...

def rewrite_html(
    content: bytes,
    start: int,
    stop: int,
    *,
    quoted: bool,
    charset: str,
    rules: Rules,
    pixel: bytes,
    click: Callable[[bytes], bytes],
) -> tuple[bytes, int, int] | None: ...
def holds_name(content: bytes, start: int, stop: int) -> bool: ...
