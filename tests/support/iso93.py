"""Messages of 1993 for tests: the purchases, advices and reversals of tests/support/engine.py."""

from authz.clock import utc
from tests.support.engine import NOON, purchase, with_changes


def purchase_1993(
    stan: int = 1, amount: int = 5000, *, at_ms: int = NOON, **changes: str
) -> dict[int, str]:
    """The fields of a 1100. Changes as those of `purchase`."""
    fields = purchase(stan, amount, at_ms=at_ms)
    for number in (13, 18):
        del fields[number]
    fields |= {
        12: utc(at_ms).strftime("%y%m%d") + fields[12], 22: "510101511344", 24: "100",
        26: "5411", 43: "GROCER\\12 MAIN STREET\\NEW YORK\\10001     NY USA",
    }  # fmt: skip
    return with_changes(fields, changes)


def reversal_1993(
    of: dict[int, str], stan: int = 900, *, at_ms: int = NOON + 30_000, **changes: str
) -> dict[int, str]:
    """The fields of a 1420 that takes a 1100 back."""
    acquirer = of.get(32, "")
    fields = {n: of[n] for n in (2, 3, 4, 12, 32, 37, 41, 42, 49) if n in of}
    fields |= {
        7: utc(at_ms).strftime("%m%d%H%M%S"), 11: f"{stan:06}", 24: "400", 25: "4021",
        56: f"1100{of[11]}{of[12]}{len(acquirer):02}{acquirer}",
    }  # fmt: skip
    return with_changes(fields, changes)


def advice_1993(
    of: dict[int, str], stan: int, mti: str = "1100", *, at_ms: int = NOON + 60_000, **changes: str
) -> dict[int, str]:
    """The fields of a 1120 or 1220 that names what it follows by DE 56 and by nothing else."""
    acquirer = of.get(32, "")
    fields = of | {
        7: utc(at_ms).strftime("%m%d%H%M%S"), 11: f"{stan:06}",
        12: utc(at_ms).strftime("%y%m%d%H%M%S"), 37: f"{stan:012}",
        56: f"{mti}{of[11]}{of[12]}{len(acquirer):02}{acquirer}",
    }  # fmt: skip
    return with_changes(fields, changes)
