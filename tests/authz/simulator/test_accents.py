"""The simulator in every network's words: the same traffic, so the same verdicts."""

import time
from collections import Counter
from functools import cache
from itertools import islice

import pytest
import uvloop

from authz.clock import SystemClock, utc
from authz.dispatch import Dispatcher
from authz.engine import Settings
from authz.hot.memory import MemoryHotState
from authz.server import Server
from authz.session import LinkSettings
from authz.simulator.accents import (
    ACCENTS,
    FRAMING_OF,
    GENERIC_CODES,
    as_said,
    mti_in,
)
from authz.simulator.link import Link, Manners
from authz.simulator.merchants import make_merchants
from authz.simulator.messages import FULL, ZEROS, once_more, reversal, stamp
from authz.simulator.network import run
from authz.simulator.population import make_population
from authz.simulator.report import Report
from authz.simulator.traffic import Traffic
from authz.wire.indicators import READERS
from authz.wire.networks import NETWORK_OF
from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS
from rules.facts import AccountState, CardState
from tests.authz.test_dialer import Listening
from tests.support.engine import KEYS, World, account, card

MESSAGES = 400


def some_traffic(count: int):
    today = utc(time.time_ns() // 1_000_000).date()
    people = make_population(7, 150, today)
    traffic = Traffic(people, make_merchants(7), 7, first_day=today, per_day=count)
    return people, list(islice(traffic, count))


async def load(world: World, people) -> None:
    numeric = {"USD": "840", "EUR": "978", "GBP": "826", "CAD": "124", "JPY": "392"}
    for a in people.accounts:
        profile = account(
            a.account_id, currency=numeric[a.currency], state=AccountState(a.status),
            credit_line_minor=a.credit_line_minor, time_zone="UTC",
        )  # fmt: skip
        await world.put_account(profile, a.opening_minor)
    for n, c in enumerate(people.cards):
        limits = {
            "transaction_limit_minor": c.per_transaction_minor, "daily_count": c.daily_count,
            "daily_amount_minor": c.daily_amount_minor, "blocked_mccs": c.blocked_mccs,
        }  # fmt: skip
        profile = card(
            f"C{n}", c.account.account_id, expiry=c.expiry, state=CardState(c.status), **limits
        )
        await world.put_card(profile, c.pan)


@cache
def told(dialect: str, count: int = MESSAGES) -> tuple[Report, dict[str, int]]:
    """The report of a run over TCP, and the reasons that the engine gave."""

    async def whole() -> tuple[Report, dict[str, int]]:
        clock = SystemClock()
        # A stalled machine may not turn a verdict into "ask again".
        world = World(MemoryHotState(clock.now_ms()), Settings(budget_s=60, hot_deadline_s=50))
        world.clock = world.engine.clock = clock  # type: ignore[assignment]
        people, events = some_traffic(count)
        await load(world, people)
        heard = Listening()
        server = Server(Dispatcher(world.engine, KEYS), clock, heard, hot_deadline_s=50)
        network = NETWORK_OF.get(dialect, "generic")
        speaks = {
            "dialect": BY_NAME[dialect], "framing": FRAMINGS[FRAMING_OF.get(dialect, "binary2")],
            "network": network,
        }  # fmt: skip
        port = await server.listen(LinkSettings(name=dialect, **speaks), "127.0.0.1", 0)
        link = Link("127.0.0.1", port, clock, Manners(**speaks))
        try:
            await link.open()
            report = await run(events, [link], 2000, 10, clock)
        finally:
            await link.close()
            await server.close()
        assert heard.bad == []
        return report, Counter(reason for mti, reason in heard.answers if mti[1] != "8")

    return uvloop.run(whole())


def verdicts(report: Report) -> dict[tuple[str, ...], str]:
    """By MTI, STAN and acquirer: DE 7 is when it was sent. A code of approval is by DE 7, too."""
    return {
        (key.split()[0], *key.split()[2:]): verdict[:2] for key, verdict in report.answers.items()
    }


@pytest.mark.parametrize("dialect", list(BY_NAME))
def test_the_same_seed_gets_the_same_verdicts_in_every_dialect(dialect: str) -> None:
    plain, plain_reasons = told("iso87_ascii")
    report, reasons = told(dialect)
    assert (report.answered, report.unanswered, report.conflicts) == (MESSAGES, 0, 0)
    assert (report.unmatched, report.unreadable) == (0, 0)
    assert verdicts(report) == verdicts(plain)
    assert reasons == plain_reasons
    assert len(reasons) > 4, "traffic of one kind would show nothing"


@pytest.mark.parametrize("network", ACCENTS)
def test_a_reversal_tells_the_id_of_its_authorization(network: str) -> None:
    dialect = next((d for d, n in NETWORK_OF.items() if n == network), "iso87_ascii")
    _, events = some_traffic(40)
    first = next(event for event in events if event.mti == "0100" and event.dollars)
    ids = set()
    for event in (first, reversal(first, "0400", "000777", original=ZEROS), reversal(
        first, "0420", "000778", original=FULL, remaining_minor=1
    )):  # fmt: skip
        fields = as_said(network, BY_NAME[dialect], event, stamp(event, "0322120000"))
        raw = encode(mti_in(network, event.mti), fields, BY_NAME[dialect])
        ids.add(READERS[network](decode(raw, BY_NAME[dialect])).life_cycle)
    assert len(ids) == 1
    assert (ids == {""}) == (network in ("generic", "iso93"))


def test_every_code_of_a_network_is_heard_as_one_of_1987() -> None:
    assert GENERIC_CODES["visa"]["78"] == "62"
    assert GENERIC_CODES["mastercard"]["85"] == "00"
    assert (GENERIC_CODES["iso93"]["400"], GENERIC_CODES["iso93"]["002"]) == ("00", "10")
    assert all(len(code) == 2 for codes in GENERIC_CODES.values() for code in codes.values())


@pytest.mark.parametrize("network", sorted(ACCENTS))
def test_a_repeated_reversal_says_what_the_reversal_said(network):
    _, events = some_traffic(1)
    taken_back = reversal(events[0], "0400", "000043")
    elements = stamp(taken_back, "0314171500")
    again = once_more("reversal_repeat", taken_back, as_repeat=True)
    dialect = BY_NAME[
        next((name for name, of in NETWORK_OF.items() if of == network), "iso87_ascii")
    ]
    assert as_said(network, dialect, again, elements) == as_said(
        network, dialect, taken_back, elements
    )
