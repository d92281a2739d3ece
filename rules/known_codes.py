"""Codes that look right and that nobody has: a rule on them would never hold, and nobody would see.

Asked where a policy is loaded, and not where one that is in force is read: what was good when it
was stored must stay readable.
"""

from collections.abc import Collection, Iterator

import iso3166

from rules.fx import CURRENCIES
from rules.policy import Policy, When, all_of
from rules.policy_text import at

COUNTRIES = frozenset(iso3166.countries_by_alpha2) | {"XK"}  # Kosovo, as networks write it
NUMBERS = frozenset(number for number, _ in CURRENCIES.values())


def check_codes(policy: Policy, text: str, networks: Collection[str]) -> None:
    """Every country, currency and network that the policy names is one. Raises: PolicyError."""
    for name, codes in policy.groups.country.items():
        for problem in unknown("country", codes, COUNTRIES):
            raise at(text, f"groups.country.{name}", problem)
    conditions = (
        *((f"rule[{n}].when", row.when) for n, row in enumerate(policy.rule)),
        *((f"limit[{n}].when", row.when) for n, row in enumerate(policy.limit)),
        *((f"fee[{n}].when", row.when) for n, row in enumerate(policy.fee)),
    )
    for where, condition in conditions:
        for when in all_of(condition):
            for problem in unknown_of(when, networks):
                raise at(text, where, problem)
    for n, fee in enumerate(policy.fee):
        for problem in unknown("country", fee.home, COUNTRIES):
            raise at(text, f"fee[{n}].home", problem)


def unknown_of(when: When, networks: Collection[str]) -> Iterator[str]:
    yield from unknown("country", when.country, COUNTRIES)
    yield from unknown("currency", when.currency, NUMBERS)
    for problem in unknown("network", when.network, networks):
        yield f"{problem}; known are {', '.join(sorted(networks))}"


def unknown(kind: str, codes: Collection[str], known: Collection[str]) -> Iterator[str]:
    standards = {"country": " of ISO 3166", "currency": " of ISO 4217"}
    for code in codes:
        if code not in known and not code.startswith("@"):
            yield f"{kind}: no {kind}{standards.get(kind, '')}: {code}"
