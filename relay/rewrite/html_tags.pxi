# Where the tags of an HTML text, given in lower case, are. Twin: `html.py`. Not plain are tags and comments that
# are never completed, which the twin calls the end, and scripts, SVG and MathML.

cdef enum:  # what an octet is
    SPACE = 1, SLASH = 2, GREATER = 4, EQUALS = 8, QUOTE = 16, URL = 32, HOST = 64, LETTER = 128

cdef enum:  # what the name of a tag is
    LINK = 1, STRUCTURE = 2, RAW = 4, REFUSED = 8, HEAD = 16, HEAD_RAW = 32, FORMATTING = 64, FRAGILE = 128, CLOSED = 256
    SCOPE = 512

cdef enum:  # numbers of names; CONDITIONAL is a conditional comment, HIDDEN a link inside of one
    OTHER, A, AREA, BODY, HTML, FRAMESET, NOSCRIPT, TABLE, TEMPLATE, BR, CONDITIONAL, HIDDEN, UNNUMBERED

cdef struct Name:
    char text[12]
    int flags
    int next  # the next one with the same first letter and length, 0 for none

cdef unsigned char CLASS[256]
cdef Name NAMES[80]
cdef int FIRST[26 * 12]  # by first letter and length

cdef fill_tables():
    cdef int number, place
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    for flag, alphabet in (
        (SPACE, b"\t\n\f\r "), (SLASH, b"/"), (GREATER, b">"), (EQUALS, b"="), (QUOTE, b"\"'"), (LETTER, letters),
        (HOST, letters + b"0123456789_.-"), (URL, letters + b"0123456789_.~:/?#[]@!$&'()*+,;=-"),
    ):
        for octet in alphabet:
            CLASS[<int> octet] |= <int> flag
    groups = {
        LINK: b"a area".split(),
        STRUCTURE: b"a area applet audio body button details dialog frameset html marquee noscript object option picture"
        b" select table template video".split(),
        RAW: b"iframe noembed noframes style textarea title xmp".split(),
        REFUSED: b"math plaintext script svg".split(),
        HEAD: b"base basefont bgsound head html link meta noscript template".split(),
        HEAD_RAW: b"noframes style title".split(),
        FORMATTING: b"a b big code em font i nobr s small strike strong tt u".split(),
        FRAGILE: SURELY_CLOSED | NEVER_SURELY_CLOSED,
        CLOSED: SURELY_CLOSED,
        SCOPE: SCOPES,
    }
    numbered = b"a area body html frameset noscript table template br".split()
    others = sorted(frozenset().union(*groups.values()).difference(numbered))
    for number, name in [*enumerate(numbered, A), *enumerate(others, UNNUMBERED)]:
        place = (name[0] - 97) * 12 + len(name)
        memcpy(NAMES[number].text, PyBytes_AS_STRING(name), len(name))
        NAMES[number].flags = sum([flag for flag, names in groups.items() if name in names])
        NAMES[number].next = FIRST[place]
        FIRST[place] = number
    NAMES[HIDDEN].flags = LINK

fill_tables()

cdef int name_number(octets name, Py_ssize_t length) noexcept:
    cdef int number
    if length > 11:
        return OTHER
    number = FIRST[(name[0] - 97) * 12 + length]
    while number and memcmp(NAMES[number].text, name, length) != 0:
        number = NAMES[number].next
    return number

cdef struct Tag:
    int name
    bint closes
    Py_ssize_t start, attributes, end
    bint has_href
    Py_ssize_t href, href_end  # the value of the first href, -1 without one

cdef struct Run:  # octets that follow each other in the text and in its quoted-printable body
    int32_t text, body  # where they begin; the last one may be an escape

cdef class Html:
    """An HTML part: its body as it came, its text, the same in lower case, its tags, and what goes out."""

    cdef octets body, letters  # the letters are those of `lower`
    cdef bytes text, lower
    cdef Py_ssize_t body_size, size, count, room, at, column
    cdef Run* runs  # of a quoted-printable body, NULL where nothing is encoded
    cdef Py_ssize_t run_count
    cdef Tag* tags
    cdef list pieces

    def __dealloc__(self):
        PyMem_Free(self.runs)
        PyMem_Free(self.tags)

    cdef int add(self, Tag* tag) except -1:
        cdef Tag* moved
        if self.count == self.room:
            self.room = 2 * self.room or 128
            moved = <Tag*> PyMem_Realloc(self.tags, self.room * sizeof(Tag))
            if moved == NULL:
                raise MemoryError
            self.tags = moved
        self.tags[self.count] = tag[0]
        self.count += 1
        return 0

cdef inline Py_ssize_t find(octets s, unsigned char octet, Py_ssize_t at, Py_ssize_t end) noexcept:
    cdef octets found = <octets> memchr(s + at, octet, end - at)
    return -1 if found == NULL else found - s

cdef inline bint begins(octets s, Py_ssize_t at, Py_ssize_t end, const char* text, Py_ssize_t length) noexcept:
    return at + length <= end and memcmp(s + at, text, length) == 0

cdef inline Py_ssize_t after_space(octets s, Py_ssize_t at, Py_ssize_t end) noexcept:
    while at < end and CLASS[s[at]] & SPACE:
        at += 1
    return at

cdef Py_ssize_t read_attribute(octets s, Py_ssize_t at, Py_ssize_t end, Tag* tag) noexcept:
    """Return the offset behind the attribute, -1 when it is never completed; keep the value of the first href."""
    cdef Py_ssize_t stop = at + 1, value, behind
    cdef bint is_href
    while stop < end and not CLASS[s[stop]] & (SPACE | SLASH | GREATER | EQUALS):
        stop += 1
    is_href = not tag.has_href and stop - at == 4 and memcmp(s + at, b"href", 4) == 0
    tag.has_href |= is_href

    value = after_space(s, stop, end)
    if value >= end or s[value] != c"=":
        return stop if value < end else -1
    value = after_space(s, value + 1, end)
    if value >= end or s[value] == c">":
        return value if value < end else -1

    if CLASS[s[value]] & QUOTE:
        stop = find(s, s[value], value + 1, end)
        if stop < 0:
            return -1
        value += 1
        behind = stop + 1
    else:
        stop = value + 1
        while stop < end and not CLASS[s[stop]] & (SPACE | GREATER):
            stop += 1
        behind = stop
    if is_href:
        tag.href = value
        tag.href_end = stop
    return behind

cdef bint read_tag(octets s, Py_ssize_t at, Py_ssize_t end, Tag* tag) noexcept:
    """Read the tag that begins at `at`; False when it is never completed."""
    cdef Py_ssize_t name
    tag.start = at
    tag.closes = s[at + 1] == c"/"
    at = name = at + 1 + tag.closes
    while at < end and not CLASS[s[at]] & (SPACE | SLASH | GREATER):
        at += 1
    tag.name = name_number(s + name, at - name)
    tag.attributes = at
    tag.has_href = False
    tag.href = tag.href_end = -1
    while 0 <= at < end and s[at] != c">":
        at = at + 1 if CLASS[s[at]] & (SPACE | SLASH) else read_attribute(s, at, end, tag)
    tag.end = at + 1
    return 0 <= at < end

cdef Py_ssize_t comment_end(octets s, Py_ssize_t at, Py_ssize_t end) noexcept:
    """Return the offset behind the comment, -1 when it is never completed. `<!-->` and `<!--->` are comments."""
    cdef Py_ssize_t dash = find(s, c"-", at + 2, end)
    while dash >= 0:
        if begins(s, dash, end, b"-->", 3):
            return dash + 3
        if dash >= at + 4 and begins(s, dash, end, b"--!>", 4):
            return dash + 4
        dash = find(s, c"-", dash + 1, end)
    return -1

cdef Py_ssize_t raw_end(octets s, Tag* tag, Py_ssize_t end) noexcept:
    """Return where the closing tag of this raw text begins, -1 when there is none or it is never completed."""
    cdef Py_ssize_t at = tag.end, length = tag.attributes - tag.start - 1
    cdef Tag closing
    while True:
        at = find(s, c"<", at, end)
        if at < 0 or at + 2 + length >= end:
            return -1
        if (s[at + 1] == c"/" and memcmp(s + at + 2, s + tag.start + 1, length) == 0
                and CLASS[s[at + 2 + length]] & (SPACE | SLASH | GREATER)):
            return at if read_tag(s, at, end, &closing) else -1
        at += 1

cdef enum:
    UNFINISHED, TAG, COMMENT, PASSED

cdef int read_markup(octets s, Py_ssize_t at, Py_ssize_t end, Tag* tag) noexcept:
    """Read what the "<" at `at` begins; `tag.end` is the offset behind it."""
    cdef unsigned char following = s[at + 1] if at + 1 < end else 0
    if CLASS[following] & LETTER or (following == c"/" and at + 2 < end and CLASS[s[at + 2]] & LETTER):
        return TAG if read_tag(s, at, end, tag) else UNFINISHED
    tag.start = at
    if begins(s, at, end, b"<!--", 4):
        tag.end = comment_end(s, at, end)
        return COMMENT if tag.end > 0 else UNFINISHED
    if following == c"!" or following == c"?" or following == c"/":
        tag.end = find(s, c">", at, end) + 1
        return PASSED if tag.end > 0 else UNFINISHED
    tag.end = at + 1
    return PASSED

cdef bint scan(Html html, Py_ssize_t at, Py_ssize_t end, bint hidden) except -1:
    """Collect the tags of a range; False when it is not plain. Hidden in a comment, only links matter."""
    cdef octets s = html.letters
    cdef Tag tag
    cdef int kind, flags
    at = find(s, c"<", at, end)
    while at >= 0:
        kind = read_markup(s, at, end, &tag)
        at = tag.end
        if kind == UNFINISHED or (kind == COMMENT and hidden):
            return False
        if kind == COMMENT and begins(s, after_space(s, tag.start + 4, end), end, b"[if", 3):
            if not scan_conditional(html, &tag):
                return False
        elif kind == TAG:
            flags = NAMES[tag.name].flags
            if flags & REFUSED:
                return False
            if flags & RAW and not tag.closes:
                at = raw_end(s, &tag, end)
                if at < 0:
                    return False
            elif hidden:
                if not tag.closes and (flags & LINK or begins(s, tag.start + 1, tag.attributes, b"v:", 2)):
                    tag.name = HIDDEN
                    html.add(&tag)
            elif flags & STRUCTURE and not (tag.closes and (tag.name == AREA or tag.name == FRAMESET)):
                html.add(&tag)
        at = find(s, c"<", at, end)
    return True

cdef bint scan_conditional(Html html, Tag* comment) except -1:
    """Collect a conditional comment, and before it the links in it that Outlook finds (twin: `conditional_comment_tags`)."""
    cdef octets s = html.letters
    cdef Py_ssize_t start = find(s, c"]", comment.start + 4, comment.end) + 1, end = comment.end - 3
    if s[end] == c"-" and s[end + 1] == c"!":
        end -= 1
    while end > start and CLASS[s[end - 1]] & SPACE:
        end -= 1
    end -= 9
    if (start and end >= start and memcmp(s + end, b"<![endif]", 9) == 0
            and memmem(s + start, end - start, b"href", 4) != NULL and not scan(html, start, end, True)):
        return False
    comment.name = CONDITIONAL
    comment.closes = False
    comment.href = -1
    html.add(comment)
    return True

cdef Py_ssize_t content_start(octets s, Py_ssize_t end) noexcept:
    """Return where the first content of the body begins, or its `<body>`; -1 when that is not plain."""
    cdef Py_ssize_t at = 0
    cdef Tag tag
    cdef int kind, flags
    while True:
        at = after_space(s, at, end)
        if begins(s, at, end, b"\xef\xbb\xbf", 3):
            at += 3
            continue
        if at == end or s[at] != c"<":
            return at
        kind = read_markup(s, at, end, &tag)
        flags = NAMES[tag.name].flags if kind == TAG and not tag.closes else HEAD
        if kind == UNFINISHED or flags & REFUSED:
            return -1
        if not flags & (HEAD | HEAD_RAW) or (kind == TAG and tag.name == BR) or (kind == PASSED and tag.end == at + 1):
            return at
        at = tag.end
        if flags & HEAD_RAW:
            at = raw_end(s, &tag, end)
            if at < 0:
                return -1
            at = find(s, c">", at, end) + 1
