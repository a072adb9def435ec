"""Vendor header fields that were written badly, in any spelling, or all in one mail."""

import time
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.mail.dialects.table import ALL_RULES, DIALECTS, dialect_of, read_instructions
from relay.mail.headers import fields, without
from relay.mail.instructions import InstructionError
from tests.unit.dialect_parts import CONTEXT, ignored, read, smtpapi


class TestHostileJson:
    """X-SMTPAPI as nobody should write it. It is read, or refused for good: a temporary reply would be retried."""

    @pytest.mark.parametrize("depth", [21, 500, *range(700, 1000, 50), 1_000, 5_000, 30_000])
    @pytest.mark.parametrize("key", ["sub", "unique_args", "category", "to"])
    def test_what_is_nested_too_deeply_is_refused(self, key: str, depth: int) -> None:
        with pytest.raises(InstructionError, match="X-SMTPAPI: not JSON: nested too deeply"):
            read(f'X-SMTPAPI: {{"{key}": {"[" * depth}1{"]" * depth}}}')

    @pytest.mark.parametrize(
        ("value", "why"),
        [
            ('{"unique_args": {"a": 1e999}}', "1e999 is too large"),
            ('{"send_at": -1e400}', "-1e400 is too large"),
            ('{"send_at": ' + "9" * 5_000 + "}", "Exceeds the limit"),
            ('{"unique_args": {"a": -Infinity}}', "-Infinity is no number"),
            ('{"unknown": {"a": {"b": "\\udfff"}}}', "a character that is no text"),
            ('{"filters": {"\\ud800": {"settings": {}}}}', "a character that is no text"),
            ('{"filters": {"footer": {"settings": {"\\u0000": 1}}}}', "a character that is no text"),
            ('{"a": 1} {"b": 2}', "Extra data at character 10"),
            ("{'a': 1}", "Expecting property name"),
            ("", "Expecting value at character 1"),
        ],
    )
    def test_a_value_that_no_later_step_can_use_is_refused(self, value: str, why: str) -> None:
        with pytest.raises(InstructionError) as caught:
            read(f"X-SMTPAPI: {value}")
        assert why in str(caught.value)

    @pytest.mark.parametrize("value", [[], {}, None, "x", 1.5, [[]], [{}], {"a": [1]}, True, 2**70])
    @pytest.mark.parametrize("key", ["enable", "enable_text", "replace", "email", "text/html"])
    @pytest.mark.parametrize("name", ["clicktrack", "opentrack", "subscriptiontrack", "bcc", "dkim"])
    def test_a_setting_of_any_type_is_read_or_ignored(self, name: str, key: str, value: object) -> None:
        smtpapi({"filters": {name: {"settings": {"enable": 1, key: value}}}})

    def test_of_a_key_that_stands_twice_the_last_applies(self) -> None:
        assert read('X-SMTPAPI: {"unique_args": {"a": 1, "a": 2}, "category": "x", "category": "y"}').tags == ("y",)

    def test_thousands_of_ignored_requests_are_recorded_as_their_number(self) -> None:
        found = smtpapi({f"key{n}": 1 for n in range(3_000)})
        assert len(found.ignored) == 51
        assert ignored(found)[-1] == "X-SMTPAPI: 2950 more requests are ignored"
        assert ignored(smtpapi({"category": [1] * 3_000})) == ["X-SMTPAPI category: not text"]
        assert len(ignored(smtpapi({"filters": {"x" * 9_000: 1}}))[0]) < 100

    def test_a_field_above_the_size_is_refused(self) -> None:
        with pytest.raises(InstructionError, match="X-SMTPAPI: the field is larger than 64 KiB"):
            smtpapi({"unique_args": {"a": "x" * 70_000}})


class TestEverySpelling:
    """Case, folds, encoded words and repetitions make no difference to what a field means."""

    def test_names_have_no_case(self) -> None:
        for name in ("X-SMTPAPI", "x-smtpapi", "X-Smtpapi", "X-SMTPAPI\t"):
            assert read(f'{name}: {{"category": "a"}}').tags == ("a",)

    def test_folds_between_tokens_and_a_fold_at_the_begin_change_nothing(self) -> None:
        assert read('X-SMTPAPI:\r\n {"category":\r\n\t["a",\r\n "b"]}').tags == ("a", "b")

    def test_encoded_words_are_decoded_before_the_json_is_read(self) -> None:
        words = [f"=?utf-8?B?{b64encode(part).decode()}?=" for part in ('{"category": "Mä'.encode(), b'rz"}')]
        assert read("X-SMTPAPI: " + "\r\n ".join(words)).tags == ("März",)
        assert read("X-PM-Tag: =?iso-8859-1?Q?M=E4rz?=").tags == ("März",)

    def test_repeated_fields_are_collected_or_the_first_applies(self) -> None:
        found = read(
            "X-Mailgun-Tag: a", "X-PM-Tag: b", "x-mailgun-tag: a", 'X-SMTPAPI: {"category": "c"}', "X-SMTPAPI: {"
        )
        assert found.tags == ("c", "a", "b")
        assert ignored(found) == ["X-SMTPAPI: a second X-SMTPAPI is ignored"]
        found = read("X-Mailgun-Track: no", "X-Mailgun-Track: yes", "X-MJ-CustomID: 1", "X-MJ-CustomID: 2")
        assert (found.opens, found.clicks, found.metadata) == (False, "off", {"custom_id": "1"})


OTHER_FIELDS = (
    *(b"Subject: x\r\n", b"X-MailgunTag: y\r\n", b"DKIM-Signature: v=1;\r\n\tb=\r\n", b"x-mailer :\xff\xfe\r\n"),
    *(b"no field\r\n", b"X-Metadata2: z\r\n", b"X-Mailgun-Sid: 7\r\n", b"X-SES-Outgoing: 1\r\n"),
)

ALL_AT_ONCE = (
    b'X-SMTPAPI: {"category": "s",\r\n "unique_args": {"k": "1"}}\r\n',
    b"X-Mailgun-Tag: m\r\n",
    b"x-pm-tag:p\r\nX-PM-Metadata-Order: 7\r\n",
    b'X-MSYS-API: {"tags": ["y"]}\r\n',
    b"X-MC-Tags: c, d\r\n",
    b"X-SES-MESSAGE-TAGS: e=f\r\n",
    b"X-MJ-CustomID: j\r\nX-Mailjet-Campaign: news\r\n",
    b"X-MT-Category: t\r\n",
    b"X-Postal-Tag: q\r\nX-AMP: skip\r\n",
    b"X-Tag: =?utf-8?Q?g=C3=B6?=\r\n",
)


@given(st.permutations(ALL_AT_ONCE), st.data())
def test_of_one_mail_with_all_dialects_every_octet_outside_of_their_fields_stays(
    given_fields: list[bytes], data: st.DataObject
) -> None:
    others = data.draw(st.lists(st.sampled_from(OTHER_FIELDS), min_size=len(given_fields), max_size=len(given_fields)))
    body = data.draw(st.binary(max_size=40)).replace(b"\r", b"").replace(b"\n", b"\r\n")
    content = b"".join(b"".join(pair) for pair in zip(others, given_fields, strict=True)) + b"\r\n" + body
    found = fields(content)
    read = read_instructions(content, found, ALL_RULES, CONTEXT)
    assert read.dialects == tuple(one for one in DIALECTS)
    assert sorted(read.tags) == sorted(["s", "m", "p", "y", "c", "d", "t", "q", "gö"])
    assert (read.opens, read.clicks) == (False, "off")
    kept = without(content, [one for one in found if dialect_of(one.name)])
    assert kept == b"".join(others) + b"\r\n" + body


def test_a_word_that_only_looks_encoded_stays_as_it_is() -> None:
    assert read("X-Tag: =?no-such-charset?B?AAAA?=", "X-Tag: =?utf-8?B?4oKs?=").tags == (
        "=?no-such-charset?B?AAAA?=",
        "€",
    )


def test_blanks_in_tags_take_linear_time() -> None:
    """A field of 20 KB of blanks took eight seconds, in which no other thread ran."""
    started = time.process_time()
    for blanks in (" " * 20_000, "\r\n " * 6_000):
        assert read(f"X-SES-MESSAGE-TAGS: a = b{blanks}, c{blanks}= d").metadata == {"a": "b", "c": "d"}
        with pytest.raises(InstructionError):
            read(f"X-SES-MESSAGE-TAGS: a = b{blanks}c")
    assert time.process_time() - started < 3.0
