"""The end of a day's proof: opening, movements and closing of each currency put side by side."""

from collections.abc import Iterable

from ledger.chart import Role
from ledger.proof import ENDS, Class, Hold, Money, Proof, order_of
from ledger.proof_fold import Sums

CARDHOLDERS = (Role.OPEN, Role.HELD)


def close(proof: Proof, sums: Sums, totals: Iterable[tuple[str, str, int, int]]) -> None:
    """Put the day together. `totals`: currency, role, and what stood there before and after the
    day, by all lines there are."""
    stood = {(currency, role): (before, after) for currency, role, before, after in totals}
    moved = {(currency, role) for currency, role, _ in sums.lines}
    by_lines, by_envelopes = by_place(sums.lines), by_place(sums.told)
    moneys: dict[str, Money] = {}
    for currency, role in sorted(stood.keys() | moved, key=place_of):
        before, after = stood.get((currency, role), (0, 0))
        movements, told = (
            by_kind.get((currency, role), {}) for by_kind in (by_lines, by_envelopes)
        )
        money = moneys.setdefault(currency, Money(currency, [], Hold(), {}))
        money.roles.append(Class(role, before, movements, after, told))
        proof.compare("day", f"{currency} {role}", "closing", after,
                      before + sum(movements.values()), currency)  # fmt: skip
        if role == Role.SUSPENSE:
            proof.compare("suspense", f"{currency} {role}", "closing", after, 0, currency)
    for currency, money in moneys.items():
        close_holds(proof, sums, money)
        for what, total in (("opening", sum(r.opening_minor for r in money.roles)),
                            ("closing", sum(r.closing_minor for r in money.roles))):  # fmt: skip
            proof.compare("day", currency, f"sum of all {what} balances", total, 0, currency)
        counted = {name: n for (of, name), n in sums.counts.items() if of == currency}
        money.counts = {name: counted[name] for name in sorted(counted, key=order_of)}
    kinds = sums.told.keys() | {key for key in sums.lines if key[1] in CARDHOLDERS}
    for key in sorted(kinds):
        currency, role, name = key
        # Counted at its entry; here it is only named by its kind.
        proof.compare("bytes", f"{currency} {role}", name, sums.lines.get(key, 0),
                      sums.told.get(key, 0), currency, minor=0)  # fmt: skip
    proof.currencies = list(moneys.values())


def close_holds(proof: Proof, sums: Sums, money: Money) -> None:
    """From envelopes, but for what was open before: that is of the lines, and so is the end."""
    hold = money.holds
    for role in money.roles:
        if role.role == Role.HELD:
            hold.opening_minor, hold.closing_minor = -role.opening_minor, -role.closing_minor
    for (currency, role_name, name), amount in sums.told.items():
        if currency == money.currency and role_name == Role.HELD:
            fate = ENDS.get(name)
            if fate is None:
                hold.placed_minor += -amount
            else:
                setattr(hold, f"{fate}_minor", getattr(hold, f"{fate}_minor") + amount)
    proof.compare("holds", money.currency, "open at the end", hold.closing_minor, hold.left_minor,
                  money.currency)  # fmt: skip


def by_place(moved: dict[tuple[str, str, str], int]) -> dict[tuple[str, str], dict[str, int]]:
    """By currency and role: what each kind of movement came to, in their order."""
    found: dict[tuple[str, str], dict[str, int]] = {}
    for (currency, role, name), amount in sorted(moved.items(), key=lambda i: order_of(i[0][2])):
        if amount:
            found.setdefault((currency, role), {})[name] = amount
    return found


def place_of(key: tuple[str, str]) -> tuple[str, int, str]:
    """Currencies by number, roles as in the chart of accounts."""
    currency, role = key
    roles = [str(r) for r in Role]
    return currency, roles.index(role) if role in roles else len(roles), role
