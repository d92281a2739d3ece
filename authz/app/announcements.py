"""Looking at what networks have still to hear of our cards, and dropping it."""

import msgspec
from redis.asyncio import Redis

from authz.app.history import Plain
from authz.clock import utc
from authz.hot import keys
from authz.hot.outbox import Standing, Taken
from authz.hot.store import RedisHotState
from authz.wire.networks import NETWORKS

DROPPED = "dropped"
TIMEOUT_S = 5.0
_standing = msgspec.msgpack.Decoder(Standing).decode


async def look_at_announcements(client: Redis, acknowledged: bool) -> list[Plain]:
    """One row for each network and card, the oldest first; without the sealed number."""
    async with client.pipeline(transaction=False) as pipeline:
        for shard in keys.ALL_SHARDS:
            pipeline.hgetall(keys.outbox(shard))
        shelves = await pipeline.execute()
    found = []
    for shelf in shelves:
        for field, packed in shelf.items():
            network, _, card_id = field.decode().partition("/")
            word = _standing(packed)
            if word.sealed or acknowledged:
                found.append((word.since, network, card_id, word))
    return [
        {
            "network": network,
            "card_id": card_id,
            "code": word.code,
            "state": state_of(word),
            "tries": word.tries,
            "since": utc(since * 1000).isoformat(),
            "last_answer": word.said,
        }
        for since, network, card_id, word in sorted(found, key=lambda row: row[:3])
    ]


async def drop_announcements(
    client: Redis, state: RedisHotState, card_id: str, network: str | None, source: str
) -> list[str]:
    """Tell no network any more what waits to be told of this card; or not this one.

    Returns the networks. What a network was told before stands there. Raises: HotStateError.
    """
    async with client.pipeline(transaction=False) as pipeline:
        for shard in keys.ALL_SHARDS:
            for name in NETWORKS:
                pipeline.hget(keys.outbox(shard), f"{name}/{card_id}")
        found = await pipeline.execute()
    places = [(shard, name) for shard in keys.ALL_SHARDS for name in NETWORKS]
    dropped = []
    for (shard, name), packed in zip(places, found, strict=True):
        if packed is None or network not in (None, name):
            continue
        e = _standing(packed)
        word = Taken(card_id, e.token, e.code, e.sealed, e.tries, e.since, e.said)
        said = await state.settle_word(shard, name, word, DROPPED, DROPPED, TIMEOUT_S, source)
        if said == DROPPED:
            dropped.append(name)
    return dropped


def state_of(word: Standing) -> str:
    if not word.sealed:
        return DROPPED if word.said == DROPPED else "acknowledged"
    return "refused" if word.said else "told" if word.tries else "waiting"
