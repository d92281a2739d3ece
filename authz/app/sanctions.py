"""The list of sanctioned countries that is shipped: dated, and in force only where a person puts it
so. What it is and what it is not: the head of sanctioned.toml."""

import tomllib
from importlib.resources import files

import msgspec
from msgspec import Struct

from authz.hot.lists import field_of
from ledger.journal import ListRows
from rules.lists import SANCTION


class Sanctions(Struct, frozen=True):
    version: str  # YYYY-MM-DD: as of that day
    sources: list[str]
    countries: dict[str, str]  # ISO 3166 alpha-2, and by which law

    def entries(self, author: str) -> dict[str, ListRows]:
        """As the lists hold them."""
        return {
            field_of(SANCTION, "country", country): ((f"{self.version}: {law}", author, 0, 0),)
            for country, law in self.countries.items()
        }


def shipped_text() -> str:
    return (files("authz.app") / "sanctioned.toml").read_text(encoding="utf-8")


def shipped() -> Sanctions:
    return msgspec.convert(tomllib.loads(shipped_text()), Sanctions)
