"""Pieces of HTML and MIME from which messages are generated."""

from hypothesis import strategies as st

HTML_PIECES = st.sampled_from(
    [
        *"""<a href="https://x.test/?a=1&amp;b=2">|<a href=https://x.test/>|</a>|<A HREF = 'https://x.test/b'>|<p>|</p>
|<a title=">" href="https://x.test/c">|<a href='mailto:a@b.test'>|<!-- <a href=https://no.test/> -->|<!--|-->|<!-->
|<!--[if mso]><a href="https://x.test/m"><![endif]-->|<table>|<td>|</table>|<svg>|</svg>|<math>|<select>|</select>|<b>
|<style>|</style>|<script>|</script>|<title>|</title>|<template>|</template>|<noscript>|<pre>|<html>|<head>|</head>
|<body>|</body>|</html>|<![CDATA[|]]>|<|</|&amp;|&|"|'|=| |.|text|\u00e9|https://x.test/plain|https://t.acme.test/o/x
|\0|<area href="https://x.test/d">""".replace("\n|", "|").split("|"),
        "\r\n",
        "  \r\n",
        '<a\r\nhref\r\n=\r\n"https://x.test/e"\r\n>',
    ]
)

HTML = st.lists(HTML_PIECES, max_size=40).map("".join)

MIME_PIECES = st.sampled_from(
    [
        b"Content-Type: multipart/mixed; boundary=x\r\n",
        b'Content-Type: multipart/related; boundary="y"; start=<a>\r\n',
        b"Content-Type: text/html\r\n",
        b"Content-Type: text/html; charset=iso-2022-jp\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Transfer-Encoding: quoted-printable\r\n",
        b"DKIM-Signature: x\r\n",
        b'Content-Type: text/html; a="',
        b"<a href=https://x.test/>",
        b"PGEgaHJlZj1odHRwczovL3gudGVzdC8+\r\n",
        b"x" * 1100,
        b"\x1b$B<a\x1b(B",
        *b"--x\r\n|--x--\r\n|--y\r\n|--y--\r\n|=3D=\r\n|= \r\n|text \r\n| folded\r\n|\r\n|\n|\r|\xff\x00|(|)|;".split(
            b"|"
        ),
    ]
)
