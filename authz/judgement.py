"""What engines judge by besides cards and accounts: lists, policy and rates, put in force together.

One set holds them, under one version that every shard's gate knows; every version is journalled
in every shard, so a decision can be explained by it.
"""

from collections.abc import Iterable

from redis.asyncio import Redis
from redis.exceptions import WatchError

from authz.hot import admin, keys
from authz.hot.errors import Cold, Full, HotStateError
from ledger.journal import ListsBody, encode_body
from rules.judge import POLICY, RATES, SHADOW, TEXTS, texts_of

TRIES = 32  # of a load of lists or a policy among others: each lost one is another's success


async def put_lists(
    client: Redis, entries: Iterable[tuple[str, str]], source: str
) -> tuple[int, bool]:
    """Make these blocklists the ones in force: kind (card, merchant, country) and value.

    They replace what was there; policy and rates stay. Returns the version, and whether the lists
    are other ones now. Raises: Cold, Full, HotStateError; redis.RedisError.
    """
    return await put_judgement(client, source, blocked=set(entries))


async def put_policy(client: Redis, text: str, source: str) -> tuple[int, bool]:
    """Make this policy the one in force, and none of "". It must have been checked; the lists stay.

    Returns and raises as `put_lists`.
    """
    return await put_judgement(client, source, policy={(POLICY, text)} if text else set())


async def put_shadow(client: Redis, text: str, source: str) -> tuple[int, bool]:
    """Let this policy judge beside the one in force and only count; none of "". As `put_policy`."""
    return await put_judgement(client, source, shadow={(SHADOW, text)} if text else set())


async def put_rates(client: Redis, text: str, source: str) -> tuple[int, bool]:
    """Make these reference rates the ones in force. They must have been checked.

    Returns and raises as `put_lists`.
    """
    return await put_judgement(client, source, rates={(RATES, text)})


async def policy_in_force(client: Redis) -> str:
    """Its text; "" where there is none."""
    return (await texts_in_force(client))[0]


async def texts_in_force(client: Redis) -> tuple[str, str]:
    """Of policy and rates; "" where there is none."""
    members: set[bytes] = await client.smembers(keys.LISTS)  # type: ignore[assignment]
    return texts_of(read_members(members)[1])


async def put_judgement(
    client: Redis,
    source: str,
    *,
    blocked: set[tuple[str, str]] | None = None,
    policy: set[tuple[str, str]] | None = None,
    shadow: set[tuple[str, str]] | None = None,
    rates: set[tuple[str, str]] | None = None,
) -> tuple[int, bool]:
    """What engines judge by besides cards and accounts, under one version: lists, policy, rates.

    The set is written first and its version into the gates afterwards, so a reader of the set is
    never behind a gate. Cut short, it is finished by running it again, or by whoever comes next:
    no version takes another's place before every shard's journal has it. Of two at once one
    begins anew, with what the other wrote.
    """
    run_id = await admin.run_id(client)
    for _ in range(TRIES):
        async with client.pipeline(transaction=True) as ours:
            await ours.watch(keys.LISTS)
            members: set[bytes] = await ours.smembers(keys.LISTS)  # type: ignore[assignment]
            version, present = read_members(members)
            newest = await to_the_gates(client, run_id, version, present, source)
            wanted = set[tuple[str, str]]()
            for new, kind in ((policy, POLICY), (shadow, SHADOW), (rates, RATES)):
                wanted |= {entry for entry in present if entry[0] == kind} if new is None else new
            others = {entry for entry in present if entry[0] not in TEXTS}
            wanted |= others if blocked is None else blocked
            if wanted == present and version:
                return version, False
            version = newest + 1
            ours.multi()  # type: ignore[no-untyped-call]
            ours.delete(keys.LISTS)
            ours.sadd(keys.LISTS, f"version:{version}", *(f"{k}:{v}" for k, v in wanted))
            try:
                await ours.execute()
            except WatchError:
                continue
        await to_the_gates(client, run_id, version, wanted, source)
        return version, True
    raise HotStateError("others put lists or policies in force all the time")


def read_members(members: Iterable[bytes]) -> tuple[int, set[tuple[str, str]]]:
    """The version of the set, 0 where there is none, and what is in force by it."""
    version, present = 0, set()
    for member in members:
        kind, _, value = member.decode().partition(":")
        if kind == "version":
            version = max(version, int(value))
        else:
            present.add((kind, value))
    return version, present


async def to_the_gates(
    client: Redis, run_id: str, version: int, entries: set[tuple[str, str]], source: str
) -> int:
    """Tell this version to the gates that are behind it. Returns the newest known anywhere: the
    set may be gone, and a version never comes twice."""
    async with client.pipeline(transaction=False) as gates:
        for shard in keys.ALL_SHARDS:
            gates.hget(keys.control(shard), "lists")
        seen = [int(one or 0) for one in await gates.execute()]
        body = encode_body(ListsBody(version, tuple(sorted(entries)), source))
        for shard, one in zip(keys.ALL_SHARDS, seen, strict=True):
            if one < version:
                gates.fcall(
                    "authz_put_lists", 2, keys.control(shard), keys.journal(shard),
                    run_id, version, body,
                )  # fmt: skip
        said = {reply[1].decode() for reply in await gates.execute()}
    if "cold" in said:
        raise Cold("a gate is closed")
    if "full" in said:
        raise Full("a journal is at its bound")
    if not said <= {"moved", "older"}:
        raise HotStateError("the gates gave no known answer")
    return max(version, *seen)
