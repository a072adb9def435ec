# Which links may be tracked. Twins: `links.py` and `link_rules.py`.

cdef enum:
    TRACKED, UNTRACKED, UNSURE, MAX_URL = 4000

cdef enum: MAX_TEXT = 512

cdef struct Hint:
    const char* text
    Py_ssize_t length
    unsigned char second
    int next  # the next one with the same first octet, -1 for none

cdef Hint HINTS[512]
cdef int FIRST_HINT[3][256]  # of texts, of URLs, and of sensitive paths, by first octet
cdef list KEPT = []  # the texts of HINTS

cdef fill_hints():
    cdef int count = 0, kind, octet
    stems = [stem.encode() for stem in STEMS]
    for kind, hints in enumerate(((*ASCII_HINTS, *UTF8_HINTS, REFERENCE, ESCAPE), (*ASCII_HINTS, *PERCENT_HINTS), stems)):
        for octet in range(256):
            FIRST_HINT[kind][octet] = -1
        for hint in hints:
            KEPT.append(hint)
            octet = hint[0]
            HINTS[count] = Hint(PyBytes_AS_STRING(hint), len(hint), hint[1], FIRST_HINT[kind][octet])
            FIRST_HINT[kind][octet] = count
            count += 1

fill_hints()

cdef bint has_hint(int kind, octets lower, Py_ssize_t at, Py_ssize_t end) noexcept:
    """Return whether a text, URL or path in lower case has one of the hints."""
    cdef int number
    while at + 1 < end:
        number = FIRST_HINT[kind][lower[at]]
        while number >= 0:
            if HINTS[number].second == lower[at + 1] and begins(lower, at, end, HINTS[number].text, HINTS[number].length):
                return True
            number = HINTS[number].next
        at += 1
    return False

cdef bint may_say_unsubscribe(octets lower, Py_ssize_t at, Py_ssize_t end, bint legacy) noexcept:
    """Return whether the text of a link is to be examined by the twin (twins: `text_says_unsubscribe`, `MAX_TEXT`)."""
    if at >= end or end - at > MAX_TEXT:
        return False
    if has_hint(0, lower, at, end):
        return True
    while legacy and at < end:
        if lower[at] > 127:
            return True
        at += 1
    return False

cdef inline bint is_digit(unsigned char octet) noexcept:
    return c"0" <= octet <= c"9"

cdef inline int hex_digit(unsigned char octet) noexcept:
    if c"0" <= octet <= c"9":
        return octet - c"0"
    if c"a" <= octet | 0x20 <= c"f":
        return (octet | 0x20) - c"a" + 10
    return -1

cdef Py_ssize_t authority_end(octets url, octets lower, Py_ssize_t size) noexcept:
    """Return where the path of a plain URL begins, -1 when it may not be one (twins: `_PLAIN`, `is_refused`)."""
    cdef Py_ssize_t host, at = 5 if lower[4] == c"s" else 4
    if not begins(lower, at, size, b"://", 3):
        return -1
    host = at = at + 3
    while at < size and CLASS[url[at]] & HOST:
        if is_digit(url[at]) and (at == host or url[at - 1] == c"."):
            return -1
        at += 1
    if at == host or url[host] == c"." or url[host] == c"-":
        return -1
    if at < size and url[at] == c":":
        host = at = at + 1
        while at < size and is_digit(url[at]):
            at += 1
        if not 1 <= at - host <= 5:
            return -1
    return at if at == size or url[at] == c"/" or url[at] == c"?" or url[at] == c"#" else -1

cdef bint is_plain(octets url, Py_ssize_t at, Py_ssize_t size) noexcept:
    """Return whether a path is all characters of a URL, the only character reference in it `&amp;`."""
    while at < size:
        if url[at] == c"&":
            if not begins(url, at, size, b"&amp;", 5):
                return False
        elif url[at] == c"%":
            if at + 2 >= size or hex_digit(url[at + 1]) < 0 or hex_digit(url[at + 2]) < 0:
                return False
        elif not CLASS[url[at]] & URL:
            return False
        at += 1
    return True

cdef bint may_hold_a_secret(octets path, Py_ssize_t size) noexcept:
    """Return whether there is a code or a run in a path that nobody would write by hand (twin: `is_sensitive`)."""
    cdef Py_ssize_t at, digits = 0, run = 0
    cdef bint behind_sign = False
    cdef unsigned char octet
    for at in range(size):
        octet = path[at]
        digits = digits + 1 if is_digit(octet) and (digits or behind_sign) else 0
        behind_sign = octet == c"=" or octet == c"/"
        run = run + 1 if CLASS[octet] & HOST or octet == c"~" or octet == c"%" or octet == c"+" else 0
        if digits >= 4 or run >= 16:
            return True
    return False

cdef bint has_space(octets url, Py_ssize_t size) noexcept:
    """Return whether a URL is surely not plain, because a space in it is kept: what follows is no reference."""
    cdef Py_ssize_t at = find(url, c" ", 0, size)
    while 0 <= at < size - 1:
        if CLASS[url[at + 1]] & URL and url[at + 1] != c"&":
            return True
        at = find(url, c" ", at + 1, size)
    return False

cdef int classify_link(octets url, octets lower, Py_ssize_t size) noexcept:
    """Return what surely becomes of a link with this attribute value, UNSURE for the twin to say."""
    cdef Py_ssize_t at
    if size == 0 or size > MAX_URL or url[0] <= 0x20:
        return UNSURE
    if not begins(lower, 0, size, b"http", 4):
        for at in range(size):
            if url[at] == c"&" or url[at] > 126 or url[at] < 0x20:
                return UNSURE
        return UNSURE if memcmp(lower, b"http", min(size, 4)) == 0 else UNTRACKED
    at = authority_end(url, lower, size) if size > 7 else -1
    if at < 0 or not is_plain(url, at, size):
        return UNTRACKED if has_space(url, size) else UNSURE
    if has_hint(1, lower, 0, size) or (has_hint(2, lower, at, size) and may_hold_a_secret(url + at, size - at)):
        return UNSURE
    return TRACKED

cdef object link_target(Html html, Tag* tag, Py_ssize_t text_end, Rules rules):
    """Return the target when the link is tracked, None when it is not; what is not sure is put to the twin."""
    cdef Py_ssize_t size = tag.href_end - tag.href
    cdef octets url = <octets> PyBytes_AS_STRING(html.text) + tag.href
    cdef int verdict = classify_link(url, html.letters + tag.href, size)
    cdef bytes target
    if verdict == UNTRACKED:
        return None
    if verdict == TRACKED and not rules.always_unsure and not (
        memmem(html.letters + tag.attributes, tag.end - tag.attributes, b"track", 5) != NULL
        or may_say_unsubscribe(html.letters, tag.end, text_end, rules.legacy)
        or (rules.skip_visible_urls and text_end > tag.end and find(url - tag.href, c".", tag.end, text_end) >= 0)
    ):
        target = PyBytes_FromStringAndSize(<const char*> url, size)
        if find(url, c"&", 0, size) >= 0:
            target = target.replace(b"&amp;", b"&")
        if target not in rules.unsubscribe:
            return target
    return rules.classify(html.text, html.lower, tag.attributes, tag.end, text_end)
