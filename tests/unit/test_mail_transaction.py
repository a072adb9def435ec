import pytest

from relay.mail.transaction import Notify, Recipient


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ((), {"FAILURE", "DELAY"}),
        (("NEVER",), set()),
        (("SUCCESS",), {"SUCCESS"}),
        (("SUCCESS", "FAILURE"), {"SUCCESS", "FAILURE"}),
    ],
)
def test_a_report_is_wanted_as_asked_and_on_trouble_when_nothing_was(
    asked: tuple[Notify, ...], wanted: set[Notify]
) -> None:
    kinds: tuple[Notify, ...] = ("SUCCESS", "FAILURE", "DELAY")
    assert {kind for kind in kinds if Recipient("a@b.test", asked).requests_dsn(kind)} == wanted
