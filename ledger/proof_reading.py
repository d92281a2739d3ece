"""A day of the books, read for its proof: one snapshot, pages, one shard after another.

The day's entries and lines are read in the order of their shards; the sums before and after it by
the database, over all lines that there are. So the time grows with the day, and slowly with all
that is kept.
"""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from ledger.chart import Role
from ledger.proof import CHECKS, Check, Proof
from ledger.proof_batches import compare_batches, compare_clearing, read_cursors
from ledger.proof_closing import close
from ledger.proof_fold import Life, Line, Shard, Sums, read_act

PAGE = 4000  # entries held in memory at once, some 2 kB each with their lines
IDS = 5000  # authorizations or accounts looked up at once
SHOWN = 20  # of what one statement finds beyond its count

# Kinds whose body is looked into as well: the envelope does not say what they are.
WITH_BODY = ("note", "account", "clearing")


async def prove(connection: asyncpg.Connection, day: date, zone: ZoneInfo, now_ms: int) -> Proof:
    """Raises: asyncpg.PostgresError, OSError."""
    begins, ends = (midnight(d, zone) for d in (day, day + timedelta(days=1)))
    proof = Proof(
        date=day.isoformat(), zone=zone.key, begins_ms=begins, ends_ms=ends, so_far=now_ms < ends,
        checks={name: Check(what) for name, what in CHECKS.items()},
    )  # fmt: skip
    sums = Sums()
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        heads = await connection.fetch("SELECT * FROM shard ORDER BY shard")
        for head in heads:
            proof.shards[str(head["shard"])] = {"seq": head["seq"], "stream_id": head["stream_id"]}
            proof.position += head["seq"]
            proof.newest_ms = max(proof.newest_ms, head["at_ms"])
        spans = await connection.fetch(
            "SELECT shard, min(seq), max(seq) FROM journal_entry "
            "WHERE at_ms >= $1 AND at_ms < $2 GROUP BY shard ORDER BY shard", begins, ends,
        )  # fmt: skip
        tops = {head["shard"]: head["seq"] for head in heads}
        taken = await read_cursors(connection)
        for number, low, high in spans:
            shard = Shard(number, proof, sums, taken.get(number, 0))
            await read_shard(connection, shard, proof, low, high, tops.get(number, 0))
            await compare_lives(connection, shard, proof)
            await compare_accounts(connection, shard, proof)
        await compare_approved(connection, proof)
        totals, by_lines = await read_totals(connection, begins, ends)
        close(proof, sums, totals)
        await compare_kept(connection, proof, by_lines)
        await compare_clearing(connection, proof, sums)
        await compare_batches(connection, proof, sums)
        await read_parked(connection, proof)
        await read_notices(connection, proof)
    return proof


def midnight(day: date, zone: ZoneInfo) -> int:
    """When a day begins there, ms. Where clocks skip midnight, the moment they skip it."""
    begins = datetime(day.year, day.month, day.day, tzinfo=zone)
    return int(begins.timestamp()) * 1000


async def read_shard(
    connection: asyncpg.Connection, shard: Shard, proof: Proof, low: int, high: int, top: int
) -> None:
    """Entries from `low` to `high` without a hole, and that they have neighbours."""
    for neighbour in (low - 1, high + 1):
        if 0 < neighbour <= top:
            there = await connection.fetchval(
                "SELECT count(*) FROM journal_entry WHERE shard = $1 AND seq = $2",
                shard.number, neighbour,
            )  # fmt: skip
            proof.compare("places", shard.place(neighbour), "entries", there, 1)
    expected, after = low, low - 1
    while after < high:
        until = min(after + PAGE, high)
        rows = await connection.fetch(
            "SELECT seq, at_ms, kind, verdict, message_id, authorization_id, account_id, postings, "
            "envelope, CASE WHEN kind = ANY($4::text[]) THEN body END FROM journal_entry "
            "WHERE shard = $1 AND seq > $2 AND seq <= $3 ORDER BY seq",
            shard.number, after, until, WITH_BODY,
        )  # fmt: skip
        lines = await lines_of(connection, shard.number, after, until)
        places = proof.checks["places"]
        for row in rows:
            seq, at_ms = row[0], row[1]
            if expected < seq:
                where = f"shard {shard.number} entries {expected} to {seq - 1}"
                proof.compare("places", where, "entries", 0, seq - expected)
            places.compared += 1
            if seq < expected:
                proof.differs("places", shard.place(seq), "entries", 2, 1)
            expected = seq + 1
            own = lines.pop(seq, EMPTY)
            if len(own) != row[7]:
                proof.compare("bytes", shard.place(seq), "lines", len(own), row[7])
            if proof.begins_ms <= at_ms < proof.ends_ms:
                shard.add(seq, (at_ms, *row[2:7]), row[8], row[9], own)
        for orphan, own in lines.items():
            lost = sum(abs(line.amount_minor) for line in own)
            proof.compare(
                "bytes", shard.place(orphan), "lines of no entry", len(own), 0, minor=lost
            )
        after = until


EMPTY: list[Line] = []


async def lines_of(
    connection: asyncpg.Connection, shard: int, after: int, until: int
) -> dict[int, list[Line]]:
    found: dict[int, list[Line]] = {}
    for row in await connection.fetch(
        "SELECT seq, currency, role, amount_minor FROM posting "
        "WHERE shard = $1 AND seq > $2 AND seq <= $3", shard, after, until,
    ):  # fmt: skip
        found.setdefault(row[0], []).append(Line(row[1], row[2], row[3]))
    return found


async def compare_lives(connection: asyncpg.Connection, shard: Shard, proof: Proof) -> None:
    """What the authorizations of the day came to, with what is kept of them."""
    proof.authorizations += len(shard.lives)
    ids = list(shard.lives)
    for some in (ids[n : n + IDS] for n in range(0, len(ids), IDS)):
        rows = {
            row[0]: row
            for row in await connection.fetch(
                "SELECT authorization_id, held_minor, paid_minor, approved, taken_in_by, "
                'first_at_ms, last_at_ms FROM "authorization" '
                "WHERE authorization_id = ANY($1::text[])", some,
            )
        }  # fmt: skip
        for id in some:
            life, row = shard.lives[id], rows.get(id)
            proof.approved += life.approvals
            proof.checks["approved"].compared += 1
            if row is None:
                proof.differs("approved", f"authorization {id}", "in the books", "missing",
                              "there", minor=life.moved)  # fmt: skip
            else:
                await compare_life(connection, proof, id, life, row)


async def compare_life(
    connection: asyncpg.Connection, proof: Proof, id: str, life: Life, row: asyncpg.Record
) -> None:
    """Of one that began on the day and had no act after it, all is known; of others whether they
    were approved. One that was withdrawn later is not approved any more: then there is its entry.
    """
    _, held, paid, is_approved, taken_in_by, first_at_ms, last_at_ms = row
    where, approved = f"authorization {id}", life.approvals > 0
    if last_at_ms >= proof.ends_ms:
        if approved and not is_approved and not await connection.fetchval(
            "SELECT count(*) FROM journal_entry WHERE message_id = $1 "
            "AND kind = 'withdrawal' AND at_ms >= $2", id, proof.ends_ms,
        ):  # fmt: skip
            proof.differs("approved", where, "approved", "no", "yes", minor=life.moved)
        return
    is_whole = first_at_ms >= proof.begins_ms and not taken_in_by
    if (approved or is_whole) and is_approved != approved:
        said = ("no", "yes") if approved else ("yes", "no")
        proof.differs("approved", where, "approved", *said, minor=life.moved)
    if is_whole and (not life.absorbed or await began_today(connection, life.absorbed, proof)):
        checked = proof.checks["holds"]
        checked.compared += 2
        if held != life.held:
            proof.differs("holds", where, "held", held, life.held, life.currency)
        if paid != -life.posted:
            proof.differs("holds", where, "paid", paid, -life.posted, life.currency)


async def began_today(connection: asyncpg.Connection, ids: tuple[str, ...], proof: Proof) -> bool:
    """Whether what was taken in brought nothing from before the day."""
    return not await connection.fetchval(
        'SELECT count(*) FROM "authorization" WHERE authorization_id = ANY($1::text[]) '
        "AND first_at_ms < $2", ids, proof.begins_ms,
    )  # fmt: skip


async def compare_accounts(connection: asyncpg.Connection, shard: Shard, proof: Proof) -> None:
    """Where accounts ended, with what the hot state told last; of those that have no later day."""
    keys = list(shard.accounts)
    checked = proof.checks["chain"]
    for some in (keys[n : n + IDS] for n in range(0, len(keys), IDS)):
        rows = {
            (row[0], row[1]): (row[2], row[3])
            for row in await connection.fetch(
                "SELECT account_id, currency, told_posted_minor, told_held_minor "
                "FROM balance WHERE account_id = ANY($1::text[])", [account for account, _ in some],
            )
        }  # fmt: skip
        differing = [key for key in some if rows.get(key, (0, 0)) != shard.accounts[key]]
        checked.compared += 2 * (len(some) - len(differing))
        later = {
            row[0]
            for row in await connection.fetch(
                "SELECT DISTINCT account_id FROM journal_entry "
                "WHERE account_id = ANY($1::text[]) AND at_ms >= $2",
                [account for account, _ in differing], proof.ends_ms,
            )
        } if differing else set()  # fmt: skip
        for account, currency in differing:
            if account not in later:
                told, ended = (
                    rows.get((account, currency), (0, 0)),
                    shard.accounts[account, currency],
                )
                for what, found, expected in zip(("posted", "held"), told, ended):
                    proof.compare("chain", f"account {account}", what, found, expected, currency)


APPROVED_OTHERWISE = """
    SELECT a.authorization_id, a.currency, abs(a.held_minor) + abs(a.paid_minor)
    FROM "authorization" a
    WHERE a.approved AND a.first_at_ms >= $1 AND a.first_at_ms < $2 AND NOT EXISTS (
        SELECT FROM journal_entry e WHERE e.message_id = a.authorization_id
        AND e.authorization_id = a.authorization_id
        AND e.kind = 'authorization' AND e.verdict = 'held')"""


async def compare_approved(connection: asyncpg.Connection, proof: Proof) -> None:
    """The other way round: what is approved in the books and began on the day has an entry."""
    rows = await connection.fetch(APPROVED_OTHERWISE, proof.begins_ms, proof.ends_ms)
    for id, currency, minor in rows:
        proof.compare("approved", f"authorization {id}", "approvals in the journal", 0, 1,
                      currency, minor=minor)  # fmt: skip


Totals = list[tuple[str, str, int, int]]


async def read_totals(
    connection: asyncpg.Connection, begins: int, ends: int
) -> tuple[Totals, dict[tuple[str, str], int]]:
    """By currency and role: before and after the day; and what stands there now."""
    totals: Totals = []
    now: dict[tuple[str, str], int] = {}
    for currency, role, before, after, amount in await connection.fetch(
        "SELECT currency, role, coalesce(sum(amount_minor) FILTER (WHERE at_ms < $1), 0)::bigint, "
        "coalesce(sum(amount_minor) FILTER (WHERE at_ms < $2), 0)::bigint, "
        "sum(amount_minor)::bigint FROM posting GROUP BY currency, role", begins, ends,
    ):  # fmt: skip
        totals.append((currency, role, before, after))
        now[currency, role] = amount
    return totals, now


# Currency, and what must stand in a role by what is kept beside the lines.
KEPT: tuple[tuple[Role, str, str], ...] = (
    (Role.OPEN, "balances",
     "SELECT currency, -sum(posted_minor - held_minor)::bigint FROM balance GROUP BY 1"),
    (Role.HELD, "balances", "SELECT currency, -sum(held_minor)::bigint FROM balance GROUP BY 1"),
    (Role.HELD, "authorizations",
     'SELECT currency, -sum(held_minor)::bigint FROM "authorization" GROUP BY 1'),
    (Role.LINE, "accounts",
     "SELECT currency, -sum(credit_line_minor)::bigint FROM account GROUP BY 1"),
    (Role.LINES_GRANTED, "accounts",
     "SELECT currency, sum(credit_line_minor)::bigint FROM account GROUP BY 1"),
)  # fmt: skip


async def compare_kept(
    connection: asyncpg.Connection, proof: Proof, by_lines: dict[tuple[str, str], int]
) -> None:
    """As all stands now, whichever day is proved: what is kept has no history of its own."""
    moneys = {money.currency: money for money in proof.currencies}
    for role, what, statement in KEPT:
        kept = {row[0]: row[1] for row in await connection.fetch(statement)}
        lines = {currency: n for (currency, of), n in by_lines.items() if of == role}
        for currency in sorted(kept.keys() | lines.keys()):
            if currency or kept.get(currency):
                proof.compare("kept", f"{currency} {role}", f"now, by {what}",
                              kept.get(currency, 0), lines.get(currency, 0), currency)  # fmt: skip
        if what == "authorizations":
            for currency, money in moneys.items():
                money.holds.authorizations_minor = -kept.get(currency, 0)


read_fields = msgspec.msgpack.Decoder(dict[bytes, bytes]).decode


async def read_parked(connection: asyncpg.Connection, proof: Proof) -> None:
    """Entries that are not in the books, and nobody has said what of them: up to the day's end."""
    async for row in connection.cursor(
        "SELECT shard, stream_id, reason, fields FROM parked WHERE resolved_at IS NULL "
        "ORDER BY parked_at, id"
    ):
        currency, minor = "", 0
        try:
            act = read_act(read_fields(row["fields"])[b"e"])
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError):
            pass
        else:
            if act.at_ms >= proof.ends_ms:
                continue
            currency, minor = act.currency, abs(act.posted_delta) + abs(act.held_delta)
        where = f"shard {row['shard']} journal {row['stream_id']}"
        proof.compare("parked", where, row["reason"], "parked", "in the books", currency, minor)


async def read_notices(connection: asyncpg.Connection, proof: Proof) -> None:
    for row in await connection.fetch(
        "SELECT n.shard, n.seq, n.what, n.account_id, n.details FROM notice n "
        "JOIN journal_entry e ON e.shard = n.shard AND e.seq = n.seq "
        "WHERE e.at_ms >= $1 AND e.at_ms < $2 ORDER BY 1, 2, 3", proof.begins_ms, proof.ends_ms,
    ):  # fmt: skip
        currency, minor = "", 0
        if row["what"] == "gap":
            currency, posted, held = row["details"].split()
            minor = abs(int(posted)) + abs(int(held))
        where = f"shard {row['shard']} entry {row['seq']}"
        proof.compare("notices", where, row["what"], row["details"], "nothing", currency, minor)
