"""The whole circle, for each network's own format: the simulated network asks, is answered, clears
what it saw approved; each record becomes what its manifest expects; and the day's proof has
nothing unexplained, to the cent that an oracle tells from the files alone.
"""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from authz.app import clearing_run
from authz.app.clearing_files import write_clearing
from authz.app.people import load_population
from authz.clock import utc
from authz.hot.acts import Close
from authz.simulator.accents import GENERIC_CODES, as_said, mti_in
from authz.simulator.clearing import key_of
from authz.simulator.merchants import make_merchants
from authz.simulator.messages import Event, stamp
from authz.simulator.population import Population, make_population
from authz.simulator.report import Report
from authz.simulator.traffic import Traffic
from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS
from ledger.clearing.reading import read_clearing
from ledger.journal import CloseBody, encode_body
from ledger.proof import Proof
from ledger.proof_reading import prove
from tests.support.books import drain
from tests.support.engine import KEYS
from tests.support.office import office

MESSAGES, SEED = 300, 11
NETWORKS = {"mastercard": "mastercard", "visa": "visa", "generic": "iso87_ascii"}  # and dialects


async def carry(it: Any, network: str, population: Population) -> tuple[list[Event], Report]:
    """The network's messages, one after another, and what it saw of the answers."""
    dialect, clock = BY_NAME[NETWORKS[network]], it.world.clock
    link = it.world.link(network=network, dialect=dialect, framing=FRAMINGS["binary2"])
    traffic = Traffic(population, make_merchants(SEED), SEED, first_day=it.today, per_day=MESSAGES)
    events, report = list(islice(traffic, MESSAGES)), Report()
    for event in events:
        elements = stamp(event, utc(clock.now_ms()).strftime("%m%d%H%M%S"))
        raw = encode(
            mti_in(network, event.mti), as_said(network, dialect, event, elements), dialect
        )
        [answer] = await link.send(raw)
        message = decode(answer, dialect)
        code = str(message.get(39, ""))
        report.remember(
            key_of(event), GENERIC_CODES[network].get(code, code), str(message.get(38, ""))
        )
    return events, report


async def end_holds(it: Any) -> None:
    """By a person's word, of every authorization that is still held: as if weeks had passed."""
    rows = await it.connection.fetch(
        'SELECT account_id, authorization_id FROM "authorization" WHERE held_minor > 0'
    )
    for number, (account, authorization) in enumerate(rows):
        await it.world.hot.close(
            Close(act_id=f"end {number}", account_id=account, authorization_id=authorization,
                  kind="released", at=it.world.clock.now_ms() // 1000,
                  body=encode_body(CloseBody("test"))), 5.0,
        )  # fmt: skip


async def outcomes(it: Any, path: Path) -> dict[int, str]:
    rows = await it.connection.fetch(
        "SELECT record, outcome FROM clearing_item JOIN clearing_file USING (file_id) "
        "WHERE name = $1", path.name,
    )  # fmt: skip
    return {row[0]: row[1] for row in rows}


def expected_of(path: Path) -> dict[int, str]:
    manifest = json.loads(Path(f"{path}.json").read_text())
    return {one["record"]: one["expected"] for one in manifest["records"]}


def of_role(proof: Proof, currency: str, role: str) -> int:
    return sum(
        one.closing_minor
        for money in proof.currencies if money.currency == currency
        for one in money.roles if one.role == role
    )  # fmt: skip


@pytest.mark.parametrize("network", NETWORKS)
def test_what_the_network_clears_becomes_what_it_expects(
    network: str, fresh_redis: str, fresh_postgres: str, tmp_path: Path
) -> None:
    async def clear(it: Any, path: Path) -> None:
        await clearing_run.clear(it.desk, read_clearing(path), network, lambda _: None)
        assert await outcomes(it, path) == expected_of(path)

    async def proved(it: Any) -> Proof:
        await drain(fresh_redis, fresh_postgres)
        now = await it.connection.fetchval("SELECT max(at_ms) FROM shard")
        today = datetime.fromtimestamp(now / 1000, UTC).date()
        proof = await prove(it.connection, today, ZoneInfo("UTC"), now)
        assert proof.ok, proof.unexplained[:5]
        assert proof.checks["clearing"].compared > 0
        return proof

    async def story() -> None:
        by_file = frozenset({network})
        async with office(fresh_redis, fresh_postgres, tmp_path, by_file=by_file) as it:
            population = make_population(SEED, 150, it.today)
            await load_population(it.world.hot, KEYS, population, "test")
            events, report = await carry(it, network, population)
            files = write_clearing(
                tmp_path / "out", network, events, report, population, seed=SEED, day=it.today
            )
            assert len(files) == 2
            await clear(it, files[0])
            await proved(it)
            await end_holds(it)
            await clear(it, files[1])
            proof = await proved(it)
            assert all(money.holds.closing_minor == 0 for money in proof.currencies)
            owed = network_owed(files)
            for currency, minor in owed.items():
                assert of_role(proof, currency, "network") == -minor
            assert proof.approved == len(report.approvals)
            assert (await it.connection.fetchval("SELECT count(*) FROM parked")) == 0

    def network_owed(files: list[Path]) -> Counter[str]:
        """What we owe the network, told from its files alone: as they settle, where they say so."""
        owed: Counter[str] = Counter()
        for path in files:
            for item in read_clearing(path).items():
                if item.settlement_currency:
                    minor, currency = item.settlement_minor, item.settlement_currency
                elif item.billing_currency and item.kind != "fee":
                    minor, currency = item.billing_minor, item.billing_currency
                else:
                    minor, currency = item.transaction_minor, item.transaction_currency
                owed[currency] += item.sign * minor
        return owed

    asyncio.run(story())
