"""Contents that failed are remembered: the second failure is the last."""

from relay.render import failed_contents
from relay.render.failed_contents import FailedContents, key_of

KEY = key_of(b"From: a@x.test\r\n")


def test_a_content_is_tried_twice_each_way() -> None:
    failed = FailedContents()
    assert failed.reason(KEY, tracked=True) == ""
    failed.add(KEY, "no answer within 10 s", tracked=True)
    assert failed.reason(KEY, tracked=True) == ""
    failed.add(KEY, "the renderer ended", tracked=True)
    assert failed.reason(KEY, tracked=True) == "no answer within 10 s"
    assert failed.reason(KEY, tracked=False) == ""
    assert failed.reason(key_of(b"another"), tracked=True) == ""


def test_the_oldest_is_forgotten() -> None:
    failed = FailedContents()
    for number in range(failed_contents._MAX_CONTENTS + 1):
        for _ in range(failed_contents.TRIES):
            failed.add(key_of(str(number).encode()), "why", tracked=True)
    assert len(failed) == failed_contents._MAX_CONTENTS
    assert failed.reason(key_of(b"0"), tracked=True) == ""
    assert failed.reason(key_of(b"1"), tracked=True) == "why"
