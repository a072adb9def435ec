# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The fast path of the rewriter: one HTML part decoded, scanned, classified and written in one pass over its octets.

Twins: `html.py`, `pixel.py`, `links.py`, `encoding.py` and `message.py`; an included file has the name of its twin.
What is not plain is left to the twins: None for a whole part, `classify` for a single link. Nothing here guesses.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.ref cimport Py_DECREF, PyObject
from libc.stdint cimport INT32_MAX, int32_t
from libc.string cimport memchr, memcmp, memcpy

from relay.rewrite.eligibility import readable
from relay.rewrite.link_rules import STEMS
from relay.rewrite.unsubscribe_links import ASCII_HINTS, ESCAPE, PERCENT_HINTS, REFERENCE, UTF8, UTF8_HINTS
from relay.rewrite.pixel import NEVER_SURELY_CLOSED, SCOPES, SURELY_CLOSED

cdef extern from "Python.h":
    PyObject* new_bytes "PyBytes_FromStringAndSize"(const char*, Py_ssize_t) except NULL
    int _PyBytes_Resize(PyObject**, Py_ssize_t) except -1

cdef extern from "<string.h>":
    void* memmem(const void*, size_t, const void*, size_t) noexcept

cdef extern from *:
    const char* RELAY_SOURCES

SOURCES = RELAY_SOURCES.decode()
"""The digest of the sources it was built from (`native_loader.py`)."""

ctypedef const unsigned char* octets

cdef enum: BLOCK = 32

include "html_tags.pxi"
include "pixel.pxi"
include "links.pxi"
include "encoding.pxi"

cdef class Rules:
    """What decides about the links of a message. `classify` answers for a single link (twin: `links.read_link`)."""

    cdef bytes base
    cdef bint clicks, skip_visible_urls, always_unsure, pixel_at_start, legacy
    cdef frozenset unsubscribe
    cdef object classify

    def __init__(self, rules, classify):
        self.base = rules.base.encode() + b"/"
        self.clicks, self.skip_visible_urls = rules.tracking.clicks, rules.tracking.skip_visible_urls
        self.always_unsure, self.pixel_at_start = bool(rules.tracking.exclude_hosts), rules.tracking.pixel == "start"
        self.legacy = rules.charset not in UTF8
        self.unsubscribe, self.classify = frozenset([url.encode("latin-1") for url in rules.unsubscribe_urls]), classify

def rewrite_html(
    bytes content not None, Py_ssize_t start, Py_ssize_t stop, *, bint quoted, str charset, Rules rules not None, bytes pixel, click
):
    """Return (content, links, tracked) with the body of an HTML part between these offsets, None when it is not plain."""
    cdef Html html = Html()
    cdef Py_ssize_t place
    start, stop = max(start, 0), min(stop, PyBytes_GET_SIZE(content))
    html.body = <octets> PyBytes_AS_STRING(content) + start
    html.body_size = stop - start
    if not 0 < html.body_size < INT32_MAX // 2 or not read_text(html, quoted) or rules.base in html.lower:
        return None
    text, reason = readable(html.text, charset)
    if reason or text is not html.text or not scan(html, 0, html.size, False):
        return None
    place = pixel_position(html, rules.pixel_at_start) if pixel else -1
    if pixel and place < 0:
        return None
    html.pieces.append(content[:start])
    links, tracked = put_in(html, rules, place, pixel, click)
    html.pieces.append(content[start + html.at :])
    return b"".join(html.pieces), links, tracked

cdef bint read_text(Html html, bint quoted) except -1:
    """Decode the body; False when it is not plain."""
    if quoted:
        html.runs = <Run*> PyMem_Malloc((html.body_size // 3 + 1) * sizeof(Run))
        if html.runs == NULL:
            raise MemoryError
        html.text = decode_quoted(html)
    else:
        html.text = html.body[:html.body_size]
    if html.text is None:
        return False
    html.lower = lowered(html.text)
    html.letters = <octets> PyBytes_AS_STRING(html.lower)
    html.size = PyBytes_GET_SIZE(html.lower)
    html.pieces = []
    return True

cdef bytes lowered(bytes text):
    """Return the text in lower case. The blocks have no branches, so that compilers look at many octets together."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(text), at = 0
    cdef bytes lower = PyBytes_FromStringAndSize(NULL, size)  # Of one octet, Python would return an object of its own.
    cdef unsigned char* out = <unsigned char*> PyBytes_AS_STRING(lower)
    memcpy(out, PyBytes_AS_STRING(text), size)
    while at + BLOCK <= size:
        lower_block(out + at)
        at += BLOCK
    for at in range(at, size):
        out[at] |= <unsigned char> (c"A" <= out[at] <= c"Z") << 5
    return lower

cdef inline void lower_block(unsigned char* s) noexcept:
    cdef int at
    for at in range(BLOCK):
        s[at] |= <unsigned char> (<unsigned char> (s[at] - c"A") < 26) << 5

cdef tuple put_in(Html html, Rules rules, Py_ssize_t place, bytes pixel, click):
    """Splice the tracking URLs and the pixel; return how many links there are and how many are tracked."""
    cdef Py_ssize_t i, links = 0, tracked = 0
    cdef Tag* tag
    for i in range(html.count if rules.clicks else 0):
        tag = &html.tags[i]
        if tag.closes or tag.href < 0 or not NAMES[tag.name].flags & LINK:
            continue
        if 0 <= place < tag.href:
            splice(html, place, place, pixel)
            place = -1
        links += 1
        target = link_target(html, tag, following_link(html, i) if tag.name == A else 0, rules)
        if target is not None:
            tracked += 1
            splice(html, tag.href, tag.href_end, click(target))
    if place >= 0:
        splice(html, place, place, pixel)
    return links, tracked

cdef Py_ssize_t following_link(Html html, Py_ssize_t i) noexcept:
    """Return where the text of a link ends at the latest: at the next tag of a link, opening or closing."""
    for i in range(i + 1, html.count):
        if html.tags[i].name == A or html.tags[i].name == AREA:
            return html.tags[i].start
    return html.size

def holds_name(bytes content not None, Py_ssize_t start, Py_ssize_t stop):
    """Return whether the name of a placeholder is in an encoded body between these offsets (`holds_name_twin`)."""
    cdef octets s = <octets> PyBytes_AS_STRING(content) + max(start, 0)
    cdef Py_ssize_t size = max(min(stop, PyBytes_GET_SIZE(content)) - max(start, 0), 0), at
    for letter in b"bB":
        at = find(s, letter, 0, size)
        while at >= 0:
            if is_behind(s, at, b"usn", 3) and goes_on(s, after_breaks(s, at + 1, size), size):
                return True
            at = find(s, letter, at + 1, size)
    return False

cdef bint goes_on(octets s, Py_ssize_t at, Py_ssize_t size) noexcept:
    """Return whether what is behind "nsub" may belong to a placeholder."""
    if at < size and memchr(b"|%&=+ \t\r\n\xc2", s[at], 10) != NULL:
        return True
    at = behind(s, at, size, b"scribe", 6)
    if at < 0:
        return False
    at = after_breaks(s, at, size)
    return at < size and memchr(b"_%&=", s[at], 4) != NULL

cdef bint is_behind(octets s, Py_ssize_t at, const char* word, Py_ssize_t length) noexcept:
    """Return whether a word, given in reverse, ends at the offset in any case, perhaps with soft line breaks inside."""
    cdef Py_ssize_t letter
    for letter in range(length):
        while at >= 3 and memcmp(s + at - 3, b"=\r\n", 3) == 0:
            at -= 3
        at -= 1
        if at < 0 or s[at] | 0x20 != <unsigned char> word[letter]:
            return False
    return True

cdef Py_ssize_t behind(octets s, Py_ssize_t at, Py_ssize_t size, const char* word, Py_ssize_t length) noexcept:
    """Return the offset behind a word in any case, perhaps with soft line breaks inside, -1 for another one."""
    cdef Py_ssize_t letter
    for letter in range(length):
        at = after_breaks(s, at, size)
        if at >= size or s[at] | 0x20 != <unsigned char> word[letter]:
            return -1
        at += 1
    return at

cdef Py_ssize_t after_breaks(octets s, Py_ssize_t at, Py_ssize_t size) noexcept:
    while begins(s, at, size, b"=\r\n", 3):
        at += 3
    return at
