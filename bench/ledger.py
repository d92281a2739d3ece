"""The ledger's writer: how many authorizations a second reach the books, and how fast a lag ends.

The journal is filled by a process of its own with entries as the functions write them: one real
approval is made, and its envelope and body are written again with other ids and amounts, so that
the bench measures the writer and not the engine. Entries, accounts, chains and commits are as in
the product (`appendfsync always`, synchronous commits, every trigger).

  drain   so many approvals wait; the writer drains them, and nothing else runs
  burst   they come at 1.15 times the rate that the writer holds beside whoever fills the journal,
          for so many seconds; then nothing comes, until the lag is zero
"""

import asyncio
import gc
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any

import asyncpg
import hiredis
import msgspec
import uvloop

from authz.app.books import FOR_BOOKS
from authz.app.embedded.postgres import EmbeddedPostgres
from authz.app.embedded.valkey import EmbeddedValkey
from authz.hot import admin, keys
from authz.hot.resp import connect as connect_to_store
from authz.hot.store import RedisHotState
from bench import hot as bench_hot
from bench.machine import (
    cpu_seconds,
    family_seconds,
    publish,
    rss_mb,
    this_machine,
    valkey_version,
)
from ledger.database import connect, migrate
from ledger.journal import BODY, ENVELOPE, RECORD, Envelope
from ledger.source import Source
from ledger.writer import GC_THRESHOLDS, Settings, Writer

STREAMS = {int(shard): keys.journal(shard) for shard in keys.ALL_SHARDS}
ENTRIES, SECONDS = 120_000, 60.0
OVER = 1.15
PAGE = 500  # entries in one pipeline of the filler
LOOK_S = 0.1
ACCOUNTS = 20_000  # in play: some come again within a batch, most do not

SCATTER = 0x9E37_79B9_7F4A_7C15  # odd, so no two numbers below 2**64 meet

pack = msgspec.msgpack.Encoder().encode


class Counted:
    """Hears the lanes; keeps what they wrote."""

    def __init__(self) -> None:
        self.entries = self.postings = self.batches = 0
        self.failures: list[str] = []

    def wrote(self, entries: int, postings: int, parked: int, seconds: float) -> None:
        assert parked == 0
        self.entries += entries
        self.postings += postings
        self.batches += 1

    def failed(self, what: str) -> None:
        self.failures.append(what)

    def owns(self, lane: int, shards: int) -> None: ...


def run(json_path: str | None, entries: int = ENTRIES, seconds: float = SECONDS) -> dict[str, Any]:
    """Measure, print a table, return the figures."""
    with tempfile.TemporaryDirectory(prefix="authz-bench-") as parent:
        os.chmod(parent, 0o711)  # the database's own account must reach its folder, under root
        with (
            EmbeddedValkey.start() as store,
            EmbeddedPostgres.start(Path(parent) / "books", settings=FOR_BOOKS) as postgres,
        ):
            figures, version = uvloop.run(measure(store, postgres, entries, seconds))
    answer = figures | {
        "durability": "always",
        "machine": this_machine(valkey=version, durability="always"),
    }
    publish(answer, table(answer), json_path)
    return answer


async def measure(
    store: EmbeddedValkey, postgres: EmbeddedPostgres, entries: int, seconds: float
) -> tuple[dict[str, Any], str]:
    gc.set_threshold(*GC_THRESHOLDS)  # as `authz settle` has it
    sample = await a_real_approval(store.url)
    connection = await connect(postgres.dsn)
    await migrate(connection)
    await connection.close()
    heard = Counted()
    await fill(store, sample, "open", 0, 0)
    await Writer(store.url, postgres.dsn, STREAMS, Settings(), heard).run(once=True)

    await fill(store, sample, "all", 0, entries)
    await checkpoint(postgres.dsn)
    drained = await drain(store, postgres, heard)
    figures: dict[str, Any] = {
        "per_s": entries / drained["seconds"],
        "postings_per_s": drained["postings"] / drained["seconds"],
        "entries": entries,
        "writer_us": drained["writer_s"] / entries * 1e6,
        "store_us": drained["store_s"] / entries * 1e6,
        "postgres_us": drained["postgres_s"] / entries * 1e6,
        "rss_mb": rss_mb(os.getpid()),
    }
    if seconds:
        figures |= await burst(store, postgres, sample, heard, entries, seconds)
    return figures, await valkey_version(store.url)


async def drain(
    store: EmbeddedValkey, postgres: EmbeddedPostgres, heard: Counted
) -> dict[str, float]:
    postings = heard.postings
    started, mine = monotonic(), cpu_seconds(os.getpid()) or 0.0
    theirs, database = cpu_seconds(store.pid) or 0.0, family_seconds(postgres.pid)
    await Writer(store.url, postgres.dsn, STREAMS, Settings(), heard).run(once=True)
    assert not heard.failures, heard.failures
    return {
        "seconds": monotonic() - started,
        "postings": heard.postings - postings,
        "writer_s": (cpu_seconds(os.getpid()) or 0.0) - mine,
        "store_s": (cpu_seconds(store.pid) or 0.0) - theirs,
        "postgres_s": family_seconds(postgres.pid) - database,
    }


async def burst(
    store: EmbeddedValkey, postgres: EmbeddedPostgres, sample: bytes, heard: Counted,
    first: int, seconds: float,
) -> dict[str, Any]:  # fmt: skip
    """Fed faster than it writes; then how long until the lag is zero."""
    writer = Writer(store.url, postgres.dsn, STREAMS, Settings(), heard)
    running = asyncio.create_task(writer.run())
    source = Source(store.url, STREAMS)
    try:
        # Its rate beside whoever fills: fed without a pause for a while.
        feeder = asyncio.create_task(fill(store, sample, "all", first, first))
        await asyncio.sleep(1.0)
        before, started = heard.entries, monotonic()
        await feeder
        held = (heard.entries - before) / (monotonic() - started)
        await until_drained(source)
        rate = held * OVER
        memory = rss_mb(os.getpid())
        most = 0
        feeder = asyncio.create_task(
            fill(store, sample, "all", 2 * first, int(rate * seconds), rate)
        )
        started = monotonic()
        while not feeder.done():
            await asyncio.sleep(0.5)
            most = max(most, (await source.lag())[0])
        fed, ended = monotonic() - started, monotonic()
        await until_drained(source)
        assert not heard.failures, heard.failures
        return {
            "held_per_s": held,
            "burst_per_s": int(rate * seconds) / fed,
            "burst_s": fed,
            "lag_max": most,
            "drained_s": monotonic() - ended,
            "rss_before_burst_mb": memory,
            "rss_after_burst_mb": rss_mb(os.getpid()),
        }
    finally:
        writer.stop()
        await running
        await source.close()


async def until_drained(source: Source) -> None:
    while (await source.lag())[0]:  # noqa: ASYNC110 - nothing tells it
        await asyncio.sleep(LOOK_S)


async def checkpoint(dsn: str) -> None:
    """So that what was written before is not written out in the middle of the measurement."""
    connection: asyncpg.Connection = await connect(dsn)
    await connection.execute("CHECKPOINT")
    await connection.close()


async def a_real_approval(url: str) -> bytes:
    """One account and one purchase by the functions: their entries, as patterns for all others."""
    client = admin.administrator(url)
    await admin.install(client)
    run_id = await admin.open_gates(client, new=True, source="bench")
    connection = await connect_to_store(url)
    state = RedisHotState()
    state.attach(connection, run_id)
    accounts, cards = await bench_hot.open_accounts(state)
    act = next(bench_hot.make_acts(accounts, cards))
    await state.authorize(act, 10.0)
    rows: Any = await client.xrange(keys.journal(keys.shard_of(act.account_id)))
    kinds = {msgspec.msgpack.decode(fields[ENVELOPE])[1]: fields for _, fields in rows}
    connection.close()
    await client.aclose()
    return pack([
        [kinds[kind][ENVELOPE], kinds[kind][BODY], kinds[kind].get(RECORD, b"")]
        for kind in ("account", "authorization")
    ])  # fmt: skip


# -- the process that fills the journal --------------------------------------------------


async def fill(
    store: EmbeddedValkey, sample: bytes, what: str, first: int, many: int, rate: float = 0
) -> None:
    """Run this module as that process. Raises: RuntimeError."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.ledger", str(store.socket), sample.hex(), what, str(first),
        str(many), str(rate),
    )  # fmt: skip
    if await child.wait():
        raise RuntimeError("the journal could not be filled")


def accounts_of(pattern: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    envelope = msgspec.msgpack.decode(pattern[0], type=Envelope)
    for number in range(ACCOUNTS):
        id = f"L{number:07d}"
        profile = pack([id, "classic", "840", 0, "UTC", "active"])
        body = pack(["account", msgspec.Raw(profile), envelope.posted_delta, "bench"])
        packed = pack(msgspec.structs.replace(envelope, account_id=id, message_id=id))
        yield id, [ENVELOPE, packed, BODY, body]


def approvals_of(
    pattern: list[bytes], first: int, now_ms: int
) -> Iterator[tuple[str, list[bytes]]]:
    """Holds of 1.00, each account's in turn; so its balance tells how many it had before."""
    flat = msgspec.msgpack.decode(pattern[0])
    record = msgspec.msgpack.decode(pattern[2])
    for number in count(first):
        account = f"L{number % ACCOUNTS:07d}"
        id = f"{number * SCATTER % 2**64:022x}"  # real ids are digests: in no order
        flat[2] = flat[3] = id
        flat[4] = account
        flat[9], flat[10] = 0, 100
        flat[11], flat[12] = bench_hot.PLENTY_MINOR, 100 * (number // ACCOUNTS + 1)
        flat[13] = now_ms + number // 10_000
        record[6], record[7][0] = id, number  # so that it is no other's
        yield account, [ENVELOPE, pack(flat), BODY, pattern[1], RECORD, pack(record)]


def filling(path: str, sample: bytes, what: str, first: int, many: int, rate: float) -> None:
    """Over a plain socket, a page at a time: it must not be what is measured."""
    account, approval = msgspec.msgpack.decode(sample)
    if what == "open":
        entries = accounts_of(account)
    else:
        entries = islice(approvals_of(approval, first, first_ms()), many)
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(path)
        reader = hiredis.Reader()
        started, sent = monotonic(), 0
        while some := list(islice(entries, PAGE)):
            link.sendall(
                b"".join(
                    hiredis.pack_command(
                        ("XADD", keys.account_keys(id)[3], "*", *fields)  # type: ignore[arg-type]
                    )
                    for id, fields in some
                )
            )
            for _ in some:
                while (reply := reader.gets()) is False:
                    reader.feed(link.recv(65_536))
                assert isinstance(reply, bytes), reply
            sent += len(some)
            if rate:
                sleep(max(started + sent / rate - monotonic(), 0))


def first_ms() -> int:
    return int(time() * 1000)


def table(answer: dict[str, Any]) -> Iterator[str]:
    waiting = f"{answer['entries']:,} approvals waiting"
    yield f"{waiting}, drained by one writer of {Settings().lanes} lanes"
    rows = [
        ("authorizations a second", f"{answer['per_s']:,.0f}"),
        ("postings a second", f"{answer['postings_per_s']:,.0f}"),
        ("writer, µs each", f"{answer['writer_us']:.1f}"),
        ("Postgres, µs each", f"{answer['postgres_us']:.1f}"),
        ("store, µs each", f"{answer['store_us']:.1f}"),
        ("writer's memory, MB", f"{answer['rss_mb']:.0f}"),
    ]
    if "drained_s" in answer:
        rows += [
            ("a second, beside whoever fills", f"{answer['held_per_s']:,.0f}"),
            (f"burst, a second for {answer['burst_s']:.0f} s", f"{answer['burst_per_s']:,.0f}"),
            ("largest lag, entries", f"{answer['lag_max']:,}"),
            ("lag zero again after, s", f"{answer['drained_s']:.1f}"),
            ("memory before and after, MB",
             f"{answer['rss_before_burst_mb']:.0f} {answer['rss_after_burst_mb']:.0f}"),
        ]  # fmt: skip
    for name, value in rows:
        yield f"  {name:<34}{value:>14}"


if __name__ == "__main__":
    where, packed, kind, start, number, pace = sys.argv[1:]
    filling(where, bytes.fromhex(packed), kind, int(start), int(number), float(pace))
