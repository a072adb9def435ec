# From the encoded part to its text and back. Twins: `encoding.py`, and `_quoted` of `message.py`.

cdef const char* HEX_DIGITS = b"0123456789ABCDEF"
cdef enum: QP_LINE = 76

cdef bytes decode_quoted(Html html):
    """Return the text of a quoted-printable body, and keep its runs; None when it is not plain."""
    cdef PyObject* made = new_bytes(NULL, html.body_size)
    cdef Py_ssize_t length = decode_into(html, PyBytes_AS_STRING(<object> made))
    _PyBytes_Resize(&made, max(length, 0))
    text = <bytes> made
    Py_DECREF(text)
    return None if length < 0 else text

cdef Py_ssize_t decode_into(Html html, char* out) noexcept:
    """Decode the body, and return the length of its text, -1 when it is not plain."""
    cdef octets body = html.body
    cdef Py_ssize_t at = 0, length = 0, size = html.body_size, end, high, low
    while True:
        html.runs[html.run_count] = Run(<int32_t> length, <int32_t> at)
        html.run_count += 1
        end = find(body, c"=", at, size)
        end = size if end < 0 else end
        memcpy(out + length, body + at, end - at)
        length += end - at
        at = end + 3
        if end == size:
            return length
        if at > size:
            return -1
        if body[end + 1] == c"\r" and body[end + 2] == c"\n":
            continue
        high = hex_digit(body[end + 1])
        low = hex_digit(body[end + 2])
        if high < 0 or low < 0:
            return -1
        out[length] = <char> (high << 4 | low)
        length += 1

cdef bytes quote(octets text, Py_ssize_t size, Py_ssize_t* column, Py_ssize_t rest):
    """Return the text in quoted-printable, begun at `column`, which becomes the column behind it."""
    cdef bytes quoted = PyBytes_FromStringAndSize(NULL, 4 * size + 16)
    cdef char* out = PyBytes_AS_STRING(quoted)
    cdef Py_ssize_t at, length = 0, left = 0, room, width
    for at in range(size):
        left += 1 if is_safe(text[at]) else 3
    at = 0
    while left:
        room = left if column[0] + left + rest <= QP_LINE else max(QP_LINE - 1 - column[0], 0)
        if left == size - at:  # nothing needs an escape
            width = min(room, left)
            memcpy(out + length, text + at, width)
            length += width
            column[0] += width
            room -= width
            left -= width
            at += width
        while left and at < size:
            width = 1 if is_safe(text[at]) else 3
            if width > room:
                break
            length = put(out, length, text[at], width == 3)
            column[0] += width
            room -= width
            left -= width
            at += 1
        if left or column[0] + rest > QP_LINE:
            memcpy(out + length, b"=\r\n", 3)
            length += 3
            column[0] = 0
            if left and text[at] == c".":
                length = put(out, length, c".", True)
                column[0] = 3
                left -= 1
                at += 1
    return quoted[:length]

cdef inline bint is_safe(unsigned char octet) noexcept:
    return 0x20 <= octet <= 0x7e and octet != c"="

cdef inline Py_ssize_t put(char* out, Py_ssize_t at, unsigned char octet, bint escaped) noexcept:
    if not escaped:
        out[at] = <char> octet
        return at + 1
    out[at] = c"="
    out[at + 1] = HEX_DIGITS[octet >> 4]
    out[at + 2] = HEX_DIGITS[octet & 15]
    return at + 3

cdef splice(Html html, Py_ssize_t start, Py_ssize_t end, bytes text):
    """Put a text in the place of this range of the decoded text; the ranges come in order."""
    cdef Py_ssize_t encoded, line, rest
    if html.runs != NULL:
        encoded = encoded_end(html, end)
        start = encoded if start == end else origin(html, start)
        end = encoded
        line = start
        while line > html.at and html.body[line - 1] != c"\n":
            line -= 1
        html.column = start - line + (html.column if line == html.at else 0)
        rest = line_end(html.body, end, html.body_size) - end
        text = quote(<octets> PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text), &html.column, rest)
    html.pieces.append(html.body[html.at : start])
    html.pieces.append(text)
    html.at = end

cdef Py_ssize_t origin(Html html, Py_ssize_t offset) noexcept:
    """Return where the octet of the text at this offset begins in the body."""
    cdef Py_ssize_t first = 0, last = html.run_count - 1, middle
    while first < last:
        middle = (first + last + 1) // 2
        if html.runs[middle].text <= offset:
            first = middle
        else:
            last = middle - 1
    return html.runs[first].body + offset - html.runs[first].text

cdef Py_ssize_t encoded_end(Html html, Py_ssize_t offset) noexcept:
    """Return where the octet before this offset ends in the body, before any soft line break."""
    cdef Py_ssize_t at = origin(html, offset - 1) if offset else 0
    return 0 if not offset else at + 3 if html.body[at] == c"=" else at + 1

cdef Py_ssize_t line_end(octets body, Py_ssize_t at, Py_ssize_t size) noexcept:
    """Return where the line ends that `at` is in, before its CRLF."""
    cdef Py_ssize_t end = find(body, c"\r", at, size)
    while 0 <= end < size - 1 and body[end + 1] != c"\n":
        end = find(body, c"\r", end + 1, size)
    return end if 0 <= end < size - 1 else size
