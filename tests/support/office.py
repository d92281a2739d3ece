"""A back office: an engine with a real store, books in a real Postgres, files to be cleared."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from msgspec.structs import replace
from redis.asyncio import Redis

from authz.app.clearing_run import Desk, clear
from authz.audit import audit
from authz.clock import utc
from authz.engine import Settings
from authz.hot import admin, keys
from authz.hot.acts import PutAccount, PutCard
from authz.privacy import Pan as OurPan
from authz.profiles import write_profile
from ledger.cleared import Cleared
from ledger.clearing.csv_file import write_csv
from ledger.clearing.pan import Pan
from ledger.clearing.reading import read_clearing
from ledger.clearing.record import ClearedItem, Kind
from ledger.database import connect, migrate
from ledger.journal import AccountBody, CardBody, encode_body
from ledger.verify import verify
from tests.support.books import drain
from tests.support.clearing import arn_of, as_kind
from tests.support.engine import KEYS, PAN, InMemoryLink, World, account, card, code, purchase
from tests.support.hot import opened

NETWORK = "generic"
NOBODYS = "4000009999999991"


def record(number: int, amount: int, **changes: Any) -> ClearedItem:
    """A presentment of the generic network, in dollars; `rrn` is what it is found by."""
    kind, of = changes.pop("kind", Kind.PRESENTMENT), changes.pop("of", None)
    reversal, pan = changes.pop("reversal", False), changes.pop("pan", PAN)
    base: dict[str, Any] = {
        "record": number, "network": NETWORK, "pan": Pan(pan), "transaction_minor": amount,
        "transaction_currency": "840", "arn": arn_of(number), "mcc": "5411",
        "merchant_id": "MERCHANT0000001", "terminal_id": "TERM0001",
    }  # fmt: skip
    return ClearedItem(**(base | as_kind(kind, of, reversal) | changes))


def rrn_of(stan: int) -> str:
    """What `purchase` of tests/support/engine.py says in DE 37."""
    return f"{stan:012}"


class Office:
    """Account A1 with card C1 on it, online and at the back."""

    def __init__(
        self, url: str, dsn: str, folder: Path, world: World, client: Redis,
        connection: asyncpg.Connection, by_file: frozenset[str],
    ) -> None:  # fmt: skip
        self.url, self.dsn, self.folder = url, dsn, folder
        self.world, self.client, self.connection = world, client, connection
        self.link: InMemoryLink = world.link()
        self.cleared = Cleared(connection)
        self.desk = Desk(
            world.another_engine(Settings(by_file=by_file), "clear"), client, self.cleared, KEYS,
            "test", by_file,
        )  # fmt: skip
        self._files = 0

    async def set_clock(self) -> None:
        """To the store's, and a while ahead: no deadline passes while a scene is told."""
        seconds, micros = await self.client.time()
        now_ms = seconds * 1000 + micros // 1000 + 30_000
        self.world.clock.advance((now_ms - self.world.clock.now_ms()) / 1000)

    async def buy(self, stan: int, amount: int, mti: str = "0100", **changes: str) -> None:
        fields = purchase(stan, amount, at_ms=self.world.clock.now_ms(), **changes)
        assert code(await self.link.say(mti, fields)) == "00"

    @property
    def today(self) -> date:
        return utc(self.world.clock.now_ms()).date()

    def file(self, items: Iterable[ClearedItem], day: date | None = None) -> Path:
        self._files += 1
        path = self.folder / f"{self._files}.csv"
        with path.open("w", newline="") as stream:
            write_csv(list(items), stream, business_date=day or self.today)
        return path

    async def clear(
        self, items: Sequence[ClearedItem], step: Callable[[str], None] = lambda _: None
    ) -> dict[int, str]:
        """Outcome by the item's own number."""
        return await self.clear_file(self.file(items), items, step)

    async def clear_file(
        self, path: Path, items: Sequence[ClearedItem], step: Callable[[str], None] = lambda _: None
    ) -> dict[int, str]:
        file = read_clearing(path)
        found = await clear(self.desk, file, NETWORK, step)
        assert found["status"] == "done"
        assert sum(row["records"] for row in found["outcomes"]) == len(items)
        rows = await self.connection.fetch(
            "SELECT record, outcome FROM clearing_item WHERE file_id = $1", file.file_id
        )
        by_line = {row[0]: row[1] for row in rows}
        return {item.record: by_line[line] for line, item in enumerate(items, 2)}

    async def outcomes(
        self, path: Path, step: Callable[[str], None] = lambda _: None
    ) -> Counter[str]:
        """How often each outcome came."""
        found = await clear(self.desk, read_clearing(path), NETWORK, step)
        assert found["status"] == "done"
        return Counter({row["outcome"]: 0 for row in found["outcomes"]}) + Counter(
            outcome for row in found["outcomes"] for outcome in [row["outcome"]] * row["records"]
        )

    async def funds(self, account_id: str = "A1") -> tuple[int, int]:
        """Posted and held, in dollars."""
        amounts = await self.client.hmget(keys.account(account_id), ["posted:840", "held:840"])
        return int(amounts[0] or 0), int(amounts[1] or 0)

    async def balances(self) -> dict[tuple[str, str, str], int]:
        """The trial balance after draining, without what is zero: role, subject, currency."""
        await drain(self.url, self.dsn)
        rows = await self.connection.fetch(
            "SELECT role, subject, currency, sum(balance_minor)::bigint FROM trial_balance "
            "GROUP BY 1, 2, 3 HAVING sum(balance_minor) <> 0"
        )
        return {(row[0], row[1], row[2]): row[3] for row in rows}

    async def check(self) -> dict[tuple[str, str, str], int]:
        """Hot state and books are whole, nothing is parked, and both have the same money."""
        report = await audit(self.client)
        assert report.ok, report
        balances = await self.balances()
        assert await self.connection.fetchval("SELECT count(*) FROM parked") == 0
        assert await self.connection.fetchval("SELECT count(*) FROM notice") == 0
        assert (await verify(self.connection)).ok
        posted, held = await self.funds()
        assert balances.get(("open", "A1", "840"), 0) == -(posted - held)
        assert balances.get(("held", "A1", "840"), 0) == -held
        assert ("suspense", "", "840") not in balances
        return balances


async def issue(world: World, opening: int, number: int = 1, pan: str = PAN, **of: Any) -> None:
    """Account A1 of program `test` with that much money, and card C1 on it, as a load would."""
    profile, plastic = account(f"A{number}", **of), card(f"C{number}", f"A{number}")
    packed, pressed = write_profile(profile), write_profile(plastic)
    key = KEYS.card_key(OurPan(pan))
    await world.hot.put_account(
        PutAccount(
            account_id=profile.account_id, profile=packed, currency=profile.currency,
            opening_minor=opening, body=encode_body(AccountBody(msgspec.Raw(packed), opening, "t")),
        )
    )  # fmt: skip
    await world.hot.put_card(
        PutCard(
            card_id=plastic.card_id, account_id=profile.account_id, profile=pressed,
            body=encode_body(CardBody(msgspec.Raw(pressed), key, "t")),
        )
    )  # fmt: skip
    await world.hot.put_directory(key, profile.account_id, plastic.card_id)


@asynccontextmanager
async def at_desk(url: str, dsn: str) -> AsyncIterator[Desk]:
    """Somebody else who clears: a connection of each server, and the lock."""
    state, client, connection = await opened(url), admin.administrator(url), await connect(dsn)
    try:
        cleared, by_file = Cleared(connection), frozenset({NETWORK})
        assert await cleared.lock()
        engine = World(state).another_engine(Settings(by_file=by_file), "clear")
        yield Desk(engine, client, cleared, KEYS, "test", by_file)
    finally:
        await connection.close()
        state._connection.close()  # type: ignore[union-attr]
        await client.aclose()


@asynccontextmanager
async def office(
    url: str, dsn: str, folder: Path, *, opening: int = 100_000,
    by_file: frozenset[str] = frozenset({NETWORK}), settings: Settings | None = None,
) -> AsyncIterator[Office]:  # fmt: skip
    state, client = await opened(url), admin.administrator(url)
    connection = await connect(dsn)
    try:
        await migrate(connection)
        world = World(state, replace(settings or Settings(), by_file=by_file))
        it = Office(url, dsn, folder, world, client, connection, by_file)
        await it.set_clock()
        await issue(world, opening)
        yield it
    finally:
        await connection.close()
        state._connection.close()  # type: ignore[union-attr]
        await client.aclose()
        await asyncio.sleep(0)
