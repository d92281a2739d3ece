"""authz load, as a caller sees it: exit codes, words, and the gates of a store."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from authz.app.commands.load import command
from authz.hot import admin, keys
from authz.privacy import Pan, PanKeys

PAN = "4000000000000001"
KEY = "ab" * 32


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    (tmp_path / "accounts.csv").write_text("account_id,currency,opening_funds\nA1,USD,100\n")
    (tmp_path / "cards.csv").write_text(f"pan,account_id,expiry\n{PAN},A1,2812\n")
    return [str(tmp_path / "cards.csv"), str(tmp_path / "accounts.csv")]


def run(url: str, *arguments: str, key: str = KEY) -> Result:
    env = {"AUTHZ_REDIS_FSYNC": "off", "AUTHZ_PAN_KEY": key}
    result = CliRunner().invoke(command, [*arguments, "--redis", url], env=env)
    assert PAN not in result.output
    return result


def asked(url: str, *calls: tuple[Any, ...]) -> list[Any]:
    async def scenario() -> list[Any]:
        client = admin.administrator(url)
        try:
            return [await client.execute_command(*call) for call in calls]
        finally:
            await client.aclose()

    return asyncio.run(scenario())


def test_a_new_store_is_opened_only_on_the_callers_word(fresh_redis: str, files: list[str]) -> None:
    refused = run(fresh_redis, *files)
    assert refused.exit_code == 1
    assert "--new-store" in refused.output
    assert asked(fresh_redis, ("DBSIZE",)) == [0]
    opened = run(fresh_redis, "--new-store", *files)
    assert (opened.exit_code, opened.stdout.split("\n")[0]) == (
        0,
        "accounts  1 new, 0 changed, 0 as they were",
    )
    # So that a first load that was cut short can be run again as it was.
    again = run(fresh_redis, "--new-store", *files)
    assert (again.exit_code, again.stdout.split("\n")[1]) == (
        0,
        "cards     0 new, 0 changed, 1 as they were",
    )


def test_a_flushed_store_does_not_start_from_opening_funds(
    fresh_redis: str, files: list[str]
) -> None:
    assert run(fresh_redis, "--new-store", *files).exit_code == 0
    asked(fresh_redis, ("FLUSHALL",))
    assert run(fresh_redis, *files).exit_code == 1
    assert asked(fresh_redis, ("DBSIZE",)) == [0]


def test_a_restarted_store_is_audited_first(fresh_redis: str, files: list[str]) -> None:
    assert run(fresh_redis, "--new-store", *files).exit_code == 0
    shut = [("HSET", keys.control(shard), "run_id", "before") for shard in keys.ALL_SHARDS]
    asked(fresh_redis, *shut)
    assert run(fresh_redis, *files).exit_code == 0
    asked(fresh_redis, *shut, ("HINCRBY", keys.account("A1"), "posted:840", 1))
    result = run(fresh_redis, *files)
    assert (result.exit_code, "found 1 difference;" in result.output) == (1, True)


def test_what_a_shorter_row_takes_away_is_said(
    fresh_redis: str, files: list[str], tmp_path: Path
) -> None:
    wide = tmp_path / "wide.csv"
    wide.write_text(
        "pan,account_id,expiry,status,per_transaction,daily_amount,daily_count,blocked_mccs\n"
        f"{PAN},A1,2812,active,100,300,5,7995\n"
    )
    accounts = tmp_path / "wide_accounts.csv"
    accounts.write_text(
        "account_id,program,currency,opening_funds,credit_line,time_zone\n"
        "A1,gold,USD,100,50,America/New_York\n"
    )
    assert "changed:" not in run(fresh_redis, "--new-store", str(wide), str(accounts)).stdout
    short = tmp_path / "short.csv"
    short.write_text(f"pan,account_id,expiry,status\n{PAN},A1,2812,frozen\n")
    result = run(fresh_redis, "--json", str(tmp_path / "report.json"), str(short), files[1])
    assert result.stdout.splitlines()[2:] == [
        "1 account changed: program now the default; credit_line now 0; time_zone now UTC",
        "1 card changed: status; per_transaction, daily_amount, daily_count now without limit; "
        "blocked_mccs now none",
        "opening_funds of 1 account ignored: it exists already",
    ]
    report = json.loads((tmp_path / "report.json").read_text())
    assert list(report["changes"]["cards"].values()) == [1]
    assert report["opening_funds_ignored"] == 1
    short.write_text(f"pan,account_id,expiry\n{PAN},A1,2901\n")
    said = run(fresh_redis, str(short)).stdout.splitlines()
    assert said[2] == "1 card changed: expiry; status now active"


def test_a_card_that_a_killed_load_left_without_its_row_is_found_again(
    fresh_redis: str, files: list[str]
) -> None:
    assert run(fresh_redis, "--new-store", *files).exit_code == 0
    shut = [("HSET", keys.control(shard), "run_id", "before") for shard in keys.ALL_SHARDS]
    row = keys.directory(PanKeys(bytes.fromhex(KEY)).card_key(Pan(PAN)))
    asked(fresh_redis, *shut, ("DEL", row))
    result = run(fresh_redis, *files)
    assert result.exit_code == 0
    assert "1 card of a load that was cut short" in result.stderr
    assert asked(fresh_redis, ("HGET", row, "account")) == [b"A1"]


def test_another_pan_key_than_the_stores_is_refused_before_anything_is_done(
    fresh_redis: str, files: list[str]
) -> None:
    assert run(fresh_redis, "--new-store", *files).exit_code == 0
    Path(files[1]).write_text("account_id,currency,opening_funds\nA1,USD,100\nB1,USD,7\n")
    result = run(fresh_redis, *files, key="cd" * 32)
    assert result.exit_code == 1
    assert "the PAN key is not the one" in result.output
    assert asked(fresh_redis, ("EXISTS", keys.account("B1"))) == [0]
    assert run(fresh_redis, *files).exit_code == 0


def test_a_file_that_is_named_by_a_card_leaves_its_mask_in_the_journal(
    fresh_redis: str, files: list[str], tmp_path: Path
) -> None:
    named = tmp_path / f"{PAN}.csv"
    Path(files[0]).rename(named)
    assert run(fresh_redis, "--new-store", str(named), files[1]).exit_code == 0
    journals = [("XRANGE", keys.journal(shard), "-", "+") for shard in keys.ALL_SHARDS]
    bodies = b"".join(
        fields[b"b"] for entries in asked(fresh_redis, *journals) for _, fields in entries
    )
    assert b"authz load 400000******0001.csv accounts.csv" in bodies
    assert PAN.encode() not in bodies


def test_bad_rows_are_told_one_by_one(fresh_redis: str, files: list[str], tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text(f"pan,account_id,expiry\n{PAN},A9,2812\n{PAN}0000,A1,2812\n")
    result = run(fresh_redis, "--new-store", str(bad), files[1])
    assert result.exit_code == 1
    assert result.stderr.split("\n")[:3] == [
        "bad.csv, line 2, account_id: no such account, in these files or in the store",
        "bad.csv, line 3, pan: not a card number: 12 to 19 digits",
        "Nothing was loaded: 2 bad rows. --partial loads the rest.",
    ]
    partly = run(fresh_redis, "--new-store", "--partial", str(bad), files[1])
    assert (partly.exit_code, "accounts  1 new" in partly.stdout) == (1, True)


def test_a_report_for_programs(fresh_redis: str, files: list[str], tmp_path: Path) -> None:
    result = run(fresh_redis, "--new-store", "--json", "-", *files)
    report = json.loads(result.stdout)
    assert report["ok"]
    assert report["accounts"] == {"created": 1, "moved": 0, "same": 0}
    assert report["cards"] == {"created": 1, "moved": 0, "same": 0}
    (tmp_path / "bad.csv").write_text("account_id,currency\nA2,ZZZ\n")
    into = tmp_path / "report.json"
    run(fresh_redis, "--json", str(into), str(tmp_path / "bad.csv"))
    report = json.loads(into.read_text())
    assert (report["ok"], report["loaded"], report["bad_rows"]) == (False, False, 1)
    assert report["bad"] == [
        {"file": "bad.csv", "line": 2, "column": "currency", "reason": "not an ISO 4217 currency"}
    ]


def test_wrong_use(fresh_redis: str, files: list[str], tmp_path: Path) -> None:
    assert run(fresh_redis).exit_code == 2
    assert run(fresh_redis, str(tmp_path / "nothing.csv")).exit_code == 2
    no_key = run(fresh_redis, "--new-store", *files, key="")
    assert (no_key.exit_code, "pan.key_file" in no_key.output) == (2, True)
    assert run(fresh_redis, "--new-store", files[1], key="").exit_code == 0  # needs no key


def test_a_store_that_is_not_there(tmp_path: Path, files: list[str]) -> None:
    result = run(f"unix://{tmp_path}/none", *files)
    assert (result.exit_code, result.stderr) == (
        1, f"Error: The store at unix://{tmp_path}/none cannot be reached.\n",
    )  # fmt: skip
