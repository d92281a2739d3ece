"""One message: private data over several elements, and each way in which bytes are none."""

import pytest

from ledger.clearing.errors import BadElement, CannotWrite
from ledger.clearing.ipm_message import Message, read_message, write_message, write_pds

CODEC = "cp500"


def test_private_data_goes_over_into_the_next_element() -> None:
    told = {f"{n:04}": str(n % 10) * 400 for n in range(1, 11)}
    held = write_pds(told)
    assert list(held) == [48, 62, 123, 124, 125]
    raw = write_message("1240", held, CODEC)
    assert read_message(raw, CODEC).pds() == told
    with pytest.raises(CannotWrite, match="no element is left"):
        write_pds(told | {"9999": "x" * 400})
    with pytest.raises(CannotWrite, match="above 992"):
        write_pds({"0001": "x" * 993})


@pytest.mark.parametrize("text", ["1", "0001", "0001003ab", "000100Xab", "A001002ab", "0001002abc"])
def test_what_is_no_private_data(text: str) -> None:
    with pytest.raises(BadElement) as caught:
        Message("1240", {62: text}).pds()
    assert caught.value.element == "DE 62"


GOOD = write_message("1240", {2: "9999991234567890", 24: "200", 71: "00000002"}, CODEC)
BAD = [
    ("MTI", b"\xf1\xf2\xf4\x40" + GOOD[4:]),
    ("bitmap", GOOD[:4] + bytes([GOOD[4] & 0x7F]) + GOOD[5:]),
    ("DE 7", GOOD[:4] + bytes([GOOD[4] | 0x02]) + GOOD[5:]),
    ("DE 2", GOOD[:20] + "2X".encode(CODEC) + GOOD[22:]),
    ("DE 2", GOOD[:20] + "20".encode(CODEC) + GOOD[22:]),
    ("DE 71", GOOD[:-1]),
    ("", GOOD + b"\xf0"),
]


@pytest.mark.parametrize(("element", "raw"), BAD)
def test_bytes_that_are_no_message(element: str, raw: bytes) -> None:
    with pytest.raises(BadElement) as caught:
        read_message(raw, CODEC)
    assert caught.value.element == element
