"""The whole way of a payment in its network's own words: asked for over a link, cleared by a file.

Mastercard's file is written by cardutil, Visa's by our own writer, whose
layout tests/ledger/clearing/test_base2.py holds against public facts.
"""

import asyncio
import logging
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from authz.app.clearing_plan import NoNetwork
from authz.app.clearing_run import clear
from iso8583.dialects import BY_NAME
from ledger.clearing.base2_writer import write_base2
from ledger.clearing.errors import ClearingRefused
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


def test_any_byte_flipped_posts_all_of_the_file_or_nothing(
    fresh_redis: str, fresh_postgres: str, tmp_path: Path
) -> None:
    """Of an IPM file in blocks, at seeded places; and with two of its records in each other's."""

    async def story() -> None:
        async with office(fresh_redis, fresh_postgres, tmp_path, by_file=BOTH) as it:
            told = {"DE2": PAN, "DE6": 1000, "DE51": "840", "DE50": "840", "DE63": None}
            messages = a_file(
                *(presentment(n, **told, DE4=1000 + n, DE5=1000 + n) for n in range(1, 4))
            )
            whole, random = by_cardutil(messages), Random(1014)
            swapped = by_cardutil([messages[0], messages[2], messages[1], *messages[3:]])
            damaged = [swapped, whole[:-1014], whole[:1012] + b"  " + whole[1014:]]
            for _ in range(30):
                place = random.randrange(len(whole))
                damaged.append(
                    whole[:place] + bytes([whole[place] ^ 1 << random.randrange(8)])
                    + whole[place + 1 :]
                )  # fmt: skip
            refused, path = 0, tmp_path / "damaged.ipm"
            for data in damaged:
                path.write_bytes(data)
                before, rows = await it.funds(), await rows_of(it)
                try:
                    found = await cleared(it, path)
                except (ClearingRefused, NoNetwork):
                    refused += 1
                    assert (await it.funds(), await rows_of(it)) == (before, rows)
                else:
                    assert sum(found.values()) == 3
            assert refused > 10  # of the others what no trailer and no check digit covers
            await it.check()

    asyncio.run(story())


async def rows_of(it: Office) -> int:
    return int(await it.connection.fetchval("SELECT count(*) FROM clearing_item"))
