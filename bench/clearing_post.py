"""How fast a clearing file is posted: written down in Postgres, and each record an act.

As in the product: `appendfsync always`, synchronous commits, every index and trigger. Half of the
records find the authorization that they clear, by life-cycle id; the others are forced. Nobody
else works: no engine answers, and no writer drains.
"""

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from authz.app.books import FOR_BOOKS
from authz.app.clearing import Poster
from authz.app.clearing_acts import FileFacts
from authz.app.clearing_plan import file_row, rows_of
from authz.app.dry_run import Nobody, NoSpool
from authz.app.embedded.postgres import EmbeddedPostgres
from authz.app.embedded.valkey import EmbeddedValkey
from authz.authorize import authorize
from authz.cards import NearCache
from authz.clock import SystemClock
from authz.engine import Engine, Settings
from authz.hot import admin
from authz.hot.acts import PutAccount, PutCard
from authz.hot.resp import connect as connect_to_store
from authz.hot.store import RedisHotState
from authz.privacy import Pan, PanKeys
from authz.profiles import write_profile
from bench.clearing import DAY, items
from ledger.cleared import Cleared
from ledger.clearing.csv_file import write_csv
from ledger.clearing.reading import read_clearing
from ledger.clearing.record import ClearedItem
from ledger.database import connect, migrate
from ledger.journal import AccountBody, CardBody, encode_body
from rules.facts import (
    AccountProfile,
    AccountState,
    AuthorizationRequest,
    CardProfile,
    CardState,
    Purpose,
)

CARDS = 1000
KEYS = PanKeys(b"the key of a bench, and of nothing else")
NETWORKS = frozenset({"visa"})
TOGETHER = 64  # authorizations under way while the store is filled


def pan_of(number: int) -> str:
    return f"999999{number % CARDS:010}"


async def measure(store: EmbeddedValkey, postgres: EmbeddedPostgres, count: int) -> dict[str, Any]:
    client = admin.administrator(store.url)
    await admin.install(client)
    await admin.open_gates(client, new=True, source="bench")
    state, link = RedisHotState(), await connect_to_store(store.url)
    state.attach(link, await admin.run_id(client))
    connection = await connect(postgres.dsn, command_timeout=None)
    await migrate(connection)
    settings = Settings(by_file=NETWORKS, budget_s=10.0, hot_deadline_s=10.0)
    engine = Engine(state, NearCache(CARDS), SystemClock(), NoSpool(), Nobody(), settings, "bench")
    try:
        await open_cards(state)
        told = [
            msgspec.structs.replace(
                item, pan=item.pan and type(item.pan)(pan_of(n)), life_cycle=f"L{n:014}",
                billing_currency="", billing_minor=0, transaction_currency="840",
            )
            for n, item in enumerate(items(count))
        ]  # fmt: skip
        await fill(engine, told[::2])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "file.csv"
            with path.open("w", newline="") as stream:
                write_csv(told, stream, business_date=DAY)
            return await post(engine, client, Cleared(connection), path)
    finally:
        link.close()
        await connection.close()
        await client.aclose()


async def post(engine: Engine, client: Any, cleared: Cleared, path: Path) -> dict[str, Any]:
    file = read_clearing(path)
    start = time.perf_counter()
    now_s = (await client.time())[0] + 300
    row = file_row(file, "visa", "bench", now_s)._replace(sent_s=now_s)
    await cleared.plan(row, rows_of(file, KEYS, "visa", NETWORKS))
    planned = time.perf_counter()
    facts = FileFacts(file.file_id, DAY.isoformat(), now_s, "bench")
    count = await Poster(engine, client, cleared, facts, NETWORKS).run()
    done = time.perf_counter()
    outcomes = {row["outcome"]: row["records"] for row in await cleared.outcomes(file.file_id)}
    assert outcomes == {"cleared": (count + 1) // 2, "forced": count // 2}, outcomes
    return {
        "items": count,
        "planned_per_s": round(count / (planned - start)),
        "posted_per_s": round(count / (done - planned)),
    }


async def open_cards(state: RedisHotState) -> None:
    for number in range(CARDS):
        account = AccountProfile(f"A{number}", "bench", "840", 0, "UTC", AccountState.ACTIVE)
        card = CardProfile(f"C{number}", account.account_id, f"C{number}", "3012", CardState.ACTIVE)
        packed, pressed = write_profile(account), write_profile(card)
        key = KEYS.card_key(Pan(pan_of(number)))
        body = encode_body(AccountBody(msgspec.Raw(packed), 10**12, "bench"))
        await state.put_account(
            PutAccount(
                account_id=account.account_id, profile=packed, currency="840",
                opening_minor=10**12, body=body,
            )
        )  # fmt: skip
        body = encode_body(CardBody(msgspec.Raw(pressed), key, "bench"))
        await state.put_card(
            PutCard(card_id=card.card_id, account_id=account.account_id, profile=pressed, body=body)
        )
        await state.put_directory(key, account.account_id, card.card_id)


async def fill(engine: Engine, told: list[ClearedItem]) -> None:
    """Each of these has its authorization."""
    now_s = engine.now_ms() // 1000

    async def one(number: int, item: ClearedItem) -> None:
        assert item.pan is not None
        request = AuthorizationRequest(
            network="visa", mti="0100", card_key=KEYS.card_key(Pan(item.pan.reveal())),
            purpose=Purpose.PURCHASE, amount_minor=item.transaction_minor, currency="840",
            transaction_minor=item.transaction_minor, transaction_currency="840", mcc=item.mcc,
            merchant_id=item.merchant_id, terminal_id=item.terminal_id, acquirer_id="41111100",
            country="US", entry_mode="051", expiry="3012", stan=f"{number % 10**6:06}",
            rrn=f"{number:012}", sent_at=now_s, life_cycle=item.life_cycle,
        )  # fmt: skip
        outcome = await authorize(engine, request, engine.clock.monotonic())
        assert outcome.approval_code, outcome.reason

    for start in range(0, len(told), TOGETHER):
        some = enumerate(told[start : start + TOGETHER], start)
        await asyncio.gather(*(one(number, item) for number, item in some))


def posted(count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="authz-bench-") as parent:
        os.chmod(parent, 0o711)  # the database's own account must reach its folder, under root
        with (
            EmbeddedValkey.start() as store,
            EmbeddedPostgres.start(Path(parent) / "books", settings=FOR_BOOKS) as postgres,
        ):
            return uvloop.run(measure(store, postgres, count))
