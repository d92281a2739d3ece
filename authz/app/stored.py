"""What the store holds already of what files name. By redis-py's pipelines: no act, so no hurry
and no gate."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from redis.asyncio import Redis

from authz import profiles
from authz.hot import keys
from authz.privacy import Pan, PanKeys
from rules.facts import AccountProfile, CardProfile

STEP = 1000  # rows or keys compared with the store in one round trip


async def stored_accounts(client: Redis, ids: Sequence[str]) -> dict[str, AccountProfile | None]:
    packed = await ask(client, [("HGET", keys.account(id), "profile") for id in ids])
    return {
        id: None if one is None else profiles.read_account(one)
        for id, one in zip(ids, packed, strict=True)
    }


async def stored_cards(client: Redis, ids: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    calls = [("HEXISTS", keys.account(account), keys.card_field(card)) for account, card in ids]
    there = await ask(client, calls)
    return {id for id, found in zip(ids, there, strict=True) if found}


async def stored_profiles(
    client: Redis, ids: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], CardProfile]:
    """The cards that are there, by account and card id."""
    calls = [("HGET", keys.account(account), keys.card_field(card)) for account, card in ids]
    packed = await ask(client, calls)
    return {
        id: profiles.read_card(one.partition(b" ")[2])
        for id, one in zip(ids, packed, strict=True)
        if one is not None
    }


async def directory(
    client: Redis, pan_keys: PanKeys, pans: Sequence[Pan]
) -> dict[Pan, tuple[str, str] | None]:
    """Account and id of each card, None where the directory does not know it."""
    calls = [("HMGET", keys.directory(pan_keys.card_key(pan)), "account", "card") for pan in pans]
    found = await ask(client, calls)
    return {
        pan: None if account is None else (account.decode(), card.decode())
        for pan, (account, card) in zip(pans, found, strict=True)
    }


async def ids_of(client: Redis, pan_keys: PanKeys, pans: Sequence[Pan]) -> set[str]:
    """The ids of these cards: the directory's where it has one, else what they will get."""
    found: set[str] = set()
    for start in range(0, len(pans), STEP):
        some = pans[start : start + STEP]
        calls = [("HGET", keys.directory(pan_keys.card_key(pan)), "card") for pan in some]
        for pan, id in zip(some, await ask(client, calls), strict=True):
            found.add(pan_keys.card_id(pan) if id is None else id.decode())
    return found


async def stored_card_ids(client: Redis) -> AsyncIterator[set[str]]:
    """The ids of all cards in the directory, some at a time: what is not there is not found."""
    cursor: bytes | int | None = None
    while cursor is None or int(cursor) != 0:
        scan = ("SCAN", str(int(cursor or 0)), "MATCH", keys.directory("*"), "COUNT", str(STEP))
        [(cursor, page)] = await ask(client, [scan])
        ids = await ask(client, [("HGET", key.decode(), "card") for key in page])
        yield {id.decode() for id in ids if id is not None}


async def ask(client: Redis, calls: Sequence[tuple[str, ...]]) -> list[Any]:
    if not calls:
        return []
    async with client.pipeline(transaction=False) as pipeline:
        for call in calls:
            pipeline.execute_command(*call)
        return list(await pipeline.execute())
