"""Files into the hot state: every way in which a row is bad, and that no cell is ever shown."""

import asyncio
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from authz.app import rows, stored
from authz.app.loading import LoadReport, load
from authz.hot import admin, keys
from authz.privacy import Pan, PanKeys
from authz.profiles import read_account, read_card
from tests.support.hot import opened

KEYS = PanKeys(b"k" * 32)
PAN, OTHER = "4000000000000001", "4000000000000002"
ACCOUNTS = "account_id,currency,opening_funds,credit_line\nA1,USD,100.50,20\n"
CARDS = f"pan,account_id,expiry\n{PAN},A1,2812\n"


def loaded(
    url: str, folder: Path, files: dict[str, str | bytes], *, partial: bool = False
) -> LoadReport:
    """Load these files, in this order, into the store as it is."""
    paths = []
    for name, content in files.items():
        path = folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        paths.append(path)

    async def scenario() -> LoadReport:
        state, client = await opened(url), admin.administrator(url)
        try:
            return await load(paths, state, client, lambda: KEYS, partial=partial, source="s")
        finally:
            state._connection.close()  # type: ignore[union-attr]
            await client.aclose()
            await asyncio.sleep(0)

    report = asyncio.run(scenario())
    shown = repr(report) + "".join(map(str, report.bad))
    assert PAN not in shown
    assert OTHER not in shown
    return report


def asked(url: str, *command: Any) -> Any:
    async def scenario() -> Any:
        client = admin.administrator(url)
        try:
            return await client.execute_command(*command)
        finally:
            await client.aclose()

    return asyncio.run(scenario())


def stored_account(url: str, id: str) -> Any:
    return read_account(asked(url, "HGET", keys.account(id), "profile"))


def stored_card(url: str, pan: str, account_id: str = "A1") -> Any:
    id = asked(url, "HGET", keys.directory(KEYS.card_key(Pan(pan))), "card").decode()
    found = asked(url, "HGET", keys.account(account_id), keys.card_field(id))
    return read_card(found.partition(b" ")[2])


def said(report: LoadReport) -> list[str]:
    return [str(bad) for bad in report.bad]


def test_accounts_and_cards_in_any_order(fresh_redis: str, tmp_path: Path) -> None:
    cards = (
        "pan,account_id,expiry,status,per_transaction,daily_amount,daily_count,blocked_mccs\n"
        f"{PAN},A1,2812,frozen,50,100.5,3,7995 5411 7995\n"
    )
    report = loaded(fresh_redis, tmp_path, {"cards.csv": cards, "accounts.csv": ACCOUNTS})
    assert (report.ok, report.accounts.created, report.cards.created) == (True, 1, 1)
    card = stored_card(fresh_redis, PAN)
    assert (card.state, card.transaction_limit_minor, card.daily_amount_minor) == (
        "frozen",
        5000,
        10050,
    )
    assert (card.daily_count, card.blocked_mccs) == (3, ("5411", "7995"))
    account = stored_account(fresh_redis, "A1")
    assert (account.currency, account.credit_line_minor, account.time_zone) == ("840", 2000, "UTC")
    assert asked(fresh_redis, "HGET", keys.account("A1"), "posted:840") == b"10050"


CURRENCIES = [
    ("USD", "1.05", "840", 105), ("978", "1.5", "978", 150), ("jpy", "700", "392", 700),
    ("KWD", "1.005", "414", 1005), ("usd", "0", "840", 0), ("036", "7", "036", 700),
]  # fmt: skip


@pytest.mark.parametrize(("currency", "amount", "numeric", "minor"), CURRENCIES)
def test_amounts_are_in_the_currencys_own_units(
    fresh_redis: str, tmp_path: Path, currency: str, amount: str, numeric: str, minor: int
) -> None:
    accounts = f"account_id,currency,opening_funds\nA1,{currency},{amount}\n"
    assert loaded(fresh_redis, tmp_path, {"a.csv": accounts}).ok
    key = keys.account("A1")
    assert int(asked(fresh_redis, "HGET", key, f"posted:{numeric}")) == minor


# One bad cell each; the file's name, line and column are told, and never the cell.
BAD_ACCOUNTS = """
account_id | not an id                  | A 1,840,,,,,
account_id | not an id                  | A{1},840,,,,,
account_id | looks like a card number   | 4000000000000001,840,,,,,
account_id | looks like a card number   | 4000-0000-0000-0001,840,,,,,
account_id | looks like a card number   | 3400.000000.00009,840,,,,,
account_id | is missing                 | ,840,,,,,
currency   | is missing                 | A1,,,,,,
currency   | not an ISO 4217            | A1,ZZZ,,,,,
currency   | not an ISO 4217            | A1,84,,,,,
currency   | no minor units             | A1,XAU,,,,,
opening    | more than the 0 decimals   | A1,JPY,1.0,,,,
opening    | more than the 2 decimals   | A1,USD,1.000,,,,
opening    | more than the 3 decimals   | A1,KWD,1.0001,,,,
opening    | not an amount              | A1,USD,-1,,,,
opening    | not an amount              | A1,USD,1e3,,,,
opening    | not an amount              | A1,USD,١,,,,
opening    | not an amount              | A1,USD,1.,,,,
opening    | too large                  | A1,USD,10000000000000,,,,
credit     | not an amount              | A1,USD,,.5,,,
time_zone  | tz database                | A1,USD,,,Mars/Base,,
time_zone  | tz database                | A1,USD,,,America,,
time_zone  | tz database                | A1,USD,,,../etc/passwd,,
status     | one of active, frozen      | A1,USD,,,,lost,
program    | not an id                  | A1,USD,,,,,a b
           | has 6 cells where          | A1,USD,,,,
"""


def table(text: str) -> list[Any]:
    cut = [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]
    return [pytest.param(*row, id=f"{n}-{row[0]}") for n, row in enumerate(cut)]


@pytest.mark.parametrize(("column", "reason", "row"), table(BAD_ACCOUNTS))
def test_a_bad_account(
    fresh_redis: str, tmp_path: Path, column: str, reason: str, row: str
) -> None:
    header = "account_id,currency,opening_funds,credit_line,time_zone,status,program\n"
    files = {"a.csv": f"{header}G1,USD,,,,,\n{row}\n"}
    report = loaded(fresh_redis, tmp_path, files)
    (bad,) = report.bad
    assert (bad.file, bad.line) == ("a.csv", 3)
    assert bad.column.startswith(column)
    assert reason in bad.reason
    assert not report.loaded
    assert asked(fresh_redis, "EXISTS", keys.account("G1")) == 0


BAD_CARDS = """
pan             | not a card number      | 400000000000000x,A1,2812,,,,,,,,
pan             | not a card number      | 40000000000,A1,2812,,,,,,,,
pan             | not a card number      | 4000 0000 0000 0001,A1,2812,,,,,,,,
pan             | is missing             | ,A1,2812,,,,,,,,
pan             | is also in cards.csv   | 4000000000000002,A1,2812,,,,,,,,
account_id      | no such account        | 4000000000000001,A9,2812,,,,,,,,
account_id      | no such account        | 4000000000000001,4000000000000001,2812,,,,,,,,
account_id      | the row of its account | 4000000000000001,BAD,2812,,,,,,,,
expiry          | not YYMM               | 4000000000000001,A1,2813,,,,,,,,
expiry          | not YYMM               | 4000000000000001,A1,4000000000000001,,,,,,,,
status          | not one of active      | 4000000000000001,A1,2812,on,,,,,,,
per_transaction | not an amount          | 4000000000000001,A1,2812,,x,,,,,,
daily_amount    | more than the 2        | 4000000000000001,A1,2812,,,1.001,,,,,
daily_count     | not a whole number     | 4000000000000001,A1,2812,,,,1.5,,,,
blocked_mccs    | four-digit codes       | 4000000000000001,A1,2812,,,,,7995;5411,,,
limit_subject   | looks like a card      | 4000000000000001,A1,2812,,,,,,4000000000000001,,
limit_subject   | not an id              | 4000000000000001,A1,2812,,,,,,a/b,,
replaces        | no such card           | 4000000000000001,A1,2812,,,,,,,4000000000000009,
replaces        | no such card           | 4000000000000001,A1,2812,,,,,,,c0,
replaces        | no such card           | 4000000000000001,A2,2812,,,,,,,4000000000000002,
replaces        | no such card           | 4000000000000001,A1,2812,,,,,,,4000000000000001,
issued          | not YYYY-MM-DD         | 4000000000000001,A1,2812,,,,,,,,20260101
issued          | not YYYY-MM-DD         | 4000000000000001,A1,2812,,,,,,,,2026-02-30
issued          | before 1970            | 4000000000000001,A1,2812,,,,,,,,1969-12-31
"""


@pytest.mark.parametrize(("column", "reason", "row"), table(BAD_CARDS))
def test_a_bad_card(fresh_redis: str, tmp_path: Path, column: str, reason: str, row: str) -> None:
    accounts = "account_id,currency\nA1,USD\nA2,USD\nBAD,ZZZ\n"
    header = (
        "pan,account_id,expiry,status,per_transaction,daily_amount,daily_count,blocked_mccs,"
        "limit_subject,replaces,issued\n"
    )
    files = {"a.csv": accounts, "cards.csv": f"{header}{OTHER},A1,2812,,,,,,,,\n{row}\n"}
    report = loaded(fresh_redis, tmp_path, files)
    _, bad = report.bad  # the first is the account's
    assert (bad.file, bad.line, bad.column) == ("cards.csv", 3, column)
    assert reason in bad.reason
    assert asked(fresh_redis, "EXISTS", keys.directory(KEYS.card_key(Pan(OTHER)))) == 0


WHOLE_FILES = [
    ("a.csv", b"", ["a.csv: the file is empty"]),
    ("a.csv", b"\xef\xbb\xbf\r\n\r\n", ["a.csv: the file is empty"]),
    ("a.jsonl", b"\n", ["a.jsonl: the file is empty"]),
    ("a.csv", b"account_id,currency\nA1,\xff\n",
     ["a.csv, line 2: not UTF-8; nothing below it was read"]),
    ("a.csv", "account_id,currency\n".encode("utf-16"),
     ["a.csv, line 1: not UTF-8; nothing below it was read"]),
    ("a.csv", b'account_id,currency\nA1,USD\nA2,"USD\n',
     ["a.csv, line 3: not CSV (a quote?); nothing below it was read"]),
    ("a.csv", b"account_id,currency,account_id\n",
     ["a.csv, line 1: a column without a name, or named twice"]),
    ("a.csv", b"account_id,currency,colour\nA1,USD,red\n",
     ["a.csv, line 1, colour: unknown column"]),
    ("a.csv", f"account_id,currency,{PAN}\nA1,USD,\n".encode(),
     ["a.csv, line 1, column 3: unknown column"]),
    ("a.csv", f"{PAN},A1,2812\n".encode(),
     ["a.csv, line 1: not a known kind of file, which have cards: pan, account_id, expiry; "
      "lists: kind, value; accounts: account_id, currency"]),
    ("a.csv", b"pan;account_id;expiry\n1;2;3\n",
     ["a.csv, line 1: not a known kind of file (is it comma-separated?), which have "
      "cards: pan, account_id, expiry; lists: kind, value; accounts: account_id, currency"]),
    ("a.csv", b"pan,account_id,status,daily_amonut\n",
     ["a.csv, line 1: not a known kind of file; for cards it lacks expiry, and has unknown "
      "daily_amonut"]),
    ("a.csv", f"account_id,time_zone,{PAN}\n".encode(),
     ["a.csv, line 1: not a known kind of file; for accounts it lacks currency, and has unknown "
      "column 3"]),
    ("a.csv", b"account_id,currency\n" + b"A" * 2_000_000 + b",USD\n",
     ["a.csv, line 2: the line is over 1 MiB long"]),
    ("a.jsonl", b'{"account_id": "A1", "currency": "USD"}\n[1]\n{"a": 1, "a": 2}\n{\n'
     b'{"account_id": {}, "currency": "USD"}\n',
     [f"a.jsonl, line {n}: not a JSON object of plain values" for n in (2, 3, 4, 5)]),
    ("a.jsonl", b'{"account_id": "A1", "currency": "USD"}\n{"account_id": "A2", "colour": 1}\n',
     ["a.jsonl, line 2, colour: unknown column", "a.jsonl, line 2, currency: is missing"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "expected"), WHOLE_FILES)
def test_a_file_that_cannot_be_used(
    fresh_redis: str, tmp_path: Path, name: str, content: bytes, expected: list[str]
) -> None:
    report = loaded(fresh_redis, tmp_path, {name: content})
    assert said(report) == expected
    assert not report.loaded
    # Of a file whose header is wrong no row is good.
    assert report.partial_helps == all(
        "line 1" not in bad and "empty" not in bad for bad in expected
    )


def test_marks_line_ends_blanks_and_quotes_make_no_difference(
    fresh_redis: str, tmp_path: Path
) -> None:
    accounts = '\ufeff"Account_ID", currency ,program\r\n\r\n "A1", USD,"gold"\r\n,,\r\nA2,EUR,'
    assert loaded(fresh_redis, tmp_path, {"a.csv": accounts}).accounts.created == 2
    assert stored_account(fresh_redis, "A1").program == "gold"


def test_json_lines_say_the_same(fresh_redis: str, tmp_path: Path) -> None:
    accounts = '{"account_id": "A1", "currency": 840, "credit_line": 20.10, "program": null}\n'
    cards = f'\n{{"pan": "{PAN}", "account_id": "A1", "expiry": 2812, "blocked_mccs": ["7995"]}}\n'
    report = loaded(fresh_redis, tmp_path, {"c.jsonl": cards, "a.ndjson": accounts})
    assert said(report) == []
    assert stored_account(fresh_redis, "A1").credit_line_minor == 2010
    assert stored_card(fresh_redis, PAN).blocked_mccs == ("7995",)


def test_the_good_rows_of_a_bad_file_on_request(fresh_redis: str, tmp_path: Path) -> None:
    cards = f"pan,account_id,expiry\n{PAN},A1,2812\n{OTHER},A1,9999\n"
    files: dict[str, str | bytes] = {"a.csv": ACCOUNTS, "c.csv": cards}
    assert not loaded(fresh_redis, tmp_path, files).loaded
    report = loaded(fresh_redis, tmp_path, files, partial=True)
    assert (report.ok, report.loaded, report.bad_rows) == (False, True, 1)
    assert (report.accounts.created, report.cards.created) == (1, 1)


def test_bad_rows_are_listed_up_to_a_bound_and_counted_beyond(
    fresh_redis: str, tmp_path: Path
) -> None:
    accounts = "account_id,currency\n" + "".join(f"A{n},ZZZ\n" for n in range(70))
    report = loaded(fresh_redis, tmp_path, {"a.csv": accounts})
    assert (len(report.bad), report.bad_rows) == (rows.BAD_MAX, 70)


def test_bad_rows_are_listed_by_file_and_line(fresh_redis: str, tmp_path: Path) -> None:
    """Accounts are read before cards, and a line's shape before what it says."""
    cards = f"pan,account_id,expiry\n{PAN},A1,9999\n{OTHER},A1\n{PAN},A1,9999\n"
    files: dict[str, str | bytes] = {
        "b.csv": "account_id,currency\n" + "".join(f"A{n},ZZZ\n" for n in range(2, 70)),
        "a.csv": cards,
    }
    report = loaded(fresh_redis, tmp_path, files)
    places = [(bad.file, bad.line) for bad in report.bad]
    assert places[:4] == [("a.csv", 2), ("a.csv", 3), ("a.csv", 4), ("b.csv", 2)]
    assert places == sorted(places)
    assert (len(places), report.bad_rows) == (rows.BAD_MAX, 71)


def test_the_same_account_in_two_files(fresh_redis: str, tmp_path: Path) -> None:
    report = loaded(fresh_redis, tmp_path, {"a.csv": ACCOUNTS, "b.csv": ACCOUNTS})
    assert said(report) == ["b.csv, line 2, account_id: is also in a.csv, line 2"]


def test_what_the_store_contradicts_is_found_before_anything_is_done(
    fresh_redis: str, tmp_path: Path
) -> None:
    accounts = "account_id,currency\nA1,USD\nA2,USD\n"
    assert loaded(fresh_redis, tmp_path, {"a.csv": accounts, "c.csv": CARDS}).ok
    moved = f"pan,account_id,expiry\n{PAN},A2,2812\n"
    other = "account_id,currency\nA3,USD\nA1,EUR\n"
    report = loaded(fresh_redis, tmp_path, {"c.csv": moved, "a.csv": other})
    assert said(report) == [
        "a.csv, line 3, currency: the currency of an account cannot change",
        "c.csv, line 2, pan: the card belongs to another account",
    ]
    assert asked(fresh_redis, "EXISTS", keys.account("A3")) == 0


def test_cards_for_accounts_that_are_there_already(fresh_redis: str, tmp_path: Path) -> None:
    accounts = "account_id,currency\nA1,KWD\n"
    assert loaded(fresh_redis, tmp_path, {"a.csv": accounts}).ok
    cards = f"pan,account_id,expiry,daily_amount\n{PAN},A1,2812,1.005\n"
    assert loaded(fresh_redis, tmp_path, {"c.csv": cards}).ok
    assert stored_card(fresh_redis, PAN).daily_amount_minor == 1005


def test_a_chain_of_replaced_cards_in_one_file(fresh_redis: str, tmp_path: Path) -> None:
    third = "4000000000000003"
    cards = f"pan,account_id,expiry,replaces\n{PAN},A1,2801,\n{OTHER},A1,2812,{PAN}\n"
    cards += f"{third},A1,3012,{OTHER}\n"
    assert loaded(fresh_redis, tmp_path, {"a.csv": ACCOUNTS, "c.csv": cards}).ok
    subjects = {stored_card(fresh_redis, pan).limit_subject for pan in (PAN, OTHER, third)}
    assert subjects == {KEYS.card_id(Pan(PAN))}


def test_a_card_keeps_its_day_of_issue_where_a_row_says_nothing_of_it(
    fresh_redis: str, tmp_path: Path
) -> None:
    head = "pan,account_id,expiry"
    first = f"{head},issued\n{PAN},A1,2812,2026-11-01\n"
    assert loaded(fresh_redis, tmp_path, {"a.csv": ACCOUNTS, "c.csv": first}).ok
    day = (date(2026, 11, 1) - date(1970, 1, 1)).days
    assert stored_card(fresh_redis, PAN).issued_day == day
    report = loaded(fresh_redis, tmp_path, {"c.csv": f"{head}\n{PAN},A1,2901\n"})
    assert report.card_changes.told("card") == ["1 card changed: expiry"]
    assert stored_card(fresh_redis, PAN).issued_day == day
    assert loaded(fresh_redis, tmp_path, {"c.csv": first.replace("-01\n", "-02\n")}).ok
    assert stored_card(fresh_redis, PAN).issued_day == day + 1


def listed(url: str) -> set[bytes]:
    """What is blocked, by kind and value."""
    return {field.removeprefix(b"block/") for field in asked(url, "HKEYS", keys.LISTS)}


def test_lists_take_cards_by_number_and_countries_by_any_code(
    fresh_redis: str, tmp_path: Path
) -> None:
    by_id = KEYS.card_id(Pan(OTHER))
    lists = f"kind,value\ncard,{PAN}\nCard,{by_id}\nmerchant, M 1 \n"
    lists += "country,USA\ncountry,36\ncountry,kp\n"
    cards = f"{CARDS}{OTHER},A1,2812\n"
    files: dict[str, str | bytes] = {"l.csv": lists, "c.csv": cards, "a.csv": ACCOUNTS}
    report = loaded(fresh_redis, tmp_path, files)
    assert (report.ok, report.lists_version, report.lists_entries) == (True, 1, 6)
    assert listed(fresh_redis) == {
        b"card/" + KEYS.card_id(Pan(PAN)).encode(), b"card/" + by_id.encode(),
        b"merchant/M 1", b"country/US", b"country/AU", b"country/KP",
    }  # fmt: skip
    # A header alone says that nobody is blocked any more.
    assert loaded(fresh_redis, tmp_path, {"l.csv": "kind,value\n"}).lists_version == 2
    assert listed(fresh_redis) == set()


NO_CARD = "no such card, in these files or in the store"


def test_a_list_names_cards_that_there_are(
    fresh_redis: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card that is blocked under an id that no card has would not be blocked."""
    monkeypatch.setattr(stored, "STEP", 1)
    both: dict[str, str | bytes] = {"a.csv": ACCOUNTS, "c.csv": CARDS}
    assert loaded(fresh_redis, tmp_path, both).ok
    there, new = KEYS.card_id(Pan(PAN)), KEYS.card_id(Pan(OTHER))
    lists = f"kind,value\ncard,{there}\ncard,{new}\ncard,c0ffee\ncard,A1\n"
    alone = loaded(fresh_redis, tmp_path, {"l.csv": lists})
    assert said(alone) == [f"l.csv, line {n}, value: {NO_CARD}" for n in (3, 4, 5)]
    assert asked(fresh_redis, "EXISTS", keys.JUDGEMENT) == 0

    cards = f"pan,account_id,expiry\n{OTHER},A1,2812\n"
    files: dict[str, str | bytes] = {"l.csv": lists, "c.csv": cards}
    report = loaded(fresh_redis, tmp_path, files, partial=True)
    assert said(report) == [f"l.csv, line {n}, value: {NO_CARD}" for n in (4, 5)]
    assert listed(fresh_redis) == {f"card/{there}".encode(), f"card/{new}".encode()}


def test_a_list_does_not_name_a_card_whose_row_is_bad(fresh_redis: str, tmp_path: Path) -> None:
    new = KEYS.card_id(Pan(OTHER))
    cards = f"pan,account_id,expiry\n{OTHER},A1,9999\n"
    lists = f"kind,value\ncard,{new}\ncard,{OTHER}\n"
    files: dict[str, str | bytes] = {"l.csv": lists, "c.csv": cards, "a.csv": ACCOUNTS}
    report = loaded(fresh_redis, tmp_path, files)
    assert said(report)[1:] == [f"l.csv, line {n}, value: {NO_CARD}" for n in (2, 3)]


def test_a_list_knows_a_card_by_the_id_that_the_store_gave_it(
    fresh_redis: str, tmp_path: Path
) -> None:
    """After the key was changed, the id that a number would get is not the one that it has."""
    files: dict[str, str | bytes] = {"a.csv": ACCOUNTS, "c.csv": CARDS}
    assert loaded(fresh_redis, tmp_path, files).ok
    asked(fresh_redis, "HSET", keys.directory(KEYS.card_key(Pan(PAN))), "card", "c0ffee")
    lists = f"kind,value\ncard,c0ffee\ncard,{KEYS.card_id(Pan(PAN))}\n"
    report = loaded(fresh_redis, tmp_path, {"l.csv": lists} | files)
    assert said(report) == [f"l.csv, line 3, value: {NO_CARD}"]


LIST_COLUMNS = "kind,value,list,from,until\n"
BAD_ENTRIES = """
list   | not block or allow | country,US,allowed,,
kind   | not one of card    | shop,T1,,,
value  | no such card       | card,4000000000000001,,,
value  | no such card       | card,c0ffee,,,
value  | not a card number  | card,4000-0000-0000-0001,,,
value  | not an id          | card,a:b,,,
value  | not an id          | account,A 1,,,
value  | looks like a card  | device,4000000000000002,,,
value  | not a DE 41        | terminal,TERMINAL1,,,
value  | not a DE 42        | merchant,A name of over 15,,,
value  | not a DE 32        | acquirer,123456789012,,,
value  | first six digits   | bin,41111111,,,
value  | four digits        | mcc,799,,,
value  | not an IP address  | ip,192.0.2,,,
value  | not an IP address  | ip,192.0.2.7/24,,,
value  | not an ISO 3166    | country,XX,,,
value  | not an ISO 3166    | country,Germany,,,
value  | not an ISO 3166    | country,000,,,
value  | is also in l.csv   | country,PRK,,,
value  | overlaps in time   | country,PRK,allow,,
value  | overlaps in time   | country,PRK,,2026-11-01,
value  | overlaps in time   | country,PRK,allow,,2026-11-01
from   | ISO 8601           | country,US,,tomorrow,
from   | between 1970       | country,US,,1969-01-01,
until  | not after          | country,US,,2026-11-02,2026-11-02
"""


@pytest.mark.parametrize(("column", "reason", "row"), table(BAD_ENTRIES))
def test_a_bad_entry(fresh_redis: str, tmp_path: Path, column: str, reason: str, row: str) -> None:
    report = loaded(fresh_redis, tmp_path, {"l.csv": f"{LIST_COLUMNS}country,KP,,,\n{row}\n"})
    (bad,) = report.bad
    assert (bad.line, bad.column) == (3, column)
    assert reason in bad.reason
    assert asked(fresh_redis, "EXISTS", keys.JUDGEMENT) == 0


def test_a_second_load_of_the_same_changes_nothing(fresh_redis: str, tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"a.csv": ACCOUNTS, "c.csv": CARDS}
    loaded(fresh_redis, tmp_path, files)
    before = asked(fresh_redis, "DBSIZE")
    report = loaded(fresh_redis, tmp_path, files)
    assert (report.ok, report.accounts.same, report.cards.same) == (True, 1, 1)
    assert asked(fresh_redis, "DBSIZE") == before
