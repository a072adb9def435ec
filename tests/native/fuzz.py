"""Mutated mails through the compiled code and its twin: `python -m tests.native.fuzz SECONDS [SEED]`.

`make fuzz-native` builds the code with address and undefined-behaviour sanitizers first. It ends with status 1 at the
first difference, which it keeps as `build/native/different.eml`.
"""

import sys
import time
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from random import Random

_BUILT = Path("build/native/sanitized")


def load_sanitized() -> None:
    """Put the extensions built with sanitizers in the place of the ordinary ones."""
    for path in sorted((_BUILT / "relay").glob("*/_native*.so")):
        name = f"relay.{path.parent.name}._native"
        spec = spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)


def main(seconds: float, seed: int) -> int:
    """Compare until the time is over."""
    from tests.native import twins

    random = Random(seed)
    mails = list(twins.golden_messages())
    folder = Path("../shared/data/fidelity/eml")
    mails += (twins.with_crlf(path.read_bytes()) for path in folder.rglob("*.eml") if path.stat().st_size < 60_000)
    texts = [text for mail in mails if b"text/html" in mail for text in [mail.partition(b"\r\n\r\n")[2]]]
    tokens = [one.encode() for one in twins.url_tokens()]
    requests = list(twins.requests())
    switches = list(twins.SWITCHES.values())
    until = time.monotonic() + seconds
    tried = taken = 0
    while time.monotonic() < until:
        if random.random() < 0.5:
            mail = twins.mutated(random.choice(mails), random)
        else:
            mail = twins.message(twins.mutated(random.choice(texts), random), random.choice(twins.ENCODINGS))
        token = "".join(map(chr, twins.mutated(random.choice(tokens), random)))
        if twins.token_disagreement(token):
            print(f"read_url_token: {token!r}")
            return 1
        asked = twins.mutated(random.choice(requests), random)
        if twins.request_disagreement(asked):
            print(f"split_request: {asked!r}")
            return 1
        difference = twins.mail_disagreement(mail) or twins.disagreement(mail, random.choice(switches))
        tried += 1
        taken += difference is not None
        if difference:
            (_BUILT / "different.eml").write_bytes(mail)
            print(f"{difference}: {_BUILT / 'different.eml'}")
            return 1
    print(f"{tried} mails, {taken} through the fast path, no difference (seed {seed})")
    return 0 if taken else 1


if __name__ == "__main__":
    load_sanitized()
    sys.exit(main(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())))
