import asyncio

from authz.budget import Budget
from authz.cards import NearCache
from authz.clock import ManualClock
from authz.privacy import Pan
from tests.support.engine import KEYS, NOON, OTHER_PAN, PAN, World, account, card


def test_a_card_is_found_once_and_kept_within_the_bound() -> None:
    async def story() -> None:
        world = World()
        await world.put_account(account(), 100)
        budget = Budget(ManualClock(NOON), 0.0, 1.0)
        cache = NearCache(2)
        keys = []
        for n in range(3):
            pan = f"999999000000{n:04}"
            await world.put_card(card(f"C{n}"), pan=pan)
            keys.append(KEYS.card_key(Pan(pan)))
            found = await cache.find(world.hot, keys[n], budget)
            assert found is not None
            assert found.card.card_id == f"C{n}"
        assert len(cache) == 2
        assert cache.get(keys[0]) is None
        assert cache.get(keys[2]) is not None

    asyncio.run(story())


def test_a_card_that_is_not_ours_is_not_remembered_as_such() -> None:
    async def story() -> None:
        world = await World().open_with()
        cache, budget = NearCache(2), Budget(world.clock, 0.0, 1.0)
        key = KEYS.card_key(Pan(OTHER_PAN))
        assert await cache.find(world.hot, key, budget) is None
        await world.put_card(card("C2"), pan=OTHER_PAN)
        assert await cache.find(world.hot, key, budget) is not None
        assert KEYS.card_key(Pan(PAN)) != key

    asyncio.run(story())
