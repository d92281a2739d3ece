"""An account's hash, told anew from what the books keep of it. The words are those of prelude.lua,
counters.lua, sweep.lua and quotas.lua; nothing here reads or writes.

Records say what is held, by which references they are found, and which counters they stand in; so
references and counters are told from them. Not as they were to the last byte: a counter at nothing,
a bucket that has ended, and which buckets joined when, no record tells. Nobody looks at those.
Promises: tests/authz/hot/test_refold.py.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from authz.hot.model import NAMED_MAX, SEVERAL
from authz.hot.record import Record, Touched, decode_record
from rules.counters import DAY_S, ENTRIES_MAX, Key, parts_of, share, spans_shards

Word = str | bytes | int

decode_touched = msgspec.msgpack.Decoder(list[Touched]).decode
pack = msgspec.msgpack.Encoder().encode


class Case(NamedTuple):
    """A referral that waits."""

    message_id: str
    card_id: str
    at_s: int
    body: bytes


class Refolded(NamedTuple):
    """What is to be written."""

    words: list[Word]  # fields and values in turn
    expiry: list[Word]  # second and member in turn
    reviews: list[Word]  # likewise
    quotas: dict[str, tuple[int, int]]  # of programs' counters: how much of it, when it ends
    clock: int  # what has ended by then does not move any more


def refold(
    account_id: str,
    records: Sequence[tuple[str, bytes]],
    declines: Iterable[bytes] = (),
    cases: Sequence[Case] = (),
) -> Refolded:
    """Everything of an account but its profile, balance, chain and cards.

    Raises: msgspec.MsgspecError, where a record is none.
    """
    words: list[Word] = []
    expiry: list[Word] = []
    reviews: list[Word] = []
    named: dict[str, list[str]] = {}
    read: list[Record] = []
    clock = 0
    for id, packed in records:
        record = decode_record(packed)
        read.append(record)
        words += (f"a:{id}", packed)
        for reference in record.references:
            named.setdefault(reference, []).append(id)
        if record.holds > 0:
            expiry += (record.expires, f"{account_id} {id}")
        clock = max(clock, judged_at(record))
    clock -= clock % DAY_S
    for reference, ids in named.items():
        words += (f"r:{reference}", SEVERAL if len(ids) > NAMED_MAX else " ".join(sorted(ids)))
    counters = Counted(clock)
    for record in read:
        counters.add_record(record)
    for packed in declines:
        counters.add_declines(decode_touched(packed))
    words += counters.words()
    for case in cases:
        words += (
            f"v:{case.message_id}",
            b"%b %d %b" % (case.card_id.encode(), case.at_s, case.body),
        )
        reviews += (case.at_s, f"{account_id} {case.message_id}")
    if cases:
        words += ("reviews", len(cases))
    return Refolded(words, expiry, reviews, counters.quotas, clock)


def judged_at(record: Record) -> int:
    """The newest of the requests that it was judged by: time is theirs, by their DE 7."""
    asked = [act.sent_at for act in record.acts if act.kind == "more"]
    return max(record.sent, *asked) if asked else record.sent


class Counted:
    """Counters of one account, as its records make them."""

    def __init__(self, clock: int) -> None:
        self._clock = clock
        self._plain: dict[str, tuple[int, int]] = {}  # use, end
        self._windows: dict[str, Window] = {}
        self.quotas: dict[str, tuple[int, int]] = {}

    def add_record(self, record: Record) -> None:
        spent = record.holds + record.posted
        for one in record.counted_by if spent else ():
            self._add(one, share(spent, one.scale))
        self.add_declines(record.tried)

    def add_declines(self, tried: Iterable[Touched]) -> None:
        for one in tried:
            self._add(one, 1)

    def _add(self, one: Touched, use: int) -> None:
        if spans_shards(one.counter):
            self.quotas[one.counter] = self.quotas.get(one.counter, (0, 0))[0] + use, one.ends
            return
        if 0 < one.ends <= self._clock:
            return
        field, bucket, item = parts_of(one.counter)
        if bucket is None:
            self._plain[field] = self._plain.get(field, (0, 0))[0] + use, one.ends
            return
        window = self._windows.get(field)
        if window is None:
            keep = one.ends - (bucket + 1) * one.size
            window = self._windows[field] = Window(one.size, keep, is_sum=not item)
        window.add((bucket, item), use)

    def words(self) -> list[Word]:
        words: list[Word] = []
        days: dict[int, list[str]] = {}
        for field, (use, ends) in self._plain.items():
            words += (f"u:{field}", use)
            if ends:
                days.setdefault(-(-ends // DAY_S), []).append(field)
        for field, window in self._windows.items():
            words += (f"u:{field}", window.packed())
            if window.ends:
                days.setdefault(-(-window.ends // DAY_S), []).append(field)
        return words + days_words("w", self._clock, days)


class Window:
    """The buckets of one field."""

    def __init__(self, size: int, keep: int, *, is_sum: bool) -> None:
        self._size, self._keep, self._is_sum = size, keep, is_sum
        self._uses: dict[Key, int] = {}
        self._floor = 0

    def add(self, key: Key, use: int) -> None:
        self._uses[key] = self._uses.get(key, 0) + use

    @property
    def ends(self) -> int:
        """When its last bucket does."""
        return (max(self._uses)[0] + 1) * self._size + self._keep

    def packed(self) -> bytes:
        self._join()
        entries = sorted(self._uses.items())
        if not self._is_sum:
            flat = [part for (bucket, item), use in entries for part in (bucket, item, use)]
            return pack([self._floor, self._size, self._keep, 0, *flat])
        total = sum(self._uses.values())
        head = ((128, 1), (self._floor, 5), (self._size, 4), (self._keep, 5), (0, 5), (0, 5),
                (total, 7), (1, 2))  # fmt: skip
        return b"".join(
            number.to_bytes(width, "big")
            for number, width in (
                *head,
                *(one for (bucket, _), use in entries for one in ((bucket, 5), (use, 7))),
            )
        )

    def _join(self) -> None:
        """Beyond the bound the oldest bucket joins the one after it."""
        while len(self._uses) > ENTRIES_MAX:
            buckets = sorted({bucket for bucket, _ in self._uses})
            if len(buckets) < 2:
                return
            oldest, into = buckets[:2]
            for key in [key for key in self._uses if key[0] == oldest]:
                self.add((into, key[1]), self._uses.pop(key))
            self._floor = into


def days_words(at: str, clock: int, days: dict[int, list[str]]) -> list[Word]:
    """When fields end: `w` and its lines, or `qw`, or `lw`."""
    if not clock and not days:
        return []
    words: list[Word] = [at, " ".join(map(str, (clock, *sorted(days))))]
    for day, fields in days.items():
        words += (f"{at}:{day}", "".join(f"{field}\n" for field in fields))
    return words


def quota_words(clock: int, used: dict[str, tuple[int, int]]) -> list[Word]:
    """Of a shard. Nothing is left over of what it was granted: the engines lease anew. Under which
    ceilings that was nobody tells, so it is as if under the lowest."""
    words: list[Word] = []
    days: dict[int, list[str]] = {}
    for counter, (use, ends) in used.items():
        if use and not 0 < ends <= clock:
            words += (f"q:{counter}", f"{use} {use} 0 {ends}")
            if ends:
                days.setdefault(-(-ends // DAY_S), []).append(counter)
    return words + days_words("qw", clock, days) if words else []


def centre_words(clock: int, granted: dict[str, tuple[int, int]]) -> list[Word]:
    """Of a centre: what all shards use, of each of its counters."""
    words: list[Word] = []
    days: dict[int, list[str]] = {}
    for counter, (use, ends) in granted.items():
        if use and not 0 < ends <= clock:
            words += (f"l:{counter}", f"{use} {use} {ends}")
            if ends:
                days.setdefault(-(-ends // DAY_S), []).append(counter)
    return words + days_words("lw", clock, days) if words else []
