# Where the pixel may stand. Twin: `pixel.py`.

cdef enum: LOOK_BACK = 64

cdef struct Open:
    int name
    Py_ssize_t start

cdef class OpenElements:
    """The fragile elements open at a place, outermost first (twin: `_Open`)."""

    cdef Open* elements
    cdef Py_ssize_t depth

    def __cinit__(self, Py_ssize_t room):
        self.elements = <Open*> PyMem_Malloc((room + 1) * sizeof(Open))
        if self.elements == NULL:
            raise MemoryError

    def __dealloc__(self):
        PyMem_Free(self.elements)

    cdef void opened(self, int name, Py_ssize_t start) noexcept:
        cdef Py_ssize_t place
        if name == A:
            for place in range(max(self.depth - LOOK_BACK, 0), self.depth):
                if self.elements[place].name == A:
                    return
        self.elements[self.depth] = Open(name, start)
        self.depth += 1

    cdef void closed(self, int name) noexcept:
        cdef Py_ssize_t place = self.depth - 1, last = max(self.depth - LOOK_BACK, 0)
        cdef int other
        if not NAMES[name].flags & CLOSED:
            return
        while place >= last:
            other = self.elements[place].name
            if other == name:
                self.depth = place
                return
            if other == A or other == TEMPLATE or name == A:
                return
            if NAMES[other].flags & SCOPE and name != TABLE and name != TEMPLATE:
                return
            place -= 1

cdef Py_ssize_t pixel_position(Html html, bint at_start):
    """Return the offset for the pixel, -1 where there is none or the place is not plain."""
    cdef Py_ssize_t start = content_start(html.letters, html.size), at_body = -1, at_html = -1, at_end = -1, at, i
    cdef bint in_body = False
    cdef OpenElements is_open = OpenElements(html.count)
    cdef Tag* tag
    if start < 0:
        return -1
    for i in range(html.count):
        tag = &html.tags[i]
        if tag.name == CONDITIONAL or tag.name == HIDDEN:
            continue
        if tag.closes:
            if tag.name == BODY:
                at_body = -1 if is_open.depth else tag.start
            elif tag.name == HTML:
                at_html = -1 if is_open.depth else tag.start
            else:
                is_open.closed(tag.name)
        elif NAMES[tag.name].flags & FRAGILE:
            if tag.name != NOSCRIPT or tag.start >= start:
                is_open.opened(tag.name, tag.start)
        elif tag.name == FRAMESET:
            return -1
        elif tag.name == BODY and tag.start == start:
            start = tag.end
            in_body = True

    if start >= html.size and not in_body:
        return -1
    if at_start:
        return start
    if not is_open.depth:
        at_end = text_end(html)
    at = at_body if at_body >= start else at_html if at_html >= start else at_end
    if at < start:
        at = before_fragile(is_open, start, in_body)
    return -1 if at < 0 else before_formatting(html, at, start)

cdef Py_ssize_t text_end(Html html):
    """Return the end of the text before its trailing white space, -1 behind a `<pre>` that swallows a line end."""
    text = html.lower.rstrip(b"\r\n\t ")
    cdef Py_ssize_t end = len(text), last = max(text.rfind(b"<"), 0)
    return -1 if begins(html.letters, last, end, b"<pre", 4) or begins(html.letters, last, end, b"<listing", 8) else end

cdef Py_ssize_t before_fragile(OpenElements is_open, Py_ssize_t start, bint in_body):
    """Return the place before the outermost open element, -1 when it may stand in the head or there is none."""
    cdef Open* outermost = is_open.elements
    if not is_open.depth or outermost.start < start:
        return -1
    return outermost.start if in_body or outermost.start > start or not NAMES[outermost.name].flags & HEAD else -1

cdef Py_ssize_t before_formatting(Html html, Py_ssize_t at, Py_ssize_t start):
    """Return the place before formatting elements that open right at `at`, -1 when that is not plain."""
    cdef octets s = html.letters
    cdef Py_ssize_t boundary = start, run_start, run_end, i, p
    cdef Tag tag
    cdef int kind
    if at <= start or s[at - 1] != c">":
        return at
    for i in range(html.count - 1, -1, -1):
        if html.tags[i].end <= at and html.tags[i].name != HIDDEN:
            boundary = max(start, html.tags[i].end)
            break
    run_start = run_end = boundary
    p = find(s, c"<", boundary, at)
    while p >= 0:
        kind = read_markup(s, p, at, &tag)
        p = tag.end
        if kind == UNFINISHED:
            return -1
        if kind == TAG and not tag.closes:
            if NAMES[tag.name].flags & (RAW | REFUSED):
                return -1
            if NAMES[tag.name].flags & FORMATTING:
                if tag.start != run_end or run_end <= boundary:
                    run_start = tag.start
                run_end = tag.end
        p = find(s, c"<", p, at)
    return run_start if run_end == at else at
