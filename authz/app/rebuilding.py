"""A lost hot state, told anew from the books: the books are read, and the store is written.

In this order, so that whoever is killed in between can begin again: the store is marked, loaded,
the books count the rebuild, the gates open, the mark goes. Decision 0024.
"""

from collections.abc import Iterable

from msgspec import Struct

from authz.clock import SystemClock
from authz.hot import admin, keys
from authz.hot.rebuild import Loader, begin, finish, loading
from authz.profiles import read_card
from ledger.rebuild import Account, Reader, Tally, reading
from rules.facts import CardState
from rules.notices import DAYS_KEPT

LISTED = 1000  # cards in a report that a network must be told of again by hand
MS = 1000


class Rebuilt(Struct, kw_only=True):
    """What a store was given back."""

    store: str  # its id, the one it had
    times: int  # that it was rebuilt, with this one
    entries: int = 0  # of the books: what it is told from
    newest_ms: int = 0  # the newest of them, by the store's clock then
    accounts: int = 0
    without_profile: int = 0  # accounts that the books know by their money only: they are left out
    cards: int = 0
    authorizations: int = 0
    open: int = 0  # that hold something
    answers: int = 0
    judgement: int = 0  # its version
    parked: int = 0  # entries that are not in the books: what they did is not in the store
    notices: int = 0  # entries that were told, and of which something is missing
    blocked: int = 0  # cards that do not pay; what networks were told of them nobody knows
    blocked_ids: list[str] = []  # the first of them
    seconds: float = 0.0


class Lives(Struct, frozen=True):
    """How long what a network may still ask for is kept, in seconds."""

    answers_s: int


async def rebuild(
    url: str, dsn: str, pan_check: str, lives: Lives, source: str, cap: int = admin.JOURNAL_CAP
) -> Rebuilt:
    """Give the store at `url`, which has nothing, what the books at `dsn` have.

    Raises: NotFit, NothingToRebuildFrom; redis.RedisError, HotStateError, OSError, TimeoutError,
        asyncpg.PostgresError; msgspec.MsgspecError, where the books hold what nobody wrote there.
    """
    clock = SystemClock()
    started = clock.monotonic()
    client = admin.administrator(url)
    try:
        await admin.install(client)
        async with reading(dsn) as books, loading(url) as loader:
            about = await books.store()
            if about.pan_key not in ("", pan_check):
                raise admin.NotFit(admin.OTHER_KEY)
            seconds, _ = await client.time()
            await begin(client, seconds * MS)
            report = Rebuilt(
                store=about.id, times=about.rebuilt + 1, entries=about.entries,
                newest_ms=about.at_ms, parked=about.parked, notices=about.notices,
            )  # fmt: skip
            await load(books, loader, report, seconds * MS, lives)
            await books.finish()
            named: dict[str, str | int] = {
                keys.STORE_ID: about.id, keys.PAN_KEY: about.pan_key or pan_check,
                keys.REBUILT: report.times,
            }  # fmt: skip
            await finish(client, named, source, cap)
    finally:
        await client.aclose()
    report.seconds = clock.monotonic() - started
    return report


async def load(
    books: Reader, loader: Loader, report: Rebuilt, now_ms: int, lives: Lives
) -> None:  # fmt: skip
    """All of it, but the store's id and the opening of its gates."""
    for shard in await books.shards():
        loader.gate(f"{shard.shard:02}", ("entries", shard.entries, "digest", shard.digest))
    async for versions in books.judgement():
        loader.judge(versions)
    tallies = await books.tallies()
    newest_day = max((day_of(tally) for tally in tallies), default=0)
    for tally in tallies:
        value = str(tally.count)
        if tally.name.startswith("t:"):
            if day_of(tally) < newest_day - DAYS_KEPT:
                continue  # no network asks for it any more
            value = f"{tally.count} {tally.amount_minor}"
        loader.gate(f"{tally.shard:02}", (tally.name, value))
    for day in await books.days():
        said = f"{day.in_force} {day.ended} {day.at_s} {day.moves}"
        loader.gate(keys.shard_of_network(day.network), (keys.days_field(day.network), said))
    async for accounts in books.accounts():
        there = [account for account in accounts if account.version]
        report.without_profile += len(accounts) - len(there)
        report.accounts += len(there)
        note_blocked(there, report)
        await loader.accounts(there)
    async for answers in books.answers(now_ms - lives.answers_s * MS, now_ms):
        report.answers += len(answers)
        await loader.answers(answers)
    await loader.finish_loading()
    report.cards, report.authorizations = loader.cards, loader.records
    report.open, report.judgement = loader.open, loader.version


def day_of(tally: Tally) -> int:
    """The network's business day that it counts; 0, where it counts cases."""
    return int(tally.name.split("/")[1]) if tally.name.startswith("t:") else 0


def note_blocked(accounts: Iterable[Account], report: Rebuilt) -> None:
    """Card numbers are nowhere, by design, so what networks are to be told of them is lost."""
    for account in accounts:
        for card in account.cards:
            if read_card(card.profile).state is not CardState.ACTIVE:
                report.blocked += 1
                if len(report.blocked_ids) < LISTED:
                    report.blocked_ids.append(card.card_id)
