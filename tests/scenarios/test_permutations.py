"""P4: whatever order an authorization and what belongs to it arrive in, and however often each,
the balances, counters and open holds are the fold of the set of acts.

One authorization and every multiset of up to so many follow-ups, in every order, against the real
functions; the model is written here, from the promise, and shares no code with them. Funds are
ample: verdicts are another matter (tests/scenarios/test_life.py).
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from itertools import combinations_with_replacement, islice, permutations
from random import Random
from typing import Any

import pytest
from hypothesis import settings

from authz.hot import admin, keys
from authz.hot.acts import Apply, Authorize, Close, Decision
from authz.hot.record import Act, decode_record
from rules.facts import Limit
from tests.support.hot import account_act, card_act, opened

DEEP = settings.default is not None and settings.default.max_examples > 100

OPENING = 1_000_000
ASKED, BILLED = 6000, 9000  # euros, and dollars at 1.50
COUNT, AMOUNT = "S/day_count/20261121", "S/day_amount/20261121"
TOUCHED = ((COUNT, 0), (AMOUNT, 1))
PAST = 1_790_000_000  # the holds may end at any time

# What may follow: name, kind of act, seconds after the authorization by DE 7, amount in
# euros, its own reference or the one that it names, the references that it carries.
FOLLOW_UPS: dict[str, tuple[str, int, int, str, tuple[str, ...]]] = {
    "part by DE 90": ("part", 40, 4000, "auth", ("auth",)),
    "part by DE 37": ("part", 50, 3000, "", ("rrn",)),
    "reversal": ("full", 60, 0, "auth", ("auth",)),
    "increment": ("more", 10, 2000, "more", ("rrn", "more")),
    "reversal of the increment": ("full", 20, 0, "more", ("more",)),
    "advice": ("set", 5, 5000, "", ("rrn",)),
    "first shipment": ("post", 70, 1000, "ship1", ("rrn", "ship1")),
    "last shipment": ("last", 80, 2000, "ship2", ("rrn", "ship2")),
    "reversal of the first shipment": ("full", 90, 0, "ship1", ("ship1",)),
}


def model(names: frozenset[str]) -> tuple[int, int]:
    """Hold and postings in dollars after the authorization and these, from the promise's words."""
    rate = 1.5
    total = ASKED * rate
    if "advice" in names:
        total = 5000 * rate
    if "increment" in names and "reversal of the increment" not in names:
        total += 2000 * rate
    if "part by DE 90" in names:
        total = min(total, 4000 * rate)
    if "part by DE 37" in names:
        total = min(total, 3000 * rate)
    posted = 0.0
    if "first shipment" in names and "reversal of the first shipment" not in names:
        posted += 1000 * rate
    if "last shipment" in names:
        posted += 2000 * rate
    if names & {"reversal", "last shipment", "expiry"}:
        return 0, int(posted)
    return int(max(total - posted, 0)), int(posted)


def authorization(account: str, run: str, attempt: str) -> Authorize:
    limits = (
        Limit("daily_count_limit", COUNT, 1, 10**9, 0),
        Limit("daily_amount_limit", AMOUNT, BILLED, 10**12, 1),
    )
    return Authorize(
        account_id=account, card_id=f"C{account}", account_version=1, card_version=1,
        lists_version=0, message_id=f"{run}auth", fingerprint="f", attempt=attempt, deadline_ms=0,
        planned="approved", hold_minor=BILLED, asked_minor=ASKED, asked_currency="978",
        currency="840", credit_line_minor=0, limits=limits,
        references=(f"{run}auth", f"{run}rrn"), sent_at=0, expires_at=PAST, answer_ttl_s=60,
        body=b"b",
    )  # fmt: skip


def follow_up(name: str, account: str, run: str, attempt: str) -> Apply:
    kind, after, amount, reference, carried = FOLLOW_UPS[name]
    id = f"{run}{name.replace(' ', '_')}"  # ids hold no blanks: a reference lists them so
    currency = "978" if amount else ""
    named = f"{run}{reference}" if reference else ""
    limits = (Limit("daily_amount_limit", AMOUNT, 3000, 10**12, 1),)
    reversal = kind in ("full", "part")
    return Apply(
        kind="reversal" if reversal else "completion", account_id=account,
        card_id=f"C{account}", message_id=id, fingerprint="f", attempt=attempt, deadline_ms=0,
        act=Act(kind, id, after, amount, currency, amount * 3 // 2, named),
        references=tuple((rung, f"{run}{rung}") for rung in carried),
        currency="" if reversal else "840", expires_at=0 if reversal else PAST, touched=TOUCHED,
        decision=Decision("approved", 0, 1, 1, 0, limits) if kind == "more" else None,
        answer_ttl_s=60, body=b"b",
    )  # fmt: skip


# And the authorization's own repeat; and its expiry, which is an act of ours, so never early.
CHOICES = sorted([*FOLLOW_UPS, "authorization", "expiry"])


def orders(size: int) -> Iterator[tuple[str, ...]]:
    """Every order of the authorization and a multiset of so many follow-ups; a name that comes
    twice is a repeat."""
    for chosen in combinations_with_replacement(CHOICES, size):
        yield from sorted(set(permutations(("authorization", *chosen))))


def sampled(size: int, count: int, seed: int) -> Iterator[tuple[str, ...]]:
    rng = Random(seed)
    for _ in range(count):
        chosen = ["authorization", *rng.choices(CHOICES, k=size)]
        rng.shuffle(chosen)
        yield tuple(chosen)


async def arrive(state: Any, account: str, run: str, order: tuple[str, ...]) -> bool:
    """Whether an expiry found something to end."""
    ended = False
    for position, name in enumerate(order):
        attempt = f"t{position}"
        if name == "authorization":
            said = await state.authorize(authorization(account, run, attempt), 5)
            assert said.kind in ("held", "reversed"), said
        elif name == "expiry":
            done, _ = await state.close(
                Close(
                    act_id=f"{run}x{position}", account_id=account, kind="expired", at=1,
                    authorization_id=f"{run}auth", body=b"b",
                ), 5,
            )  # fmt: skip
            ended = ended or done == "closed"
        else:
            said = await state.apply(follow_up(name, account, run, attempt), 5)
            # An increment of what was reversed already is refused: the set is then without it.
            assert said.kind in ("applied", "reversed", "unmatched", "held"), (order, said)
    return ended


def really(order: tuple[str, ...], ended: bool) -> frozenset[str]:
    """The acts of an order: an increment after a full reversal was not granted, so is none.

    (Nor is its reversal any more than a tombstone.)
    """
    names = set(order) - {"authorization", "expiry"}
    if ended:
        names.add("expiry")
    if "reversal" in names and "increment" in names:
        names.discard("increment")  # either way nothing is held
    return frozenset(names)


PER_ACCOUNT = 50  # orders lived through on one account, each with references of its own


async def live_through(url: str, wanted: list[tuple[str, ...]]) -> None:
    client = admin.administrator(url)
    state = await opened(url)
    try:
        chunks = iter(wanted)
        for number in range(len(wanted) // PER_ACCOUNT + 1):
            some = list(islice(chunks, PER_ACCOUNT))
            account = f"P{number}"
            await state.put_account(account_act(account, OPENING))
            await state.put_card(card_act(f"C{account}", account))
            ended = await asyncio.gather(
                *(arrive(state, account, f"{account}-{n}:", order) for n, order in enumerate(some))
            )
            await check(client, account, some, ended)
    finally:
        assert state._connection is not None
        state._connection.close()
        await client.aclose()
        await asyncio.sleep(0)


async def check(client: Any, account: str, some: list[tuple[str, ...]], ended: list[bool]) -> None:
    fields = await client.hgetall(keys.account(account))
    left: Counter[str] = Counter()
    spent_of = []
    for name, packed in fields.items():
        if name.startswith(b"a:"):
            record = decode_record(packed)
            run = name[2:].decode().partition(":")[0]
            left[f"{run} hold"] += record.holds
            left[f"{run} posted"] += record.posted
            left[f"{run} records"] += 1
    for number, order in enumerate(some):
        hold, posted = model(really(order, ended[number]))
        run = f"{account}-{number}"
        assert (left[f"{run} hold"], left[f"{run} posted"]) == (hold, posted), order
        spent_of.append(hold + posted)
    total_held = sum(left[f"{account}-{n} hold"] for n in range(len(some)))
    total_posted = sum(left[f"{account}-{n} posted"] for n in range(len(some)))
    assert int(fields[b"held:840"]) == total_held
    assert int(fields[b"posted:840"]) == OPENING - total_posted
    assert int(fields.get(f"u:{AMOUNT}".encode(), 0)) == sum(spent_of)
    assert int(fields.get(f"u:{COUNT}".encode(), 0)) == sum(1 for spent in spent_of if spent)
    ends = await client.zrange(keys.account_keys(account)[2], 0, -1)
    mine = [end for end in ends if end.startswith(account.encode() + b" ")]
    assert len(mine) == sum(1 for n in range(len(some)) if left[f"{account}-{n} hold"])


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4] if DEEP else [0, 1, 2])
def test_every_order_of_every_multiset(fresh_redis: str, size: int) -> None:
    asyncio.run(live_through(fresh_redis, list(orders(size))))


@pytest.mark.parametrize(("size", "seed"), [(3, 1), (4, 2), (5, 3), (7, 4)])
def test_sampled_orders_of_more(fresh_redis: str, size: int, seed: int) -> None:
    count = 20_000 if DEEP else 800
    asyncio.run(live_through(fresh_redis, list(sampled(size, count, seed))))


def test_the_model_says_what_the_promise_says() -> None:
    """A few lines of it, by hand."""
    assert model(frozenset()) == (9000, 0)
    assert model(frozenset({"part by DE 90"})) == (6000, 0)
    assert model(frozenset({"first shipment"})) == (7500, 1500)
    assert model(frozenset({"first shipment", "last shipment"})) == (0, 4500)
    assert model(frozenset({"reversal", "first shipment"})) == (0, 1500)
