"""The whole way of a payment in its network's own words: asked for over a link, cleared by a file.

Mastercard's file is written by cardutil, Visa's by our own writer, whose
layout tests/ledger/clearing/test_base2.py holds against public facts.
"""

import asyncio
import logging
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from authz.app.clearing_run import clear
from iso8583.dialects import BY_NAME
from ledger.clearing.base2_writer import write_base2
from ledger.clearing.pan import Pan
from ledger.clearing.reading import read_clearing
from tests.ledger.clearing.test_ipm import a_file, by_cardutil, presentment
from tests.support.clearing import arn_of, item_of
from tests.support.engine import PAN, code
from tests.support.networks import mastercard, visa
from tests.support.office import Office, office

BOTH = frozenset({"visa", "mastercard"})


@pytest.fixture(autouse=True)
def _cardutil_says_nothing() -> Iterator[None]:
    """Its debug log would hold the numbers."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


async def cleared(it: Office, path: Path) -> dict[str, int]:
    found = await clear(it.desk, read_clearing(path))
    return {row["outcome"]: row["records"] for row in found["outcomes"]}


@pytest.mark.parametrize("encoding", ["ebcdic", "ascii"])
def test_mastercard(fresh_redis: str, fresh_postgres: str, tmp_path: Path, encoding: str) -> None:
    async def story() -> None:
        async with office(fresh_redis, fresh_postgres, tmp_path, by_file=BOTH) as it:
            link = it.world.link(dialect=BY_NAME["mastercard"], network="mastercard")
            now_ms = it.world.clock.now_ms()
            for stan, reference in ((1, "ABC123"), (2, "DEF456")):
                asked = mastercard(stan, 5000, reference, at_ms=now_ms)
                assert code(await link.say("0100", asked)) == "00"
            assert await it.funds() == (100_000, 10_000)
            told = {"DE2": PAN, "DE10": None, "DE12": datetime(2026, 3, 22, 12), "DE49": "840"}
            dollars = {"DE4": 5000, "DE6": 5000, "DE51": "840", "DE50": "978", "DE5": 4600}
            found = [
                presentment(1, **told, **dollars, DE63=" MCCABC1230322  ", DE37=None, DE38=None),
                presentment(2, **told, **dollars | {"DE4": 4000, "DE6": 4000, "DE5": 3700},
                            DE63=" MCCDEF4560322  ", DE37=None, DE38=None),
                presentment(3, **told, **dollars, DE63=None, DE37=None, DE38=None),
            ]  # fmt: skip
            path = tmp_path / "day.ipm"
            path.write_bytes(by_cardutil(a_file(*found), encoding))
            assert await cleared(it, path) == {"cleared": 1, "cleared_below": 1, "forced": 1}
            assert await it.funds() == (100_000 - 14_000, 0)
            books = await it.check()
            assert books["network", "mastercard", "978"] == -(4600 + 3700 + 4600)
            assert books["fx_position", "", "840"] == -14_000
            assert ("network", "mastercard", "840") not in books

    asyncio.run(story())


def test_visa(fresh_redis: str, fresh_postgres: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with office(fresh_redis, fresh_postgres, tmp_path, by_file=BOTH) as it:
            link = it.world.link(dialect=BY_NAME["visa"], network="visa")
            now_ms = it.world.clock.now_ms()
            ids = ("306073123456781", "306073123456782")
            for stan, id in enumerate(ids, 1):
                asked = visa(stan, 9000, id, at_ms=now_ms)
                assert code(await link.say("0100", asked)) == "00"
            plain = item_of(
                1, network="visa", pan=Pan(PAN), transaction_minor=9000,
                transaction_currency="840", billing_minor=9000, life_cycle=ids[0],
            )  # fmt: skip
            parts = [
                replace(
                    plain, record=1 + n, transaction_minor=amount, billing_minor=amount,
                    life_cycle=ids[1], arn=arn_of(1 + n), clearing_number=n, clearing_count=2,
                )
                for n, amount in ((1, 4000), (2, 4500))
            ]  # fmt: skip
            back = replace(plain, record=4, reversal=True, sign=-1)
            path = tmp_path / "day.ctf"
            with path.open("wb") as stream:
                write_base2([parts[1], plain, parts[0]], stream, business_date=it.today)
            assert await cleared(it, path) == {"cleared": 1, "cleared_part": 2}
            assert await it.funds() == (100_000 - 17_500, 0)
            with path.open("wb") as stream:
                write_base2([back], stream, business_date=it.today)
            assert await cleared(it, path) == {"reversed": 1}
            books = await it.check()
            assert books["network", "visa", "840"] == -8500

    asyncio.run(story())
