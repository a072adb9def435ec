"""Address lists as Postfix reads them: an address its `cleanup` sees in From was read, or the list was refused."""

import random

from tests.fuzz.postfix_reading import AT_ONCE, missed_addresses, values, written
from tests.servers.postfix import need_postfix


async def test_every_address_that_postfix_sees_is_read_or_the_list_is_refused() -> None:
    need_postfix()
    missed, seen = await missed_addresses(written() + values(random.Random(15), AT_ONCE))
    assert seen > 100
    assert missed == []
