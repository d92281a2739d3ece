"""The disaster drill: servers are killed under load, their folders destroyed, and all is had again.

Three disasters, one after the other, on an engine that runs through all of them while a network
sends to it:

  copies  both are lost; both come from copies, that of the hot state the later one; nothing is
          rebuilt: the store is audited, and the books read again what they lack
  store   the hot state is lost, and the books are in step: `authz rebuild`
  both    both are lost; the books come from a base backup, the hot state is rebuilt from them

The recovery point is counted at the network: approvals that it was told, and that are nowhere
afterwards. The recovery time runs from the kill to the first moment at which the engine is ready.
"""

import asyncio
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import msgspec
import uvloop
from msgspec import Struct

from authz.audit import audit_store
from authz.clock import SystemClock, utc
from authz.hot import admin, keys
from authz.simulator import network
from authz.simulator.link import Link, Manners
from authz.simulator.report import Report
from bench.ground import SEED, Ground, ground
from bench.machine import publish, this_machine, valkey_version
from ledger.database import connect
from ledger.journal import AuthorizationBody, Body
from ledger.verify import verify

# A network that goes on: it repeats what got no answer for a while, and dials again at once.
MANNERS = Manners(answer_timeout_s=1.0, repeats_max=3, reconnect_max_s=0.2)
ON_THE_WAY_S = 0.1  # after the kill: answers that were given before it, and are not read yet

Disaster = Literal["store", "both", "copies"]
Key = tuple[str, str, str]  # DE 7, 11 and 32 of an authorization

read_body = msgspec.msgpack.Decoder(Body).decode


class Order(Struct, frozen=True, kw_only=True):
    """What is asked of a drill."""

    rate: float = 300.0  # messages a second, throughout
    cards: int = 2000
    seconds: float = 6.0  # of traffic before each step: the backup, the copy, the kill


def run(order: Order, json_path: str | None) -> int:
    """Hold it, print what came of it; 0 where everything was had again, else 1."""
    with tempfile.TemporaryDirectory(prefix="authz-drill-") as scratch:
        Path(scratch).chmod(0o711)  # the database's own account must reach its folder, under root
        answer = uvloop.run(hold(order, Path(scratch)))
    publish(answer, table(answer), json_path)
    return 0 if answer["ok"] else 1


async def hold(order: Order, folder: Path) -> dict[str, Any]:
    async with ground(folder, order.cards) as here:
        disasters = [
            await strike(here, order, "copies"),
            await strike(here, order, "store"),
            await strike(here, order, "both"),
        ]
        version = await valkey_version(here.valkey.url)
    return {
        "ok": all(found["ok"] for found in disasters),
        "disasters": disasters,
        "durability": "always",
        "machine": this_machine(seed=SEED, valkey=version, durability="always"),
        "asked": order,
    }


async def strike(here: Ground, order: Order, what: Disaster) -> dict[str, Any]:
    """One disaster, under load, and what came of it."""
    clock, report, stopped = SystemClock(), Report(), asyncio.Event()
    links = [Link("127.0.0.1", here.engine.port, clock, MANNERS) for _ in range(2)]
    for link in links:
        await link.open()
    sending = asyncio.create_task(
        network.run(
            iter(here.traffic), links, order.rate, 3600.0, clock, report=report, grace_s=5.0,
            stop=stopped.is_set,
        )
    )  # fmt: skip
    try:
        found = await fall(here, order, what, report)
        await asyncio.sleep(order.seconds / 2)  # it goes on
        stopped.set()
        await sending
    finally:
        stopped.set()
        for link in links:
            await link.close()
    await here.drained()
    there = await in_the_books(here.postgres.dsn)
    told = approvals(report)
    lost = told - there
    before: set[Key] = found.pop("told_before")
    found |= {
        "approved_before": len(before),
        "lost": len(lost),
        "lost_of_before": len(lost & before),
        "approved_after": len(told - before),
        **await agree(here, what),
    }
    found["ok"] = (
        found["audit_differences"] == 0 and found["books_ok"] and found["approved_after"] > 0
        # What was told after the recovery is there; before it, what the backup had is.
        and found["lost"] == found["lost_of_before"] and (what != "store" or not lost)
    )  # fmt: skip
    return found


async def fall(here: Ground, order: Order, what: Disaster, report: Report) -> dict[str, Any]:
    """Backups, the kill, the recovery; in the middle of the traffic."""
    backup = copy = None
    await asyncio.sleep(order.seconds)
    if what != "store":
        backup_at = monotonic()
        backup = await asyncio.to_thread(here.back_up_books)
        await asyncio.sleep(order.seconds)
    if what == "copies":
        backup_at = monotonic()  # what counts is the later one
        copy = await asyncio.to_thread(here.copy_store)
        await asyncio.sleep(order.seconds)
    if what == "store":
        # Books are in step only where nothing comes any more: the engine stands still until then.
        os.kill(here.engine.pid, signal.SIGSTOP)
        await here.drained()
        backup_at = monotonic()
    killed = monotonic()
    here.stop_writer()
    here.destroy_store()
    if what == "store":
        os.kill(here.engine.pid, signal.SIGCONT)
    await asyncio.sleep(ON_THE_WAY_S)
    told = approvals(report)
    if what != "store":
        here.destroy_books()
    steps: dict[str, float] = {}
    if backup is not None:
        await asyncio.to_thread(here.restore_books, backup)
        steps["books_s"] = monotonic() - killed
    await asyncio.to_thread(here.restore_store, copy)
    steps["store_s"] = monotonic() - killed
    rebuilt: dict[str, Any] = {}
    if copy is None:
        rebuilt = await asyncio.to_thread(here.rebuild)
        steps["rebuilt_s"] = monotonic() - killed
    await here.until_ready()
    steps["ready_s"] = monotonic() - killed
    await here.start_writer()
    return {
        "disaster": what,
        "told_before": told,
        "backup_age_s": killed - backup_at,
        "rebuilt": {name: rebuilt[name] for name in ("accounts", "authorizations", "seconds")}
        if rebuilt else {},
        "steps": steps,
        "recovery_s": steps["ready_s"],
    }  # fmt: skip


def approvals(report: Report) -> set[Key]:
    """Of every authorization that the network was told is approved."""
    return {
        (sent, stan, acquirer)
        for key in report.approvals
        for mti, sent, stan, acquirer in [key.split(" ")]
        if mti in ("0100", "0200")
    }


async def in_the_books(dsn: str) -> set[Key]:
    """The same of all approvals that are there, and were not withdrawn."""
    connection = await connect(dsn)
    try:
        rows = await connection.fetch(
            "SELECT j.body FROM journal_entry j WHERE j.kind = 'authorization' "
            "AND j.verdict = 'held' AND NOT EXISTS (SELECT FROM journal_entry w "
            "WHERE w.message_id = j.message_id AND w.kind = 'withdrawal' AND w.at_ms >= j.at_ms)"
        )
    finally:
        await connection.close()
    found = set()
    for (packed,) in rows:
        body = read_body(packed)
        assert isinstance(body, AuthorizationBody)
        sent = utc(body.sent_at * 1000).strftime("%m%d%H%M%S")
        found.add((sent, body.stan, body.acquirer_id))
    return found


async def agree(here: Ground, what: Disaster) -> dict[str, Any]:
    """Whether the store contradicts itself or the books, and the books themselves."""
    audited = await audit_store(here.valkey.url, may_be_trimmed=True)
    connection = await connect(here.postgres.dsn)
    client = admin.administrator(here.valkey.url)
    try:
        verified = await verify(connection)
        chains = await connection.fetch("SELECT account_id, entries, digest FROM account")
        async with client.pipeline(transaction=False) as pipeline:
            for row in chains:
                pipeline.hmget(keys.account(row[0]), "entries", "digest")
            hot = await pipeline.execute()
    finally:
        await client.aclose()
        await connection.close()
    differ = sum(
        (int(entries or 0), (digest or b"").decode()) != (row[1], row[2])
        for row, (entries, digest) in zip(chains, hot, strict=True)
    )
    return {
        "audit_differences": audited.found,
        "accounts": len(chains),
        "histories_differ": differ,
        "books_ok": verified.ok and not verified.parked and not differ,
    }


WORDS = {
    "copies": "both lost, both from copies",
    "store": "hot state lost, books in step, rebuilt",
    "both": "both lost, books from a backup, rebuilt",
}


def table(answer: dict[str, Any]) -> Iterator[str]:
    order: Order = answer["asked"]
    yield f"under {order.rate:g} messages a second, {order.cards:,} cards"
    yield f"{'':<42}{'backup was':>12}{'approvals':>11}{'recovery':>10}{'histories':>11}"
    yield f"{'':<42}{'s old':>12}{'lost':>11}{'s':>10}{'differ':>11}"
    for found in answer["disasters"]:
        yield (
            f"{WORDS[found['disaster']]:<42}{found['backup_age_s']:>12.1f}"
            f"{found['lost']:>11,}{found['recovery_s']:>10.1f}{found['histories_differ']:>11}"
        )
        steps = ", ".join(f"{name[:-2]} {value:.1f}" for name, value in found["steps"].items())
        yield f"  s from the kill: {steps}; approved before it {found['approved_before']:,}"
    yield "all was had again" if answer["ok"] else "NOT all was had again"
