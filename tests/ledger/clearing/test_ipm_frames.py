"""Lengths and blocks: the same as cardutil's at every place where a block can end."""

from io import BytesIO
from pathlib import Path

import pytest
from cardutil.mciipm import Block1014, VbsReader

from ledger.clearing.errors import ClearingRefused, Problem
from ledger.clearing.ipm_frames import BLOCK, DATA, RECORD_MAX, FrameWriter, read_frames
from ledger.clearing.source import CHUNK, Source


def frames(data: bytes, folder: Path, blocked: bool) -> list[bytes]:
    path = folder / "frames"
    path.write_bytes(data)
    with Source(path) as source:
        return list(read_frames(source, blocked))


def by_cardutil(records: list[bytes]) -> bytes:
    stream = BytesIO()
    blocks = Block1014(stream)
    for record in records:
        blocks.write(len(record).to_bytes(4) + record)
    blocks.write(bytes(4))
    blocks.finalise()
    return stream.getvalue()


def by_us(records: list[bytes], blocked: bool = True) -> bytes:
    stream = BytesIO()
    writer = FrameWriter(stream, blocked)
    for record in records:
        writer.write(record)
    writer.close()
    return stream.getvalue()


# Around the size at which a record, its length and the zero behind it fill one block, or two.
@pytest.mark.parametrize("size", [*range(DATA - 12, DATA + 4), *range(2 * DATA - 12, 2 * DATA + 4)])
def test_every_end_of_a_block(size: int, tmp_path: Path) -> None:
    records = [b"\x40" * size, bytes(range(20, 60))]
    for told in (records, records[:1], records[::-1], records * 3):
        ours, theirs = by_us(told), by_cardutil(told)
        assert len(ours) % BLOCK == len(theirs) % BLOCK == 0
        assert ours == theirs[: len(ours)]  # theirs may have one more of fill
        assert theirs[len(ours) :].strip(b"\x40") == b""
        assert frames(ours, tmp_path, True) == told
        assert frames(theirs, tmp_path, True) == told
        assert list(VbsReader(BytesIO(ours), blocked=True)) == told


def test_records_over_the_ends_of_chunks(tmp_path: Path) -> None:
    told = [bytes([n % 256]) * (20 + n * 7 % 5000) for n in range(900)]  # above two of them
    for blocked in (False, True):
        assert frames(by_us(told, blocked), tmp_path, blocked) == told


@pytest.mark.parametrize("size", [1, 19, RECORD_MAX + 1, 2**32 - 1])
def test_a_length_that_no_record_has(size: int, tmp_path: Path) -> None:
    good = by_us([bytes(30)], blocked=False)[:-4]
    with pytest.raises(ClearingRefused) as caught:
        frames(good + size.to_bytes(4) + bytes(40), tmp_path, False)
    assert (caught.value.problem, caught.value.record) == (Problem.BAD_LENGTH, 2)


def test_what_comes_long_behind_the_end(tmp_path: Path) -> None:
    """Also where the end is the end of what was read at once."""
    size = CHUNK - 4 - 4
    records = [bytes(4096 - 4)] * (size // 4096) + [bytes(size % 4096 - 4)]
    for behind, blocked, problem in (
        (bytes(9), False, Problem.LEFTOVER),
        (b"\x40" * BLOCK * 4096, True, Problem.BAD_BLOCK),
    ):
        with pytest.raises(ClearingRefused) as caught:
            frames(by_us(records, blocked) + behind, tmp_path, blocked)
        assert caught.value.problem is problem
