"""How a network uses what the standard leaves open: its profile, by the name in a configuration.

Which version of the standard it speaks, what it answers in DE 39, and by which element it
manages its links. A network that is new is a new row here and a table in response_codes.py.

Source: ISO 8583:1987 and 1993, data element dictionaries; docs/response-codes.md and
docs/networks.md. What is marked * is a reading, not a quoted rule.
"""

from msgspec import Struct

from authz.wire.response_codes import CODES, Codes
from iso8583.errors import Key
from rules.reason import Reason


class Management(Struct, frozen=True):
    """How links are signed on and off and asked for a sign of life, and a business day ends.

    Sign-on, sign-off, echo and cut-over are quoted alike wherever they are listed. Which codes
    mean that keys are changed differs from list to list: those are our reading.
    """

    mti: str
    field: int  # the element that says which
    sign_on: str
    sign_off: str
    echo: str
    cut_over: str
    key_change: frozenset[str]


class FileUpdates(Struct, frozen=True):
    """How a network is told of a card that is blocked here: in a file of it, named in DE 101.

    Which answers mean that nothing is left to do is our reading of the lists: a record that was
    there was replaced, one that was to go was not there.
    """

    mti: str
    field: int  # the element that says what is done to the record
    codes: dict[str, str]  # by our own word
    done: dict[str, frozenset[str]]  # DE 39 of the answer, beside approval


class Network(Struct, frozen=True):
    """One network's profile."""

    name: str
    version: str  # the first digit of its MTIs
    codes: Codes
    management: Management
    files: FileUpdates
    echoed: tuple[int, ...]  # what an answer repeats of its request
    echoed_management: tuple[int, ...]
    echoed_parts: tuple[tuple[int, tuple[Key, ...]], ...] = ()  # … and of these, parts only
    response_source: str = ""  # DE 44.1 of what we answer ourselves, where the network has it

    def least(self) -> list[tuple[str, dict[int, str | bytes]]]:
        """Messages that a dialect must be able to write before this network can be spoken to.

        Not what single functions need, balances and totals: these are refused where it cannot.
        """
        approval: dict[int, str | bytes] = {
            4: "000000000000", 7: "0101000000", 11: "000001", 38: "A1B2C3",
            39: self.codes.of[Reason.APPROVED],
        }  # fmt: skip
        if self.codes.names_bad_field:
            approval[44] = "128"
        if self.response_source:
            approval[44] = self.response_source
        management = self.manage(self.management.echo, "260101000000", "000001")
        answer = f"{self.version}110"
        messages = [(answer, approval), management]
        for code in self.codes.all:
            messages.append((answer, {39: code}))
        return messages

    def manage(self, code: str, moment: str, stan: str) -> tuple[str, dict[int, str | bytes]]:
        """A network management request of our own. `moment`: now as YYMMDDhhmmss, UTC."""
        fields: dict[int, str | bytes] = {7: moment[2:], 11: stan}
        if self.version == "1":
            fields[12] = moment
        fields[self.management.field] = code
        return self.management.mti, fields

    def update_file(
        self, code: str, number: str, file: str, moment: str, stan: str
    ) -> tuple[str, dict[int, str | bytes]]:
        """A file update of our own: add or delete a card's record."""
        fields: dict[int, str | bytes] = {2: number, 7: moment[2:], 11: stan, 101: file}
        if self.version == "1":
            fields[12] = moment
        fields[self.files.field] = self.files.codes[code]
        return self.files.mti, dict(sorted(fields.items()))

    def has_updated(self, code: str, answer: str) -> bool:
        """Whether DE 39 of the answer to `update_file` says that nothing is left to do."""
        approved = self.codes.of[Reason.APPROVED]
        accepted = self.codes.code(Reason.APPROVED, self.files.mti, False)
        return answer in (approved, accepted) or answer in self.files.done[code]

    def accepts(self, code: str) -> bool:
        """Whether DE 39 of the answer to `manage` says yes."""
        approved = self.codes.of[Reason.APPROVED]
        return code in (approved, self.codes.code(Reason.APPROVED, self.management.mti, False))

    def echoes(self, mti: str) -> tuple[int, ...]:
        """What the answer to a message of this MTI repeats of it."""
        if mti[1:2] == "8":
            return self.echoed_management
        return ECHOED_TOTALS if mti[1:2] == "5" else self.echoed

    @property
    def code_size(self) -> int:
        """Characters of DE 39."""
        return len(next(iter(self.codes.of.values())))


# Never the track, the PIN block or chip data.
ECHOED_1987 = (2, 3, 4, 6, 7, 10, 11, 12, 13, 19, 25, 32, 33, 37, 41, 42, 49, 51, 90, 95)
ECHOED_1993 = (2, 3, 4, 6, 7, 10, 11, 12, 19, 30, 32, 33, 37, 41, 42, 49, 51, 56)
ECHOED_TOTALS = (7, 11, 12, 15, 24, 32, 33, 49, 50, 99, 100)
MANAGEMENT_1987 = Management(
    "0800", 70, "001", "002", "301", "201", frozenset({"101", "161", "162", "163", "164"})
)
MANAGEMENT_1993 = Management("1804", 24, "801", "802", "831", "821", frozenset({"811"}))
FILES_1987 = FileUpdates(
    "0302", 91, {"add": "1", "delete": "3"},
    {"add": frozenset({"26"}), "delete": frozenset({"25"})},
)  # fmt: skip
FILES_1993 = FileUpdates(
    "1304", 24, {"add": "301", "delete": "303"},
    {"add": frozenset({"303"}), "delete": frozenset({"302"})},
)  # fmt: skip


def of_1987(
    name: str,
    also: tuple[int, ...] = (),
    parts: tuple[tuple[int, tuple[Key, ...]], ...] = (),
    response_source: str = "",
) -> Network:
    return Network(
        name, "0", CODES[name], MANAGEMENT_1987, FILES_1987, ECHOED_1987 + also,
        (7, 11, 15, 33, 70), parts,
        response_source,
    )  # fmt: skip


def of_1993(name: str) -> Network:
    echoed_management = (7, 11, 12, 15, 24, 32, 33, 93, 94)
    return Network(
        name, "1", CODES[name], MANAGEMENT_1993, FILES_1993, ECHOED_1993, echoed_management
    )


NETWORKS: dict[str, Network] = {
    network.name: network
    for network in (
        of_1987("generic"),
        # The transaction identifier (62.2) and the network's id (63.1), not the rest of these: what
        # was asked there is not what was answered. 44.1 = 5: by the issuer. *
        of_1987("visa", parts=((62, (2,)), (63, (1,))), response_source="5"),
        # Its reference of the transaction (DE 63, 15), and what of it stands in DE 48.
        of_1987("mastercard", also=(15, 63), parts=((48, ("tcc", "63")),)),
        of_1987("postilion"),
        of_1993("iso93"),
    )
}
assert NETWORKS.keys() == CODES.keys()
# What is spoken in a dialect where nobody says it; in any other, the plain network of its version.
NETWORK_OF = {
    "visa": "visa", "mastercard": "mastercard", "postilion": "postilion", "iso93_ascii": "iso93",
}  # fmt: skip
PLAIN = {"0": "generic", "1": "iso93"}
GENERIC = NETWORKS["generic"]
