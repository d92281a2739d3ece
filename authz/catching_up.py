"""How an engine comes to judge by what is in force: policy, rates and lists, by version.

Told by the store that its version is older, it reads the changes since, and they are in force at
once: one small reading in the time of a request. Where it is so far behind that changes are no
longer kept, or are too many for a request, the keeper's next look brings it up: it reads all
entries anew, page by page, beside the work that goes on. What it judges by is at every moment
exactly what some version says, since each decision names its version.
Promises: tests/authz/test_catching_up.py.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

from authz.hot.errors import HotStateError, TooLate
from authz.hot.lists import parts_of
from authz.hot.store import HotState
from ledger.journal import Change, ListRows
from rules.judge import Judge
from rules.lists import ALWAYS, Lists, Periods

CHANGES_AT_ONCE = 4  # read in one call: of a load of lists they take the loop some 4 ms
IN_A_REQUEST = 64  # changes at the most; of 1,000 entries each they take some 60 ms
ENTRIES_AT_ONCE = 2000  # taken in within one turn of the loop: 2 ms
PAGE = 1000  # entries of one page where everything is read
ANEW = 3  # readings of everything that changes may overtake

Left = Callable[[], float]  # seconds that the next call may take


class CatchingUp:
    """One engine's lists and texts."""

    def __init__(
        self,
        hot: HotState,
        compiled: Callable[[dict[str, str], Left], Awaitable[Judge]],
        judge_by: Callable[[Judge, dict[str, str]], None],
    ) -> None:
        self.lists = Lists()
        self.texts: dict[str, str] = {}
        self._hot = hot
        self._compiled = compiled  # raises Refused, of a text that cannot be used; TooLate
        self._judge_by = judge_by
        self._one_at_a_time = asyncio.Lock()

    def forget(self) -> None:
        """As at the start: whoever asks next reads all that is in force."""
        self.lists, self.texts = Lists(), {}

    async def up_to(self, version: int, left: Left, *, asked: bool) -> None:
        """That version at least; 0: whatever is in force now. `asked`: a request waits for it.

        Raises: HotStateError. What was taken in stays, and the next one goes on from there.
        """
        try:
            async with asyncio.timeout(left() if asked else None):
                await self._one_at_a_time.acquire()
        except TimeoutError:
            raise TooLate("others read the lists") from None
        try:
            if not version:
                version = await self._hot.judgement_version(left())
            behind = version - self.lists.version
            if behind <= 0:
                return
            if asked and behind > IN_A_REQUEST:
                raise TooLate("too many changes for one request")
            changes = await self._read(self.lists.version + 1, version, left)
            if changes is not None:
                await self._take_in(changes, left)
            elif asked:
                raise TooLate("the changes are no longer kept")
            else:
                await self._read_anew(left)
        finally:
            self._one_at_a_time.release()

    async def _read(self, first: int, last: int, left: Left) -> list[Change] | None:
        """The changes of these versions; None where one of them is not kept any more."""
        found: list[Change] = []
        for start in range(first, last + 1, CHANGES_AT_ONCE):
            end = min(start + CHANGES_AT_ONCE - 1, last)
            for change in await self._hot.changes(start, end, left()):
                if change is None:
                    return None
                found.append(change)
        return found

    async def _take_in(self, changes: list[Change], left: Left) -> None:
        """Version by version, with pauses between them; but from the first that changes a text on
        in one step, as texts are compiled once: as the last of them has them."""
        plain = next((n for n, change in enumerate(changes) if change.texts), len(changes))
        lists, since_pause = self.lists, 0
        for change in changes[:plain]:
            take(change, lists)
            lists.version += 1
            since_pause += len(change.entries)
            if since_pause >= ENTRIES_AT_ONCE:
                since_pause = 0
                await asyncio.sleep(0)
        if plain < len(changes):
            texts = after(self.texts, changes[plain:])
            judge = await self._compiled(texts, left)
            self._judge_by(judge, texts)
            self.texts = texts
            for change in changes[plain:]:
                take(change, lists)
            lists.version += len(changes) - plain

    async def _read_anew(self, left: Left) -> None:
        """All entries as they are now. While they are read they change, so what changed since the
        reading began is taken in after it: then each is as the last of these versions has it."""
        for _ in range(ANEW):
            standing = await self._hot.standing(left())
            lists, cursor = Lists(standing.version), b""
            while cursor != b"0":
                cursor, entries = await self._hot.list_page(cursor or b"0", PAGE, left())
                for field, rows in entries:
                    lists.put(*parts_of(field), periods_of(rows))
            newest = await self._hot.judgement_version(left())
            changes = await self._read(standing.version + 1, newest, left)
            if changes is None:
                continue
            for change in changes:
                take(change, lists)
                await asyncio.sleep(0)
            texts = after(standing.texts, changes)
            judge = await self._compiled(texts, left)
            self._judge_by(judge, texts)
            lists.version = newest
            self.lists, self.texts = lists, texts
            return
        raise HotStateError("the lists change faster than they can be read")


def take(change: Change, lists: Lists) -> None:
    """Its entries, in place."""
    for field, _, rows in change.entries:
        lists.put(*parts_of(field), periods_of(rows))


def after(texts: Mapping[str, str], changes: Iterable[Change]) -> dict[str, str]:
    """Texts by their kind, without those that there are none of."""
    found = dict(texts)
    for change in changes:
        found |= {kind: text for kind, _, text in change.texts}
    return {kind: text for kind, text in found.items() if text}


def periods_of(rows: ListRows | None) -> Periods | None:
    """When these rows are in force; why and by whom is no engine's business."""
    if rows is None:
        return None
    periods = tuple((start, end) for _, _, start, end in rows)
    return ALWAYS if (0, 0) in periods else periods
