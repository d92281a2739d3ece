"""P4: whatever order an authorization and what belongs to it arrive in, and however often each,
the balances, counters and open holds are the fold of the set of acts.

One payment and every multiset of up to so many follow-ups, in every order, against the real
functions; the model is written here, from the promise, and shares no code with them. Funds are
ample: verdicts are another matter (tests/scenarios/test_life.py).

Four payments: a purchase; one whose followers know nothing but its life-cycle id, and were sent
before it by their clocks; a refund that is available at its approval; and a stand-in's, of which we
have no request.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from itertools import combinations_with_replacement, islice, permutations
from random import Random
from typing import Any, NamedTuple

import pytest
from hypothesis import settings

from authz.hot import admin, keys
from authz.hot.acts import Apply, Authorize, Close, Decision
from authz.hot.record import Act, Touched, decode_record
from rules.facts import Limit
from tests.support.hot import account_act, card_act, opened

DEEP = settings.default is not None and settings.default.max_examples > 100

OPENING = 1_000_000
ASKED, BILLED = 6000, 9000  # euros, and dollars at 1.50
COUNT, AMOUNT = "S/day_count/20261121", "S/day_amount/20261121"
TOUCHED = (Touched(COUNT, 0), Touched(AMOUNT, 1))
PAST = 1_790_000_000  # the holds may end at any time

# What may follow: name, kind of act, seconds after the authorization by DE 7, amount in
# euros, its own reference or the one that it names, the references that it carries.
FollowUps = dict[str, tuple[str, int, int, str, tuple[str, ...]]]

FOLLOW_UPS: FollowUps = {
    "part of 4000": ("part", 40, 4000, "auth", ("auth",)),
    "part of 3000": ("part", 50, 3000, "", ("rrn",)),
    "reversal": ("full", 60, 0, "auth", ("auth",)),
    "increment": ("more", 10, 2000, "more", ("rrn", "more")),
    "reversal of the increment": ("full", 20, 0, "more", ("more",)),
    "advice": ("set", 5, 5000, "", ("rrn",)),
    "first shipment": ("post", 70, 1000, "ship1", ("rrn", "ship1")),
    "last shipment": ("last", 80, 2000, "ship2", ("rrn", "ship2")),
    "reversal of the first shipment": ("full", 90, 0, "ship1", ("ship1",)),
}


def by_life_cycle() -> FollowUps:
    """The same, by the life-cycle id alone; but what takes an act back names that act."""
    told: FollowUps = {}
    for name, (kind, after, amount, reference, carried) in FOLLOW_UPS.items():
        if name.startswith("reversal of"):
            told[name] = kind, after, amount, reference, carried
        else:
            own = reference if reference != "auth" else ""
            told[name] = kind, after, amount, own, ("life", own) if own else ("life",)
    return told


CREDIT: FollowUps = {
    "part of 4000": ("part", 40, 4000, "auth", ("auth",)),
    "reversal": ("full", 60, 0, "", ("rrn",)),
    "first shipment": ("post", 70, 1000, "ship1", ("rrn", "ship1")),
    "last shipment": ("last", 80, 2000, "ship2", ("auth", "ship2")),
    "reversal of the first shipment": ("full", 90, 0, "ship1", ("ship1",)),
}
STAND_IN: FollowUps = {
    "advice": ("set", 5, 5000, "", ("rrn", "stood")),
    "part of 3000": ("part", 50, 3000, "", ("rrn",)),
    "reversal of the advice": ("full", 60, 0, "stood", ("stood",)),
    "first shipment": ("post", 70, 1000, "ship1", ("rrn", "ship1")),
    "last shipment": ("last", 80, 2000, "ship2", ("rrn", "ship2")),
    "reversal of the first shipment": ("full", 90, 0, "ship1", ("ship1",)),
}


class Story(NamedTuple):
    """One payment: what it begins with, what may follow, and how it is known."""

    follow_ups: FollowUps
    first: str = "authorization"
    references: tuple[str, ...] = ("auth", "rrn")
    exact: int = 1
    sent_at: int = 0
    sign: int = 1
    posts: int = 0

    @property
    def choices(self) -> list[str]:
        """And its own repeat; and its expiry, which is an act of ours, so never early."""
        ours = ["expiry"] if self.first == "authorization" else []
        return sorted({*self.follow_ups, self.first, *ours})


STORIES = {
    "purchase": Story(FOLLOW_UPS),
    "life cycle": Story(by_life_cycle(), references=("auth", "life"), exact=2, sent_at=100),
    "credit": Story(CREDIT, sign=-1, posts=2),
    "stand-in": Story(STAND_IN, first="advice"),
}


def model(names: frozenset[str]) -> tuple[int, int]:
    """Hold and postings in dollars after the authorization and these, from the promise's words."""
    rate = 1.5
    total = ASKED * rate
    if "advice" in names:
        total = 5000 * rate
    if "increment" in names and "reversal of the increment" not in names:
        total += 2000 * rate
    if "part of 4000" in names:
        total = min(total, 4000 * rate)
    if "part of 3000" in names:
        total = min(total, 3000 * rate)
    posted = 0.0
    if "first shipment" in names and "reversal of the first shipment" not in names:
        posted += 1000 * rate
    if "last shipment" in names:
        posted += 2000 * rate
    if names & {"reversal", "reversal of the advice", "last shipment", "expiry"}:
        return 0, int(posted)
    return int(max(total - posted, 0)), int(posted)


def authorization(story: Story, account: str, run: str, attempt: str) -> Authorize:
    limits = (
        Limit("daily_count_limit", COUNT, 1, 10**9, 0),
        Limit("daily_amount_limit", AMOUNT, BILLED, 10**12, 1),
    )
    return Authorize(
        account_id=account, card_id=f"C{account}", account_version=1, card_version=1,
        lists_version=0, message_id=f"{run}auth", fingerprint="f", attempt=attempt, deadline_ms=0,
        planned="approved", hold_minor=BILLED, asked_minor=ASKED, asked_currency="978",
        currency="840", credit_line_minor=0, limits=limits if story.sign == 1 else (),
        references=tuple(f"{run}{name}" for name in story.references), exact=story.exact,
        sent_at=story.sent_at, expires_at=PAST, answer_ttl_s=60, sign=story.sign,
        posts=story.posts, body=b"b",
    )  # fmt: skip


def follow_up(story: Story, name: str, account: str, run: str, attempt: str) -> Apply:
    kind, after, amount, reference, carried = story.follow_ups[name]
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
        currency="" if reversal else "840", expires_at=0 if reversal else PAST,
        touched=TOUCHED if story.sign == 1 else (), sign=1 if reversal else story.sign,
        exact=sum(rung in ("auth", "life") for rung in carried),
        decision=Decision("approved", 0, 1, 1, 0, limits) if kind == "more" else None,
        answer_ttl_s=60, body=b"b",
    )  # fmt: skip


def orders(story: Story, size: int) -> Iterator[tuple[str, ...]]:
    """Every order of the first and a multiset of so many follow-ups; a name that comes twice is a
    repeat."""
    for chosen in combinations_with_replacement(story.choices, size):
        yield from sorted(set(permutations((story.first, *chosen))))


def sampled(story: Story, size: int, count: int, seed: int) -> Iterator[tuple[str, ...]]:
    rng = Random(seed)
    for _ in range(count):
        chosen = [story.first, *rng.choices(story.choices, k=size)]
        rng.shuffle(chosen)
        yield tuple(chosen)


async def arrive(story: Story, state: Any, account: str, run: str, order: tuple[str, ...]) -> bool:
    """Whether an expiry found something to end."""
    ended = False
    for position, name in enumerate(order):
        attempt = f"t{position}"
        if name == "authorization":
            said = await state.authorize(authorization(story, account, run, attempt), 5)
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
            said = await state.apply(follow_up(story, name, account, run, attempt), 5)
            # An increment of what was reversed already is refused: the set is then without it.
            assert said.kind in ("applied", "reversed", "unmatched", "held", IDLE), (order, said)
            assert said.kind != IDLE or "shipment" in " ".join(order[:position]), (order, said)
    return ended


# A reversal of an authorization that has posted takes nothing back, and says so.
IDLE = "unapplied"


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


async def live_through(url: str, story: Story, wanted: list[tuple[str, ...]]) -> None:
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
                *(
                    arrive(story, state, account, f"{account}-{n}:", order)
                    for n, order in enumerate(some)
                )
            )
            await check(client, story, account, some, ended)
    finally:
        assert state._connection is not None
        state._connection.close()
        await client.aclose()
        await asyncio.sleep(0)


async def check(
    client: Any, story: Story, account: str, some: list[tuple[str, ...]], ended: list[bool]
) -> None:
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
        spent_of.append(hold + posted if story.sign == 1 else 0)
    total_held = sum(left[f"{account}-{n} hold"] for n in range(len(some)))
    total_posted = sum(left[f"{account}-{n} posted"] for n in range(len(some)))
    assert int(fields[b"held:840"]) == total_held * story.sign
    assert int(fields[b"posted:840"]) == OPENING - total_posted * story.sign
    assert int(fields.get(f"u:{AMOUNT}".encode(), 0)) == sum(spent_of)
    assert int(fields.get(f"u:{COUNT}".encode(), 0)) == sum(1 for spent in spent_of if spent)
    ends = await client.zrange(keys.account_keys(account)[2], 0, -1)
    mine = [end for end in ends if end.startswith(account.encode() + b" ")]
    assert len(mine) == sum(1 for n in range(len(some)) if left[f"{account}-{n} hold"])


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4] if DEEP else [0, 1, 2])
@pytest.mark.parametrize("name", STORIES)
def test_every_order_of_every_multiset(fresh_redis: str, name: str, size: int) -> None:
    story = STORIES[name]
    asyncio.run(live_through(fresh_redis, story, list(orders(story, size))))


@pytest.mark.parametrize(("size", "seed"), [(3, 1), (4, 2), (5, 3), (7, 4)])
@pytest.mark.parametrize("name", STORIES)
def test_sampled_orders_of_more(fresh_redis: str, name: str, size: int, seed: int) -> None:
    story, count = STORIES[name], 20_000 if DEEP else 400
    asyncio.run(live_through(fresh_redis, story, list(sampled(story, size, count, seed))))


def test_the_model_says_what_the_promise_says() -> None:
    """A few lines of it, by hand."""
    assert model(frozenset()) == (9000, 0)
    assert model(frozenset({"part of 4000"})) == (6000, 0)
    assert model(frozenset({"first shipment"})) == (7500, 1500)
    assert model(frozenset({"first shipment", "last shipment"})) == (0, 4500)
    assert model(frozenset({"reversal", "first shipment"})) == (0, 1500)
