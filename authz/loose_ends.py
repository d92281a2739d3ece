"""What adds up and may be wrong all the same: the parts of the audit that are no sums.

  lists        the set that engines read holds what was journalled for its version
  references   each names records that carry it; "*", which names none, only where there were many
  acts         a record's acts say what their own journal entries say
  the stream   what is no longer in it was an account's that is there, or the gate's: an account
               that went with all its entries contradicts nothing else

Each is lenient where it cannot be sure: what it tells keeps a store's gates shut.
Promises: tests/authz/test_loose_ends.py.
"""

from asyncio import sleep
from collections.abc import Iterable, Mapping

from authz.hot import keys
from authz.hot.lists import Standing, parts_of, read_rows, standing_of
from authz.hot.model import NAMED_MAX, SEVERAL
from authz.hot.resp import Connection
from authz.replay import Told
from authz.shard_journal import Journal
from authz.standing import Row, Seen
from rules.judge import TEXTS

TIMEOUT_S = 60.0

PAGE = 1000  # entries in one reply


async def lists_rows(connection: Connection, home: Journal) -> list[Row]:
    """What engines read against the home shard's journal. To be read after it.

    What is ahead is that of a change since. Of a journal that was cut nobody knows what was there.
    """
    version, journalled = home.judgement
    standing = await standing_in(connection)
    if not home.whole or standing.version > version:
        return []
    if standing.version < version:
        return [("lists", f"version {standing.version}", f"version {version}")]
    wrong = {kind for kind in TEXTS if standing.texts[kind] != journalled.get(kind, "")}
    expected = dict.fromkeys(standing.counts, 0)
    for n, field in enumerate(journalled):
        if field not in TEXTS:
            of = "/".join(parts_of(field)[:2])
            expected[of] = expected.get(of, 0) + 1
        if n % PAGE == 0:
            await sleep(0)  # an engine that audits has links to answer
    cursor = b""
    while cursor != b"0":
        cursor, page = await connection.call(
            ("HSCAN", keys.LISTS, cursor or b"0", "COUNT", PAGE), TIMEOUT_S
        )
        for field, packed in zip(page[::2], page[1::2], strict=True):
            if journalled.get(field.decode(), ()) != read_rows(packed):
                wrong.add(field.decode())
    there = await connection.call(("HLEN", keys.LISTS), TIMEOUT_S)
    if (await standing_in(connection)).version != version:
        return []
    besides = sum(name not in journalled and name not in TEXTS for name in wrong)
    missing = sum(expected.values()) - there + besides
    astray = len(wrong) + missing
    rows: list[Row] = []
    if astray:
        rows.append(("lists", f"{astray} entries differ", f"version {version}"))
    for of in sorted(expected):
        if standing.counts.get(of, 0) != expected[of]:
            rows.append((f"number of {of}", standing.counts.get(of, 0), expected[of]))
    return rows


async def standing_in(connection: Connection) -> Standing:
    flat = await connection.call(("HGETALL", keys.JUDGEMENT), TIMEOUT_S)
    return standing_of(dict(zip(flat[::2], flat[1::2], strict=True)))


def account_rows(seen: Seen, told: Told, others: Iterable[Row]) -> list[Row]:
    """One account's references and acts. `others` were told before: no fault is told twice."""
    doubtful = {field for field, _, _ in others}
    return [*reference_rows(seen, told), *act_rows(seen, told, doubtful)]


def reference_rows(seen: Seen, told: Told) -> list[Row]:
    rows: list[Row] = []
    if not told.whole:
        return rows
    carried: dict[str, int] = {}
    for record in seen.records.values():
        for reference in record.references:
            carried[reference] = carried.get(reference, 0) + 1
    expected = told.expected_records()  # one that is missing is told as such
    for reference, named in seen.references.items():
        if named == SEVERAL:
            # Records that carried it may have gone since; how many of them, nobody knows.
            if carried.get(reference, 0) + told.withdrawals + len(told.absorbed) <= NAMED_MAX:
                rows.append((f"reference {reference}", SEVERAL, f"{carried.get(reference, 0)} ids"))
            continue
        for id in named.split():
            other = seen.records.get(id)
            if other is None:
                # Of what was taken in the last references may have found no room.
                if id not in expected and id not in told.absorbed:
                    rows.append((f"reference {reference}", id, None))
            elif reference not in other.references:
                rows.append((f"reference {reference}", id, "not of this record"))
    return rows


def act_rows(seen: Seen, told: Told, doubtful: set[str]) -> list[Row]:
    """One that no entry tells of at all is told by `compare`."""
    return [
        (f"act {act.message_id} of record {id}", f"{act.kind}, {act.amount}", "as journalled")
        for id, record in seen.records.items()
        for act in record.acts
        if f"record {id}" not in doubtful
        and act.kind not in ("expired", "released")  # these say nothing but when
        and (act.message_id, act.kind, act.sent_at, act.amount, act.amount_in) not in told.asked
        and act.message_id in told.acts.get(id, ())
    ]


def stream_rows(journal: Journal, accounts: Mapping[str, Seen]) -> list[Row]:
    """The stream counts what was ever added to it, over restarts too."""
    missing = journal.gate.added - journal.until_gate
    known = journal.trimmed + sum(
        max(seen.entries - journal.told.get(id, Told()).entries, 0) for id, seen in accounts.items()
    )
    if missing <= known:
        return []
    there = journal.until_gate
    return [(f"entries of {journal.shard}", there, there + missing - known)]
