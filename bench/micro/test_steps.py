"""The steps of one 0100, each alone: codec, wire, decision, journal, book, and the function.

Not part of the tests: a time is no truth on a shared machine. `make bench-check` sets each beside
`calibration`, a loop that does what Python does all day, measured in the same run, and compares
the ratios with those in baseline.json.
"""

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import Any

import msgspec
import pytest
import uvloop

from authz.app.embedded.valkey import EmbeddedValkey
from authz.authorize import fingerprint, journal_body, message_id
from authz.hot import admin
from authz.hot.resp import connect
from authz.hot.store import RedisHotState
from authz.privacy import PanKeys
from authz.simulator.link import transmission_time
from authz.simulator.merchants import make_merchants
from authz.simulator.population import make_population
from authz.simulator.traffic import Traffic
from authz.wire.indicators import READERS
from authz.wire.to_request import to_request
from authz.wire.to_response import Reply, to_response
from bench.decide import policy_of, purchases
from bench.hot import make_acts, open_accounts
from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.mti import response_to
from ledger.book import tell
from ledger.journal import Envelope
from ledger.known import State
from rules.decide import decide as decide_request
from rules.facts import AccountProfile, AccountState, CardProfile, CardState
from rules.judge import Judge
from rules.lists import Lists
from rules.policy import read_policy
from rules.price import Price
from rules.reason import Reason

DIALECT = BY_NAME["iso87_ascii"]
NOW_MS = 1_774_180_800_000
KEYS = PanKeys(b"a key for the bench, of 32 bytes")
ACCOUNT = AccountProfile("A1", "gold", "840", 0, "America/New_York", AccountState.ACTIVE)
CARD = CardProfile("C1", "A1", "S1", "2912", CardState.ACTIVE, issued_day=10_000)


def calibration_loop() -> int:
    """What a Python program does all day: calls, dicts, strings, small integers."""
    seen: dict[str, int] = {}
    for number in range(200):
        key = f"{number % 37:03d}"
        seen[key] = seen.get(key, 0) + len(key) + number
    return sum(sorted(seen.values()))


@pytest.fixture(scope="module")
def raw() -> bytes:
    event = next(
        e for e in Traffic(make_population(1, 100), make_merchants(1), 1) if e.mti == "0100"
    )
    elements = {**event.elements, 7: transmission_time(NOW_MS)}
    return encode("0100", dict(sorted(elements.items())), DIALECT)


def test_calibration(benchmark: Any) -> None:
    assert benchmark(calibration_loop) > 0


def test_decode(benchmark: Any, raw: bytes) -> None:
    assert benchmark(decode, raw, DIALECT).mti == "0100"


def test_answer_by_echo(benchmark: Any, raw: bytes) -> None:
    message, reply = decode(raw, DIALECT), Reply(Reason.APPROVED)

    def answer() -> bytes:
        return encode(response_to(message.mti), to_response(message, reply), DIALECT)

    assert benchmark(answer)[:4] == b"0110"


def test_wire(benchmark: Any, raw: bytes) -> None:
    message = decode(raw, DIALECT)

    def facts() -> Any:
        return to_request(message, "generic", KEYS, NOW_MS, READERS["generic"](message))

    assert benchmark(facts).amount_minor > 0


@pytest.mark.parametrize("rules", [0, 50])
def test_decide(benchmark: Any, rules: int) -> None:
    judge, [request] = Judge(read_policy(policy_of(rules, 5 if rules else 0))), purchases(1)
    plan = benchmark(decide_request, request, CARD, ACCOUNT, Lists(), judge)
    assert plan.reason is Reason.APPROVED


def test_journal_body(benchmark: Any) -> None:
    [request] = purchases(1)
    plan = decide_request(request, CARD, ACCOUNT, Lists(), Judge(read_policy(policy_of(0))))
    assert benchmark(journal_body, Price(request), plan, 0)


def test_ids(benchmark: Any) -> None:
    [request] = purchases(1)
    assert benchmark(lambda: (message_id(request, "C1"), fingerprint(request)))


def test_book(benchmark: Any) -> None:
    """An approval told: two lines, one authorization."""
    [request] = purchases(1)
    plan = decide_request(request, CARD, ACCOUNT, Lists(), Judge(read_policy(policy_of(0))))
    body = journal_body(Price(request), plan, 0)
    numbers = iter(range(10**9))
    state = State()

    def approval() -> Any:
        id = f"m{next(numbers)}"
        e = Envelope(
            layout=1, kind="authorization", message_id=id, authorization_id=id, account_id="A1",
            card_id="C1", verdict="held", detail="", currency="840", posted_delta=0,
            held_delta=100, posted_after=0, held_after=100, at_ms=NOW_MS, counters=[],
            versions=[1, 1, 1],
        )  # fmt: skip
        state.authorizations.clear()
        return tell(state, e, msgspec.msgpack.encode(e), body)

    assert len(benchmark(approval).postings) == 2


@pytest.fixture
def function() -> Iterator[Any]:
    """64 authorizations at once by the function, without a disk: a callable."""
    with EmbeddedValkey.start(appendfsync="no") as server:
        loop = uvloop.new_event_loop()

        async def begin() -> tuple[Any, Any, Any]:
            client = admin.administrator(server.url)
            await admin.install(client)
            run_id = await admin.open_gates(client, new=True, source="bench")
            await client.aclose()
            connection = await connect(server.url)
            hot = RedisHotState()
            hot.attach(connection, run_id)
            return connection, hot, make_acts(*await open_accounts(hot))

        connection, hot, acts = loop.run_until_complete(begin())

        async def together(some: list[Any]) -> list[Any]:
            return await asyncio.gather(*(hot.authorize(act, 10.0) for act in some))

        yield lambda: loop.run_until_complete(together(list(islice(acts, 64))))
        connection.close()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def test_sixty_four_holds(benchmark: Any, function: Any) -> None:
    assert all(verdict.kind == "held" for verdict in benchmark(function))
