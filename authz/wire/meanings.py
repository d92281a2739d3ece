"""What a message does, by its network: a table, because networks do not agree.

An MTI alone does not tell. A 0100 asks for a hold, or for more on one; a 0120 tells of a hold that
the network gave in our stead, or, from a fuel pump, how much the tank took. Rows are asked from
top to bottom, and the first that fits is the one that holds.

Source: docs/networks.md, which shows this table. A row with a * is a reading, not a quoted rule.
"""

from functools import lru_cache

from msgspec import Struct

from authz.wire.indicators import Indicators
from authz.wire.networks import NETWORKS
from rules.facts import Does, Finality
from rules.holds import MCC_GROUPS, in_group

# What a row may ask of the indicators, by name.
PRE = Finality.PRE
INCREMENT, MORE, ESTIMATE = "increment", "more to come", "estimate"


class Row(Struct, frozen=True):
    """What is empty fits all."""

    kind: str  # class and function of the MTI: its second and third digit
    does: Does
    indicator: str = ""
    mcc_group: str = ""  # of rules/holds.py
    network: str = ""
    reading: bool = False  # not a quoted rule

    def fits(self, network: str, kind: str, mcc: str, said: frozenset[str]) -> bool:
        return (
            self.kind == kind
            and self.network in ("", network)
            and (not self.indicator or self.indicator in said)
            and (not self.mcc_group or in_group(mcc, self.mcc_group))
        )


TABLE = (
    Row("10", Does.INCREASE, INCREMENT),
    Row("10", Does.HOLD),
    # A pump tells what the tank took. Visa's and Mastercard's money moves with the clearing file,
    # so the hold becomes that amount. Behind Postilion there is no such file: it is the completion;
    # but one that says that its amount is an estimate is a stand-in like any other. *
    Row("12", Does.SET, mcc_group="fuel", network="visa", reading=True),
    Row("12", Does.SET, mcc_group="fuel", network="mastercard", reading=True),
    Row("12", Does.SET, ESTIMATE, mcc_group="fuel", network="postilion", reading=True),
    Row("12", Does.COMPLETE, mcc_group="fuel", network="postilion", reading=True),
    Row("12", Does.SET),
    Row("20", Does.POST),
    Row("22", Does.PART, MORE),
    Row("22", Does.COMPLETE),
)


def what_it_does(network: str, mti: str, mcc: str, says: Indicators) -> Does:
    """Of a request or an advice; of a reversal nothing is asked."""
    return _first(
        network,
        mti[1:3],
        mcc,
        says.increments,
        says.more_to_come,
        says.finality is PRE,
    )


@lru_cache(maxsize=4096)  # networks times the MCCs in play times a few
def _first(network: str, kind: str, mcc: str, increments: bool, more: bool, estimate: bool) -> Does:
    named = ((INCREMENT, increments), (MORE, more), (ESTIMATE, estimate))
    said = frozenset(name for name, is_said in named if is_said)
    for row in TABLE:
        if row.fits(network, kind, mcc, said):
            return row.does
    raise AssertionError(f"no row for {kind}")


# Whether a request holds or posts is asked in the hot state by its class, so no row may say else;
# and what was decided elsewhere is never asked.
ALLOWED = {
    "10": {Does.HOLD, Does.INCREASE},
    "12": {Does.SET, Does.PART, Does.COMPLETE},
    "20": {Does.POST},
    "22": {Does.SET, Does.PART, Does.COMPLETE},
}
for row in TABLE:
    assert row.does in ALLOWED[row.kind], f"{row.kind} cannot {row.does}"
    assert not row.mcc_group or row.mcc_group in MCC_GROUPS, row.mcc_group
    assert not row.network or row.network in NETWORKS, row.network
for kind in ALLOWED:
    assert any((r.kind, r.network, r.mcc_group, r.indicator) == (kind, "", "", "") for r in TABLE)
