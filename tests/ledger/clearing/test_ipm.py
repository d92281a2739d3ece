"""IPM: files that cardutil wrote, files of ours that cardutil reads, and each damage by name."""

import logging
from collections.abc import Callable
from datetime import date, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from cardutil.mciipm import IpmReader, IpmWriter, VbsReader

from ledger.clearing.errors import CannotWrite, ClearingRefused, Problem
from ledger.clearing.ipm import place_of, rate_of
from ledger.clearing.ipm_message import read_message, write_message
from ledger.clearing.pan import Pan
from ledger.clearing.reading import ClearingFile, Total, read_clearing
from ledger.clearing.record import ClearedItem, Fee, Kind
from tests.support.clearing import PAN, TODAY, arn_of, as_kind, ipm, item_of, no_canary

CODECS = {"ascii": "latin_1", "ebcdic": "cp500"}
FILE_ID = "0012611210000000000000001"
Message = dict[str, Any]


@pytest.fixture(autouse=True)
def _cardutil_says_nothing() -> Any:
    """Its debug log would hold the numbers."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def presentment(number: int, **changes: Any) -> Message:
    message = {
        "MTI": "1240", "DE2": PAN, "DE3": "000000", "DE4": 1000 + number, "DE5": 900, "DE6": 910,
        "DE9": "61234567", "DE10": "70009100", "DE12": datetime(2026, 11, 20, 23, 59, 58),
        "DE22": "910101515344", "DE24": "200", "DE26": 5411, "DE31": arn_of(number),
        "DE32": "411111", "DE33": "411111", "DE37": "632512345678", "DE38": "A1B2C3",
        "DE41": "TERM0042", "DE42": "MERCHANT0000042",
        "DE43": "CORNER GROCERY\\1 HIGH ST\\SPRINGFIELD\\12345     NY USA",
        "DE49": "978", "DE50": "840", "DE51": "840", "DE55": bytes(range(128, 160)),
        "DE63": " MDSABC1231120  ", "DE71": number, "DE94": "00000411111",
        "PDS0023": "NA ", "PDS0148": "9782840284022", "PDS0165": "M",
        "PDS0146": "01" + "29" + "00" + "840" + "000000000012" + "840" + "000000000012",
    }  # fmt: skip
    return {key: value for key, value in (message | changes).items() if value is not None}


def a_file(*messages: Message) -> list[Message]:
    """With header and trailer as they should be."""
    header = {"MTI": "1644", "DE24": "697", "DE71": 1, "PDS0105": FILE_ID, "PDS0122": "T"}
    numbered = [{**message, "DE71": n} for n, message in enumerate(messages, 2)]
    total = sum(int(message.get("DE4", 0)) for message in messages)
    trailer = {
        "MTI": "1644", "DE24": "695", "DE71": len(messages) + 2, "PDS0105": FILE_ID,
        "PDS0301": f"{total:016}", "PDS0306": f"{len(messages) + 2:08}",
    }  # fmt: skip
    return [header, *numbered, trailer]


def by_cardutil(messages: list[Message], encoding: str = "ebcdic", blocked: bool = True) -> bytes:
    stream = BytesIO()
    writer = IpmWriter(stream, encoding=CODECS[encoding], blocked=blocked)
    for message in messages:
        writer.write(dict(message))
    writer.out_file.write(bytes(4))  # what its `close` does, but for closing the stream
    if blocked:
        writer.out_file.finalise()
    return stream.getvalue()


def read(folder: Path, data: bytes) -> ClearingFile:
    path = folder / "file.ipm"
    path.write_bytes(data)
    return read_clearing(path)


@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize("encoding", CODECS)
@pytest.mark.parametrize("count", [1, 2, 3, 50])
def test_a_file_of_cardutils(tmp_path: Path, encoding: str, blocked: bool, count: int) -> None:
    messages = a_file(*(presentment(n) for n in range(1, count + 1)))
    found = read(tmp_path, by_cardutil(messages, encoding, blocked))
    assert found.shape == f"{'1014-blocked' if blocked else 'RDW'}, {encoding.upper()}"
    assert found.network_file_ids == (FILE_ID,)
    assert found.business_date == TODAY
    assert (found.records, found.bad_count) == (count + 2, 0)
    theirs = sum(m["DE4"] for m in messages if m["MTI"] == "1240")
    assert found.totals == {("978", "presentment"): Total(count, theirs, theirs)}
    first = next(iter(found.items()))
    assert first == ClearedItem(
        record=2, network="mastercard", kind=Kind.PRESENTMENT, of=Kind.PRESENTMENT, sign=1,
        pan=Pan(PAN), transaction_minor=1001, transaction_currency="978",
        billing_minor=910, billing_currency="840", billing_rate="0.0009100",
        settlement_minor=900, settlement_currency="840", settlement_rate="1.234567",
        fees=(Fee(name="01", sign=-1, amount=12, currency="840"),),
        arn=arn_of(1), life_cycle="MDSABC123 1120", rrn="632512345678", approval_code="A1B2C3",
        local_date=date(2026, 11, 20), local_time="235958", mcc="5411",
        merchant_id="MERCHANT0000042", merchant_name="CORNER GROCERY",
        merchant_city="SPRINGFIELD", merchant_country="USA", terminal_id="TERM0042",
        acquirer_id="411111",
    )  # fmt: skip


@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize("encoding", CODECS)
def test_cardutil_reads_ours(encoding: str, blocked: bool) -> None:
    data = ipm(
        [item_of(n, merchant_country="USA") for n in range(1, 30)],
        encoding=encoding,
        blocked=blocked,
    )
    read_in = list(IpmReader(BytesIO(data), encoding=CODECS[encoding], blocked=blocked))
    assert [message["MTI"] for message in read_in] == ["1644", *["1240"] * 29, "1644"]
    assert sum(message.get("DE4", 0) for message in read_in) == int(read_in[-1]["PDS0301"])
    assert [message["DE71"] for message in read_in] == list(range(1, 32))
    assert read_in[1]["DE2"] == PAN
    assert read_in[1]["DE43_NAME"] == "CORNER GROCERY"


# What an MTI with its codes is: MTI, DE 24, DE 3, PDS 0025 -> kind, of, sign, reversal, partial.
MEANINGS = """
1240 200 000000 -  presentment        presentment  + no  no
1240 200 090000 -  presentment        presentment  + no  no
1240 200 010000 -  cash               cash         + no  no
1240 200 120000 -  cash               cash         + no  no
1240 200 200000 -  refund             refund       - no  no
1240 200 280000 -  refund             refund       - no  no
1240 200 000000 R  presentment        presentment  - yes no
1240 200 200000 R  refund             refund       + yes no
1240 205 000000 -  second_presentment presentment  + no  no
1240 282 000000 -  second_presentment presentment  + no  yes
1240 205 000000 R  second_presentment presentment  - yes no
1442 450 000000 -  chargeback         presentment  - no  no
1442 453 010000 -  chargeback         cash         - no  yes
1442 450 200000 -  chargeback         refund       + no  no
1442 450 000000 R  chargeback         presentment  + yes no
1740 700 190000 -  fee                fee          + no  no
1740 783 290000 -  fee                fee          - no  no
1740 700 190000 R  fee                fee          - yes no
"""


@pytest.mark.parametrize("row", MEANINGS.strip().splitlines())
def test_what_a_message_is(row: str, tmp_path: Path) -> None:
    mti, function, processing, indicator, kind, of, sign, reversal, partial = row.split()
    reversed_ = {"PDS0025": "R261120"} if indicator == "R" else {}
    message = presentment(1, MTI=mti, DE24=function, DE3=processing, **reversed_)
    [item] = read(tmp_path, by_cardutil(a_file(message))).items()
    assert (item.kind, item.of, item.sign) == (kind, of, 1 if sign == "+" else -1)
    assert (item.reversal, item.partial) == (reversal == "yes", partial == "yes")


def test_a_fee_may_be_no_cards(tmp_path: Path) -> None:
    fee = presentment(1, MTI="1740", DE24="700", DE3="190000", DE2=None, DE31=None)
    [item] = read(tmp_path, by_cardutil(a_file(fee))).items()
    assert item.pan is None


def test_addenda_and_texts_are_counted_and_passed_over(tmp_path: Path) -> None:
    addendum = {"MTI": "1644", "DE24": "696", "PDS0501": "x"}
    found = read(tmp_path, by_cardutil(a_file(presentment(1), addendum, presentment(2))))
    assert (found.item_count, found.others, found.records) == (2, 1, 5)


def test_two_files_in_one(tmp_path: Path) -> None:
    second = a_file(presentment(3), presentment(4))
    for message in (second[0], second[-1]):
        message["PDS0105"] = FILE_ID[:-1] + "2"
    found = read(tmp_path, by_cardutil([*a_file(presentment(1)), *second]))
    assert found.network_file_ids == (FILE_ID, FILE_ID[:-1] + "2")
    assert found.item_count == 3


# One record that is wrong inside a file that is right: where, and that the others are there.
BAD = [
    ({"DE2": "99999912345678X0"}, "DE 2"),
    ({"DE2": None}, "DE 2"),
    ({"DE3": "990000"}, "DE 3"),
    ({"DE24": "299"}, "DE 24"),
    ({"DE24": None}, "DE 24"),
    ({"MTI": "1440"}, "MTI"),
    ({"DE26": None, "DE31": arn_of(9)[:-1] + "x"}, "DE 31"),
    ({"DE49": "EUR"}, "DE 49"),
    ({"DE49": None}, "DE 49"),
    ({"DE10": "9" * 8}, "DE 10"),
    ({"DE12": datetime(1999, 2, 28), "DE6": 1}, ""),  # a date that is one
    ({"MTI": "1740", "DE24": "700", "DE3": "000000"}, "DE 3"),
    ({"MTI": "1740", "DE24": "200"}, "DE 24"),
    ({"PDS0146": "012900840"}, "PDS 0146"),
    ({"PDS0146": "01290084X" + "0" * 27}, "PDS 0146"),
]


@pytest.mark.parametrize(("wrong", "element"), BAD, ids=lambda value: str(value)[:30])
def test_a_bad_record_is_listed(wrong: Message, element: str, tmp_path: Path) -> None:
    messages = a_file(presentment(1), presentment(2, **wrong), presentment(3))
    found = read(tmp_path, by_cardutil(messages))
    assert [(bad.record, bad.element) for bad in found.bad] == ([(3, element)] if element else [])
    assert found.item_count == (2 if element else 3)
    assert PAN[6:12] not in str(found.bad) + "".join(map(str, found.bad))


def raw(messages: list[Message]) -> list[bytes]:
    return list(VbsReader(BytesIO(by_cardutil(messages, blocked=False))))


def framed(records: list[bytes]) -> bytes:
    return b"".join(len(r).to_bytes(4) + r for r in records) + bytes(4)


GOOD = a_file(presentment(1), presentment(2), presentment(3))


def changed(at: int, **changes: Any) -> list[Message]:
    messages = [dict(message) for message in GOOD]
    messages[at] |= changes
    return [{k: v for k, v in m.items() if v is not None} for m in messages]


def swapped() -> list[Message]:
    return [GOOD[0], GOOD[2], GOOD[1], *GOOD[3:]]


def patched(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


def start_of(record: int) -> int:
    return sum(4 + len(one) for one in raw(GOOD)[: record - 1])


BLOCKED = by_cardutil(a_file(*(presentment(n) for n in range(1, 9))))
WHOLE: list[tuple[str, Callable[[], bytes], Problem, int]] = [
    # damage                     file                                          problem        record
    ("no trailer", lambda: by_cardutil(GOOD[:-1]), Problem.CUT, 4),
    ("no header", lambda: by_cardutil(GOOD[1:]), Problem.NO_HEADER, 1),
    ("two headers", lambda: by_cardutil([GOOD[0], *GOOD]), Problem.BAD_HEADER, 2),
    ("header without id", lambda: by_cardutil(changed(0, PDS0105=None)), Problem.BAD_HEADER, 1),
    ("header's date", lambda: by_cardutil(changed(0, PDS0105="001269921" + "0" * 16)),
     Problem.BAD_HEADER, 1),
    ("another file's trailer", lambda: by_cardutil(changed(4, PDS0105="9" * 25)),
     Problem.WRONG_FILE, 5),
    ("trailer's count", lambda: by_cardutil(changed(4, PDS0306="00000006")),
     Problem.WRONG_COUNT, 5),
    ("no count", lambda: by_cardutil(changed(4, PDS0306=None)), Problem.BAD_TRAILER, 5),
    ("trailer's sum", lambda: by_cardutil(changed(4, PDS0301=f"{3007:016}")),
     Problem.WRONG_TOTAL, 5),
    ("no sum", lambda: by_cardutil(changed(4, PDS0301="x" * 16)), Problem.BAD_TRAILER, 5),
    ("an amount", lambda: by_cardutil(changed(2, DE4=9)), Problem.WRONG_TOTAL, 5),
    ("an amount that is none", lambda: framed([
        record.replace("000000001002".encode("cp500"), "00000000100X".encode("cp500"))
        for record in raw(GOOD)]), Problem.WRONG_TOTAL, 5),
    ("a record is gone", lambda: by_cardutil([*GOOD[:2], *GOOD[3:]]), Problem.OUT_OF_ORDER, 3),
    ("a record twice", lambda: by_cardutil([*GOOD[:2], *GOOD[1:]]), Problem.OUT_OF_ORDER, 3),
    ("records out of order", lambda: by_cardutil(swapped()), Problem.OUT_OF_ORDER, 2),
    ("no number", lambda: by_cardutil(changed(2, DE71=None)), Problem.OUT_OF_ORDER, 3),
    ("behind the trailer", lambda: by_cardutil([*GOOD, presentment(9)]), Problem.LEFTOVER, 6),
    ("behind the end", lambda: framed(raw(GOOD)) + b"\0", Problem.LEFTOVER, 0),
    ("a length", lambda: patched(BLOCKED, 0, b"\0\0\xff\xff"), Problem.UNKNOWN_FORMAT, 0),
    ("a later length", lambda: patched(framed(raw(GOOD)), start_of(3), b"\0\0\xff\xff"),
     Problem.BAD_LENGTH, 3),
    ("a length that leads elsewhere", lambda: patched(framed(raw(GOOD)), start_of(3),
     bytes(3) + b"\x40"), Problem.BAD_LENGTH, 4),
    ("a block's fill", lambda: patched(BLOCKED, 1013, b"\x41"), Problem.BAD_BLOCK, 0),
    ("a block is gone", lambda: BLOCKED[:1014] + BLOCKED[2028:], Problem.CUT, 0),
    ("the last block is gone", lambda: BLOCKED[:-1014], Problem.CUT, 0),
    ("a block is cut", lambda: BLOCKED[:-1], Problem.CUT, 0),
    ("the last fill", lambda: patched(BLOCKED, len(BLOCKED) - 5, b"\0"), Problem.BAD_BLOCK, 0),
    ("blocks behind the end", lambda: BLOCKED + b"\x40" * 3042, Problem.BAD_BLOCK, 0),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "data", "problem", "record"), WHOLE, ids=[w[0] for w in WHOLE])
def test_a_damaged_file_is_refused(
    damage: str, data: Callable[[], bytes], problem: Problem, record: int, tmp_path: Path
) -> None:
    with pytest.raises(ClearingRefused) as caught:
        read(tmp_path, data())
    told = caught.value
    if problem in (Problem.CUT, Problem.BAD_BLOCK) and not record:
        assert told.problem in (Problem.CUT, Problem.BAD_BLOCK, Problem.BAD_LENGTH)
    else:
        assert (told.problem, told.record) == (problem, record)
    no_canary(told)


def test_a_record_that_cannot_be_cut_is_named_in_the_refusal(tmp_path: Path) -> None:
    """Its amount is not known, so the sum is not proved; but a person is told which it was."""
    records = raw(GOOD)
    records[2] = records[2][:-1]
    with pytest.raises(ClearingRefused) as caught:
        read(tmp_path, framed(records))
    assert caught.value.problem is Problem.WRONG_TOTAL
    assert [bad.record for bad in caught.value.bad] == [3]


def test_a_message_shows_nothing() -> None:
    message = read_message(write_message("1240", {2: PAN}, "cp500"), "cp500")
    assert PAN[6:12] not in repr(message)


def test_rates_are_decimals() -> None:
    rates = ["00000001", "71234567", "61000000", "50091000"]
    told = [rate_of({10: rate}, 10) for rate in rates]
    assert told == ["1", "0.1234567", "1.000000", "0.91000"]


def test_a_place_that_is_not_in_parts_is_a_name() -> None:
    assert place_of("JUST A NAME") == ("JUST A NAME", "", "")


@pytest.mark.parametrize(
    "changes",
    [
        {"merchant_name": "A\\B"}, {"merchant_name": "Ä"}, {"terminal_id": "123456789"},
        {"transaction_minor": 10**12}, {"rrn": "1" * 13}, {"life_cycle": "nothing"},
        {"billing_rate": "12345678"}, {"mcc": "541"}, {"acquirer_id": "1" * 12},
        {"fees": (Fee(name="123", sign=1, amount=1, currency="840"),)},
    ],
)  # fmt: skip
def test_what_does_not_fit_is_not_written(changes: Message) -> None:
    with pytest.raises(CannotWrite) as caught:
        ipm([item_of(1, **changes)])
    no_canary(caught.value)


def test_a_chargeback_of_ours_is_a_1442_with_our_reference() -> None:
    told = as_kind(Kind.CHARGEBACK, Kind.PRESENTMENT)
    data = ipm([item_of(1, **told, reason="4837", reference="CB00000042")])
    [_, message, _] = IpmReader(BytesIO(data), blocked=True, encoding="cp500")
    assert (message["MTI"], message["DE24"], message["DE25"]) == ("1442", "450", "4837")
    assert message["DE95"] == "CB00000042"


def test_two_fees_alike_but_for_their_numbers_are_two(tmp_path: Path) -> None:
    fee = {"MTI": "1740", "DE24": "700", "DE3": "190000", "DE2": None, "DE31": None, "DE4": 7}
    numbers = [presentment(1, **fee, PDS0137=f"{n:020}") for n in (1, 2, 2)]
    found = read(tmp_path, by_cardutil(a_file(*numbers)))
    assert [item.reference for item in found.items()] == [f"{n:020}" for n in (1, 2)]
    assert [bad.record for bad in found.bad] == [4]
