"""Of a day's proof: clearing files and settlement batches, beside the lines that they speak of.

Both are kept beside the journal, by who posts and who settles, so they are another witness of what
it says. Where nothing was cleared or gathered, nothing is compared.
"""

import asyncpg

from ledger.proof import Proof
from ledger.proof_fold import Sums

# Outcomes that move nothing: they have the key of the record that did (ledger/clearing/outcome.py).
IDLE = ("repeated", "refused", "agrees", "differs", "missing_online")

# What records posted on cardholders; of one that was nobody's, what a person billed to a card.
CLEARED = """
    SELECT i.billed_currency, count(*), sum(-i.sign * i.billed_minor)::bigint
    FROM journal_entry e JOIN (
        SELECT message_id, sign, billed_minor, billed_currency FROM clearing_item
        WHERE outcome <> ALL($3::text[]) AND billed_by = ''
        UNION ALL
        SELECT billed_by, sign, billed_minor, billed_currency FROM clearing_item
        WHERE billed_by <> ''
    ) i ON i.message_id = e.message_id
    WHERE e.kind = 'clearing' AND e.at_ms >= $1 AND e.at_ms < $2 AND i.billed_minor <> 0
    GROUP BY 1"""
# The same of a file that is just gone through: what became of its last page is not written yet, so
# the lines have the only word.
UNDER_WAY = """
    SELECT currency, count(*), -sum(minor)::bigint FROM (
        SELECT p.currency, sum(p.amount_minor) AS minor FROM clearing_item i
        JOIN journal_entry e ON e.message_id = i.message_id AND e.kind = 'clearing'
        JOIN posting p ON p.shard = e.shard AND p.seq = e.seq AND p.role IN ('open', 'held')
        WHERE i.outcome IS NULL AND e.at_ms >= $1 AND e.at_ms < $2
        GROUP BY e.shard, e.seq, p.currency
    ) x WHERE minor <> 0 GROUP BY 1"""
# Of records that moved no cardholder's money: what the network settles, and its line.
MOVED = """
    SELECT i.settlement_currency, sum(-i.sign * i.settlement_minor)::bigint,
        sum(p.amount_minor)::bigint
    FROM movement m
    JOIN clearing_item i ON i.message_id = m.message_id
    JOIN posting p ON p.shard = m.shard AND p.seq = m.seq AND p.role = 'network'
        AND p.currency = i.settlement_currency
    WHERE p.at_ms >= $1 AND p.at_ms < $2 AND coalesce(i.outcome, '') <> ALL($3::text[])
    GROUP BY 1"""
# Of days that the books are past: a record that has its outcome has its entry. One of no
# cardholder's money has a note: what was asked for it besides, and came to nothing, is none.
WITHOUT_ENTRY = """
    SELECT i.settlement_currency, count(*), sum(i.settlement_minor)::bigint FROM clearing_item i
    WHERE i.concluded_at >= to_timestamp($1 / 1000.0) AND i.concluded_at < to_timestamp($2 / 1000.0)
        AND i.outcome <> ALL($3::text[])
        AND NOT EXISTS (SELECT FROM journal_entry e WHERE e.message_id = i.message_id
            AND (e.kind = 'note') = (i.outcome IN ('unmatched', 'represented', 'fee')))
    GROUP BY 1"""

GATHERED = """
    SELECT b.currency, count(*), sum(l.amount_minor)::bigint
    FROM settlement_line l JOIN settlement_batch b ON b.id = l.batch_id
    WHERE l.at_ms >= $1 AND l.at_ms < $2 GROUP BY 1"""
# Each batch with a line of the day: what it says of itself, and what its lines say.
BATCHES = """
    SELECT b.id, b.currency, b.net_minor, b.items, b.status, l.net, l.items AS many, l.left_over
    FROM settlement_batch b JOIN (
        SELECT batch_id, coalesce(sum(amount_minor) FILTER (WHERE NOT settles), 0)::bigint AS net,
            count(*) FILTER (WHERE NOT settles) AS items, sum(amount_minor)::bigint AS left_over
        FROM settlement_line GROUP BY batch_id
    ) l ON l.batch_id = b.id
    WHERE EXISTS (SELECT FROM settlement_line d WHERE d.batch_id = b.id
        AND d.at_ms >= $1 AND d.at_ms < $2)
    ORDER BY b.id"""


async def compare_clearing(connection: asyncpg.Connection, proof: Proof, sums: Sums) -> None:
    """Entries of cleared records with the records; one without the other shows."""
    if not await there(connection, "clearing_item"):
        return
    day = proof.begins_ms, proof.ends_ms
    told = {row[0]: (row[1], row[2]) for row in await connection.fetch(CLEARED, *day, IDLE)}
    for currency, many, minor in await connection.fetch(UNDER_WAY, *day):
        before = told.get(currency, (0, 0))
        told[currency] = before[0] + many, before[1] + minor
    for currency in sorted(told.keys() | sums.cleared.keys()):
        found, expected = told.get(currency, (0, 0)), sums.cleared.get(currency, (0, 0))
        where = f"{currency} cleared"
        proof.compare("clearing", where, "records that posted", found[0], expected[0])
        proof.compare("clearing", where, "billed, by records", found[1], expected[1], currency)
    for currency, settled, line in await connection.fetch(MOVED, *day, IDLE):
        where = f"{currency} of no cardholder"
        proof.compare("clearing", where, "settled, by records", settled, line, currency)
    if not proof.so_far and proof.newest_ms >= proof.ends_ms:
        for currency, many, minor in await connection.fetch(WITHOUT_ENTRY, *day, IDLE):
            proof.compare("clearing", f"{currency} cleared", "records without an entry", many, 0,
                          currency, minor=minor)  # fmt: skip


async def read_cursors(connection: asyncpg.Connection) -> dict[int, int]:
    """How far the batches have looked, by shard."""
    if not await there(connection, "settlement_cursor"):
        return {}
    return {row[0]: row[1] for row in await connection.fetch("SELECT * FROM settlement_cursor")}


async def compare_batches(connection: asyncpg.Connection, proof: Proof, sums: Sums) -> None:
    """Lines of networks' accounts with the batches that they went to, and these with their sums."""
    if not await there(connection, "settlement_batch"):
        return
    day = proof.begins_ms, proof.ends_ms
    told = {row[0]: (row[1], row[2]) for row in await connection.fetch(GATHERED, *day)}
    for currency in sorted(told.keys() | sums.taken.keys()):
        found, expected = told.get(currency, (0, 0)), sums.taken.get(currency, (0, 0))
        where = f"{currency} in batches"
        proof.compare("batches", where, "lines", found[0], expected[0])
        proof.compare("batches", where, "amount", found[1], expected[1], currency)
    for row in await connection.fetch(BATCHES, *day):
        where, currency = f"batch {row['id']}", row["currency"]
        proof.compare("batches", where, "net", row["net_minor"], row["net"], currency)
        proof.compare("batches", where, "items", row["items"], row["many"])
        if row["status"] in ("settled", "reconciled"):
            proof.compare("batches", where, "left over", row["left_over"], 0, currency)


async def there(connection: asyncpg.Connection, table: str) -> bool:
    return bool(await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", table))
