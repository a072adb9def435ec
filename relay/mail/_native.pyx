# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""Functions that look at every octet of a header or body, with the same results as their twins in Python."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.ref cimport Py_DECREF, Py_INCREF, PyObject, PyTypeObject
from libc.string cimport memchr, memcmp, memcpy, memset

cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object, Py_ssize_t*) except NULL
    PyObject* PyBytes_FromStringAndSize(const char*, Py_ssize_t) except NULL
    int _PyBytes_Resize(PyObject**, Py_ssize_t) except -1
    PyObject* PyType_GenericAlloc(PyTypeObject*, Py_ssize_t) except NULL
    void PyTuple_SET_ITEM(object, Py_ssize_t, object)

cdef extern from "<string.h>":
    void* memmem(const void*, size_t, const void*, size_t) noexcept

cdef extern from *:
    const char* RELAY_SOURCES

SOURCES = RELAY_SOURCES.decode()
"""The digest of the sources it was built from (`native_loader.py`)."""

ctypedef const unsigned char* octets

def find_end(bytes raw not None):
    """Return where the end mark of content is, -1 without one (twin: `find_end` of `dot_stuffing.py`)."""
    cdef octets s = <octets> PyBytes_AS_STRING(raw)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(raw), at = 1
    cdef octets found
    while at + 3 < size:
        found = <octets> memchr(s + at, c"\n", size - at - 3)
        if found == NULL:
            break
        at = found - s + 1
        if s[at] == c"." and s[at - 2] == c"\r" and s[at + 1] == c"\r" and s[at + 2] == c"\n":
            return at - 2
    return -1

def decode_dots(bytes raw not None, Py_ssize_t stop):
    """Return the content before `stop` with its dots removed, None when a line end is not CRLF (twin: `decode_dots` of `dot_stuffing.py`)."""
    cdef octets s = <octets> PyBytes_AS_STRING(raw)
    cdef Py_ssize_t at = 0, end = 0, length = 0
    cdef octets found
    stop = min(max(stop, 0), PyBytes_GET_SIZE(raw))
    cdef PyObject* content = PyBytes_FromStringAndSize(NULL, stop)
    cdef char* out = PyBytes_AS_STRING(<object> content)
    while True:
        found = <octets> memchr(s + end, c"\n", stop - end)
        if found == NULL:
            break
        if found == s + end or memchr(s + end, c"\r", found - s - end) != found - 1:
            Py_DECREF(<object> content)
            return None
        end = found - s + 1
        if end < stop and s[end] == c".":
            memcpy(out + length, s + at, end - at)
            length += end - at
            end = at = end + 1
    if memchr(s + end, c"\r", stop - end) != NULL:
        Py_DECREF(<object> content)
        return None
    memcpy(out + length, s + at, stop - at)
    length += stop - at
    _PyBytes_Resize(&content, length)
    decoded = <object> content
    Py_DECREF(decoded)
    return decoded

def find_dot_line(bytes content not None):
    """Return where the first line end is before a dot, -1 without one (twin: `find_dot_line` of `dot_stuffing.py`)."""
    cdef octets s = <octets> PyBytes_AS_STRING(content)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(content), at = 1
    while at + 1 < size:
        if at + BLOCK < size and not may_hold_dot_line(s + at):
            at += BLOCK
        elif s[at] == c"\n" and s[at + 1] == c"." and s[at - 1] == c"\r":
            return at - 1
        else:
            at += 1
    return -1

cdef inline bint may_hold_dot_line(octets s) noexcept:
    """Return whether a dot follows a LF of a block."""
    cdef unsigned char found = 0
    cdef int at
    for at in range(BLOCK):
        found |= (s[at] == c"\n") & (s[at + 1] == c".")
    return found != 0

def header_fields(bytes content not None, Py_ssize_t start, Py_ssize_t stop, type field not None):
    """Return the fields between these offsets, as values of this named tuple (twin: `headers.read_fields`)."""
    cdef octets s = <octets> PyBytes_AS_STRING(content)
    cdef Py_ssize_t at = start, end, name_end, colon
    cdef list found = []
    if not issubclass(field, tuple):
        raise TypeError(field)
    stop = min(stop, PyBytes_GET_SIZE(content))
    while 0 <= at < stop:
        end = line_end(s, at, stop)
        while end < stop and (s[end] == c" " or s[end] == c"\t"):
            end = line_end(s, end, stop)
        name_end = at
        while name_end < end and 0x21 <= s[name_end] <= 0x7e and s[name_end] != c":":
            name_end += 1
        colon = name_end
        while colon < end and (s[colon] == c" " or s[colon] == c"\t"):
            colon += 1
        if name_end > at and colon < end and s[colon] == c":":
            found.append(named_tuple(field, (lowered(s + at, name_end - at), at, end, colon + 1)))
        at = end
    return found

cdef object named_tuple(type cls, tuple values):
    """Return the values as a tuple of this class, which adds nothing to `tuple`. Its own constructor takes much longer."""
    cdef Py_ssize_t place
    made = <object> PyType_GenericAlloc(<PyTypeObject*> cls, len(values))
    Py_DECREF(made)
    for place in range(len(values)):
        Py_INCREF(values[place])
        PyTuple_SET_ITEM(made, place, values[place])
    return made

cdef bytes lowered(octets s, Py_ssize_t size):
    name = <bytes> PyBytes_FromStringAndSize(NULL, size)
    Py_DECREF(name)
    copy_lower(PyBytes_AS_STRING(name), s, size)
    return name

cdef inline void copy_lower(char* out, octets s, Py_ssize_t size) noexcept:
    cdef Py_ssize_t at
    for at in range(size):
        out[at] = <char> (s[at] | 0x20 if c"A" <= s[at] <= c"Z" else s[at])

def find_delimiter(bytes content not None, bytes delimiter not None, Py_ssize_t start, Py_ssize_t end):
    """Return where a delimiter line of MIME begins: what `content.find(delimiter, start, end)` returns."""
    cdef octets s = <octets> PyBytes_AS_STRING(content), text = <octets> PyBytes_AS_STRING(delimiter), found
    cdef Py_ssize_t length = PyBytes_GET_SIZE(delimiter), at = max(start, 0) + 1
    end = min(end, PyBytes_GET_SIZE(content))
    while at + length - 1 <= end:  # at the first of the dashes behind the line end
        found = <octets> memchr(s + at, c"-", end - at)
        if found == NULL:
            return -1
        at = found - s
        if s[at - 1] == c"\n" and at + length - 1 <= end and memcmp(s + at - 1, text, length) == 0:
            return at - 1
        at += 1
    return -1

def has_long_line(bytes data not None, Py_ssize_t start, Py_ssize_t stop, Py_ssize_t limit):
    """Return whether a line between these offsets has more octets than the limit (twin: `has_long_line` of `encoding.py`)."""
    cdef octets s = <octets> PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data), at
    start, stop = max(start, 0), min(stop, size)
    while stop - start > limit:
        at = min(start + limit + 2, size)
        while at > start and s[at - 1] != c"\n":
            at -= 1
        if at == start:
            return True
        start = at
    return False

cdef Py_ssize_t line_end(octets s, Py_ssize_t at, Py_ssize_t stop) noexcept:
    cdef octets found = <octets> memmem(s + at, stop - at, b"\r\n", 2)
    return stop if found == NULL else found - s + 2

def relaxed_body(bytes content not None, Py_ssize_t start):
    """Return the body that begins at `start` in relaxed form (twin: `dkim_sign.relaxed_body`)."""
    cdef octets s = <octets> PyBytes_AS_STRING(content)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(content), at = min(max(start, 0), size), length = 0, run
    cdef PyObject* body = PyBytes_FromStringAndSize(NULL, size - at + 2)
    cdef char* out = PyBytes_AS_STRING(<object> body)
    while at < size:
        run = changed_blank(s, at, size)
        memcpy(out + length, s + at, run - at)
        length += run - at
        at = run
        while at < size and (s[at] == c" " or s[at] == c"\t"):
            at += 1
        if at > run and at < size and not (s[at] == c"\r" and at + 1 < size and s[at + 1] == c"\n"):
            out[length] = c" "
            length += 1
    while length >= 2 and out[length - 1] == c"\n" and out[length - 2] == c"\r":
        length -= 2
    if length:
        memcpy(out + length, b"\r\n", 2)
        length += 2
    _PyBytes_Resize(&body, length)
    relaxed = <object> body
    Py_DECREF(relaxed)
    return relaxed

def is_relaxed_body(bytes content not None, Py_ssize_t start):
    """Return whether the body that begins at `start` surely is in relaxed form (twin: `dkim_sign.relaxed_body`)."""
    cdef octets s = <octets> PyBytes_AS_STRING(content)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(content), at = min(max(start, 0), size)
    if size - at < 3 or memcmp(s + size - 2, b"\r\n", 2) or (size - at >= 4 and memcmp(s + size - 4, b"\r\n", 2) == 0):
        return at == size
    return changed_blank(s, at, size) == size

def relaxed_header(bytes name not None, bytes value not None):
    """Return a header field in relaxed form (twin: `dkim_sign.relaxed_header`)."""
    cdef octets s = <octets> PyBytes_AS_STRING(value)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value), at = 0, begin = PyBytes_GET_SIZE(name) + 1, length = begin
    cdef bint blank = False
    cdef PyObject* field = PyBytes_FromStringAndSize(NULL, begin + size + 2)
    cdef char* out = PyBytes_AS_STRING(<object> field)
    copy_lower(out, <octets> PyBytes_AS_STRING(name), begin - 1)
    out[begin - 1] = c":"
    while at < size:
        if s[at] == c"\r" and at + 1 < size and s[at + 1] == c"\n":
            at += 2
            continue
        if s[at] == c" " or s[at] == c"\t":
            blank = True
        else:
            if blank and length > begin:
                out[length] = c" "
                length += 1
            blank = False
            out[length] = <char> s[at]
            length += 1
        at += 1
    memcpy(out + length, b"\r\n", 2)
    _PyBytes_Resize(&field, length + 2)
    relaxed = <object> field
    Py_DECREF(relaxed)
    return relaxed

cdef Py_ssize_t changed_blank(octets s, Py_ssize_t at, Py_ssize_t size) noexcept:
    """Return where the next blank is that relaxed form may change, the end without one."""
    while at + BLOCK < size and not may_hold_one(s + at):
        at += BLOCK
    while at < size:
        if s[at] == c"\t" or (s[at] == c" " and (at + 1 == size or s[at + 1] <= c" ")):
            return at
        at += 1
    return size

cdef enum: BLOCK = 32

cdef inline bint may_hold_one(octets s) noexcept:
    """Return whether a block has such a blank. Without branches, so that compilers look at many octets together."""
    cdef unsigned char found = 0
    cdef int at
    for at in range(BLOCK):
        found |= (s[at] == c"\t") | ((s[at] == c" ") & (s[at + 1] <= c" "))
    return found != 0

include "tokens.pxi"

cdef octets MIDDLE = b" HTTP/1.1\r\n"
cdef octets FORWARDED_FOR = b"x-forwarded-for: "

def split_request(bytes data not None, Py_ssize_t longest):
    """Return (is click, parts of the token, fields, X-Forwarded-For) of a request, None for another form (twin: `split_request_twin` of `tracker/fast_path.py`)."""
    cdef octets s = <octets> PyBytes_AS_STRING(data), space
    cdef Py_ssize_t end = PyBytes_GET_SIZE(data) - 4, begin, at, stop, next_line
    if not 18 <= end <= longest - 4 or memcmp(s + end, b"\r\n\r\n", 4) or memcmp(s, b"GET /", 5):
        return None
    if (s[5] != c"o" and s[5] != c"c") or s[6] != c"/":
        return None
    space = <octets> memchr(s + 7, c" ", end - 7)
    if space == NULL or s + end - space < 11 or memcmp(space, MIDDLE, 11):
        return None
    token = token_parts(s + 7, space - s - 7)
    if token is None:
        return None
    begin = next_line = space - s + 11
    while next_line < end:
        at, next_line = next_line, line_end(s, next_line, end)
        if is_forwarded_for(s + at, next_line - at):
            at += 17
            stop = next_line - 2 if next_line - at >= 2 and memcmp(s + next_line - 2, b"\r\n", 2) == 0 else next_line
            if is_visible(s, at, stop):
                return s[5] == c"c", token, joined(s + begin, at - begin, s + stop, end - stop), s[at:stop].decode("ascii")
    return s[5] == c"c", token, s[begin:end], ""

cdef bint is_forwarded_for(octets line, Py_ssize_t size) noexcept:
    cdef char[17] name
    if size < 17 or line[0] | 0x20 != c"x":
        return False
    copy_lower(name, line, 17)
    return memcmp(name, FORWARDED_FOR, 17) == 0

cdef bytes joined(octets first, Py_ssize_t size, octets second, Py_ssize_t more):
    both = <bytes> PyBytes_FromStringAndSize(NULL, size + more)
    Py_DECREF(both)
    memcpy(PyBytes_AS_STRING(both), first, size)
    memcpy(PyBytes_AS_STRING(both) + size, second, more)
    return both

cdef bint is_visible(octets s, Py_ssize_t at, Py_ssize_t end) noexcept:
    """Return whether the octets are visible characters and spaces, none of these at the ends."""
    if at >= end or s[at] == c" " or s[end - 1] == c" ":
        return False
    while at < end:
        if s[at] < 0x20 or s[at] > 0x7e:
            return False
        at += 1
    return True
