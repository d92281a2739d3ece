"""A card number on its way through a clearing file.

It is read here because matching needs it, and refuses to be shown or stored: whoever turns it
into the key that a card is kept under calls `reveal`.
"""

from typing import NoReturn

SHORTEST, LONGEST = 12, 19
SHOWN_FROM = 13  # below this, first six and last four would leave too little hidden


class Pan:
    """A primary account number that refuses to print itself.

    Raises: ValueError for anything but 12 to 19 ASCII digits, without saying what it was.
    """

    __slots__ = ("_digits",)

    def __init__(self, digits: str) -> None:
        if not (SHORTEST <= len(digits) <= LONGEST and digits.isascii() and digits.isdigit()):
            raise ValueError("not a card number")
        self._digits = digits

    @property
    def masked(self) -> str:
        """First six, last four: what PCI DSS 3.4.1 allows to be shown."""
        if len(self._digits) < SHOWN_FROM:
            return "*" * len(self._digits)
        return f"{self._digits[:6]}{'*' * (len(self._digits) - 10)}{self._digits[-4:]}"

    def reveal(self) -> str:
        """The digits. Every caller of this is a place that an auditor reads."""
        return self._digits

    def __repr__(self) -> str:
        return f"Pan({self.masked})"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pan) and self._digits == other._digits

    def __hash__(self) -> int:
        return hash(self._digits)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a card number is not to be stored")
