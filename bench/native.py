"""Compiled code and its Python twins in turns: `python -m bench.native`. CPU time, the best of many short rounds.

A busy machine disturbs both alike, and the best round least.
"""

from collections.abc import Callable
from time import process_time

from bench.workloads import workload
from relay.domains.relay_keys import Keys
from relay.mail.dot_stuffing import decode_dots
from relay.mail.headers import Field, body_start, read_fields
from relay.mail.native import native
from relay.mailauth.dkim_sign import relaxed_body
from relay.render.message import RenderInput
from relay.render.message_policy import MessagePolicy
from relay.render.render import render
from relay.rewrite import fast_path
from relay.rewrite.options import Tracking
from relay.rewrite.tokens import Keyring

ROUNDS = 40
Case = tuple[str, Callable[[], object], Callable[[], object]]


def cases(name: str) -> list[Case]:
    """Return (what, twin, compiled) for one workload."""
    content = workload(name)
    start = body_start(content)
    stored = RenderInput(
        queue_id="0123456789ABCD",
        created_at=0.0,
        reverse_path="a@sender.bench",
        content=content,
        policy=MessagePolicy(tracking=Tracking(base_url="http://track.bench")),
    )
    keys = Keys(Keyring((("k1", b"k" * 32),)))

    def rendered(compiled: bool) -> object:
        vars(fast_path)["IS_COMPILED"] = compiled
        return render(stored, [0], keys, eight_bit=True)

    return [
        (
            f"{name} dots",
            lambda: decode_dots(content, len(content)),
            lambda: native.decode_dots(content, len(content)),
        ),
        (
            f"{name} header fields",
            lambda: read_fields(content, 0, start),
            lambda: native.header_fields(content, 0, start, Field),
        ),
        (f"{name} relaxed body", lambda: relaxed_body(content[start:]), lambda: native.relaxed_body(content, start)),
        (f"{name} rewrite", lambda: rendered(False), lambda: rendered(True)),
    ]


def best(function: Callable[[], object], calls: int) -> float:
    """Return the CPU time of a call, in microseconds, over one round."""
    begun = process_time()
    for _ in range(calls):
        function()
    return (process_time() - begun) / calls * 1e6


def main() -> None:
    """Print both times of each case, and their ratio."""
    for what, twin, compiled in (case for name in ("W1", "W2", "W3") for case in cases(name)):
        rounds = [(best(twin, 20), best(compiled, 20)) for _ in range(ROUNDS)]
        before, after = (min(times) for times in zip(*rounds, strict=True))
        print(f"{what:<18} {before:8.1f} µs {after:8.1f} µs   x {after / before:.2f}")


if __name__ == "__main__":
    main()
