"""The hot call: one authorization function over our own connection, and over redis-py.

Both sides call `RedisHotState.authorize` with the same kind of act on the same server, so
arguments, function and reply cost both the same; only the client between them differs. Ours
is the engine's pipelined connection. The other is what one would write first: `await
client.fcall(…)` with as many callers, a pool as large, hiredis parsing, and redis-py's
defaults but for its retries, which would hold money twice.

They take turns, round by round, in one process: a noisy moment hits both. A *hold* is the longest
way through the function, and mostly measures the server; a *repeat* is the shortest, and shows
the clients.
"""

import asyncio
from collections.abc import Iterator
from itertools import count, islice
from math import ceil
from statistics import median
from time import monotonic, process_time
from typing import Any, Literal

import uvloop
from msgspec import Struct
from msgspec.structs import replace
from redis.asyncio import ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from authz import identity
from authz.app.embedded.valkey import EmbeddedValkey
from authz.authorize import DAY_S, fingerprint, journal_body, message_id
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.hot import admin
from authz.hot.acts import Authorize, Verdict
from authz.hot.resp import Argument, connect
from authz.hot.store import RedisHotState
from authz.hot.totals import AUTHORIZATIONS, tally_of
from authz.privacy import Pan, PanKeys
from bench.decide import policy_of
from bench.machine import publish, this_machine, valkey_version
from rules.counters import lasting
from rules.decide import decide
from rules.facts import (
    AccountProfile,
    AccountState,
    AuthorizationRequest,
    CardProfile,
    CardState,
    Purpose,
)
from rules.judge import NO_JUDGE, Judge
from rules.lists import Lists
from rules.policy import read_policy
from rules.price import Price

CALLERS = 64
ACCOUNTS = 1000
ROUNDS = 7
CALLS, BASELINE_CALLS = 12_000, 3_000  # per round: each side's round takes about as long
TIMEOUT_S = 10.0  # nobody waits at a till; a call that is lost must not hang the bench
SENT_AT = 1_774_180_800  # 2026-03-22 12:00:00 UTC, the same on every run
PLENTY_MINOR = 10**12  # nothing is declined: a hold is the longest way through the function

Fsync = Literal["always", "no"]


class Round(Struct):
    """One side, one turn."""

    per_s: float
    latencies_s: list[float]
    client_us: float  # processor time of this process per call
    server_us: float  # of the server


class OverRedisPy(RedisHotState):
    """The same calls through redis-py's plain await."""

    def __init__(self, client: Redis, run_id: str) -> None:
        super().__init__()
        self._client = client
        self._run_id = run_id

    async def _call(self, arguments: tuple[Argument, ...], timeout_s: float) -> Any:
        command, function, keys, *rest = arguments
        assert command == b"FCALL"
        return await self._client.fcall(function, keys, *rest)  # type: ignore[arg-type]


def run(json_path: str | None, rounds: int = ROUNDS, calls: int = CALLS) -> dict[str, Any]:
    """Measure under both fsync policies, print a table, return the headline and both.

    The headline is `always`, the product's default; `no` shows the clients without the disk.
    """
    by_policy = {}
    policies: tuple[Fsync, ...] = ("always", "no")
    for policy in policies:
        with EmbeddedValkey.start(appendfsync=policy) as server:
            figures, version = uvloop.run(measure(server.url, rounds, calls))
        by_policy[policy] = figures
    headline = by_policy["always"]
    answer = {
        "ratio": headline["ratio"],
        "per_s": headline["per_s"],
        "baseline_per_s": headline["baseline_per_s"],
        "client_cpu_ratio": headline["client_cpu_ratio"],
        "repeat_ratio": headline["repeats"]["ratio"],
        "durability": "always",
        "callers": CALLERS,
        "by_durability": by_policy,
        "machine": this_machine(valkey=version, durability="always"),
    }
    publish(answer, table(by_policy), json_path)
    return answer


async def measure(url: str, rounds: int, calls: int) -> tuple[dict[str, Any], str]:
    """Both sides in turn on one server: figures, and the server's version."""
    client = administrator = admin.administrator(url)
    await admin.install(administrator)
    run_id = await admin.open_gates(administrator, new=True, source="bench")
    connection = await connect(url)
    ours = RedisHotState()
    ours.attach(connection, run_id)
    # What `Redis.from_url` makes of its defaults, but for the pool's size and the retries.
    pool = ConnectionPool.from_url(url, max_connections=CALLERS, retry=Retry(NoBackoff(), 0))
    plain = Redis(connection_pool=pool)
    try:
        acts = make_acts(*await open_accounts(ours))
        baseline_calls = ceil(calls * BASELINE_CALLS / CALLS)
        held: tuple[list[Round], list[Round]] = ([], [])
        repeated: tuple[list[Round], list[Round]] = ([], [])
        theirs = OverRedisPy(plain, run_id)
        for number in range(rounds + 1):
            mine, yours = list(islice(acts, calls)), list(islice(acts, baseline_calls))
            for sides in (held, repeated):  # each act for the first time, then once more
                a = await one_round(ours, client, mine, again=sides is repeated)
                b = await one_round(theirs, client, yours, again=sides is repeated)
                if number > 0:  # the first warms up: connections, caches, clock speed
                    sides[0].append(a)
                    sides[1].append(b)
        version = await valkey_version(url)
    finally:
        connection.close()
        await plain.aclose()
        await pool.disconnect()
        await client.aclose()
    return compared(*held) | {"repeats": compared(*repeated)}, version


def compared(ours: list[Round], theirs: list[Round]) -> dict[str, Any]:
    us, them = side(ours), side(theirs)
    return {
        "ratio": us["per_s"] / them["per_s"],
        "per_s": us["per_s"],
        "baseline_per_s": them["per_s"],
        # What the client itself costs, whatever the server is busy with.
        "client_cpu_ratio": them["client_us"] / us["client_us"],
        "ours": us,
        "baseline": them,
    }


async def one_round(
    hot: RedisHotState, client: Redis, acts: list[Authorize], *, again: bool, callers: int = CALLERS
) -> Round:
    """So many callers, each asking the next thing as soon as it has its answer."""
    left = iter(acts)
    latencies: list[float] = []

    async def caller() -> None:
        for act in left:
            started = monotonic()
            verdict = await hot.authorize(act, TIMEOUT_S)
            latencies.append(monotonic() - started)
            assert isinstance(verdict, Verdict)
            assert verdict.kind == "held", verdict.kind
            assert verdict.replayed == again

    server_before, before, started = await server_cpu(client), process_time(), monotonic()
    await asyncio.gather(*(caller() for _ in range(callers)))
    seconds, busy = monotonic() - started, process_time() - before
    server_busy = await server_cpu(client) - server_before
    return Round(
        per_s=len(acts) / seconds,
        latencies_s=latencies,
        client_us=busy / len(acts) * 1e6,
        server_us=server_busy / len(acts) * 1e6,
    )


async def server_cpu(client: Redis) -> float:
    info = await client.info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


def side(rounds: list[Round]) -> dict[str, float]:
    """Medians over the rounds; quantiles over all their calls."""
    latencies = sorted(latency for round_ in rounds for latency in round_.latencies_s)
    return {
        "per_s": median(round_.per_s for round_ in rounds),
        "p50_ms": quantile(latencies, 0.50) * 1e3,
        "p99_ms": quantile(latencies, 0.99) * 1e3,
        "client_us": median(round_.client_us for round_ in rounds),
        "server_us": median(round_.server_us for round_ in rounds),
    }


def quantile(ascending: list[float], share: float) -> float:
    """The smallest value that so large a share does not exceed."""
    return ascending[max(1, ceil(share * len(ascending))) - 1]


async def open_accounts(hot: RedisHotState) -> tuple[list[AccountProfile], list[CardProfile]]:
    accounts = [
        AccountProfile(f"A{number:09d}", "classic", "840", 0, "UTC", AccountState.ACTIVE)
        for number in range(ACCOUNTS)
    ]
    await put_accounts(
        hot, (NewAccount(profile=a, opening_minor=PLENTY_MINOR) for a in accounts), "bench"
    )
    keys = PanKeys(b"a key for the bench, of 32 bytes")
    pans = [Pan(f"999901{number:010d}") for number in range(ACCOUNTS)]
    new = [
        NewCard(
            pan=pan, account_id=account.account_id, expiry="3012",
            daily_amount_minor=PLENTY_MINOR, daily_count=10**9,
        )
        for pan, account in zip(pans, accounts)
    ]  # fmt: skip
    outcome = await put_cards(hot, keys, new, "bench")
    assert outcome.created == ACCOUNTS
    cards = [
        CardProfile(
            keys.card_id(pan), account.account_id, keys.card_id(pan), "3012", CardState.ACTIVE,
            daily_amount_minor=PLENTY_MINOR, daily_count=10**9,
        )
        for pan, account in zip(pans, accounts)
    ]  # fmt: skip
    return accounts, cards


def under_policy(
    cards: list[CardProfile], rules: int, limits: int
) -> tuple[list[CardProfile], Judge]:
    """The same cards without limits of their own, and a policy of so many rules and limits that
    nothing of `make_acts` is declined by."""
    bare = [replace(card, daily_amount_minor=None, daily_count=None) for card in cards]
    return bare, Judge(read_policy(policy_of(rules, limits)))


def make_acts(
    accounts: list[AccountProfile],
    cards: list[CardProfile],
    judge: Judge = NO_JUDGE,
    merchants: int = 5000,
    linger_s: int = 4200,
) -> Iterator[Authorize]:
    """Purchases as the story would plan them, one account after the other, no two alike."""
    for number in count(1):
        account, card = accounts[number % len(accounts)], cards[number % len(cards)]
        request = AuthorizationRequest(
            network="generic", mti="0100", card_key=f"1{card.card_id:0<22}",
            purpose=Purpose.PURCHASE,
            amount_minor=1000 + number % 9000, currency="840",
            transaction_minor=1000 + number % 9000, transaction_currency="840", mcc="5411",
            merchant_id=f"M{number % merchants:014d}", terminal_id=f"T{number % 5000:07d}",
            acquirer_id="999900001", country="US", entry_mode="051", expiry="3012",
            stan=f"{number % 1_000_000:06d}", rrn=f"{number:012d}",
            sent_at=SENT_AT + number // 1_000_000,
        )  # fmt: skip
        plan = decide(request, card, account, Lists(), judge)
        id = message_id(request, card.card_id)
        code = identity.approval_code(id)
        yield Authorize(
            account_id=account.account_id, card_id=card.card_id, account_version=1,
            card_version=1, lists_version=0, message_id=id, fingerprint=fingerprint(request),
            attempt=f"bench-{number}", deadline_ms=0, planned=plan.reason,
            hold_minor=plan.hold_minor, asked_minor=request.transaction_minor,
            asked_currency="840", currency="840", credit_line_minor=0,
            limits=lasting(plan.limits, linger_s),
            references=identity.references_of_request(request, code, card.limit_subject),
            sent_at=request.sent_at, expires_at=request.sent_at + 7 * DAY_S, answer_ttl_s=4200,
            tally=tally_of("generic", request.sent_at // DAY_S, AUTHORIZATIONS),
            body=journal_body(Price(request), plan, 0),
        )  # fmt: skip


def table(by_policy: dict[Fsync, dict[str, Any]]) -> Iterator[str]:
    yield f"authz_authorize, {CALLERS} callers, {ACCOUNTS} accounts, medians of alternating rounds"
    head = ("per s", "p50 ms", "p99 ms", "client µs", "server µs")
    yield f"{'':<36}" + "".join(f"{word:>11}" for word in head)
    for policy, figures in by_policy.items():
        for what, compared_ in (("hold", figures), ("repeat", figures["repeats"])):
            for name, key in (("own connection", "ours"), ("redis-py", "baseline")):
                f = compared_[key]
                cells = (
                    f"{f['per_s']:,.0f}", f"{f['p50_ms']:.2f}", f"{f['p99_ms']:.2f}",
                    f"{f['client_us']:.1f}", f"{f['server_us']:.1f}",
                )  # fmt: skip
                row = f"{what}, fsync {policy}, {name}"
                yield f"{row:<36}" + "".join(f"{cell:>11}" for cell in cells)
            ratios = (f"{compared_['ratio']:.1f}×", f"{compared_['client_cpu_ratio']:.1f}×")
            yield f"{'  ratio':<36}{ratios[0]:>11}{'':>22}{ratios[1]:>11}"
