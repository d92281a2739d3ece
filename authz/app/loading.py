"""Loading: files of accounts, cards and lists into the hot state, all or nothing.

Everything is read and compared with the store before the first act. Where one row is
bad nothing of the files is loaded, unless the caller wants the rest. The acts are such
that a load that was cut short is finished by running it again.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from authz.announcing import Announcing
from authz.app.changes import Changes
from authz.app.listing import Listing, Place, also_in
from authz.app.meaning import Money, is_id, money_of, read_account, read_card
from authz.app.rows import BadCell, BadRow, BadRows, Row, Table, open_table
from authz.app.stored import STEP, directory, stored_accounts, stored_cards, stored_profiles
from authz.control import (
    Kept,
    NewAccount,
    NewCard,
    Outcome,
    card_profile,
    claim_pan_key,
    put_accounts,
    put_cards,
)
from authz.hot.store import RedisHotState
from authz.privacy import Pan, PanKeys

Item = TypeVar("Item")


class LoadReport(Struct, kw_only=True):
    """What became of the files."""

    ok: bool = False
    loaded: bool = False  # whether anything was done at all
    partial_helps: bool = True  # no: a file as a whole cannot be used
    accounts: Outcome = msgspec.field(default_factory=Outcome)
    cards: Outcome = msgspec.field(default_factory=Outcome)
    lists_version: int | None = None  # None: no lists were given
    lists_entries: int = 0
    lists_changed: int = 0  # values: the others were as they are
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
        self.listing = Listing(self.bad)
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
    kinds: tuple[str, ...] = ("accounts", "cards", "lists"),
    replace_lists: bool = True,
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
        if table is not None and table.kind not in kinds:
            batch.bad.add(file.name, 1, "", f"has {table.kind}, not {', '.join(kinds)}")
            table = None
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
        await batch.listing.read(table, batch.cards, state, pan_keys)
    await batch.listing.reject_unknown_ids(batch.cards, client, pan_keys)
    if not replace_lists:
        await batch.listing.reject_what_overlaps(client)

    if batch.bad.count == 0 or partial:
        await put(batch, report, state, client, pan_keys, source, announcing)
        if batch.listing.given:
            report.lists_entries = batch.listing.size
            report.lists_version, report.lists_changed = await batch.listing.put(
                client, source, replace=replace_lists
            )
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


def steps(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while some := list(islice(rows, STEP)):
        yield some
