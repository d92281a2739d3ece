"""authz reconcile, as a caller sees it; what it finds is tests/authz/test_audit.py's business."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import authz.app.books
from authz.app.commands.reconcile import as_text, command
from authz.control import NewAccount, put_accounts
from authz.hot import admin, keys
from rules.facts import AccountProfile, AccountState
from tests.support.books import begin, drain
from tests.support.hot import opened


def run(url: str, *arguments: str) -> Result:
    env = {"AUTHZ_REDIS_FSYNC": "off"}
    return CliRunner().invoke(command, [*arguments, "--redis", url], env=env)


@pytest.fixture(autouse=True)
def no_books_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever runs the tests may have books of their own, where ours are looked for."""
    monkeypatch.setattr(authz.app.books, "own_folder", lambda _: tmp_path / "none")


@pytest.fixture
def store(fresh_redis: str) -> str:
    async def scenario() -> None:
        state = await opened(fresh_redis)
        profile = AccountProfile("A1", "default", "840", 0, "UTC", AccountState.ACTIVE)
        await put_accounts(state, [NewAccount(profile=profile, opening_minor=500)], "test")
        state._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)

    asyncio.run(scenario())
    return fresh_redis


def damage(url: str, by: int = 1) -> None:
    async def scenario() -> None:
        client = admin.administrator(url)
        await client.hincrby(keys.account("A1"), "posted:840", by)
        await client.aclose()

    asyncio.run(scenario())


def test_agreement_is_exit_0(store: str) -> None:
    result = run(store)
    assert result.exit_code == 0
    assert result.stdout.startswith(
        "Everything agrees: 1 account, 0 approved authorizations, 65 journal entries.\n"
        "Not compared with books. There are no books in "
    )


def test_a_difference_is_exit_1_and_named(store: str, tmp_path: Path) -> None:
    damage(store)
    result = run(store, "--json", str(tmp_path / "report.json"))
    assert result.exit_code == 1
    assert "A1: posted 840: 5.01 USD, should be 5.00 USD\n" in result.stdout
    assert "1 difference: 1 account, 0 approved authorizations, 65 " in result.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["ok"], report["accounts"]) == (False, 1)
    assert report["differences"] == [
        {"account": "A1", "field": "posted 840", "hot": 501, "ledger": 500}
    ]


VALUES = [
    ("posted 840", 501, "414", "5.01 USD"), ("held 414 before m1", 5, "840", "0.005 KWD"),
    ("available after m1", -1, "392", "-1 JPY"), ("available", "not below 0", "840", "not below 0"),
    ("counter c1/day_amount/20261121", 150, "840", "1.50 USD"),
    ("counter c1/day_count/20261121", 3, "840", "3"),
    ("counter c1/day_amount/20261121", 5, "", "5 minor units"),
    ("record m1", "holds 400", "414", "holds 0.400 KWD"),
    ("record m1", "its acts hold 0", "840", "its acts hold 0.00 USD"),
    ("record m1", None, "840", "nothing"), ("gates", 0, "", "0"),
    ("expiry of m1", 1790600000, "840", "1790600000"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "value", "currency", "shown"), VALUES)
def test_amounts_are_told_with_their_currency(
    field: str, value: int | str | None, currency: str, shown: str
) -> None:
    assert as_text(field, value, currency) == shown


def test_an_account_that_cannot_be_read_has_no_currency(store: str) -> None:
    async def spoil() -> None:
        client = admin.administrator(store)
        await client.hset(keys.account("A1"), "profile", "?")
        await client.aclose()

    asyncio.run(spoil())
    damage(store)
    result = run(store)
    assert (result.exit_code, "A1: posted 840: 5.01 USD, should" in result.stdout) == (1, True)


def test_json_has_standard_output_to_itself(store: str) -> None:
    assert json.loads(run(store, "--json", "-").stdout)["ok"]


def test_an_empty_store_does_not_agree(fresh_redis: str) -> None:
    result = run(fresh_redis)
    assert (result.exit_code, "gates: 0, should be 64" in result.stdout) == (1, True)


def test_a_store_that_lost_everything_is_told_of_rebuild(
    store: str, fresh_redis: str, fresh_postgres: str
) -> None:
    asyncio.run(begin(fresh_postgres))
    asyncio.run(drain(fresh_redis, fresh_postgres))

    async def lose() -> None:
        client = admin.administrator(fresh_redis)
        await client.flushall()
        await client.aclose()

    asyncio.run(lose())
    result = run(fresh_redis, "--postgres", fresh_postgres)
    assert (result.exit_code, result.stderr) == (
        1, "Error: The store is empty: authz rebuild gives it back what the books have.\n",
    )  # fmt: skip


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    result = run(f"unix://{tmp_path}/none")
    assert (result.exit_code, result.stderr) == (
        1, f"Error: The store at unix://{tmp_path}/none cannot be reached.\n",
    )  # fmt: skip
