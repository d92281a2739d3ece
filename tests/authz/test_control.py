"""Control acts: what a load does, does twice, and refuses."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from authz import control
from authz.audit import audit
from authz.budget import Budget
from authz.cards import NearCache
from authz.control import (
    NewAccount,
    NewCard,
    WrongState,
    card_id_for,
    freeze_card,
    put_accounts,
    put_cards,
)
from authz.hot import admin, keys
from authz.hot.errors import Cold, HotStateError
from authz.judgement import put_lists
from authz.privacy import Pan, PanKeys
from authz.profiles import read_account, read_card
from authz.referral import Terms, except_card
from ledger.journal import AccountBody, CardBody, JudgementBody, read_entry
from rules.facts import AccountProfile, AccountState, CardState
from tests.support.hot import opened

KEYS = PanKeys(b"k" * 32)
ONE, TWO, THREE = (Pan(f"400000000000000{n}") for n in (1, 2, 3))


def account(id: str = "A1", currency: str = "840", opening: int = 0, line: int = 0) -> NewAccount:
    profile = AccountProfile(id, "default", currency, line, "UTC", AccountState.ACTIVE)
    return NewAccount(profile=profile, opening_minor=opening)


def card(pan: Pan = ONE, account_id: str = "A1", **changes: Any) -> NewCard:
    return NewCard(**({"pan": pan, "account_id": account_id, "expiry": "2812"} | changes))


def run(url: str, scenario: Callable[[Any, Any], Awaitable[None]]) -> None:
    async def whole() -> None:
        state, client = await opened(url), admin.administrator(url)
        try:
            await scenario(state, client)
        finally:
            state._connection.close()  # type: ignore[union-attr]
            await client.aclose()
            await asyncio.sleep(0)

    asyncio.run(whole())


def counts(outcome: control.Outcome) -> tuple[int, int, int, list[tuple[int, str]]]:
    refused = [(one.position, one.reason) for one in outcome.refused]
    return outcome.created, outcome.moved, outcome.same, refused


async def stored_card(client: Any, pan: Pan, account_id: str = "A1") -> Any:
    id = await client.hget(keys.directory(KEYS.card_key(pan)), "card")
    found = await client.hget(keys.account(account_id), keys.card_field(id.decode()))
    return read_card(found.partition(b" ")[2])


def test_an_account_is_created_moved_and_left_alone(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        assert counts(await put_accounts(state, [account(opening=700)], "s")) == (1, 0, 0, [])
        assert counts(await put_accounts(state, [account(opening=900)], "s")) == (0, 0, 1, [])
        assert counts(await put_accounts(state, [account(line=5)], "s")) == (0, 1, 0, [])
        key = balance = keys.account("A1")
        assert read_account(await client.hget(key, "profile")).credit_line_minor == 5
        # Opening funds are the first load's and nobody else's.
        assert await client.hget(balance, "posted:840") == b"700"

    run(fresh_redis, scenario)


def test_the_currency_of_an_account_stays(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        await put_accounts(state, [account()], "s")
        outcome = await put_accounts(state, [account("A2"), account(currency="978")], "s")
        assert counts(outcome) == (1, 0, 0, [(1, "the currency of an account cannot change")])

    run(fresh_redis, scenario)


def test_a_card_is_found_by_its_keyed_hash(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        await put_accounts(state, [account()], "s")
        assert counts(await put_cards(state, KEYS, [card()], "s")) == (1, 0, 0, [])
        assert counts(await put_cards(state, KEYS, [card()], "s")) == (0, 0, 1, [])
        frozen = card(state=CardState.FROZEN)
        assert counts(await put_cards(state, KEYS, [frozen], "s")) == (0, 1, 0, [])
        assert await state.look_up(KEYS.card_key(ONE), 5) == ("A1", KEYS.card_id(ONE))
        assert (await stored_card(client, ONE)).state is CardState.FROZEN

    run(fresh_redis, scenario)


def test_a_card_stays_with_its_account(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        await put_accounts(state, [account(), account("A2")], "s")
        await put_cards(state, KEYS, [card()], "s")
        outcome = await put_cards(state, KEYS, [card(account_id="A2"), card(TWO, "A9")], "s")
        assert sorted(counts(outcome)[3]) == [
            (0, "the card belongs to another account"),
            (1, "there is no such account"),
        ]
        assert await state.look_up(KEYS.card_key(TWO), 5) is None

    run(fresh_redis, scenario)


def test_the_directory_remembers_an_id_that_another_key_would_not_give(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        await put_accounts(state, [account()], "s")
        await put_cards(state, KEYS, [card()], "s")
        await state.put_directory(KEYS.card_key(TWO), "A1", KEYS.card_id(ONE))
        found = await control.card_id_for(state, KEYS, TWO)
        assert (found.card_id, found.account_id) == (KEYS.card_id(ONE), "A1")

    run(fresh_redis, scenario)


class Killed(Exception):
    pass


def dies_before(state: Any, name: str, when: Callable[[dict[str, Any]], bool]) -> None:
    """The load is killed as it is about to call this."""
    honest = getattr(state, name)

    async def call(*given: Any, **named: Any) -> Any:
        if when(named):
            setattr(state, name, honest)
            raise Killed
        return await honest(*given, **named)

    setattr(state, name, call)


DEATHS: list[
    tuple[str, Callable[[dict[str, Any]], bool], tuple[int, int, int, list[Any]], bool]
] = [
    ("put_directory", lambda named: "pending" in named, (1, 0, 0, []), False),
    ("put_card", lambda named: True, (1, 0, 0, []), False),
    ("put_directory", lambda named: "pending" not in named, (0, 0, 1, []), True),
]


@pytest.mark.parametrize(("call", "when", "again", "known"), DEATHS)
def test_a_load_that_died_is_finished_by_another(
    fresh_redis: str, call: str, when: Any, again: Any, known: bool
) -> None:
    """Wherever it dies, the card is found from the moment that it is there, and not before."""

    async def scenario(state: Any, client: Any) -> None:
        await put_accounts(state, [account()], "s")
        dies_before(state, call, when)
        with pytest.raises(Killed):
            await put_cards(state, KEYS, [card()], "s")
        key, whose = keys.directory(KEYS.card_key(ONE)), ("A1", KEYS.card_id(ONE))
        assert await state.look_up(KEYS.card_key(ONE), 5) == (whose if known else None)
        assert (await audit(client)).ok
        assert counts(await put_cards(state, KEYS, [card()], "s")) == again
        assert await state.look_up(KEYS.card_key(ONE), 5) == whose
        assert not await client.hexists(key, "pending")

    run(fresh_redis, scenario)


def test_a_card_without_a_row_of_the_directory_gets_one(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        await put_accounts(state, [account()], "s")
        await put_cards(state, KEYS, [card()], "s")
        await client.delete(keys.directory(KEYS.card_key(ONE)))
        assert counts(await put_cards(state, KEYS, [card()], "s")) == (0, 0, 1, [])
        assert await state.look_up(KEYS.card_key(ONE), 5) == ("A1", KEYS.card_id(ONE))

    run(fresh_redis, scenario)


def test_what_was_announced_on_an_account_that_is_lost_is_not_unknown(fresh_redis: str) -> None:
    """A card that never was is declined; one that may be lost with its account must not be."""

    async def scenario(state: Any, client: Any) -> None:
        await put_accounts(state, [account()], "s")
        dies_before(state, "put_card", lambda named: True)
        with pytest.raises(Killed):
            await put_cards(state, KEYS, [card()], "s")
        assert await NearCache(1).find(state, KEYS.card_key(ONE), Unhurried()) is None
        await client.delete(keys.account("A1"))
        with pytest.raises(Cold):
            await NearCache(1).find(state, KEYS.card_key(ONE), Unhurried())

    run(fresh_redis, scenario)


class Unhurried(Budget):
    def __init__(self) -> None: ...

    def left_s(self) -> float:
        return 5.0


def test_no_card_is_put_under_a_second_key(fresh_redis: str) -> None:
    """The same number would be another card there, and stand on two accounts."""

    async def scenario(state: Any, client: Any) -> None:
        await put_accounts(state, [account(), account("A2")], "s")
        await put_cards(state, KEYS, [card()], "s")
        for other in (PanKeys(b"x" * 32), PanKeys(b"k" * 32, "2")):
            with pytest.raises(admin.NotFit, match="PAN key is not the one"):
                await put_cards(state, other, [card(account_id="A2")], "s")
        assert counts(await put_cards(state, PanKeys(b"k" * 32), [card()], "s")) == (0, 0, 1, [])
        stored = await client.get(keys.PAN_KEY)
        assert stored == KEYS.check.encode()
        assert b"k" * 32 not in stored

    run(fresh_redis, scenario)


def test_of_two_loads_at_once_one_has_the_card(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        await put_accounts(state, [account(), account("A2")], "s")
        for n in range(20):
            pan = Pan(f"40000000000001{n:02}")
            outcomes = await asyncio.gather(
                *(put_cards(state, KEYS, [card(pan, id)], "s") for id in ("A1", "A2"))
            )
            assert sum(outcome.created for outcome in outcomes) == 1
            [refused] = [one.reason for outcome in outcomes for one in outcome.refused]
            assert refused == "the card belongs to another account"
        assert (await audit(client)).ok

    run(fresh_redis, scenario)


def test_a_replaced_cards_counters_go_on(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        await put_accounts(state, [account(), account("A2")], "s")
        await put_cards(state, KEYS, [card()], "s")
        await put_cards(state, KEYS, [card(TWO, replaces=ONE)], "s")
        await put_cards(state, KEYS, [card(THREE, replaces=KEYS.card_id(TWO))], "s")
        subject = KEYS.card_id(ONE)
        assert [(await stored_card(client, pan)).limit_subject for pan in (ONE, TWO, THREE)] == [
            subject
        ] * 3
        # Put once more without saying so, it keeps it: its day must not start anew.
        await put_cards(state, KEYS, [card(TWO, daily_count=5)], "s")
        assert (await stored_card(client, TWO)).limit_subject == subject
        stranger = card(Pan("4000000000000009"), "A2", replaces=ONE)
        gone = card(Pan("4000000000000008"), replaces="c0")
        reason = "no such card to replace on this account"
        outcome = await put_cards(state, KEYS, [stranger, gone], "s")
        assert sorted(counts(outcome)[3]) == [(0, reason), (1, reason)]

    run(fresh_redis, scenario)


def test_every_control_act_is_in_the_journal(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        await put_accounts(state, [account(opening=7)], "files")
        await put_cards(state, KEYS, [card()], "files")
        await put_lists(client, [("merchant", "M 1"), ("country", "KP")], "files")
        shard = keys.shard_of("A1")
        entries = [read_entry(*row) for row in await client.xrange(keys.journal(shard))]
        gate, first, second, third = entries
        assert gate.envelope.kind == "gate"
        assert isinstance(first.body, AccountBody)
        assert (first.body.opening_minor, first.body.source) == (7, "files")
        assert read_account(first.body.profile) == account().profile
        assert isinstance(second.body, CardBody)
        assert second.body.card_key == KEYS.card_key(ONE)
        assert isinstance(third.body, JudgementBody)
        assert third.body == JudgementBody(1, "files")
        *_, last, _ = [read_entry(*row) for row in await client.xrange(keys.journal(keys.HOME))]
        assert isinstance(last.body, JudgementBody)
        assert [(field, before) for field, before, _ in last.body.change.entries] == [
            ("block/merchant/M 1", None), ("block/country/KP", None)
        ]  # fmt: skip

    run(fresh_redis, scenario)


def test_nothing_is_put_behind_a_closed_gate(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        for shard in keys.ALL_SHARDS:
            await client.fcall("authz_close_gate", 1, keys.control(shard))
        with pytest.raises(Cold):
            await put_accounts(state, [account(f"A{n}") for n in range(600)], "s")
        with pytest.raises(Cold):
            await put_lists(client, [("country", "KP")], "s")

    run(fresh_redis, scenario)


def test_a_lost_connection_ends_the_load_at_once(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        async def cut() -> None:
            while await client.dbsize() < 70:
                await asyncio.sleep(0)
            state._connection.close()

        with pytest.raises(HotStateError):
            await asyncio.gather(
                put_accounts(state, (account(f"A{n}") for n in range(20_000)), "s"), cut()
            )

    run(fresh_redis, scenario)


def test_many_are_under_way_at_once_but_no_more_than_the_bound(fresh_redis: str) -> None:
    most = 0

    async def scenario(state: Any, client: Any) -> None:
        def counted() -> Any:
            nonlocal most
            for n in range(2000):
                most = max(most, state._connection.pending)
                yield account(f"A{n}")

        assert (await put_accounts(state, counted(), "s")).created == 2000

    run(fresh_redis, scenario)
    assert control.IN_FLIGHT // 4 < most <= control.IN_FLIGHT


def test_a_card_is_frozen_and_goes_on_with_all_else_as_it_was(fresh_redis: str) -> None:
    async def scenario(state: Any, client: Any) -> None:
        await put_accounts(state, [account()], "s")
        limits = {"transaction_limit_minor": 5, "daily_count": 3, "blocked_mccs": ("7995",)}
        await put_cards(state, KEYS, [card(**limits), card(TWO, state=CardState.LOST)], "s")
        before = await stored_card(client, ONE)
        who = await card_id_for(state, KEYS, ONE)
        for frozen, now in ((True, CardState.FROZEN), (False, CardState.ACTIVE)):
            expected = msgspec.structs.replace(before, state=now)
            for verdict in ("moved", "same"):
                card_now, said = await freeze_card(state, who, frozen=frozen, source="s")
                assert (card_now, said.verdict, said.queued) == (expected, verdict, 0)
            assert await stored_card(client, ONE) == expected
        lost = await card_id_for(state, KEYS, TWO)
        for frozen in (True, False):
            with pytest.raises(WrongState, match="the card is lost"):
                await freeze_card(state, lost, frozen=frozen, source="s")
        assert (await stored_card(client, TWO)).state is CardState.LOST

    run(fresh_redis, scenario)


def test_a_change_of_a_card_undoes_no_other_of_the_same_moment(fresh_redis: str) -> None:
    """A freeze comes between what an exception, and a load, reads and what it writes."""

    async def scenario(state: Any, client: Any) -> None:
        await put_accounts(state, [account()], "s")
        await put_cards(state, KEYS, [card()], "s")
        who = await control.card_id_for(state, KEYS, ONE)
        terms = Terms(
            merchant_id="M1", amount_minor=None, currency="840", hours=1, uses=1, opened_by="x"
        )

        def first(frozen: bool) -> None:
            """That comes first, next time a profile is read."""
            honest = state.profiles

            async def read(*given: Any) -> Any:
                found = await honest(*given)
                state.profiles = honest
                await control.freeze_card(state, who, frozen=frozen, source="first")
                return found

            state.profiles = read

        first(frozen=True)
        changed, one = await except_card(state, who, terms, 1_790_000_000, "s")
        assert (changed.state, changed.exceptions) == (CardState.FROZEN, (one,))
        first(frozen=False)
        await put_cards(state, KEYS, [card(state=CardState.LOST)], "s")
        stored = await stored_card(client, ONE)
        assert (stored.state, stored.exceptions) == (CardState.LOST, (one,))

    run(fresh_redis, scenario)
