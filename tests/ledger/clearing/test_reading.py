"""Any clearing file: whole and agreeing with its trailer, or refused; bad records are listed."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger.clearing.errors import ClearingRefused, Problem
from ledger.clearing.reading import TWICE, ClearingFile, Total, read_clearing
from ledger.clearing.record import ClearedItem, Kind, pack_item
from tests.support.clearing import (
    PAN,
    TODAY,
    as_kind,
    base2,
    base2_items,
    csv,
    csv_items,
    ipm,
    ipm_items,
    item_of,
    no_canary,
)

ITEMS = [item_of(n) for n in range(1, 41)]
FILES: dict[str, Callable[[list[ClearedItem]], bytes]] = {
    "rdw ascii": lambda told: ipm(told, encoding="ascii", blocked=False),
    "rdw ebcdic": lambda told: ipm(told, encoding="ebcdic", blocked=False),
    "1014 ascii": lambda told: ipm(told, encoding="ascii", blocked=True),
    "1014 ebcdic": lambda told: ipm(told, encoding="ebcdic", blocked=True),
    "base2 lf": base2,
    "base2 crlf": lambda told: base2(told, end=b"\r\n"),
    "base2 solid": lambda told: base2(told, end=b""),
    "base2 ebcdic": lambda told: base2(told, encoding="ebcdic", end=b""),
    "base2 ebcdic nel": lambda told: base2(told, encoding="ebcdic", end=b"\x15"),
    "base2 batches": lambda told: base2(told, batch_max=7),
    "csv": csv,
}
SHAPES = {
    "rdw ascii": "RDW, ASCII", "rdw ebcdic": "RDW, EBCDIC", "1014 ascii": "1014-blocked, ASCII",
    "1014 ebcdic": "1014-blocked, EBCDIC", "base2 lf": "lines, ASCII",
    "base2 crlf": "lines, ASCII", "base2 solid": "no line ends, ASCII",
    "base2 ebcdic": "no line ends, EBCDIC", "base2 ebcdic nel": "lines, EBCDIC",
    "base2 batches": "lines, ASCII", "csv": "UTF-8",
}  # fmt: skip


def read(folder: Path, data: bytes) -> ClearingFile:
    path = folder / "clearing"
    path.write_bytes(data)
    return read_clearing(path)


def refused(folder: Path, data: bytes) -> ClearingRefused:
    with pytest.raises(ClearingRefused) as caught:
        read(folder, data)
    no_canary(caught.value)
    return caught.value


def bare(item: ClearedItem) -> ClearedItem:
    return replace(item, record=0, network="")


@pytest.mark.parametrize("count", [0, 1, 3, 40, 600])
@pytest.mark.parametrize("name", FILES)
def test_a_file_is_known_by_itself_and_gives_what_was_written(
    name: str, count: int, tmp_path: Path
) -> None:
    told = [item_of(n) for n in range(1, count + 1)]
    found = read(tmp_path, FILES[name](told))
    assert found.shape == SHAPES[name]
    assert found.business_date == TODAY
    read_in = [replace(bare(item), local_time="") for item in found.items()]
    assert read_in == [bare(item) for item in told]
    assert found.bad_count == found.others == 0
    assert found.item_count == count
    amount = sum(item.transaction_minor for item in told)
    total = Total(count, amount, amount)
    assert found.totals == ({("978", "presentment"): total} if told else {})


def test_totals_are_by_currency_and_kind(tmp_path: Path) -> None:
    told = [
        item_of(1), item_of(2), item_of(3, transaction_currency="392"),
        item_of(4, **as_kind(Kind.REFUND)), item_of(5, **as_kind(Kind.CASH, reversal=True)),
        item_of(6, **as_kind(Kind.CHARGEBACK, Kind.REFUND)),
    ]  # fmt: skip
    for write in FILES.values():
        assert read(tmp_path, write(told)).totals == {
            ("392", "presentment"): Total(1, 1003, 1003),
            ("978", "cash_reversal"): Total(1, 1005, -1005),
            ("978", "chargeback"): Total(1, 1006, 1006),
            ("978", "presentment"): Total(2, 2003, 2003),
            ("978", "refund"): Total(1, 1004, -1004),
        }


def unlike(told: list[ClearedItem]) -> list[ClearedItem]:
    """Without those that say the same as an earlier one."""
    return list(dict.fromkeys(bare(item) for item in told))


@given(st.lists(ipm_items(), max_size=5), st.sampled_from(["ascii", "ebcdic"]), st.booleans())
def test_ipm_round_trip(
    tmp_path: Path, told: list[ClearedItem], encoding: str, blocked: bool
) -> None:
    found = read(tmp_path, ipm(told, encoding=encoding, blocked=blocked))
    assert [bare(item) for item in found.items()] == unlike(told)
    assert found.item_count + found.bad_count == len(told)


@given(
    st.lists(base2_items(), max_size=5),
    st.sampled_from(["ascii", "ebcdic"]),
    st.sampled_from([b"", b"\n", b"\r\n"]),
    st.integers(1, 5),
)
def test_base2_round_trip(
    tmp_path: Path, told: list[ClearedItem], encoding: str, end: bytes, batch: int
) -> None:
    found = read(tmp_path, base2(told, encoding=encoding, end=end, batch_max=batch))
    within = [replace(item, local_date=None) for item in unlike(told)]
    assert [replace(bare(item), local_date=None) for item in found.items()] == within
    # The year is not told: it is the last that makes a day before the file's.
    for item, was in zip(found.items(), unlike(told)):
        if was.local_date is not None:
            assert item.local_date is not None
            assert f"{item.local_date:%m%d}" == f"{was.local_date:%m%d}"
            assert item.local_date >= was.local_date


@given(st.lists(csv_items(), max_size=5))
def test_csv_round_trip(tmp_path: Path, told: list[ClearedItem]) -> None:
    found = read(tmp_path, csv(told))
    assert [bare(item) for item in found.items()] == unlike(told)


def test_the_same_file_twice_has_the_same_ids(tmp_path: Path) -> None:
    for name, write in FILES.items():
        first, again = read(tmp_path, write(ITEMS)), read(tmp_path, write(ITEMS))
        assert first.file_id == again.file_id
        assert read(tmp_path, write(ITEMS[:-1])).file_id != first.file_id, name


def test_another_encoding_of_a_file_has_the_networks_own_id(tmp_path: Path) -> None:
    names = ["rdw ascii", "rdw ebcdic", "1014 ascii", "1014 ebcdic"]
    found = [read(tmp_path, FILES[name](ITEMS)) for name in names]
    assert len({one.file_id for one in found}) == 4
    assert len({one.network_file_ids for one in found}) == 1


@pytest.mark.parametrize("name", FILES)
def test_an_item_that_is_there_twice_is_listed(name: str, tmp_path: Path) -> None:
    found = read(tmp_path, FILES[name]([*ITEMS, ITEMS[4], item_of(5, terminal_id="OTHER")]))
    assert [bad.reason for bad in found.bad] == [TWICE]
    assert len(list(found.items())) == found.item_count == len(ITEMS) + 1


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_cut_anywhere_is_refused(name: str, tmp_path: Path) -> None:
    data = FILES[name](ITEMS[:9] if name == "base2 batches" else ITEMS[:3])
    whole = {len(data)}
    if name.startswith("base2") or name == "csv":
        whole |= {len(data.rstrip(b"\r\n\x15")), len(data) - 1}  # only the last line's end
    if not name.startswith("base2"):
        # What is left is a whole RDW file: with the zero behind the trailer, or without.
        end = len(data.rstrip(b"\x40"))
        whole |= {end, end - 4} if name != "csv" else set()
    step = 5 if name.startswith("base2") else 2
    for size in {*range(0, len(data), step), *range(len(data) - 200, len(data), 3), *whole}:
        if size not in whole:
            refused(tmp_path, data[:size])


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_refused_listed_or_seen_in_the_text(name: str, tmp_path: Path) -> None:
    """Amounts, counts, kinds of framing: never another total out of a file that is accepted."""
    data = FILES[name](ITEMS[:2])
    whole = read(tmp_path, data)
    amount = sum(total.minor for total in whole.totals.values())
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << (at * 5 % 8)
        try:
            found = read(tmp_path, bytes(damaged))
        except ClearingRefused as error:
            no_canary(error)
            continue
        assert PAN[6:12] not in str(found.bad)
        read_in = list(found.items())
        assert len(read_in) + found.bad_count == 2, at
        if not found.bad_count:
            assert sum(item.transaction_minor for item in read_in) == amount, at


def test_a_file_that_changes_between_the_readings_is_refused(tmp_path: Path) -> None:
    found = read(tmp_path, csv(ITEMS))
    found.path.write_bytes(csv(list(reversed(ITEMS))))
    items = found.items()
    for _ in ITEMS:
        next(items)
    with pytest.raises(ClearingRefused) as caught:
        next(items)
    assert caught.value.problem is Problem.CHANGED


# What people hand over instead, and what they are told.
OTHERS = {
    "nothing": (b"", Problem.EMPTY, ""),
    "noise": (bytes(range(200, 256)) * 9, Problem.UNKNOWN_FORMAT, ""),
    "a message without length": (b"1644" + bytes(60), Problem.UNKNOWN_FORMAT, "without its length"),
    "a report": (b"\0\0\0\x50IP727010-AA  CLEARING" + b" " * 60, Problem.UNKNOWN_FORMAT, "report"),
    "a zip": (b"PK\x03\x04" + bytes(60), Problem.UNKNOWN_FORMAT, "unpack it"),
    "other columns": (b"pan,amount\n" + PAN.encode() + b",1\n", Problem.UNKNOWN_FORMAT, "columns"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_none_is_told_so(name: str, tmp_path: Path) -> None:
    data, problem, words = OTHERS[name]
    error = refused(tmp_path, data)
    assert error.problem is problem
    assert words in str(error)


def test_what_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate((2 << 30) + 1)  # sparse
    with pytest.raises(ClearingRefused) as caught:
        read_clearing(path)
    assert caught.value.problem is Problem.TOO_LARGE


@pytest.mark.parametrize("name", ["1014 ebcdic", "base2 lf", "csv"])
def test_memory_is_a_hash_for_each_record(name: str, tmp_path: Path) -> None:
    """Under 200 bytes each, besides a few megabytes of buffers: a million is 200 MB."""
    path = tmp_path / "long"
    count = 10_000
    path.write_bytes(FILES[name]([item_of(n) for n in range(count)]))
    tracemalloc.start()
    try:
        found = read_clearing(path)
        assert sum(1 for _ in found.items()) == count
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 9_000_000 + 200 * count


@given(
    st.sampled_from(sorted(FILES)),
    st.lists(
        st.tuples(st.integers(0, 2**16), st.integers(0, 9), st.binary(max_size=9)), max_size=4
    ),
)
def test_whatever_is_done_to_a_file_it_is_read_or_refused(
    tmp_path: Path, name: str, damages: list[tuple[int, int, bytes]]
) -> None:
    """Bytes taken out, put in, or others put in their place: no other error comes out."""
    data = FILES[name](ITEMS[:2])
    for at, size, new in damages:
        at %= len(data)
        data = data[:at] + new + data[at + size :] or b"\0"
    try:
        found = read(tmp_path, data)
    except ClearingRefused as error:
        no_canary(error)
    else:
        assert len(list(found.items())) == found.item_count


HEADS = [
    b"",
    b"\0\0\0\x401644",
    b"90",
    b"\xf9\xf0",
    b"kind,transaction_minor,transaction_currency\n",
]


@given(st.binary(max_size=200), st.sampled_from(HEADS))
def test_any_bytes_are_refused(tmp_path: Path, data: bytes, head: bytes) -> None:
    refused(tmp_path, head + data)


def test_a_text_is_fit_to_be_shown(tmp_path: Path) -> None:
    for name in ("rdw ascii", "base2 lf"):
        data = FILES[name]([item_of(1)]).replace(b"CORNER GROCERY", b"CORNER\x1b[2JCERY")
        [item] = read(tmp_path, data).items()
        assert item.merchant_name == "CORNER?[2JCERY"


@pytest.mark.parametrize("written", [ipm, base2])
def test_a_card_number_in_a_name_is_struck_out(
    written: Callable[..., bytes], tmp_path: Path
) -> None:
    network = "mastercard" if written is ipm else "visa"
    named = item_of(network=network, merchant_name=f"SHOP {PAN}", merchant_city="")
    (tmp_path / "file").write_bytes(written([named]))
    [item] = read_clearing(tmp_path / "file").items()
    assert item.merchant_name == f"SHOP {'?' * len(PAN)}"
    assert PAN.encode() not in pack_item(item)
