"""The rebuild of a lost hot state: how long, and with how much memory.

The books are filled by COPY with accounts as a load leaves them, each with a card, and with open
authorizations: a real one is made, and its record is written again under other ids. Then `authz
rebuild` runs as a process of its own, into an empty store (`appendfsync always`), and is timed
from outside.
"""

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
import uvloop

from authz.app.books import FOR_BOOKS
from authz.app.embedded.postgres import EmbeddedPostgres
from authz.app.embedded.valkey import EmbeddedValkey
from authz.hot import admin, keys
from bench.ledger import SCATTER, a_real_approval
from bench.machine import publish, this_machine, valkey_version
from bench.memory import stored_profiles
from ledger.database import connect, migrate

ACCOUNTS, AUTHORIZATIONS = 1_000_000, 500_000
OPENING_MINOR, HELD_MINOR = 100_000, 100
PAGE = 20_000  # rows of one COPY
TARGET_S = 120.0  # for a million accounts
SECRET = "6b" * 32
SEED = 1

pack = msgspec.msgpack.Encoder().encode


def run(
    json_path: str | None, accounts: int = ACCOUNTS, authorizations: int = AUTHORIZATIONS
) -> dict[str, Any]:
    """Measure, print a table, return the figures."""
    authorizations = min(authorizations, accounts)  # one each
    with tempfile.TemporaryDirectory(prefix="authz-bench-") as parent:
        os.chmod(parent, 0o711)  # the database's own account must reach its folder, under root
        with (
            EmbeddedValkey.start() as store,
            EmbeddedPostgres.start(Path(parent) / "books", settings=FOR_BOOKS) as postgres,
        ):
            uvloop.run(fill(store.url, postgres.dsn, accounts, authorizations))
            figures = rebuild(store.url, postgres.dsn, Path(parent))
            figures["keys"], version = uvloop.run(about(store.url))
    answer = figures | {
        "durability": "always",
        "machine": this_machine(seed=SEED, valkey=version, durability="always"),
    }
    assert (answer["accounts"], answer["open"]) == (accounts, authorizations)
    publish(answer, table(answer), json_path)
    return answer


async def fill(url: str, dsn: str, accounts: int, authorizations: int) -> None:
    """The books, and then an empty store."""
    _, (_, _, record) = msgspec.msgpack.decode(await a_real_approval(url))
    client = admin.administrator(url)
    store_id = await admin.store_id(client)
    await client.flushall()
    await client.aclose()
    connection = await connect(dsn)
    await migrate(connection)
    await connection.execute("INSERT INTO store (id) VALUES ($1)", store_id)
    await connection.execute("INSERT INTO shard (shard) SELECT generate_series(0, 63)")
    rows: dict[str, list[Any]] = {table: [] for table in COLUMNS}
    for number, (card_key, account, card) in enumerate(stored_profiles(accounts, SEED)):
        profile = msgspec.msgpack.decode(account)
        id, currency = profile[0], profile[2]
        opens = number < authorizations
        held = HELD_MINOR if opens else 0
        rows["account"].append(
            (id, int(keys.shard_of(id)), profile[1], currency, profile[3], True, 2, "0" * 40, 1,
             account)
        )  # fmt: skip
        rows["balance"].append((id, currency, OPENING_MINOR, held, OPENING_MINOR, held))
        rows["card"].append(
            (msgspec.msgpack.decode(card)[0], id, card_key.decode(), 1, card)
        )  # fmt: skip
        if opens:
            message = f"{number * SCATTER % 2**64:022x}"
            rows["authorization"].append(
                (message, id, "", currency, "generic", held, 0, 0, 0, 0, "", True, "", "", 1, 1,
                 another(record, message, number))
            )  # fmt: skip
        if len(rows["account"]) >= PAGE or number == accounts - 1:
            for name, some in rows.items():
                if some:
                    await connection.copy_records_to_table(
                        name, records=some, columns=COLUMNS[name], schema_name="ledger"
                    )
                some.clear()
    await connection.execute("VACUUM ANALYZE")
    await connection.execute("CHECKPOINT")
    await connection.close()


def another(packed: bytes, message: str, number: int) -> bytes:
    """The same record under other names; it holds as much as the balance says."""
    record = msgspec.msgpack.decode(packed)
    record[2] = record[10] = HELD_MINOR
    record[6] = message
    record[7] = [f"{n}-{number}-{name}"[:40] for n, name in enumerate(record[7])]
    return pack(record)


def rebuild(url: str, dsn: str, folder: Path) -> dict[str, Any]:
    """The command, as a person runs it."""
    key = folder / "pan.key"
    key.write_text(SECRET)
    started = monotonic()
    done = subprocess.run(
        [
            sys.executable, "-m", "authz", "rebuild", "--redis", url, "--postgres", dsn,
            "--pan-key-file", str(key), "--json", "-",
        ],
        stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    seconds = monotonic() - started
    report = msgspec.json.decode(done.stdout)
    return {
        "seconds": seconds,
        "accounts_per_s": report["accounts"] / seconds,
        "accounts": report["accounts"],
        "cards": report["cards"],
        "authorizations": report["authorizations"],
        "open": report["open"],
        # In kilobytes on Linux, in bytes on a Mac.
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        / (1e6 if sys.platform == "darwin" else 1e3),
    }


async def about(url: str) -> tuple[int, str]:
    client = admin.administrator(url)
    size = int(await client.dbsize())
    await client.aclose()
    return size, await valkey_version(url)


def table(answer: dict[str, Any]) -> Iterator[str]:
    target = f" (target under {TARGET_S:.0f})" if answer["accounts"] == ACCOUNTS else ""
    yield f"{answer['accounts']:,} accounts, {answer['cards']:,} cards, {answer['open']:,} holds"
    for name, value in (
        (f"seconds{target}", f"{answer['seconds']:.1f}"),
        ("accounts a second", f"{answer['accounts_per_s']:,.0f}"),
        ("keys", f"{answer['keys']:,}"),
        ("memory at its peak, MB", f"{answer['peak_rss_mb']:.0f}"),
    ):
        yield f"  {name:<34}{value:>14}"


COLUMNS = {
    "account": ["account_id", "shard", "program", "currency", "credit_line_minor", "created",
                "entries", "digest", "version", "profile"],
    "balance": ["account_id", "currency", "posted_minor", "held_minor", "told_posted_minor",
                "told_held_minor"],
    "card": ["card_id", "account_id", "card_key", "version", "profile"],
    "authorization": ["authorization_id", "account_id", "card_id", "currency", "network",
                      "held_minor", "paid_minor", "fees_minor", "cross_border_minor",
                      "converted_minor", "foreign", "approved", "taken_in_by", "acts",
                      "first_at_ms", "last_at_ms", "record"],
}  # fmt: skip
