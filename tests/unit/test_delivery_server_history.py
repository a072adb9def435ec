"""What is remembered for a while."""

from relay.delivery.server_history import MAX_MEMBERS, ExpiringDict


def test_forgotten_after_its_time() -> None:
    now = 100.0
    memory = ExpiringDict[bool](60.0, lambda: now)
    memory.set("a", True)
    now = 159.9
    assert "a" in memory
    now = 160.0
    assert "a" not in memory


def test_adding_again_starts_the_time_anew_and_discarding_ends_it() -> None:
    now = 0.0
    memory = ExpiringDict[bool](60.0, lambda: now)
    memory.set("a", True)
    now = 50.0
    memory.set("a", True)
    now = 100.0
    assert "a" in memory
    memory.discard("a")
    memory.discard("never there")
    assert "a" not in memory


def test_the_oldest_make_room() -> None:
    memory = ExpiringDict[int](60.0, lambda: 0.0)
    for number in range(MAX_MEMBERS + 5):
        memory.set(str(number), number)
    assert "4" not in memory
    assert "5" in memory
