# Tokens of URLs. Twins: `rewrite/token_parts.py`.

cdef octets BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
cdef octets QUEUE_DIGITS = b"0123456789ABCDFGHJKLMNPQRSTVWXYZ"

cdef signed char[256] VALUE_OF
memset(VALUE_OF, -1, 256)
cdef int _place
for _place in range(64):
    VALUE_OF[BASE64[_place]] = _place

def base64url(bytes data not None):
    """Return the octets in base64url without padding (twin: `base64url_twin` of `token_parts.py`)."""
    cdef octets s = <octets> PyBytes_AS_STRING(data)
    cdef Py_ssize_t size = PyBytes_GET_SIZE(data), at, length = 0
    cdef unsigned int held
    text = <object> PyBytes_FromStringAndSize(NULL, (4 * size + 2) // 3)
    Py_DECREF(text)
    cdef char* out = PyBytes_AS_STRING(text)
    for at in range(0, size - 2, 3):
        held = s[at] << 16 | s[at + 1] << 8 | s[at + 2]
        out[length] = BASE64[held >> 18]
        out[length + 1] = BASE64[held >> 12 & 63]
        out[length + 2] = BASE64[held >> 6 & 63]
        out[length + 3] = BASE64[held & 63]
        length += 4
    if size % 3:
        held = s[size - 1] << 16 if size % 3 == 1 else s[size - 2] << 16 | s[size - 1] << 8
        out[length] = BASE64[held >> 18]
        out[length + 1] = BASE64[held >> 12 & 63]
        if size % 3 == 2:
            out[length + 2] = BASE64[held >> 6 & 63]
    return text

def read_url_token(str text not None):
    """Return (MAC, protected octets, queue id, number, target, is compressed) of a URL token, None for another form (twin: `read_url_token_twin` of `token_parts.py`)."""
    cdef Py_ssize_t size
    cdef octets letters
    if not text.isascii():
        return None
    letters = <octets> PyUnicode_AsUTF8AndSize(text, &size)
    return token_parts(letters, size)

cdef object token_parts(octets letters, Py_ssize_t size):
    """Return what `read_url_token` returns."""
    cdef Py_ssize_t at, length, used, width
    cdef unsigned char* s
    cdef unsigned int held = 0, number = 0, left
    cdef int value, bits = 0
    cdef char[14] digits
    length = size * 3 // 4
    if size % 4 == 1 or length <= 26:
        return None
    data = <object> PyBytes_FromStringAndSize(NULL, length)
    Py_DECREF(data)
    s = <unsigned char*> PyBytes_AS_STRING(data)
    used = 0
    for at in range(size):
        value = VALUE_OF[letters[at]]
        if value < 0:
            return None
        held = (held << 6 | <unsigned int> value) & 0xFFFF
        bits += 6
        if bits >= 8:
            bits -= 8
            s[used] = (held >> bits) & 0xFF
            used += 1
    if held & ((1 << bits) - 1):
        return None
    # Behind 16 octets of MAC and one of the key's tag: 72 bits, of which one is unused and one marks compression.
    if s[17] & 0x80:
        return None
    at, bits, left = 17, 6, s[17] & 0x3F
    for width in range(14):
        if bits < 5:
            at += 1
            left = (left << 8 | s[at]) & 0xFFFF
            bits += 8
        bits -= 5
        digits[width] = QUEUE_DIGITS[(left >> bits) & 31]
    for width in range(4):
        if 26 + width >= length:
            return None
        number |= <unsigned int> (s[26 + width] & 0x7F) << 7 * width
        if s[26 + width] < 0x80:
            break
    else:
        return None
    if width and not s[26 + width] or (s[17] & 0x40 and 27 + width == length):
        return None
    return data[:16], data[16:], digits[:14].decode("ascii"), number, data[27 + width :], (s[17] & 0x40) != 0
