"""A file of transactions becomes people and messages; its bad rows become line numbers."""

import csv
import gzip

import pytest

from authz.simulator.compare import compare
from authz.simulator.replay import NotTransactions, Replay
from authz.simulator.transactions import COLUMNS

GOOD = {
    "unix_time": "1767225645", "cc_num": "4641081923258635988", "acct_num": "671677906911",
    "lat": "35.751", "long": "-77.6706", "state": "NC", "category": "gas_transport",
    "merchant": "fraud_Kuvalis Ltd", "amt": "65.57", "merch_lat": "36.63246",
    "merch_long": "-78.448737",
}  # fmt: skip
CANARY = "4012888888881881"


def write(path, rows):
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


def people(count):
    for number in range(count):
        yield GOOD | {
            "unix_time": str(1767225645 + 3600 * number),
            "cc_num": str(601100000000 + number % 7),
            "acct_num": f"acct{number % 7 // 2}",
            "amt": f"{number + 1}.50",
        }


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_a_file_becomes_cards_accounts_and_messages(tmp_path, name):
    replay = Replay(write(tmp_path / name, people(50)))
    assert replay.bad_count == 0
    assert len(replay.population.cards) == 7
    assert len(replay.population.accounts) == 4
    events = list(replay.events())
    assert len(events) == 50
    assert {event.mti for event in events} == {"0100"}


def test_a_message_says_what_its_row_says(tmp_path):
    (event,) = Replay(write(tmp_path / "t.csv", [GOOD])).events()
    elements = event.elements
    assert elements[2] == GOOD["cc_num"]
    assert elements[4] == "000000006557"
    assert elements[7] == ""  # the time of sending, to come
    assert (elements[12], elements[13]) == ("000045", "0101")  # the file's own
    assert elements[18] in ("5541", "5542", "4121", "4111")
    assert elements[43] == f"{'Kuvalis Ltd':<25}{'NC':<13}US"


def test_people_of_a_file_are_rows_of_load_files(tmp_path):
    population = Replay(write(tmp_path / "t.csv", [GOOD])).population
    (account,) = population.account_rows()
    (card,) = population.card_rows()
    assert account["time_zone"] == "America/New_York"
    assert account["opening_funds"] == "1000000.00"
    assert (card["pan"], card["account_id"]) == (GOOD["cc_num"], GOOD["acct_num"])
    assert not card["daily_count"]


@pytest.mark.parametrize(
    ("column", "cell"),
    [
        ("unix_time", "yesterday"), ("unix_time", "9" * 30), ("cc_num", "41111"),
        ("cc_num", CANARY + CANARY), ("state", "ZZ"), ("category", "weapons"),
        ("amt", "-1"), ("amt", "nan"), ("amt", "1e300"), ("lat", "91x"), ("merchant", "Café"),
        ("merchant", ""), ("acct_num", ""),
    ],
)  # fmt: skip
def test_a_bad_row_is_reported_by_line_and_column_and_never_by_content(tmp_path, column, cell):
    replay = Replay(write(tmp_path / "t.csv", [GOOD, GOOD | {column: cell}, GOOD]))
    (bad,) = replay.bad_rows
    assert (bad.line, bad.column) == (3, column)
    assert CANARY not in str(bad)
    assert not cell or cell not in str(bad)
    assert len(list(replay.events())) == 2


def test_a_row_cut_short_is_a_bad_row(tmp_path):
    path = write(tmp_path / "t.csv", [GOOD])
    path.write_text(path.read_text() + "1767225645,4641\n")
    assert str(Replay(path).bad_rows[0]) == "line 3, row: too few cells"


def test_a_gzip_cut_short_ends_where_it_is_cut(tmp_path):
    path = write(tmp_path / "t.csv.gz", people(3000))
    path.write_bytes(path.read_bytes()[:-2000])
    replay = Replay(path)
    assert replay.bad_count == 1
    assert 0 < len(list(replay.events())) < 3000


def test_a_file_without_the_columns_is_refused_whole(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(NotTransactions, match="unix_time is missing"):
        Replay(path)


def test_repeats_and_reversals_are_strewn_in_on_request(tmp_path):
    replay = Replay(write(tmp_path / "t.csv", people(3000)))
    mtis = {event.mti for event in replay.events(seed=1)}
    assert mtis > {"0100", "0101", "0400", "0420"}


def test_replayed_traffic_is_at_no_distance_from_its_file(tmp_path):
    path = write(tmp_path / "t.csv", people(400))
    distances = compare(Replay(path).events(), path).distances
    assert max(distances.values()) == 0.0


def test_a_label_is_told_of_each_message_where_the_file_has_them(tmp_path):
    rows = [GOOD | {"is_fraud": label} for label in ("0", "1", "x")]
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, (*COLUMNS, "is_fraud"))
        writer.writeheader()
        writer.writerows(rows)
    replay = Replay(path)
    assert [event.is_fraud for event in replay.events()] == [False, True]
    assert [(bad.line, bad.column) for bad in replay.bad_rows] == [(4, "is_fraud")]
    assert [e.is_fraud for e in Replay(write(tmp_path / "u.csv", [GOOD])).events()] == [None]
