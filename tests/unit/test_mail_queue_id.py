from collections.abc import Iterator

from relay.mail.queue_id import LENGTH, RANDOM_SPACE, KeyedNumbers, QueueIds, is_queue_id, queue_id, time_of


def test_ids_sort_by_time_of_arrival() -> None:
    times = [0.0, 0.001, 1.0, 1_790_000_000.0, 1_790_000_000.001, 32_000_000_000.0]
    ids = [queue_id(now, 7) for now in times]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)


def test_ids_of_one_millisecond_differ_by_serial() -> None:
    assert queue_id(5.0, 1) != queue_id(5.0, 2)
    assert queue_id(5.0, 1) == queue_id(5.0, 1 + RANDOM_SPACE)


def test_an_id_has_the_time_of_arrival() -> None:
    for now in (0.0, 1_790_000_000.001, 32_000_000_000.5):
        assert abs(time_of(queue_id(now, 7)) - now) < 0.002


def test_an_id_is_nine_digits_of_milliseconds_and_five_of_the_serial() -> None:
    assert queue_id(1_790_000_000.001, 12345) == "1M3250V0100C1S"
    assert queue_id(0.0, 0) == "0" * LENGTH
    assert queue_id(0.001, RANDOM_SPACE - 1) == "000000001ZZZZZ"


def test_an_id_is_recognised_by_its_form() -> None:
    one = queue_id(1_790_000_000.0, 12345)
    assert is_queue_id(one)
    assert len(one) == LENGTH
    assert not is_queue_id(one.lower())
    assert not is_queue_id(one[:-1])
    assert not is_queue_id(one[:-1] + "E")


def test_an_id_does_not_show_that_of_the_next_message() -> None:
    drawn: Iterator[int] = iter([7, 9, 9, 2, 7])
    new_id = QueueIds(lambda below: next(drawn) % below)
    ids = [new_id(at) for at in (5.0, 5.0, 5.0, 5.001)]
    assert ids == [queue_id(5.0, 7), queue_id(5.0, 9), queue_id(5.0, 2), queue_id(5.001, 7)], "9 is not used twice"


def test_keyed_numbers_are_spread_and_depend_on_the_key() -> None:
    one, same, other = KeyedNumbers(b"k" * 32), KeyedNumbers(b"k" * 32), KeyedNumbers(b"j" * 32)
    drawn = [one(8) for _ in range(800)]
    assert drawn == [same(8) for _ in range(800)]
    assert drawn != [other(8) for _ in range(800)]
    assert all(50 < drawn.count(number) < 150 for number in range(8))
