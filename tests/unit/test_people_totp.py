"""Codes of apps, by the vectors of the RFCs."""

import pytest

from relay.people.totp import app_link, code_of, secret_octets, secret_text, step_of

SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_vectors_of_rfc_6238_appendix_b(at: int, code: str) -> None:
    assert code_of(SECRET, at // 30) == code
    assert step_of(SECRET, code, at) == at // 30


def test_vectors_of_rfc_4226_appendix_d() -> None:
    expected = "755224 287082 359152 969429 338314 254676 287922 162583 399871 520489"
    assert [code_of(SECRET, count) for count in range(10)] == expected.split()


def test_a_clock_may_be_off_by_one_step() -> None:
    code = code_of(SECRET, 100)
    assert [step_of(SECRET, code, 30.0 * step) for step in range(98, 103)] == [None, 100, 100, 100, None]
    assert step_of(SECRET, f" {code[:3]} {code[3:]}\n", 3000.0) == 100


@pytest.mark.parametrize("code", ["", "28708", "2870821", "abcdef", "２８７０８２", "-87082"])
def test_other_texts_are_no_codes(code: str) -> None:
    assert step_of(SECRET, code, 59) is None


def test_apps_get_the_secret_as_base32_and_in_a_link() -> None:
    assert secret_text(SECRET) == "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    assert secret_octets(secret_text(SECRET)) == SECRET
    assert app_link(SECRET, "jane+x@acme.test", "relay mail.acme.test") == (
        "otpauth://totp/relay%20mail.acme.test:jane%2Bx@acme.test"
        "?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=relay%20mail.acme.test"
    )
