"""Lists out of files: read, held against each other and against the store, and put in force."""

from collections.abc import Callable, Collection, Mapping

from redis.asyncio import Redis

from authz.app.listed import Listed, read_listed
from authz.app.rows import BadCell, BadRows, Table
from authz.app.stored import STEP, ids_of, stored_card_ids
from authz.control import card_id_for
from authz.hot.lists import field_of
from authz.hot.store import RedisHotState
from authz.judgement import (
    PERIODS_MAX,
    Overlaps,
    add_entries,
    added,
    opposite,
    replace_entries,
    rows_of,
)
from authz.privacy import Pan, PanKeys
from ledger.journal import ListRow
from rules.lists import overlap

NO_CARD = "no such card, in these files or in the store"

Place = tuple[str, int]  # file and line


class Listing:
    """What the files say of lists, as far as it can be used, each row with its place."""

    def __init__(self, bad: BadRows) -> None:
        self.given = False  # also by a file without a row: it says that nobody is listed
        self.bad = bad
        self._rows: dict[str, list[tuple[Place, ListRow]]] = {}  # by field of the lists
        self._ids: dict[str, set[str]] = {}  # of cards that are named by it: their fields

    @property
    def size(self) -> int:
        return sum(map(len, self._rows.values()))

    async def read(
        self,
        table: Table,
        cards: Collection[Pan],
        state: RedisHotState,
        pan_keys: Callable[[], PanKeys],
    ) -> None:
        """One file more. `cards` are those of the files that are loaded with it."""
        self.given = True
        for row in table.rows:
            try:
                listed = read_listed(row)
                value = await value_of(listed, cards, state, pan_keys)
                field = field_of(listed.name, listed.kind, value)
                self._add((row.file, row.line), field, listed.row)
            except BadCell as bad:
                self.bad.add(row.file, row.line, bad.column, str(bad))
                continue
            if listed.kind == "card" and isinstance(listed.value, str):
                self._ids.setdefault(value, set()).add(field)

    def _add(self, place: Place, field: str, row: ListRow) -> None:
        """Raises: BadCell."""
        rows = self._rows.get(field, [])
        for other_place, other in (*rows, *self._rows.get(opposite(field), [])):
            if overlap(row[2:], other[2:]):
                same = row[2:] == other[2:] and (other_place, other) in rows
                raise BadCell("value", also_in(other_place) if same else beside(other_place))
        if len(rows) == PERIODS_MAX:
            raise BadCell("value", f"has more than {PERIODS_MAX} periods")
        self._rows.setdefault(field, []).append((place, row))

    async def reject_unknown_ids(
        self, cards: Collection[Pan], client: Redis, pan_keys: Callable[[], PanKeys]
    ) -> None:
        """A card id in a list that no card has, here or in the store, would block nobody.

        The store has no index by card id, so all ids that are in doubt are looked for in one
        pass over its directory; it ends with the last of them.
        """
        doubtful = set(self._ids)
        if doubtful and cards:
            doubtful -= await ids_of(client, pan_keys(), list(cards))
        if doubtful:
            async for some in stored_card_ids(client):
                doubtful -= some
                if not doubtful:
                    break
        for id in doubtful:
            for field in self._ids[id]:
                self._reject(field, NO_CARD)

    async def reject_what_overlaps(self, client: Redis) -> None:
        """What cannot stand beside what is listed already."""
        fields = list(self._rows)
        for start in range(0, len(fields), STEP):
            some = fields[start : start + STEP]
            there = await rows_of(client, [*some, *map(opposite, some)])
            for field in some:
                rows = tuple(row for _, row in self._rows[field])
                try:
                    added(field, rows, there[field], there[opposite(field)])
                except Overlaps as error:
                    self._reject(field, f"{error}; --replace puts these in its place")

    def _reject(self, field: str, reason: str) -> None:
        for place, _ in self._rows.pop(field):
            self.bad.add(*place, "value", reason)

    async def put(self, client: Redis, source: str, *, replace: bool) -> tuple[int, int]:
        """The version, and how many values changed. Raises: HotStateError; Overlaps, where somebody
        listed something meanwhile."""
        wanted = {
            field: tuple(sorted((row for _, row in rows), key=lambda row: row[2:]))
            for field, rows in self._rows.items()
        }
        put: Mapping[str, tuple[ListRow, ...]] = wanted
        return await (replace_entries if replace else add_entries)(client, put, source)


async def value_of(
    listed: Listed,
    cards: Collection[Pan],
    state: RedisHotState,
    pan_keys: Callable[[], PanKeys],
) -> str:
    """The entry's value; of a card number, the card id that it has or is about to get."""
    if isinstance(listed.value, str):
        return listed.value
    who = await card_id_for(state, pan_keys(), listed.value)
    if who.account_id is None and listed.value not in cards:
        raise BadCell("value", NO_CARD)
    return who.card_id


def also_in(place: Place) -> str:
    return f"is also in {place[0]}, line {place[1]}"


def beside(place: Place) -> str:
    return f"overlaps in time with {place[0]}, line {place[1]}"
