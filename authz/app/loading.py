"""Loading: files of accounts, cards and blocklists into the hot state, all or nothing.

Everything is read and compared with the store before the first act. Where one row is
bad nothing of the files is loaded, unless the caller wants the rest. The acts are such
that a load that was cut short is finished by running it again.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from authz import profiles
from authz.announcing import Announcing
from authz.app.changes import Changes
from authz.app.meaning import Entry, Money, is_id, money_of, read_account, read_card, read_entry
from authz.app.rows import BadCell, BadRow, BadRows, Row, Table, open_table
from authz.control import (
    Kept,
    NewAccount,
    NewCard,
    Outcome,
    card_id_for,
    card_profile,
    claim_pan_key,
    put_accounts,
    put_cards,
)
from authz.hot import keys
from authz.hot.store import RedisHotState
from authz.judgement import put_lists
from authz.privacy import Pan, PanKeys
from rules.facts import AccountProfile, CardProfile

NO_CARD = "no such card, in these files or in the store"
STEP = 1000  # rows or keys compared with the store in one round trip

Item = TypeVar("Item")
Place = tuple[str, int]  # file and line


class LoadReport(Struct, kw_only=True):
    """What became of the files."""

    ok: bool = False
    loaded: bool = False  # whether anything was done at all
    partial_helps: bool = True  # no: a file as a whole cannot be used
    accounts: Outcome = msgspec.field(default_factory=Outcome)
    cards: Outcome = msgspec.field(default_factory=Outcome)
    lists_version: int | None = None  # None: no lists were given
    lists_entries: int = 0
    account_changes: Changes = msgspec.field(default_factory=Changes)
    card_changes: Changes = msgspec.field(default_factory=Changes)
    funds_ignored: int = 0  # rows with opening funds of accounts that were there
    bad_rows: int = 0
    bad: list[BadRow] = msgspec.field(default_factory=list)  # the first of them


class Batch:
    """What the files say, as far as it can be used, each with its place."""

    def __init__(self) -> None:
        self.bad = BadRows()
        self.accounts: dict[str, tuple[Place, NewAccount]] = {}
        self.cards: dict[Pan, tuple[Place, NewCard]] = {}
        self.entries: dict[tuple[str, str], Place] = {}
        self.listed_ids: set[str] = set()  # of cards that lists name by their id
        self.lists_given = False
        # Accounts that cards may name: their money, or None for one whose row is bad.
        self.money: dict[str, Money | None] = {}
        self.account_changes, self.card_changes = Changes(), Changes()
        self.funds_ignored = 0

    def reject(self, row: Row, bad: BadCell) -> None:
        self.bad.add(row.file, row.line, bad.column, str(bad))


async def load(
    files: Sequence[Path],
    state: RedisHotState,
    client: Redis,
    pan_keys: Callable[[], PanKeys],
    *,
    partial: bool,
    source: str,
    announcing: Callable[[], Announcing | None] = lambda: None,
) -> LoadReport:
    """Read, compare, load. `pan_keys` is asked only if there are card numbers, and so is what
    says what networks are told of their cards.

    Raises: NotFit for another key than the store's cards are kept under;
        HotStateError, redis.RedisError: run it again.
    """
    batch, report = Batch(), LoadReport()
    tables: dict[str, list[Table]] = {"accounts": [], "cards": [], "lists": []}
    for file in files:
        table = open_table(file, batch.bad)
        if table is None:
            report.partial_helps = False
        else:
            tables[table.kind].append(table)
    if tables["cards"]:
        await claim_pan_key(state, pan_keys())
    # Cards are read with their accounts' currencies known, lists with the cards.
    for table in tables["accounts"]:
        await read_accounts(batch, table, client)
    for table in tables["cards"]:
        await read_cards(batch, table, client, pan_keys())
    for table in tables["lists"]:
        await read_lists(batch, table, state, pan_keys)
    await reject_unknown_ids(batch, client, pan_keys)

    if batch.bad.count == 0 or partial:
        await put(batch, report, state, client, pan_keys, source, announcing)
    report.bad, report.bad_rows = batch.bad.listed, batch.bad.count
    report.ok = report.bad_rows == 0
    return report


async def read_accounts(batch: Batch, table: Table, client: Redis) -> None:
    for rows in steps(table.rows):
        accounts: list[tuple[Row, NewAccount]] = []
        for row in rows:
            batch.money.setdefault(row.cells["account_id"], None)
            try:
                accounts.append((row, read_account(row)))
            except BadCell as bad:
                batch.reject(row, bad)
        stored = await stored_accounts(client, [a.profile.account_id for _, a in accounts])
        for row, account in accounts:
            id, currency = account.profile.account_id, account.profile.currency
            try:
                if id in batch.accounts:
                    raise BadCell("account_id", also_in(batch.accounts[id][0]))
                was = stored[id]
                if was is not None and was.currency != currency:
                    raise BadCell("currency", "the currency of an account cannot change")
            except BadCell as bad:
                batch.reject(row, bad)
                continue
            batch.accounts[id] = (row.file, row.line), account
            if was is not None:
                batch.account_changes.note_account(was, account.profile)
                batch.funds_ignored += bool(account.opening_minor)
            batch.money[id] = money_of(currency)


async def read_cards(batch: Batch, table: Table, client: Redis, pan_keys: PanKeys) -> None:
    for rows in steps(table.rows):
        ids = {row.cells["account_id"] for row in rows} - batch.money.keys()
        # What is no id is not asked for: it may be a card number, and keys are logged.
        unknown = [id for id in ids if is_id(id)]
        for id, profile in (await stored_accounts(client, unknown)).items():
            if profile is not None:
                batch.money[id] = money_of(profile.currency)
        cards: list[tuple[Row, NewCard]] = []
        for row in rows:
            try:
                cards.append((row, read_one_card(batch, row)))
            except BadCell as bad:
                batch.reject(row, bad)
        await keep_cards(batch, cards, client, pan_keys)


def read_one_card(batch: Batch, row: Row) -> NewCard:
    id = row.cells["account_id"]
    if id not in batch.money:
        raise BadCell("account_id", "no such account, in these files or in the store")
    money = batch.money[id]
    if money is None:
        raise BadCell("account_id", "the row of its account is bad")
    return read_card(row, money)


async def keep_cards(
    batch: Batch, cards: list[tuple[Row, NewCard]], client: Redis, pan_keys: PanKeys
) -> None:
    """Those that the directory does not contradict."""
    replaced = [card.replaces for _, card in cards if card.replaces is not None]
    pans = [card.pan for _, card in cards] + [p for p in replaced if isinstance(p, Pan)]
    known = await directory(client, pan_keys, pans)
    owners = {pan: None if found is None else found[0] for pan, found in known.items()}
    were = await stored_profiles(client, [found for found in known.values() if found is not None])
    ids = [(card.account_id, c) for _, card in cards if isinstance(c := card.replaces, str)]
    known_ids = await stored_cards(client, ids)
    for row, card in cards:
        try:
            if card.pan in batch.cards:
                raise BadCell("pan", also_in(batch.cards[card.pan][0]))
            if owners[card.pan] not in (None, card.account_id):
                raise BadCell("pan", "the card belongs to another account")
            old = card.replaces
            if isinstance(old, str):
                found = (card.account_id, old) in known_ids
            elif old in batch.cards:
                found = batch.cards[old][1].account_id == card.account_id
            else:
                found = old is None or owners[old] == card.account_id
            if not found:
                raise BadCell("replaces", "no such card on this account, above or in the store")
        except BadCell as bad:
            batch.reject(row, bad)
            continue
        batch.cards[card.pan] = (row.file, row.line), card
        was = were.get(known[card.pan] or ("", ""))
        if was is not None:
            subject = card.limit_subject or was.limit_subject
            kept = Kept(subject, was.exceptions, was.issued_day)
            batch.card_changes.note_card(was, card_profile(card, was.card_id, kept))


async def read_lists(
    batch: Batch, table: Table, state: RedisHotState, pan_keys: Callable[[], PanKeys]
) -> None:
    batch.lists_given = True
    for row in table.rows:
        try:
            entry = read_entry(row)
            found = (entry.kind, await value_of(batch, entry, state, pan_keys))
            if found in batch.entries:
                raise BadCell("value", also_in(batch.entries[found]))
        except BadCell as bad:
            batch.reject(row, bad)
            continue
        batch.entries[found] = row.file, row.line
        if entry.kind == "card" and isinstance(entry.value, str):
            batch.listed_ids.add(entry.value)


async def reject_unknown_ids(batch: Batch, client: Redis, pan_keys: Callable[[], PanKeys]) -> None:
    """A card id in a list that no card has, here or in the store, would block nobody.

    The store has no index by card id, so all ids that are in doubt are looked for in one
    pass over its directory; it ends with the last of them.
    """
    doubtful = set(batch.listed_ids)
    if doubtful and batch.cards:
        doubtful -= await ids_of(client, pan_keys(), list(batch.cards))
    if doubtful:
        async for some in stored_card_ids(client):
            doubtful -= some
            if not doubtful:
                break
    for id in doubtful:
        batch.bad.add(*batch.entries.pop(("card", id)), "value", NO_CARD)


async def value_of(
    batch: Batch, entry: Entry, state: RedisHotState, pan_keys: Callable[[], PanKeys]
) -> str:
    """The entry's value; of a card number, the card id that it has or is about to get."""
    if isinstance(entry.value, str):
        return entry.value
    who = await card_id_for(state, pan_keys(), entry.value)
    if who.account_id is None and entry.value not in batch.cards:
        raise BadCell("value", NO_CARD)
    return who.card_id


async def put(
    batch: Batch,
    report: LoadReport,
    state: RedisHotState,
    client: Redis,
    pan_keys: Callable[[], PanKeys],
    source: str,
    announcing: Callable[[], Announcing | None],
) -> None:
    """The acts. What the store refuses even so has changed meanwhile: bad rows, too."""
    report.loaded = True
    report.account_changes, report.card_changes = batch.account_changes, batch.card_changes
    report.funds_ignored = batch.funds_ignored
    report.accounts = await put_all(
        batch, batch.accounts.values(), lambda some: put_accounts(state, some, source)
    )
    for wave in waves(batch.cards):
        done = await put_all(
            batch, wave, lambda some: put_cards(state, pan_keys(), some, source, announcing())
        )
        report.cards.announced += done.announced
        report.cards.not_announced += done.not_announced
        report.cards.created += done.created
        report.cards.moved += done.moved
        report.cards.same += done.same
    if batch.lists_given:
        report.lists_version, _ = await put_lists(client, batch.entries, source)
        report.lists_entries = len(batch.entries)


async def put_all(
    batch: Batch,
    items: Iterable[tuple[Place, Item]],
    act: Callable[[Iterator[Item]], Awaitable[Outcome]],
) -> Outcome:
    placed = list(items)
    outcome = await act(item for _, item in placed)
    for refusal in outcome.refused:
        batch.bad.add(*placed[refusal.position][0], "", refusal.reason)
    return outcome


def waves(cards: dict[Pan, tuple[Place, NewCard]]) -> list[list[tuple[Place, NewCard]]]:
    """Cards in the order that they must be put: what is replaced before what replaces it."""
    depth: dict[Pan, int] = {}
    found: list[list[tuple[Place, NewCard]]] = []
    for pan, placed in cards.items():
        old = placed[1].replaces
        depth[pan] = depth.get(old, -1) + 1 if isinstance(old, Pan) else 0
        if depth[pan] == len(found):
            found.append([])
        found[depth[pan]].append(placed)
    return found


def also_in(place: Place) -> str:
    return f"is also in {place[0]}, line {place[1]}"


def steps(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while some := list(islice(rows, STEP)):
        yield some


# What the store holds already. By redis-py's pipelines: no act, so no hurry and no gate.


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
