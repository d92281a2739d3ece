"""A file as it is read once from its beginning to its end, with a hash of all that was read."""

from collections.abc import Iterator
from datetime import date
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec import Struct, field

from ledger.clearing.errors import BadRecord, ClearingRefused, Problem
from ledger.clearing.record import ClearedItem

# A day of a large issuer is some million records of half a kilobyte. What is larger comes in
# several files; a file that never ends would fill the set of what was seen.
FILE_MAX = 2 << 30
CHUNK = 1 << 20
SAMPLE = 1 << 16  # of the beginning, to find the format by: enough for a hundred records

Found = ClearedItem | BadRecord
Scan = Iterator[Found]


class Told(Struct):
    """What a file says of itself, filled in while it is read."""

    network: str = ""
    network_file_ids: list[str] = field(default_factory=list)  # the network's own; one, mostly
    business_date: date | None = None
    records: int = 0  # of any kind, headers and trailers too
    others: int = 0  # of these, what is neither an item nor a header or trailer
    bad: list[BadRecord] = field(default_factory=list)


class Source:
    """Raises: OSError; ClearingRefused for what is too large or empty."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._hash = sha256()
        try:
            self.size = self._file.seek(0, 2)
            if self.size > FILE_MAX:
                raise ClearingRefused(Problem.TOO_LARGE)
            if self.size == 0:
                raise ClearingRefused(Problem.EMPTY)
            self._file.seek(0)
            self.sample = self._file.read(SAMPLE)
            self._file.seek(0)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._file.close()

    def chunks(self, size: int = CHUNK) -> Iterator[bytes]:
        """All of it; each of this size but the last."""
        while chunk := self._file.read(size):
            self._hash.update(chunk)
            yield chunk

    def lines(self, longest: int) -> Iterator[bytes]:
        """All of it by lines, their ends with them; one that is too long comes cut."""
        while line := self._file.readline(longest + 1):
            self._hash.update(line)
            yield line

    @property
    def digest(self) -> str:
        """Of what was read so far."""
        return self._hash.hexdigest()
