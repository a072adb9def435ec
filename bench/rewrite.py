"""The rewriter alone, in one process: `python -m bench.rewrite`. MB of HTML a second, and whether time is linear."""

import gc
import time

import click

from bench.workloads import workload
from relay.mail.queue_id import queue_id
from relay.rewrite.message import analyse, apply
from relay.rewrite.options import Tracking
from relay.rewrite.tokens import new_key, parse_keyring

_TRACKING = Tracking(base_url="https://t.sender.bench")

_KEYS = parse_keyring([new_key(b"k" * 32)])

_ID = queue_id(1_764_000_000.0, 1)

_HEADER = b"From: a@sender.bench\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"

_ROW = (
    b'<tr><td style="padding:10px 20px;font-family:Arial;color:#333333"><p>Some words about product %d and '
    b'<b>bold</b> ones &amp; more.</p><a href="https://shop.sender.bench/product/%d?utm_source=news&amp;utm=m"'
    b' target="_blank">Look at it</a><img src="https://cdn.sender.bench/i/%d.png" width="120"></td></tr>\r\n'
)


def page(octets: int) -> bytes:
    """Return a message whose HTML has about that many octets, a link each 400."""
    rows = b"".join(_ROW % (number, number, number) for number in range(octets // len(_ROW)))
    return _HEADER + b"<!DOCTYPE html>\r\n<html><body><table>\r\n" + rows + b"</table></body></html>\r\n"


def links(count: int) -> bytes:
    """Return a message with that many short links."""
    return _HEADER + b"".join(b'<a href="https://sender.bench/%d">x</a>\r\n' % number for number in range(count))


def timed(content: bytes, least: float = 0.5) -> tuple[float, int]:
    """Return the seconds one rewrite takes, the best of several, and the links it tracked."""
    best, spent, tracked = float("inf"), 0.0, 0
    while spent < least:
        begun = time.process_time()
        rewritten = apply(analyse(content, _TRACKING), content, _KEYS, _ID, 0)
        seconds = time.process_time() - begun
        tracked = sum(link.tracked for link in rewritten.links)
        best, spent = min(best, seconds), spent + seconds
    return best, tracked


@click.command()
def main() -> None:
    """Measure the rewriter on a newsletter, on pages of growing size, and on many links."""
    gc.disable()  # as the render worker does
    click.echo(f"{'input':28}{'MB':>8}{'links':>9}{'ms':>10}{'MB/s':>8}{'ns/octet':>10}")
    cases = [("newsletter (W2)", workload("W2"))]
    cases += [(f"page of {size} MB", page(size * 1_000_000)) for size in (1, 5, 10, 25, 50)]
    cases += [(f"{count:,} links", links(count)) for count in (1_000, 10_000, 100_000)]
    for name, content in cases:
        seconds, tracked = timed(content)
        size = len(content) / 1e6
        each = 1e9 * seconds / len(content)
        click.echo(f"{name:28}{size:8.2f}{tracked:9}{1000 * seconds:10.2f}{size / seconds:8.1f}{each:10.1f}")


if __name__ == "__main__":
    main()
