"""Codes as a policy lists them: what they look like, their ranges, and groups of them by name."""

import re
from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

DEPTH_MAX = 8  # of groups in groups, and of conditions in conditions
SOME = Meta(min_length=1)  # an empty list says nothing, and would hold for everything
Code = Annotated[str, Meta(min_length=1, max_length=64)]
Codes = Annotated[tuple[Code, ...], SOME]


class Kind(Struct, frozen=True):
    """What a code of a list looks like."""

    name: str
    pattern: str
    words: str  # of the pattern
    has_ranges: bool = False

    def read(self, code: str) -> tuple[str, str]:
        """First and last. Raises: ValueError."""
        first, dash, last = code.partition("-") if self.has_ranges else (code, "", "")
        last = last if dash else first
        if not (re.fullmatch(self.pattern, first) and re.fullmatch(self.pattern, last)):
            raise ValueError(f"{self.name}: not a code: {code[:9]} ({self.words})")
        if first > last:
            raise ValueError(f"{self.name}: a range that ends before it begins: {code}")
        return first, last


MCC = Kind("mcc", r"[0-9]{4}", "four digits", has_ranges=True)
COUNTRY = Kind("country", r"[A-Z]{2}", "two letters, as US")
CURRENCY = Kind("currency", r"[0-9]{3}", "three digits, as 840")


def resolve(name: str, groups: Mapping[str, Codes], kind: Kind) -> frozenset[tuple[str, str]]:
    """The codes and ranges of a group. Raises: ValueError, for a cycle too."""
    found: set[tuple[str, str]] = set()
    done: set[str] = set()  # each group once, however often it is named

    def gather(name: str, within: tuple[str, ...]) -> None:
        if name in within:
            raise ValueError(f"a group in itself: {' > '.join((*within, name))}")
        if name not in groups:
            raise ValueError(f"no group {name}")
        if len(within) > DEPTH_MAX:
            raise ValueError(f"groups in groups, more than {DEPTH_MAX} deep")
        if name in done:
            return
        for code in groups[name]:
            if code.startswith("@"):
                gather(code[1:], (*within, name))
            else:
                found.add(kind.read(code))
        done.add(name)

    gather(name, ())
    return frozenset(found)


def expanded(ranges: set[tuple[str, str]] | frozenset[tuple[str, str]]) -> frozenset[str]:
    """Every code of every range: four digits, ten thousand at the most."""
    return frozenset(code for first, last in ranges for code in CODES[int(first) : int(last) + 1])


CODES = tuple(f"{n:04}" for n in range(10_000))  # one of each, however many rules name it
