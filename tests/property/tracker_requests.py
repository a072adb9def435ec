"""Requests to the tracker, as they should be or nearly, and conversations of them."""

from hypothesis import strategies as st

from relay.rewrite.tokens import Kind, Token, new_key, parse_keyring, sign_token

KEYS = parse_keyring([new_key(b"k" * 32, "k1")])

QUEUE_ID = "0ABCDFGHJKLMNP"

OPEN, CLICK, LEAVE = (
    sign_token(KEYS, Token(kind, QUEUE_ID, 3, "https://shop.test/?a=1" if kind is Kind.CLICK else "")).encode()
    for kind in (Kind.OPEN, Kind.CLICK, Kind.UNSUBSCRIBE)
)

BLOCKED, ODD = (
    sign_token(KEYS, Token(Kind.CLICK, QUEUE_ID, 3, target)).encode()
    for target in ("https://bad.test/login", "ftp://files.test/")
)

CANARY = sign_token(KEYS, Token(Kind.OPEN, "0" * 14, 7)).encode()

FIREFOX = b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"

PLAIN = b"GET /o/" + OPEN + b" HTTP/1.1\r\nHost: t.example\r\nUser-Agent: " + FIREFOX + b"\r\nAccept: */*\r\n\r\n"

PLAIN_CLICK = PLAIN.replace(b"/o/" + OPEN, b"/c/" + CLICK)

Piece = tuple[bytes, bool]
"""Octets that arrive together, and whether they are answered before the next ones arrive."""

TARGETS = (
    *[b"/o/" + OPEN] * 6,
    *[b"/c/" + CLICK] * 4,
    b"/c/" + BLOCKED,
    b"/c/" + ODD,
    b"/o/" + CANARY,
    b"/o/" + OPEN + b"?x=1",
    b"/o/" + OPEN + b"=",
    b"/o/" + OPEN[:-1],
    b"/o/" + CLICK,
    b"/o/",
    b"/o/" + OPEN + b"#f",
    b"/O/" + OPEN,
    b"//o/" + OPEN,
    b"http://t.example/o/" + OPEN,
    b"/c/" + CLICK + b"-",
    b"/c/" + OPEN,
    b"/u/" + LEAVE,
    b"/healthz",
    b"*",
)

FIELD_LINES = (
    *[b"User-Agent: " + FIREFOX, b"Accept: image/*", b"accept-encoding: gzip, br", b"Connection: keep-alive"] * 3,
    b"User-Agent: curl/8.11.0",
    b"USER-AGENT: Mozilla/5.0",
    b"User-Agent:",
    b"User-Agent: " + b"x" * 600,
    b"User-Agent: caf\xc3\xa9",
    b"User-Agent: tab\there",
    b"User-Agent: nul\0",
    b"User-Agent:no blank",
    b"User-Agent:  two",
    b"Accept: trailing ",
    b"Accept : */*",
    b" Accept: folded",
    b"\tfolded",
    b"Host: other.example",
    b"Host: t.example:8025",
    b"Host: a b",
    b"Host: [::1]:80",
    b"Host: t.example:999999",
    b"X-Forwarded-For: 203.0.113.7",
    b"X-Forwarded-For: 203.0.113.7, 192.0.2.9",
    b"x-forwarded-for: nonsense",
    b"Purpose: prefetch",
    b"Sec-Purpose: prefetch;prerender",
    b"Connection: close",
    b"Connection: Keep-Alive",
    b"Connection: keep-alive, close",
    b"Connection: Upgrade",
    b"Upgrade: websocket",
    b"Upgrade: h2c",
    b"Content-Length: 0",
    b"Content-Length: 3",
    b"Content-Length: +0",
    b"Content-Length: 1, 1",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: \x0bchunked",
    b"Content-Encoding: gzip",
    b"Content-Type: text/plain",
    b"Expect: 100-continue",
    b"Trailer: X",
    b"TE: trailers",
    b"Cookie: a=b; c=d",
    b"X-Unknown: y",
    b"X: " + b"y" * 9000,
    b"no colon",
    b": no name",
    b"",
    b"Referer: https://mail.test/\nX: y",
    b"Referer: https://mail.test/\rX: y",
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request as it should be, or nearly."""
    method = draw(st.sampled_from([*[b"GET"] * 8, b"HEAD", b"POST", b"get", b"GET ", b"BREW"]))
    version = draw(st.sampled_from([*[b"HTTP/1.1"] * 8, b"HTTP/1.0", b"HTTP/2.0", b"http/1.1", b"HTTP/1.1 ", b""]))
    fields = draw(st.lists(st.sampled_from(FIELD_LINES), max_size=5))
    host = draw(st.sampled_from([*[[b"Host: t.example"]] * 6, []]))
    end = draw(st.sampled_from([*[b"\r\n"] * 8, b"\n", b"\r", b"\r\r\n"]))
    body = draw(st.sampled_from([*[b""] * 8, b"abc", b"0\r\n\r\n", b"\r\n"]))
    lines = [b" ".join((method, draw(st.sampled_from(TARGETS)), version)), *draw(st.permutations(host + fields))]
    return end.join([*lines, b"", b""]) + body


@st.composite
def altered(draw: st.DrawFn, octets: bytes) -> bytes:
    """The octets with one of them changed, taken out or put in."""
    at = draw(st.integers(0, len(octets) - 1))
    new = draw(st.sampled_from([b"", *(bytes([one]) for one in b"\0\t\n\r !:-AGo\x7f\x80\xff")]))
    return octets[:at] + new + octets[at + draw(st.integers(0, 1)) :]


@st.composite
def conversations(draw: st.DrawFn) -> list[Piece]:
    """One to three requests, perhaps altered, in pieces that end anywhere."""
    octets = draw(st.lists(st.one_of(st.just(PLAIN), requests()), min_size=1, max_size=3))
    said = [draw(altered(one)) if draw(st.integers(0, 3)) == 0 else one for one in octets]
    if draw(st.booleans()):
        return [(one, draw(st.booleans())) for one in said]
    whole = b"".join(said)
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    starts = [0, *cuts]
    return [(whole[a:b], draw(st.booleans())) for a, b in zip(starts, [*cuts, len(whole)], strict=True) if a < b]
