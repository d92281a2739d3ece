"""A policy as one function: read once, then a few nanoseconds a rule.

Each row becomes a line of Python that asks the cheapest thing first. Text of the policy never gets
into that source: codes and names are constants beside it, found by number.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import translate
from typing import Any

from msgspec import Struct

from rules.codes import COUNTRY, MCC, expanded, resolve
from rules.facts import (
    CASH_PURPOSES,
    INQUIRY,
    AccountProfile,
    AuthorizationRequest,
    CardProfile,
    Limit,
)
from rules.fees import NO_FEES, Fees, fees_of
from rules.fx import Exchange, Rates, read_rates
from rules.limits import KNOWN, head_of, written
from rules.policy import (
    EVERYTHING,
    NO_POLICY,
    WEEKDAYS,
    FeeRule,
    LimitRule,
    Policy,
    Rule,
    Scope,
    When,
    read_policy,
)
from rules.reason import Reason
from rules.windows import Moment, minutes_of

LEVELS = ("program", "account", "card")  # in the order in which they are asked


class Judgement(Struct, frozen=True, gc=False):
    """What the rules say of a request."""

    outcome: str = ""  # "" where none had the last word; approve | decline | refer
    rule: str = ""  # the one that had it
    reason: Reason = Reason.APPROVED  # of a decline
    cap_minor: int | None = None
    capped_by: str = ""
    uplift_minor: int = 0
    flags: tuple[str, ...] = ()  # names of rules that flagged it


NOTHING_SAID = Judgement()

# Rows of one function: Python compiles it in one go, some 6 ms, and nothing else runs meanwhile.
ROWS_AT_ONCE = 64

# f: the request, a: its account, c: its card, t: the moment at home, e: what holds besides.
Row = Rule | LimitRule | FeeRule
Asked = Callable[
    [AuthorizationRequest, AccountProfile, CardProfile, Moment, list[Any]], Rule | None
]
# A level, what is about everybody there, and what is about one.
Table = tuple[str, Asked | None, dict[str, Asked]]


class Judge:
    """A policy, compiled. Never fails on what `AuthorizationRequest` can hold.

    `rates` are those loaded beside it. Raises: RatesError, where they are none.
    """

    def __init__(self, policy: Policy, rates: Rates | None = None) -> None:
        self.policy = policy
        self.version = policy.version
        self.rates = rates
        self._writer = Writer(policy)
        self._by_itself: dict[str, Asked] = {}
        self._rules = self._compiled(policy.rule)
        self._limits = self._compiled(policy.limit)
        self._declines = self._compiled(
            tuple(row for row in policy.limit if row.measure == "declines")
        )
        self._fees = self._compiled(policy.fee)
        self.exchange = None if policy.exchange is None else Exchange(policy.exchange, rates)
        self.prices_nothing = not policy.fee and policy.exchange is None
        self.says_nothing = not policy.rule
        self.limits_nothing = not policy.limit
        self.counts_declines = bool(self._declines)
        self.is_empty = self.says_nothing and self.limits_nothing

    def judge(
        self, request: AuthorizationRequest, account: AccountProfile, card: CardProfile, t: Moment
    ) -> Judgement:
        """What the rules say, asked of the program's, the account's and the card's in turn."""
        if self.says_nothing:
            return NOTHING_SAID
        besides: list[Rule] = []
        last: Rule | None = None
        for level, everybody, some in self._rules:
            if everybody is not None and last is None:
                last = everybody(request, account, card, t, besides)
            asked = some.get(whose(level, account, card)) if some and last is None else None
            if asked is not None:
                last = asked(request, account, card, t, besides)
        if last is None and not besides:
            return NOTHING_SAID
        return conclusion(last, besides, request.amount_minor)

    def limits(
        self, request: AuthorizationRequest, account: AccountProfile, card: CardProfile, t: Moment
    ) -> tuple[Limit, ...]:
        """The ceilings that this request must stay under, in the order of the file by level.

        What uses nothing up (an account check, an inquiry) is declined too, and counted then.
        """
        if self.limits_nothing or request.sign < 0:
            return ()
        if request.amount_minor == 0 or request.purpose is INQUIRY:
            return self.declines(request, account, card, t)
        return all_of(self._limits, request, account, card, t)

    def declines(
        self, request: AuthorizationRequest, account: AccountProfile, card: CardProfile, t: Moment
    ) -> tuple[Limit, ...]:
        """Those of them that count what is declined. Money that comes to the card is not."""
        if not self._declines or request.sign < 0:
            return ()
        return all_of(self._declines, request, account, card, t)

    def fees(
        self,
        request: AuthorizationRequest,
        account: AccountProfile,
        card: CardProfile,
        t: Moment,
        *,
        in_part: bool,
    ) -> Fees:
        """What is charged beside what is billed: of each kind the most particular row."""
        if not self.policy.fee or request.amount_minor == 0 or request.sign < 0:
            return NO_FEES
        rows: list[FeeRule] = []
        for level, everybody, some in self._fees[::-1]:
            for asked in (some.get(whose(level, account, card)), everybody):
                if asked is not None:
                    asked(request, account, card, t, rows)
        return fees_of(rows, request, account, in_part=in_part)

    def explain(
        self, request: AuthorizationRequest, account: AccountProfile, card: CardProfile, t: Moment
    ) -> Iterator[tuple[Rule, bool]]:
        """Every rule in the order in which it is asked, and whether it holds."""
        for level in LEVELS:
            for key in ("", whose(level, account, card)):
                for rule in self.policy.rule:
                    if rule.scope.level == level and getattr(rule.scope, level) == key:
                        besides: list[Rule] = []
                        last = self._alone(rule)(request, account, card, t, besides)
                        yield rule, bool(last or besides)

    def _alone(self, rule: Rule) -> Asked:
        """A rule by itself: kept, since who times an explanation makes it many times."""
        if rule.name not in self._by_itself:
            self._by_itself[rule.name] = self._writer.function([rule])
        return self._by_itself[rule.name]

    def _compiled(self, rows: tuple[Row, ...]) -> list[Table]:
        """By level; levels of which the policy says nothing are left out."""
        tables: list[Table] = []
        for level in LEVELS:
            found: dict[str, list[Row]] = {}
            for row in rows:
                if row.scope.level == level:
                    found.setdefault(getattr(row.scope, level), []).append(row)
            asked = {key: self._function(some) for key, some in found.items()}
            if asked:
                tables.append((level, asked.pop("", None), asked))
        return tables

    def _function(self, rows: Sequence[Row]) -> Asked:
        """One function of these, or of many: some at a time, which are asked in turn. Whoever
        compiles beside others holds them up for no longer than one of them takes."""
        parts = [
            self._writer.function(rows[at : at + ROWS_AT_ONCE])
            for at in range(0, len(rows), ROWS_AT_ONCE)
        ]
        return parts[0] if len(parts) == 1 else in_turn(tuple(parts))


def in_turn(parts: tuple[Asked, ...]) -> Asked:
    """What the first of them says that has the last word."""

    def asked(
        f: AuthorizationRequest, a: AccountProfile, c: CardProfile, t: Moment, e: list[Any]
    ) -> Rule | None:
        for part in parts:
            last = part(f, a, c, t, e)
            if last is not None:
                return last
        return None

    return asked


def all_of(
    tables: list[Table],
    request: AuthorizationRequest,
    account: AccountProfile,
    card: CardProfile,
    t: Moment,
) -> tuple[Limit, ...]:
    limits: list[Limit] = []
    for level, everybody, some in tables:
        if everybody is not None:
            everybody(request, account, card, t, limits)
        asked = some.get(whose(level, account, card)) if some else None
        if asked is not None:
            asked(request, account, card, t, limits)
    return tuple(limits)


def whose(level: str, account: AccountProfile, card: CardProfile) -> str:
    """Whom a row of that level must be about."""
    if level == "program":
        return account.program
    return account.account_id if level == "account" else card.card_id


def conclusion(last: Rule | None, besides: list[Rule], amount_minor: int) -> Judgement:
    """What the rules that held amount to: the last word, the lowest cap, the largest uplift."""
    caps = [(rule.amount, rule.name) for rule in besides if rule.outcome == "cap"]
    cap_minor, capped_by = min(caps, default=(None, ""))
    uplifts = [
        max(rule.amount, amount_minor * rule.percent // 100)
        for rule in besides
        if rule.outcome == "uplift"
    ]
    return Judgement(
        outcome=last.outcome if last else "",
        rule=last.name if last else "",
        reason=last.reason if last and last.outcome == "decline" else Reason.APPROVED,
        cap_minor=cap_minor,
        capped_by=capped_by,
        uplift_minor=max(uplifts, default=0),
        flags=tuple(rule.name for rule in besides if rule.outcome == "flag"),
    )


class Writer:
    """Writes rules as Python. What it cannot say in one expression, no condition asks."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._known: dict[str, Any] = {}

    def function(self, rows: Sequence[Row]) -> Asked:
        """One function of many rows: returns the last word, and lists all that holds besides."""
        self._known = {}
        lines = []
        for row in rows:
            tests = self._left_out(row.scope)
            if row.when != EVERYTHING:
                tests.append(self._test(row.when))
            if isinstance(row, LimitRule):
                does = f"add({written(row, self._name)})"
            elif isinstance(row, Rule) and row.outcome in ("approve", "decline", "refer"):
                does = f"return {self._name(row)}"
            else:
                does = f"e.append({self._name(row)})"
            lines.append(f"    if {' and '.join(tests)}: {does}" if tests else f"    {does}")
        body = ["def asked(f, a, c, t, e):", *head_of(rows), *lines, "    return None"]
        scope: dict[str, Any] = self._known | KNOWN
        exec("\n".join(body), scope)
        asked: Asked = scope["asked"]
        return asked

    def _name(self, value: Any) -> str:
        name = f"k{len(self._known)}"
        self._known[name] = value
        return name

    def _left_out(self, scope: Scope) -> list[str]:
        """Who is not among those whom a row is about."""
        return [
            f"{asked} not in {self._name(frozenset(ids))}"
            for asked, ids in (
                ("a.program", scope.except_programs),
                ("a.account_id", scope.except_accounts),
                ("c.card_id", scope.except_cards),
            )
            if ids
        ]

    def _test(self, when: When) -> str:
        """A condition as an expression, the cheapest questions first."""
        parts = [*self._plain(when), *self._codes(when), *self._moments(when)]
        if when.all:
            parts += [self._test(one) for one in when.all]
        if when.any:
            parts.append("(" + " or ".join(self._test(one) for one in when.any) + ")")
        if when.not_ is not None:
            parts.append(f"not {self._test(when.not_)}")
        return "(" + (" and ".join(parts) or "True") + ")"

    def _plain(self, when: When) -> list[str]:
        parts = []
        for asked, wanted in (
            ("f.card_present", when.card_present),
            (f"(f.purpose in {self._name(CASH_PURPOSES)})", when.cash),
            ("(f.transaction_currency != a.currency)", when.foreign),
            ("f.token", when.token),
            ("f.authenticated", when.authenticated),
            ("f.merchant_initiated", when.merchant_initiated),
        ):
            if wanted is not None:
                parts.append(asked if wanted else f"not {asked}")
        if when.amount_from is not None:
            parts.append(f"f.amount_minor >= {when.amount_from:d}")
        if when.amount_to is not None:
            parts.append(f"f.amount_minor <= {when.amount_to:d}")
        if when.risk_from is not None:
            parts.append(f"f.risk >= {when.risk_from:d}")
        if when.card_age_below_days is not None:
            parts.append(
                f"0 < c.issued_day and t.day - c.issued_day < {when.card_age_below_days:d}"
            )
        return parts

    def _codes(self, when: When) -> list[str]:
        parts = []
        groups, mcc_groups = self._policy.groups, self._policy.mcc_groups
        mccs = {MCC.read(code) for code in when.mcc}
        for name in when.mcc_group:
            mccs |= resolve(name, mcc_groups, MCC)
        if when.mcc or when.mcc_group:
            parts.append(f"f.mcc in {self._name(expanded(mccs))}")
        countries = set(when.country)
        for name in when.country_group:
            countries |= {first for first, _ in resolve(name, groups.country, COUNTRY)}
        if when.country or when.country_group:
            parts.append(f"f.country in {self._name(frozenset(countries))}")
        for asked, codes in (
            ("f.merchant_id", when.merchant),
            ("f.terminal_id", when.terminal),
            ("f.acquirer_id", when.acquirer),
            ("f.transaction_currency", when.currency),
            ("f.network", when.network),
            ("f.channel", when.channel),
            ("f.purpose", when.purpose),
            ("f.finality", when.finality),
        ):
            if codes:
                parts.append(f"{asked} in {self._name(frozenset(codes))}")
        if when.merchant_name:
            # A bracket is a bracket: only * and ? stand for others.
            names = (translate(name.replace("[", "[[]")) for name in when.merchant_name)
            pattern = "|".join(f"(?:{name})" for name in names)
            parts.append(f"{self._name(re.compile(pattern, re.IGNORECASE).match)}(f.merchant_name)")
        return parts

    def _moments(self, when: When) -> list[str]:
        parts = []
        if when.weekday:
            days = frozenset(WEEKDAYS.index(day) for day in when.weekday)
            parts.append(f"t.weekday in {self._name(days)}")
        if when.time:
            first, last = minutes_of(when.time)
            if first < last:
                parts.append(f"{first:d} <= t.minute < {last:d}")
            else:  # over midnight
                parts.append(f"(t.minute >= {first:d} or t.minute < {last:d})")
        return parts


NO_JUDGE = Judge(NO_POLICY)

# Of what engines judge by, the texts: all else is lists.
POLICY = "policy"
SHADOW = "shadow"  # a draft that judges beside the policy and only counts
RATES = "rates"
TEXTS = (POLICY, SHADOW, RATES)


def texts_of(entries: Iterable[tuple[str, str]]) -> tuple[str, str]:
    """The texts of policy and rates among all that engines judge by; "" where there is none."""
    found = {kind: value for kind, value in entries if kind in TEXTS}
    return found.get(POLICY, ""), found.get(RATES, "")


def make_judge(policy: str, rates: str) -> Judge:
    """Raises: PolicyError, RatesError."""
    if not policy:
        return NO_JUDGE
    return Judge(read_policy(policy), read_rates(rates) if rates else None)
