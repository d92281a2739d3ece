"""Errors say where, never what: a canary PAN is looked for everywhere an error could hide it."""

import pickle
import traceback
from collections.abc import Iterator

import pytest

from iso8583.codec import decode, encode
from iso8583.errors import DecodeError, EncodeError, FrameError, PartError, Problem
from iso8583.framing import FRAMINGS
from iso8583.spec import ANS, Dialect
from tests.support.iso import NETWORKS, PAN, purchase_in

CANARIES = (PAN, PAN[:6], PAN[-6:], PAN.encode().hex())


def hiding_places(error: BaseException | None) -> Iterator[object]:
    while error is not None:
        yield from (str(error), repr(error), error.args, vars(error))
        yield from getattr(error, "__notes__", ())
        yield "".join(traceback.format_exception(error))
        yield pickle.dumps(error)
        assert error.__cause__ is None
        error = error.__context__


def assert_no_canary(error: BaseException) -> None:
    assert error.__context__ is None
    for place in hiding_places(error):
        assert not any(canary in repr(place) for canary in CANARIES)


def failures(raw: bytes, dialect: Dialect) -> Iterator[DecodeError]:
    """Errors of every kind, from a message full of canaries."""
    for end in range(len(raw)):
        yield failure(raw[:end], dialect)
    for place in range(len(raw)):
        for byte in (0x00, 0x2D, 0x4F, 0xB2, 0xFF):
            broken = raw[:place] + bytes((byte,)) + raw[place + 1 :]
            try:
                decode(broken, dialect)
            except DecodeError as error:
                yield error


def failure(raw: bytes, dialect: Dialect) -> DecodeError:
    with pytest.raises(DecodeError) as caught:
        decode(raw, dialect)
    return caught.value


@pytest.mark.parametrize("planned", [False, True], ids=["table", "plan"])
@pytest.mark.parametrize("dialect", NETWORKS, ids=lambda d: d.name)
def test_decode_errors_carry_no_content(dialect, planned):
    private = PAN if dialect.fields[48].characters is ANS else PAN.encode()
    raw = encode("0100", {**purchase_in(dialect), 48: private, 102: PAN}, dialect)
    for _ in range(20 if planned else 0):
        decode(raw, dialect)

    problems = set()
    for error in failures(raw, dialect):
        assert_no_canary(error)
        assert 0 <= error.offset <= len(raw)
        assert f"byte {error.offset}" in str(error)
        problems.add(error.problem)

    assert {Problem.SHORT_FIELD, Problem.BAD_CHARACTER, Problem.TOO_SHORT} < problems
    dialect.decode_plans.clear()


@pytest.mark.parametrize("odd", [PAN + "é", PAN * 99, PAN.encode(), int(PAN), None, [PAN]])
@pytest.mark.parametrize("dialect", NETWORKS, ids=lambda d: d.name)
def test_encode_errors_carry_no_content(dialect, odd):
    purchase = purchase_in(dialect)
    for number in purchase:
        if number == 55 and isinstance(odd, bytes):
            continue
        with pytest.raises(EncodeError) as caught:
            encode("0100", {**purchase, number: odd}, dialect)
        assert caught.value.field == number
        assert_no_canary(caught.value)
    with pytest.raises(EncodeError) as caught:
        encode(odd, purchase, dialect)
    assert caught.value.field is None
    assert_no_canary(caught.value)


def test_frame_errors_carry_no_content():
    with pytest.raises(FrameError) as caught:
        FRAMINGS["ascii4"].pack(PAN.encode() * 999)
    assert_no_canary(caught.value)
    [broken] = FRAMINGS["ascii4"].reader().feed(b"O" + PAN.encode())
    assert_no_canary(broken.error)


@pytest.mark.parametrize(
    "error",
    [
        FrameError(Problem.BAD_LENGTH),
        DecodeError(Problem.LEFTOVER, 87),
        DecodeError(Problem.BAD_CHARACTER, 24, 4),
        EncodeError(Problem.BAD_MTI),
        EncodeError(Problem.WRONG_SIZE, 39),
        PartError(Problem.LYING_LENGTH, 12, 48, "77"),
        PartError(Problem.LEFTOVER, 8, 62),
        EncodeError(Problem.WRONG_SIZE, 55, "01", "9F26"),
    ],
    ids=str,
)
def test_errors_survive_pickling_and_read_well(error):
    twin = pickle.loads(pickle.dumps(error))
    assert (type(twin), str(twin), vars(twin)) == (type(error), str(error), vars(error))
    assert str(error.problem) in str(error)


def test_a_fault_is_said_from_further_and_further_out():
    fault = DecodeError(Problem.LYING_LENGTH, 3, "9F26")
    fault.outwards(2, "01")
    fault.outwards(0, 55)
    assert (fault.offset, fault.path, fault.field) == (5, (55, "01", "9F26"), 55)
    assert str(fault) == "lying_length at field 55.01.9F26, byte 5"
    assert str(pickle.loads(pickle.dumps(fault))) == str(fault)
    refusal = EncodeError(Problem.WRONG_SIZE, 2)
    refusal.outwards(62)
    assert (str(refusal), refusal.field) == ("wrong_size in field 62.2", 62)
    assert DecodeError(Problem.BAD_MTI, 0).field is None
