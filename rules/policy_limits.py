"""What a limit of a policy cannot be, beside what its types say."""

from typing import TYPE_CHECKING

from rules.windows import WINDOWS

if TYPE_CHECKING:
    from rules.policy import LimitRule

# They are remembered one by one, in one field of the account.
DIFFERENT = frozenset({"merchants", "countries"})
DIFFERENT_MAX = 100
DIFFERENT_LIMITS_MAX = 8  # 64 of them take 13 ms of the store for a purchase, 8 some 2


def problem_of_limit(limit: "LimitRule") -> str:
    """Begins with the key that is wrong."""
    if limit.measure in DIFFERENT and limit.ceiling > DIFFERENT_MAX:
        return f"ceiling: more than {DIFFERENT_MAX} different ones"
    of_program = limit.per == "program"
    if of_program and limit.measure not in ("amount", "count"):
        return "measure: of a program only amount and count"
    if of_program and limit.window not in WINDOWS:
        return f"window: of a program only {', '.join(WINDOWS)}"
    return "each: not of a program" if of_program and limit.each else ""
