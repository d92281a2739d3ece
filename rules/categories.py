"""Merchant categories by the names of ISO 18245: what a code is called, and its ranges as groups.

Read from the package iso18245 when first asked for. Source: ISO 18245:2003, its ranges and list;
of codes that it leaves to networks their own names.
"""

import csv
from functools import cache, lru_cache
from importlib.resources import files

import iso18245

PREFIX = "iso:"  # of these groups' names: no group of a policy may begin so


@cache
def iso_groups() -> dict[str, tuple[str, ...]]:
    """By name, one range: "iso:airlines" is 3000 to 3350. What is reserved has no name."""
    found: dict[str, tuple[str, ...]] = {}
    for file in ("iso18245_ranges.csv", "private_ranges.csv"):
        text = (files("iso18245") / "data" / file).read_text(encoding="utf-8")
        for first, last, name in list(csv.reader(text.splitlines()))[1:]:
            if not name.startswith("Reserved"):
                found[PREFIX + name.lower()] = (f"{first}-{last}",)
    return found


@lru_cache(maxsize=2048)  # more than there are names
def mcc_name(mcc: str) -> str:
    """What the standard calls it, else a network; "" where nobody does."""
    try:
        known = iso18245.get_mcc(mcc)
    except (iso18245.MCCNotFound, iso18245.InvalidMCC, ValueError):
        return ""
    names = known.iso_description, known.visa_description, known.mastercard_description
    return next((name for name in (*names, known.usda_description) if name), "")
