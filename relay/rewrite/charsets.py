"""Names of character sets in which HTML can be read as ASCII. Offsets of tags and links are the same in octets."""

import re
from encodings.aliases import aliases
from functools import lru_cache

_PATTERN = re.compile(
    r"(?:us-)?ascii|ansi.*|utf-?8|iso[-_]?8859(?:[-_]?\d+)?(?::\d{4})?(?:-[ie])?|latin-?\d+|l(?:[1-9]|10)|"
    r"(?:windows|cp)[-_]?(?:125\d|874)|(?:cp|ibm)-?(?:367|437|775|819|85\d|86[0-35-9])|cs(?:ascii|isolatin\w+|utf8|koi8r)|"
    r"koi8-?\w+|(?:x-)?mac.*|tis-?620|iso-?ir-?\d+|euc-?(?:jp|kr|cn|tw)|gb2312|gbk|gb-?18030|big5(?:-hkscs)?|"
    r"ks_c_5601-1987|cp949|cp936|cp950|cp932|windows-31j|windows-949|windows-936|shift[_-]?jis|x?-?s-?jis|viscii|"
    r"unknown-8bit|x-unknown|x-user-defined|default(?:_charset)?"
)

_CODEC = re.compile(
    r"ascii|utf_8(?:_sig)?|latin_1|iso8859_\d+|koi8_[rtu]|kz1048|ptcp154|hp_roman8|tis_620|mac_\w+|"
    r"cp(?:437|720|737|775|85[0-8]|86[0-35-9]|874|932|949|950|1125|125\d)|"
    r"gb2312|gbk|gb18030|big5(?:hkscs)?|euc_\w+|shift_jis\w*"
)
"""Codecs of Python where an ASCII octet is an ASCII character, or the second octet of one and none of <>"'=&/."""

_MORE = re.compile(
    r"(?:cp|ibm|ccsid)00858|cp65001|ksc5601(?:1989)?|iso10646utf8|unicode11utf8|utf8mb[34]|gb231280|euctw|windows(?:31j|932)|"
    r"eucpkdfmtjapanese|extendedunixcodepackedformatforjapanese"
)
"""Names of IANA, of Windows and of databases for which Python has no alias, without punctuation."""

_WINDOWS = re.compile(r"\Awin(125\d|874)")

_PUNCTUATION = re.compile(r"[^a-z0-9]+")

_PREFIX = re.compile(r"\A(?:x|cs)+")
"""What IANA and vendors put in front of a name: csUTF8, x-gbk."""


def _plain(name: str) -> str:
    return _PUNCTUATION.sub("", name)


_NAMES = frozenset(_plain(name) for name in {*aliases, *aliases.values()} if _CODEC.fullmatch(aliases.get(name, name)))
"""Names of these codecs, without punctuation."""


@lru_cache(maxsize=256)
def is_ascii_based(charset: str) -> bool:
    """Whether HTML in this lower-case charset can be read as ASCII."""
    if _PATTERN.fullmatch(charset):
        return True
    name = _WINDOWS.sub(r"windows\1", _plain(charset))
    return any(one in _NAMES or _MORE.fullmatch(one) for one in (name, _PREFIX.sub("", name, count=1)))
