"""authz lists: one value at a time, a file of them, what is shipped; and what is told of them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from authz.app import cli
from authz.app.sanctions import shipped
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.hot import admin, keys
from authz.privacy import Pan, PanKeys
from ledger.journal import JudgementBody, read_entry
from tests.support.engine import PAN, account
from tests.support.hot import opened

SECRET = "ab" * 32
CARD_ID = PanKeys(bytes.fromhex(SECRET)).card_id(Pan(PAN))


@pytest.fixture
def store(fresh_redis: str) -> str:
    """One card on one account."""

    async def scenario() -> None:
        state = await opened(fresh_redis)
        await put_accounts(state, [NewAccount(profile=account(), opening_minor=0)], "test")
        new = NewCard(pan=Pan(PAN), account_id="A1", expiry="2812")
        await put_cards(state, PanKeys(bytes.fromhex(SECRET)), [new], "test")
        state._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)

    asyncio.run(scenario())
    return fresh_redis


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    file = tmp_path / "pan.key"
    file.write_text(SECRET)
    return str(file)


def asked(store: str, *words: str, stdin: str = "") -> Result:
    env = {"AUTHZ_REDIS_FSYNC": "off"}
    return CliRunner().invoke(cli.main, ["lists", *words, "--redis", store], input=stdin, env=env)


def fine(store: str, *words: str, stdin: str = "") -> str:
    result = asked(store, *words, stdin=stdin)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_one_value_is_blocked_looked_at_and_taken_off(store: str) -> None:
    words = ("--reason", "chargebacks", "--by", "jdoe", "--until", "2026-12-01")
    said = fine(store, "add", "merchant", "M1", *words)
    assert said == "merchant M1 is blocked until 2026-12-01T00:00:00+00:00, judgement 1\n"
    assert "was blocked" in fine(store, "add", "merchant", "M1", *words)
    assert "is blocked" in fine(store, "add", "merchant", "M1", "--from", "2026-12-01")
    found = json.loads(fine(store, "show", "merchant", "M1", "--json"))["entries"]
    assert [(one["from"], one["until"], one["author"]) for one in found] == [
        (None, "2026-12-01T00:00:00+00:00", "jdoe"), ("2026-12-01T00:00:00+00:00", None, ""),
    ]  # fmt: skip
    assert "block     merchant          1" in fine(store, "show")
    assert "chargebacks, jdoe" in fine(store, "show", "merchant")
    overlapping = asked(store, "add", "merchant", "M1", "--allow")
    assert (overlapping.exit_code, "overlaps" in overlapping.output) == (1, True)
    assert "is no longer" in fine(store, "remove", "merchant", "M1")
    assert "was not" in fine(store, "remove", "merchant", "M1")
    assert asked(store, "show", "merchant", "M1").exit_code == 1
    assert fine(store, "show") == "nothing is listed\n"


def test_a_card_is_named_by_its_number_on_standard_input_or_by_its_id(
    store: str, key_file: str
) -> None:
    by_number = ("-", "--pan-key-file", key_file)
    assert CARD_ID in fine(store, "add", "card", *by_number, stdin=f"{PAN}\n")
    assert "was blocked" in fine(store, "add", "card", CARD_ID)
    assert "no such card" in asked(store, "add", "card", "c0ffee").output.lower()
    named = asked(store, "add", "card", PAN)
    assert (named.exit_code, PAN in named.output) == (2, False)
    slip = fine(store, "add", "country", "FR", "--reason", f"card {PAN}")
    assert PAN not in slip + fine(store, "show", "country", "FR")


def test_a_file_is_added_or_put_in_place_of_what_was(store: str, tmp_path: Path) -> None:
    file, other = tmp_path / "one.csv", tmp_path / "other.csv"
    file.write_text(
        "list,kind,value,reason,author,from,until\n"
        "block,country,fr,,,2026-11-01,2026-11-08\nblock,country,fr,,,2026-11-08,\n"
        "allow,merchant,M1,ours,jdoe,,\nblock,ip,2001:DB8::/32,,,,\n"
    )
    assert "4 entries, 3 changed" in asked(store, "load", str(file)).output
    assert "4 entries, 0 changed" in asked(store, "load", str(file)).output
    assert fine(store, "show", "ip").startswith("block     ip 2001:db8::/32  always")
    other.write_text("kind,value\nmerchant,M1\n")
    refused = asked(store, "load", str(other))
    assert refused.exit_code == 1
    assert "other.csv, line 2, value: overlaps with an entry that is there" in refused.output
    fine(store, "sanctions", "--load", "--by", "jdoe")
    assert "1 entry, 4 changed" in asked(store, "load", str(other), "--replace").output
    numbers = json.loads(fine(store, "show", "--json"))["numbers"]
    assert numbers == [
        {"list": "block", "kind": "merchant", "values": 1},
        {"list": "sanction", "kind": "country", "values": len(shipped().countries)},
    ]
    cards = tmp_path / "cards.csv"
    cards.write_text("pan,account_id,expiry\n")
    assert "has cards, not lists" in asked(store, "load", str(cards)).output


def test_the_shipped_list_is_dated_and_in_force_only_by_a_persons_word(store: str) -> None:
    ours = shipped()
    assert ours.version in fine(store, "sanctions")
    assert fine(store, "show") == "nothing is listed\n"
    assert asked(store, "sanctions", "--load").exit_code == 2
    said = fine(store, "sanctions", "--load", "--by", "jdoe")
    assert "3 countries sanctioned, list of 2025-10-01, judgement 1" in said
    assert "as before" in fine(store, "sanctions", "--load", "--by", "jdoe")

    async def journalled() -> Any:
        client = admin.administrator(store)
        rows = await client.xrange(keys.journal(keys.HOME))
        await client.aclose()
        bodies = [read_entry(*row).body for row in rows]
        return [b for b in bodies if isinstance(b, JudgementBody) and b.packed]

    (body,) = asyncio.run(journalled())
    assert (ours.version in body.source, "jdoe" in body.source) == (True, True)
    assert {field for field, _, _ in body.change.entries} == {
        f"sanction/country/{country}" for country in ours.countries
    }
    assert "0 countries" in fine(store, "sanctions", "--off", "--by", "jdoe")
    assert fine(store, "show") == "nothing is listed\n"


@pytest.mark.parametrize("words", [
    ("add", "country", "XX"), ("add", "ip", "10.0.0.1/8"), ("add", "bin", "12345678"),
    ("add", "mcc", "5411", "--until", "yesterday"), ("add", "shop", "M1"),
    ("sanctions", "--load", "--off", "--by", "x"),
])  # fmt: skip
def test_wrong_use(store: str, words: tuple[str, ...]) -> None:
    assert asked(store, *words).exit_code == 2
