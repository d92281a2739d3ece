"""What a story's steps say on the wire: data elements, made from a few words in a table.

A step begins something new, or follows another step: it says it again, takes it back, tells of it
or asks for more. Numbers that the network gives (DE 7, 11, 37) are given here, a new one each time.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from authz.clock import utc
from iso8583.dialects import BY_NAME
from iso8583.mti import without_repeat
from iso8583.spec import Dialect

NEW, AGAIN, REVERSAL, ADVICE, INCREMENT = "new", "again", "reversal", "advice", "increment"
WITHOUT = ""  # as a change: the element is left out
AMOUNTS = (4, 6)  # as numbers of minor units in a table, as twelve digits on the wire
# A reversal keeps these of what it takes back.
KEPT_BY_REVERSAL = (2, 3, 4, 6, 12, 13, 22, 32, 37, 41, 42, 49, 51)


class Quoted(Struct, frozen=True):
    """An element of the answer to an earlier step."""

    step: int
    element: int


Parts = Mapping[Any, Any]  # of a composite, by key
Change = str | int | Quoted | Parts


class Step(Struct, frozen=True, kw_only=True):
    """One message of a story, what must come back, and how the account stands afterwards."""

    mti: str
    says: str  # in words, after the sender: "asks for 60.00"
    kind: str = NEW
    of: int = 0  # the step that it follows, from 1; it may come later
    changes: Mapping[int, Change] = {}
    code: str = "00"  # DE 39 of the answer
    answer: Mapping[int, Change] = {}  # other elements of the answer; WITHOUT: it is not there
    held: int | None = None  # minor units; None: as before
    available: int | None = None
    who: str = "acquirer"


class Tongue(Struct, frozen=True):
    """How a link of a story speaks."""

    dialect_name: str
    network: str

    @property
    def dialect(self) -> Dialect:
        return BY_NAME[self.dialect_name]


GENERIC = Tongue("iso87_ascii", "generic")
VISA, MASTERCARD = Tongue("visa", "visa"), Tongue("mastercard", "mastercard")
ISO_1993 = Tongue("iso93_ascii", "iso93")


class Composer:
    """Makes the messages of one telling of a story.

    `first_stan` tells this telling from others on the same engine: its STANs count from there.
    DE 7 says in which order the messages were sent: that of the steps, but what is followed was
    sent before what follows it, also where it comes later.
    """

    def __init__(
        self, steps: tuple[Step, ...], tongue: Tongue, pan: str, now_ms: int, first_stan: int
    ) -> None:
        self._steps, self._tongue = steps, tongue
        self._pan, self._now_ms, self._first_stan = pan, now_ms, first_stan
        self.answers: dict[int, Mapping[int, Any]] = {}  # by step, as they come

    def fields(self, number: int) -> dict[int, Any]:
        """The elements of a step's message; also of one that is yet to come."""
        step = self._steps[number - 1]
        fields = self._base(number, step)
        for element, change in step.changes.items():
            fields[element] = self.value(element, change)
        return {element: fields[element] for element in sorted(fields) if fields[element]}

    def value(self, element: int, change: Change) -> Any:
        """As the wire has it; a composite in parts."""
        if isinstance(change, Quoted):
            return self.answers.get(change.step, {}).get(change.element, WITHOUT)
        if not isinstance(change, int):
            return change
        return f"{change:012}{0:030}" if element == 95 else f"{change:012}"

    def _base(self, number: int, step: Step) -> dict[int, Any]:
        if step.kind == NEW:
            is_notice = step.mti[1] == "6"
            return self._stamps(number) | {32: "123456"} if is_notice else self._purchase(number)
        first = self.fields(step.of)
        match step.kind:
            case "again":
                return first
            case "reversal":
                return self._reversal(number, step, first)
            case "advice":
                return first | self._stamps(number)
        return self._purchase(number) | self._original(step, first)

    def _sent_at(self, number: int) -> datetime:
        overtaken_by = [at for at, step in enumerate(self._steps, 1) if step.of == number > at]
        seconds = 2 * overtaken_by[0] - 1 if overtaken_by else 2 * number
        return utc(self._now_ms + seconds * 1000)

    def _stamps(self, number: int) -> dict[int, str]:
        """What is new in every message."""
        at = self._sent_at(number)
        stamps = {7: f"{at:%m%d%H%M%S}", 11: f"{(self._first_stan + number) % 1_000_000:06}"}
        return stamps | ({12: f"{at:%y%m%d%H%M%S}"} if self._of_1993 else {})

    def _purchase(self, number: int) -> dict[int, str]:
        at = self._sent_at(number)
        fields = {
            2: self._pan, 3: "000000", 4: f"{1000:012}", 12: f"{at:%H%M%S}", 13: f"{at:%m%d}",
            14: "3012", 18: "5411", 22: "051", 32: "123456",
            37: f"{self._first_stan:06}{number:06}", 41: "TERM0001", 42: "MERCHANT0000001",
            43: "CORNER GROCERY".ljust(25) + "SPRINGFIELD".ljust(13) + "US", 49: "840",
        }  # fmt: skip
        if self._tongue is VISA:
            fields[22] = "0510"
        if self._of_1993:
            del fields[13], fields[18]
            fields |= {
                22: "510101511344", 24: "100", 26: "5411",
                43: "CORNER GROCERY\\12 MAIN STREET\\SPRINGFIELD\\62701     IL USA",
            }  # fmt: skip
        return fields | self._stamps(number)

    def _reversal(self, number: int, step: Step, first: dict[int, Any]) -> dict[int, Any]:
        fields = {element: first[element] for element in KEPT_BY_REVERSAL if element in first}
        fields |= self._stamps(number) | self._original(step, first)
        if self._of_1993:
            fields |= {12: first[12], 24: "400", 25: "4021"}
        return fields

    def _original(self, step: Step, first: dict[int, Any]) -> dict[int, str]:
        """The message that is followed, by its own numbers."""
        mti = without_repeat(self._steps[step.of - 1].mti)
        acquirer = first.get(32, "")
        if self._of_1993:
            return {56: f"{mti}{first[11]}{first[12]}{len(acquirer):02}{acquirer}"}
        return {90: f"{mti}{first[11]}{first[7]}{acquirer:0>11}{'':0>11}"}

    @property
    def _of_1993(self) -> bool:
        return self._tongue.dialect.version == "1"
