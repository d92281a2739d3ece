"""Counters, and how windows look at them: the same as authz/hot/counters.lua says.

A counter's name says whose it is, what it counts and when: "C1/cash a day/amount/20261121". Those
of a window that is counted in buckets stand together, in one *field*: "C1/tries/count/600s|2957301"
is the bucket 2957301 of the field "C1/tries/count/600s". A window of different ones names them too:
"@A1/shops/merchants/20261121|0|M1" is how many stand under M1. So every counter is a whole number
under a name of its own, which rises and falls; what a window has in it is a sum, or how many.
"""

from collections.abc import Iterable, Mapping

from rules.facts import Limit

# Of one field. A window has at most 119 buckets and a different one at most `DIFFERENT_MAX` of
# them; what is kept for late messages is bounded by this. Beyond it the oldest bucket joins the
# one after it: what it holds leaves a late message's window later, never earlier.
ENTRIES_MAX = 192
DAY_S = 86_400

PROGRAM = "%"  # begins the counters of a whole program


def spans_shards(counter: str) -> bool:
    """Whether it is a whole program's, so that every shard has a quota: authz/hot/quotas.lua."""
    return counter.startswith(PROGRAM)


Key = tuple[int, str]  # bucket; "|" and the different one, or ""


def parts_of(counter: str) -> tuple[str, int | None, str]:
    """The field, and of one in buckets which it is."""
    field, bar, rest = counter.partition("|")
    bucket, bar_again, item = rest.partition("|")
    return (field, int(bucket), bar_again + item) if bar else (field, None, "")


def counts_declines(counter: str) -> bool:
    """No record tells of what it counts."""
    return parts_of(counter)[0].split("/")[-2:-1] == ["declines"]


def name_of(field: str, key: Key) -> str:
    return f"{field}|{key[0]}{key[1]}"


def lasting(limits: Iterable[Limit], linger_s: int) -> tuple[Limit, ...]:
    """The same, kept for so long after their windows: as long as a message may still be answered
    that asks for them. Those of a calendar's windows end with a day, so that they end together."""
    return tuple(
        [
            Limit(
                one.reason, one.counter, one.use, one.ceiling, one.scale,
                one.until + linger_s if one.size else -(-(one.until + linger_s) // DAY_S) * DAY_S,
                one.since, one.size,
            ) if one.until else one
            for one in limits
        ]
    )  # fmt: skip


class Counters:
    """Counters of one account, or of many. `bounded`, as the hot state's are."""

    def __init__(self, *, bounded: bool = False) -> None:
        self._bounded = bounded
        self._plain: dict[str, int] = {}
        self._fields: dict[str, dict[Key, int]] = {}
        self._floors: dict[str, int] = {}  # what rose before this bucket stands in it
        self._cleared: dict[str, int] = {}  # buckets before this one have ended and are gone
        self.ends: dict[str, int] = {}  # after which nobody looks; those that have an end
        self._dated = False
        self.clock = 0  # what has ended by then does not move any more

    @classmethod
    def of(cls, flat: Mapping[str, int]) -> "Counters":
        """Those that there are, to look at."""
        counters = cls()
        for counter, use in flat.items():
            counters.add(counter, use)
        return counters

    def __contains__(self, counter: str) -> bool:
        field, bucket, _ = parts_of(counter)
        return field in (self._plain if bucket is None else self._fields)

    def __getitem__(self, counter: str) -> int:
        field, bucket, item = parts_of(counter)
        if bucket is None:
            return self._plain.get(field, 0)
        return self._fields.get(field, {}).get((self._raised(field, bucket), item), 0)

    def begin(self, counter: str, before: int) -> None:
        """A counter of which nothing is known but what its window had in it."""
        field, bucket, item = parts_of(counter)
        if bucket is None:
            self._plain[field] = before
            return
        self._fields.setdefault(field, {})
        for number in range(before) if item else ():
            self.add(f"{field}|{bucket}|?{number}", 1)
        if not item:
            self.add(counter, before)

    def flat(self) -> dict[str, int]:
        """All that are not zero, by name."""
        found = {counter: use for counter, use in self._plain.items() if use}
        for field, entries in self._fields.items():
            found |= {name_of(field, key): use for key, use in entries.items()}
        return found

    def tick(self, sent_at: int) -> None:
        """A request of that time is judged: none that is still answered asks for what ended."""
        if self._dated:
            self.clock = max(self.clock, sent_at // DAY_S * DAY_S)

    def seen(self, limit: Limit) -> tuple[int, bool]:
        """What a limit's window has in it, and whether what is asked for is among it already."""
        field, bucket, item = parts_of(limit.counter)
        if bucket is None:
            return self._plain.get(field, 0), False
        there = [(k, n) for k, n in self._fields.get(field, {}).items() if k[0] >= limit.since]
        if not item:
            return sum(use for _, use in there), False
        items = {key[1] for key, _ in there}
        return len(items), item in items

    def had(self, shares: Mapping[str, int], limit: Limit) -> int:
        """How much of these stands in a limit's window."""
        field, bucket, item = parts_of(limit.counter)
        if bucket is None:
            return shares.get(limit.counter, 0)
        found = 0
        for counter, had in shares.items():
            other, at, thing = parts_of(counter)
            if (other, thing) == (field, item) and at is not None:
                found += had if self._raised(field, at) >= limit.since else 0
        return found

    def use_of(self, limit: Limit, spent: int, shares: Mapping[str, int]) -> tuple[int, int]:
        """What a limit would have in its window, and what of it is new."""
        seen, known = self.seen(limit)
        if limit.scale == DECLINES:
            return seen, 1
        return seen, 0 if known else share(spent, limit.scale) - self.had(shares, limit)

    def add(self, counter: str, change: int, ends: int = 0, size: int = 0, now_s: int = 0) -> None:
        """One rises, or falls; one that has ended does not. `now_s`: of a request, else 0."""
        if not change or 0 < ends <= self.clock:
            return
        self._dated = self._dated or (ends > 0 and change > 0)
        field, bucket, item = parts_of(counter)
        if bucket is None:
            self._plain[field] = max(self._plain.get(field, 0) + change, 0)
            if ends:
                self.ends[field] = ends
            return
        if bucket < self._cleared.get(field, 0):
            return
        entries = self._fields.setdefault(field, {})
        key = self._raised(field, bucket), item
        self._set(field, key, max(entries.get(key, 0) + change, 0), ends + (key[0] - bucket) * size)
        if self._bounded and change > 0:
            self._trim(field, now_s)

    def _raised(self, field: str, bucket: int) -> int:
        return max(bucket, self._floors.get(field, 0))

    def _set(self, field: str, key: Key, use: int, ends: int = 0) -> None:
        name = name_of(field, key)
        if use:
            self._fields[field][key] = use
            if ends:
                self.ends[name] = max(ends, self.ends.get(name, 0))
        else:
            self._fields[field].pop(key, None)
            self.ends.pop(name, None)

    def _trim(self, field: str, now_s: int) -> None:
        entries = self._fields[field]
        for key in list(entries):
            if 0 < self.ends.get(name_of(field, key), 0) <= now_s:
                self._set(field, key, 0)
                self._cleared[field] = max(key[0] + 1, self._cleared.get(field, 0))
        while len(entries) > ENTRIES_MAX:
            oldest = min(key[0] for key in entries)
            later = [key[0] for key in entries if key[0] > oldest]
            if not later:
                return
            into = min(later)
            ends = max(self.ends.get(name_of(field, k), 0) for k in entries if k[0] == into)
            for key in [key for key in entries if key[0] == oldest]:
                use = entries.get((into, key[1]), 0) + entries[key]
                self._set(field, (into, key[1]), use, ends)
                self._set(field, key, 0)
            self._floors[field] = into


COUNT, AMOUNT, DECLINES = 0, 1, 2  # how a counter follows: `Limit.scale`


def rises_by(limits: Iterable[Limit], kind: str, detail: str) -> tuple[Limit, ...]:
    """Those that count this answer as a decline. Not one by their own ceiling, or a window would
    never pass; nor what is referred, as where an exception is used up."""
    mine = tuple(limit for limit in limits if limit.scale == DECLINES)
    no_decline = kind == "over_limit" and detail in {"referred", *(one.reason for one in mine)}
    return () if no_decline or kind not in ("declined", "over_limit", "no_funds") else mine


def share(spent_minor: int, scale: int) -> int:
    """What a record adds to a counter while that much is spent under it: held or posted."""
    return spent_minor if scale == AMOUNT else int(spent_minor > 0)
