"""Looking at what networks have still to hear of our cards."""

import msgspec
from redis.asyncio import Redis

from authz.app.history import Plain
from authz.clock import utc
from authz.hot import keys
from authz.hot.outbox import Standing

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


def state_of(word: Standing) -> str:
    if not word.sealed:
        return "acknowledged"
    return "refused" if word.said else "told" if word.tries else "waiting"
