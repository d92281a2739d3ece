"""What a killed load leaves is written again, from the journal; what nothing proves is not."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from authz import directory
from authz.audit import AuditReport, audit_before_opening, audit_store
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.hot import admin, keys
from authz.privacy import Pan, PanKeys
from rules.facts import AccountProfile, AccountState
from tests.support.hot import opened

KEYS = PanKeys(b"k" * 32)
ONE, TWO = Pan("4000000000000001"), Pan("4000000000000002")
Damage = Callable[[Any], Awaitable[None]]


def restarted(url: str, damage: Damage) -> tuple[AuditReport, AuditReport, str]:
    """The audits before and at the opening after a restart, and how the gates are then."""

    async def scenario() -> tuple[AuditReport, AuditReport, str]:
        state, client = await opened(url), admin.administrator(url)
        accounts = [
            NewAccount(profile=AccountProfile(id, "p", "840", 0, "UTC", AccountState.ACTIVE))
            for id in ("A1", "A2")
        ]
        await put_accounts(state, accounts, "test")
        cards = [NewCard(pan=pan, account_id="A1", expiry="2812") for pan in (ONE, TWO)]
        await put_cards(state, KEYS, cards, "test")
        await damage(client)
        for shard in keys.ALL_SHARDS:
            await client.hset(keys.control(shard), "run_id", "before")
        try:
            before = await audit_store(url)
            report = await audit_before_opening(client, url, "test")
            assert report is not None
            return before, report, await admin.state_of_gates(client)
        finally:
            state._connection.close()  # type: ignore[union-attr]
            await client.aclose()
            await asyncio.sleep(0)

    return asyncio.run(scenario())


def row_of(pan: Pan) -> str:
    return keys.directory(KEYS.card_key(pan))


async def lose_a_row(client: Any) -> None:
    await client.delete(row_of(ONE))


async def lose_both_rows(client: Any) -> None:
    await client.delete(row_of(ONE), row_of(TWO))


async def give_a_row_away(client: Any) -> None:
    await client.hset(row_of(ONE), "account", "A2")


async def lose_half_a_row(client: Any) -> None:
    await client.hdel(row_of(ONE), "card")


async def lose_a_row_and_money(client: Any) -> None:
    await client.delete(row_of(ONE))
    await client.hincrby(keys.account("A1"), "held:840", 1)


def test_a_row_that_is_missing_is_written_again(fresh_redis: str) -> None:
    before, report, gates = restarted(fresh_redis, lose_a_row)
    assert [d.field for d in before.differences] == [f"directory of card {KEYS.card_id(ONE)}"]
    assert (report.ok, report.found, report.repaired, gates) == (True, 0, 1, "open")

    async def found() -> bool:
        client = admin.administrator(fresh_redis)
        try:
            assert await client.hgetall(row_of(ONE)) == {
                b"account": b"A1",
                b"card": KEYS.card_id(ONE).encode(),
            }
            return (await audit_store(fresh_redis)).ok
        finally:
            await client.aclose()

    assert asyncio.run(found())


@pytest.mark.parametrize("damage", [give_a_row_away, lose_half_a_row, lose_a_row_and_money])
def test_what_nothing_proves_keeps_the_gates_shut(fresh_redis: str, damage: Damage) -> None:
    before, report, gates = restarted(fresh_redis, damage)
    assert (report.ok, report.repaired, gates) == (False, 0, "shut")
    assert report.found == before.found


def test_where_too_many_are_missing_more_was_lost_than_a_load_leaves(
    fresh_redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "REPAIRS_MAX", 1)
    _, report, gates = restarted(fresh_redis, lose_both_rows)
    assert (report.ok, report.repaired, report.found, gates) == (False, 0, 2, "shut")


def test_a_number_that_stands_on_two_accounts_is_given_to_neither(fresh_redis: str) -> None:
    async def damage(client: Any) -> None:
        """Two loads at once, before cards were announced."""
        await client.delete(row_of(ONE))
        state = await opened(fresh_redis)
        await put_cards(state, KEYS, [NewCard(pan=ONE, account_id="A2", expiry="2812")], "test")
        await client.delete(row_of(ONE))
        state._connection.close()  # type: ignore[union-attr]

    _, report, gates = restarted(fresh_redis, damage)
    assert (report.ok, report.repaired, report.found, gates) == (False, 0, 2, "shut")
