"""Codes as a policy lists them: what they look like, their ranges, and groups of them by name."""

import re
from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

Codes = tuple[Annotated[str, Meta(min_length=1, max_length=64)], ...]


class Kind(Struct, frozen=True):
    """What a code of a list looks like."""

    name: str
    pattern: str
    has_ranges: bool = False

    def read(self, code: str) -> tuple[str, str]:
        """First and last. Raises: ValueError."""
        first, dash, last = code.partition("-") if self.has_ranges else (code, "", "")
        last = last if dash else first
        if not (re.fullmatch(self.pattern, first) and re.fullmatch(self.pattern, last)):
            raise ValueError(f"{self.name}: not a code: {code}")
        if first > last:
            raise ValueError(f"{self.name}: a range that ends before it begins: {code}")
        return first, last


MCC = Kind("mcc", r"\d{4}", has_ranges=True)
COUNTRY = Kind("country", r"[A-Z]{2}")
CURRENCY = Kind("currency", r"\d{3}")


def resolve(
    name: str, groups: Mapping[str, Codes], kind: Kind, within: tuple[str, ...] = ()
) -> frozenset[tuple[str, str]]:
    """The codes and ranges of a group. Raises: ValueError, for a cycle too."""
    if name in within:
        raise ValueError(f"a group in itself: {' > '.join((*within, name))}")
    if name not in groups:
        raise ValueError(f"no group {name}")
    found: set[tuple[str, str]] = set()
    for code in groups[name]:
        if code.startswith("@"):
            found |= resolve(code[1:], groups, kind, (*within, name))
        else:
            found.add(kind.read(code))
    return frozenset(found)
