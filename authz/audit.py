"""The audit: does the hot state hold what its acts say, account by account?

The records of an account, each refolded here from its own acts, must add up to its
balance and counters; and the shard's journal, told from its start, must arrive at the
same balance, counters and records:

  available    posted - held + credit line; no approval went below zero, by its own entry
  held         the sum of what its records hold; each record's is the fold of its acts
  counters     the sum of the shares of the records that touched them
  expiry       exactly the records that hold something, by the second they end
  records      an authorization is *judged* by a journalled authorization that names a
               record, until that message is withdrawn, and approved if the verdict was
               "held". What was judged or reversed are the records, each once, with the
               same original and reversals, and holding what its entries hold
  profiles     of accounts and cards: as they were journalled last; no card that never was,
               and each is found by the directory
  reviews      the open cases are those that referrals opened, and are all in the list of them
  references   each of a record's names it; more of them, and of lists, acts and streams, in
               authz/loose_ends.py
  quotas       of each program's counter: in a shard what its records and its entries use; in all no
               more granted to shards than the centre says, and that no more than a ceiling it knew
  totals       of each network's business days: what the entries counted, and its day as they say
  the chains   count and digest of an account are those of its entries in the stream, the
               gate's those of all others; its lists are the newest there

Sums over records are not compared where a record itself differs: one fault is told once.

It runs under load: an account is read in one step with its position in the journal,
and told up to that position. Memory is that of the accounts and records of one shard.
Promises: tests/authz/test_audit.py.
"""

from asyncio import ensure_future, gather, sleep
from collections.abc import Callable, Iterable
from contextlib import suppress
from secrets import token_hex
from typing import NamedTuple, Protocol
from urllib.parse import quote

import msgspec
from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import RedisError

from authz import directory, loose_ends
from authz import quota_rows as quotas
from authz.compare import compare, expiry_rows, listed_rows
from authz.directory import Stray, strays, write_again
from authz.hot import admin, keys
from authz.hot.resp import Argument, Connection, connect
from authz.replay import Told
from authz.shard_journal import Gate, Journal, Past
from authz.standing import Row, Seen, by_account, look_call, position, read_look, spell
from authz.vouching import is_vouched_for, together

TIMEOUT_S = 60.0  # of one call: a shard's whole expiry set is the longest
SCAN_STEP = 5000  # keys looked through in one step of a scan: some 2 ms of the server's
LOOKS = 256  # accounts asked for at once
DIFFERENCES_MAX = 200  # listed in a report; all are counted
# Renewed while an audit runs: an engine that was killed in it stops the others no longer. Two
# audits do no harm.
LOCK_S = 3


class Difference(Struct, frozen=True):
    """One thing that is not as it should be. `account` is empty for a whole shard's."""

    account: str
    field: str
    hot: int | str | None  # as it stands
    ledger: int | str | None  # as its records or the journal have it


class AuditReport(Struct, kw_only=True):
    """What was compared, and what differed."""

    ok: bool = True
    accounts: int = 0
    authorizations: int = 0  # approved and not withdrawn, by the journal
    entries: int = 0  # of the journal, as far as it was told
    position: int = 0  # entries that the accounts and gates say were ever journalled
    positions: dict[str, str] = msgspec.field(default_factory=dict)  # by shard: newest stream id
    trimmed: int = 0  # entries that are no longer there to be told
    cut: int = 0  # shards whose journal was not told from its beginning
    from_past: int = 0  # entries that were told by the past
    repaired: int = 0  # cards whose row of the directory was written again
    found: int = 0  # differences, listed or not
    differences: list[Difference] = msgspec.field(default_factory=list)

    def add(self, account: str, rows: Iterable[Row]) -> None:
        for field, hot, expected in rows:
            self.ok = False
            self.found += 1
            if len(self.differences) < DIFFERENCES_MAX:
                self.differences.append(Difference(account, field, hot, expected))


class Beside(Protocol):
    """Something else that each shard is compared with, in the same look at it."""

    async def begin(self, shard: str) -> None:
        """Before anything of the shard is looked at."""

    async def compare(
        self, store: Connection, shard: str, gate: Gate, accounts: dict[str, Seen]
    ) -> dict[str, list[Row]]:
        """Its accounts as they were seen: rows by account, "" for the shard's own."""
        ...


class With(NamedTuple):
    """How an audit goes about it: as `audit` says."""

    may_be_trimmed: bool
    missing: list[Stray] | None
    beside: Beside | None
    past: Past | None


async def audit_store(
    url: str,
    *,
    may_be_trimmed: bool = False,
    missing: list[Stray] | None = None,
    beside: Beside | None = None,
    past: Past | None = None,
) -> AuditReport:
    """`audit`, over a connection of its own. Raises: HotStateError, OSError, TimeoutError."""
    connection = await connect(url)
    try:
        return await audit(
            connection, may_be_trimmed=may_be_trimmed, missing=missing, beside=beside, past=past
        )
    finally:
        connection.close()
        await sleep(0)  # it is closed on the loop's next turn


async def audit(
    store: Connection | Redis,
    *,
    may_be_trimmed: bool = False,
    missing: list[Stray] | None = None,
    beside: Beside | None = None,
    past: Past | None = None,
) -> AuditReport:
    """Compare everything. `may_be_trimmed`: somebody has the entries that are gone, whatever the
    store says (vouching.py). Else a journal that was cut has lost money.

    `beside`: what else each shard is compared with. `past`: who tells of what was cut.
    `missing`: rows of the directory that the journal proves are put there, for the caller to
    write again, rather than told as differences.
    Accounts that appear while it runs are left to the next one.
    Raises: HotStateError.
    """
    if isinstance(store, Redis):
        return await audit_store(
            address_of(store), may_be_trimmed=may_be_trimmed, missing=missing, beside=beside,
            past=past,
        )  # fmt: skip
    report = AuditReport()
    accounts = await scan_accounts(store, report)
    gates, shared = 0, False
    for shard in keys.ALL_SHARDS:
        ids = accounts.pop(shard, [])
        with_ = With(may_be_trimmed, missing, beside, past)
        journal = await audit_shard(store, shard, ids, with_, report)
        gates += journal.gate.entries > 0
        shared |= bool(journal.gate.quotas)
        if shard == keys.HOME:
            report.add("", await loose_ends.lists_rows(store, journal))
    if shared:
        controls = (("HGETALL", keys.control(shard)) for shard in keys.ALL_SHARDS)
        report.add("", quotas.centre_rows(await together(store, *controls)))
    if gates != keys.SHARDS:
        # Nothing in it contradicts anything, where everything is gone.
        report.add("", [("gates", gates, keys.SHARDS)])
    return report


def address_of(client: Redis) -> str:
    """Where this client goes: it answers one call at a time, which is too slow for here."""
    to = client.connection_pool.connection_kwargs
    user = f"{quote(to.get('username') or '', '')}:{quote(to.get('password') or '', '')}@"
    if "path" in to:
        return f"unix://{user if len(user) > 2 else ''}{to['path']}"
    return f"redis://{user if len(user) > 2 else ''}{to['host']}:{to['port']}"


async def audit_before_opening(client: Redis, url: str, source: str) -> AuditReport | None:
    """After a restart of the store: audit it, and open its gates if nothing differs.

    Cards that are journalled and whole, and only not found by their key, are what a load that
    was killed may leave: their rows are written again. Nothing else is mended here.

    One at a time, however many engines start: the others wait, and find the gates open.
    None: they are open already. Where the report is not ok they stay shut.
    Raises: NotFit for a store that is new or torn; HotStateError, redis.RedisError.
    """
    token = token_hex(16)
    while (state := await admin.state_of_gates(client)) == "shut":
        if not await client.set(keys.GATE_LOCK, token, nx=True, ex=LOCK_S):
            await sleep(0.05)
            continue
        keeping = ensure_future(keep_lock(client, token))
        try:
            run = await admin.run_id(client)
            missing: list[Stray] = []
            report = await audit_store(url, missing=missing)
            left = await write_again(client, missing) if report.ok else missing
            report.repaired = len(missing) - len(left)
            for id, rows in sorted(directory.by_account(left).items()):
                report.add(id, rows)
            if report.ok and await admin.open_gates(client, new=False, source=source) != run:
                # It restarted between the last look and the opening: that run is not audited.
                await close_gates(client)
                continue
            return report
        finally:
            keeping.cancel()
            if await client.get(keys.GATE_LOCK) == token.encode():
                await client.delete(keys.GATE_LOCK)
    if state == "open":
        return None
    if state == "new":
        raise admin.NotFit(admin.EMPTY)
    if state == "rebuilding":
        raise admin.NotFit(admin.UNFINISHED)
    raise admin.NotFit("some shards of the store were never opened: restore it, or start anew")


async def keep_lock(client: Redis, token: str) -> None:
    """Hold on to the lock of an audit, until cancelled; or until the store is away, and with it
    what is audited."""
    with suppress(RedisError, OSError):
        while True:
            await sleep(LOCK_S / 3)
            # Were it another's by now, that would have it a moment longer.
            if await client.get(keys.GATE_LOCK) == token.encode():
                await client.expire(keys.GATE_LOCK, LOCK_S)


async def close_gates(client: Redis) -> None:
    for shard in keys.ALL_SHARDS:
        await client.fcall("authz_close_gate", 1, keys.control(shard))


async def scan_accounts(connection: Connection, report: AuditReport) -> dict[str, list[str]]:
    """The ids of all accounts, by shard."""
    found: dict[str, set[str]] = {}
    cursor: bytes | str = "0"
    while cursor != b"0":
        cursor, page = await connection.call(
            ("SCAN", cursor, "MATCH", "authz:{*}:account:*", "COUNT", SCAN_STEP), TIMEOUT_S
        )
        for key in page:
            tag, _, id = key.decode().partition("}:account:")
            shard = tag.removeprefix("authz:{")
            if shard == keys.shard_of(id):
                found.setdefault(shard, set()).add(id)
            else:
                report.add(id, [("shard", shard, keys.shard_of(id))])
    return {shard: sorted(ids) for shard, ids in found.items()}


async def audit_shard(
    connection: Connection,
    shard: str,
    ids: list[str],
    with_: With,
    report: AuditReport,
) -> Journal:
    """The gate first, then the accounts, then the journal up to where they were seen."""
    if with_.beside is not None:
        await with_.beside.begin(shard)
    gate = await read_gate(connection, shard)
    accounts: dict[str, Seen] = {}
    differing: dict[str, list[Row]] = {}
    for start in range(0, len(ids), LOOKS):
        some = ids[start : start + LOOKS]
        replies = await gather(*(connection.call(look_call(id), TIMEOUT_S) for id in some))
        for id, reply in zip(some, replies, strict=True):
            accounts[id], differing[id] = read_look(reply)
    journal = Journal(shard, gate, with_.past)
    await journal.read(connection, accounts)
    report.add("", journal.gate_rows())
    if journal.is_cut:
        report.cut += 1
        if not (with_.may_be_trimmed or await is_vouched_for(connection, shard, gate)):
            report.add("", [(f"journal of {shard}", "cut at its head", "whole")])
    report.add("", loose_ends.stream_rows(journal, accounts))

    for id in accounts.keys() | journal.told.keys():
        if id in accounts:
            told = journal.told.get(id) or Told(whole=journal.whole)
            differing[id] += compare(accounts[id], told)
            differing[id] += loose_ends.account_rows(accounts[id], told, differing[id])
        elif not await connection.call(("EXISTS", keys.account(id)), TIMEOUT_S):
            differing[id] = [("account", None, "in the journal")]
    unwritten, wrong = await strays(connection, journal, accounts)
    (wrong if with_.missing is None else with_.missing).extend(unwritten)
    for id, rows in directory.by_account(wrong).items():
        differing.setdefault(id, []).extend(rows)
    if with_.beside is not None:
        others = await with_.beside.compare(connection, shard, gate, accounts)
        report.add("", others.pop("", []))
        for id, rows in others.items():
            differing.setdefault(id, []).extend(rows)
    listed = await compare_set(connection, keys.reviews(shard), accounts, listed_rows)
    for id, rows in listed.items():
        differing.setdefault(id, []).extend(rows)
    due = await compare_set(connection, keys.expiry(shard), accounts, expiry_rows)
    for id, rows in due.items():
        # When a record in doubt should end is in doubt, too.
        doubtful = {field for field, _, _ in differing.setdefault(id, [])}
        differing[id] += [
            row for row in rows if f"record {row[0].removeprefix('expiry of ')}" not in doubtful
        ]
    for id in sorted(differing):
        report.add(id, differing[id])
    if not any(differing.values()):
        report.add("", quotas.record_rows(gate, shard, accounts.values()))

    report.accounts += len(accounts)
    report.entries += journal.entries
    report.position += gate.entries + sum(seen.entries for seen in accounts.values())
    newest = max([gate.newest, *(seen.position for seen in accounts.values())])
    report.positions[shard] = spell(newest)
    report.from_past += journal.from_past
    report.trimmed += journal.trimmed
    for id, seen in accounts.items():
        report.trimmed += max(seen.entries - journal.told.get(id, Told()).entries, 0)
    report.authorizations += sum(len(told.approved) for told in journal.told.values())
    return journal


async def read_gate(connection: Connection, shard: str) -> Gate:
    key = keys.journal(shard)
    there = await connection.call(("EXISTS", key), TIMEOUT_S)
    flat, newest, *about = await together(
        connection,
        ("HGETALL", keys.control(shard)),
        ("XREVRANGE", key, "+", "-", "COUNT", 1),
        *[("XINFO", "STREAM", key)] * there,
    )
    control = {flat[i].decode(): flat[i + 1].decode() for i in range(0, len(flat), 2)}
    at = position(newest[0][0]) if newest else (0, 0)
    told = dict(zip(about[0][::2], about[0][1::2], strict=True)) if about else {}
    added = int(told.get(b"entries-added", 0))
    return Gate(
        int(control.get("entries", 0)),
        control.get("digest", ""),
        int(control.get("lists", 0)),
        at,
        added,
        {name[2:]: value for name, value in control.items() if name.startswith("t:")},
        int(control.get("totals_from", 0)),
        # Without the second and the count of it, which no entry tells.
        {n[2:]: " ".join(v.split(" ")[:2]) for n, v in control.items() if n.startswith("d:")},
        quotas.numbers(control, "q:"),
        quotas.clock(control, "qw"),
        int(told.get(b"length", 0)),
        control.get(keys.FROM_BOOKS) == "1",
    )


async def compare_set(
    connection: Connection,
    key: str,
    accounts: dict[str, Seen],
    compared: Callable[[Seen, dict[str, int]], list[Row]],
) -> dict[str, list[Row]]:
    """Accounts against a shard's set of what they have: records that hold something, open cases.

    The set is read apart from the accounts, so under load they may seem to differ: those
    that do are read again, in one step with it.
    """
    everything: tuple[Argument, ...] = ("ZRANGE", key, 0, -1, "WITHSCORES")
    ends = by_account(await connection.call(everything, TIMEOUT_S))
    suspects = [
        id
        for id in accounts.keys() | ends.keys()
        if id not in accounts or compared(accounts[id], ends.get(id, {}))
    ]
    rows: dict[str, list[Row]] = {}
    for start in range(0, len(suspects), LOOKS // 4):
        some = suspects[start : start + LOOKS // 4]
        *looks, flat = await together(connection, *(look_call(id) for id in some), everything)
        ends = by_account(flat)
        for id, reply in zip(some, looks, strict=True):
            rows[id] = compared(read_look(reply)[0], ends.get(id, {}))
    return rows
