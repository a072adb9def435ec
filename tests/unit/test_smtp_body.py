import asyncio
from pathlib import Path

from relay.smtp.body import Body, BodyLimits, BodyPool
from relay.submission.content_replies import HAS_NUL, STORAGE_FULL, too_large

BOUNDS = BodyLimits(body_memory=100, memory=1000, received=10_000, handed_over=500)


def new_body(pool: BodyPool, limit: int = 5000) -> Body:
    return Body(pool, limit, refuse_nul=True)


async def test_a_small_body_stays_in_memory(tmp_path: Path) -> None:
    pool = BodyPool(tmp_path / "never made", BOUNDS)
    body = new_body(pool)
    await body.write(b"a" * 50)
    await body.write(b"b" * 50)
    assert await body.content() == b"a" * 50 + b"b" * 50
    assert (pool.received, pool.in_memory) == (100, 100)
    body.close()
    assert (pool.received, pool.in_memory) == (0, 0)


async def test_a_large_body_leaves_memory_and_is_whole_again(tmp_path: Path) -> None:
    pool = BodyPool(tmp_path, BOUNDS)
    body = new_body(pool)
    blocks = [bytes([number]) * 30 for number in range(1, 100)]
    for block in blocks:
        await body.write(block)
        assert pool.in_memory <= 130
    assert await body.content() == b"".join(blocks)
    assert list(tmp_path.iterdir()) == []
    body.close()
    assert (pool.received, pool.in_memory) == (0, 0)


async def test_after_a_fault_everything_is_given_back_and_nothing_kept(tmp_path: Path) -> None:
    pool = BodyPool(tmp_path, BOUNDS)
    faults = {too_large(150): [b"a" * 90, b"b" * 90], HAS_NUL: [b"a" * 120, b"\0"]}
    for fault, blocks in faults.items():
        body = new_body(pool, limit=150)
        for block in blocks:
            await body.write(block)
        await body.write(b"more")
        assert body.fault == await body.content() == fault
        assert (pool.received, pool.in_memory) == (0, 0)
        body.close()
        assert pool.received == 0


async def test_all_bodies_together_have_a_bound(tmp_path: Path) -> None:
    pool = BodyPool(tmp_path, BOUNDS)
    bodies = [new_body(pool) for _ in range(3)]
    for body in bodies:
        await body.write(b"x" * 4000)
    assert [body.fault for body in bodies] == [None, None, STORAGE_FULL]
    assert pool.received == 8000
    for body in bodies:
        body.close()


async def test_bodies_are_handed_over_in_turn_and_the_largest_gets_its_turn(tmp_path: Path) -> None:
    pool = BodyPool(tmp_path, BOUNDS)
    order: list[int] = []
    gates = {size: asyncio.Event() for size in (300, 900, 100)}

    async def hand_over(size: int) -> None:
        await pool.acquire_memory(size)
        order.append(size)
        await gates[size].wait()
        pool.release_memory(size)

    tasks = [asyncio.create_task(hand_over(size)) for size in gates]
    await asyncio.sleep(0)
    assert (order, pool.handed_over) == ([300], 300)
    gates[300].set()
    await tasks[0]
    await asyncio.sleep(0)
    assert (order, pool.handed_over) == ([300, 900], 900)
    for gate in gates.values():
        gate.set()
    await asyncio.gather(*tasks)
    assert (order, pool.handed_over) == ([300, 900, 100], 0)


async def test_a_turn_that_came_to_a_cancelled_body_goes_on(tmp_path: Path) -> None:
    pool = BodyPool(tmp_path, BOUNDS)
    await pool.acquire_memory(900)
    first, second = asyncio.create_task(pool.acquire_memory(900)), asyncio.create_task(pool.acquire_memory(900))
    await asyncio.sleep(0)
    pool.release_memory(900)
    first.cancel()
    await second
    assert pool.handed_over == 900
    pool.release_memory(900)
    assert pool.handed_over == 0
