"""A policy: rules and limits as their owners write them, in one TOML file.

    version = "2026-11-21"

    [groups.mcc]
    gambling = ["7995", "7800-7802"]
    vices = ["@gambling", "5921"]

    [[rule]]
    name = "no gambling"
    scope = { program = "acme" }
    when = { mcc_group = ["vices"] }
    outcome = "decline"
    reason = "mcc_blocked"

    [[limit]]
    name = "cash a day"
    per = "card"
    measure = "amount"
    ceiling = 30000
    window = "day"
    when = { cash = true }

Everything is checked when it is read, and an error names its place: what stands in the file, and
the line. A policy that was read cannot fail while it judges.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import fields

from rules.categories import PREFIX, iso_groups
from rules.codes import COUNTRY, CURRENCY, DEPTH_MAX, MCC, SOME, Codes, resolve
from rules.facts import Channel, Finality, Purpose
from rules.fx import ExchangeRules, RatesError, check_exchange
from rules.policy_limits import DIFFERENT, DIFFERENT_LIMITS_MAX, problem_of_limit
from rules.policy_text import PolicyError, at, nearest, split, tables_of
from rules.reason import Reason
from rules.windows import minutes_of, rolling

# Above these a judgement would take longer than its share of the budget (`authz bench decide`).
RULES_MAX = 1000
LIMITS_MAX = 64
FEES_MAX = 64
SIZE_MAX = 256 * 1024  # bytes; a change is journalled in each of 64 shards
CODES_MAX = 500_000  # in all conditions, ranges counted out: some 40 MB of every engine
PATTERNS_MAX = 1000  # of merchant names, in all conditions

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._/-]{0,63}\Z")]
# Of a limit: a part of its counters' names, between slashes.
Plain = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}\Z")]
Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")]
Minor = Annotated[int, Meta(ge=0, le=10**15)]
Percent = Annotated[int, Meta(ge=0, le=100)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


Ids = Annotated[tuple[Id, ...], SOME]


class Scope(Struct, frozen=True, forbid_unknown_fields=True):
    """Whom a row is about: one of the three, or everybody; and who of these is left out."""

    program: Id = ""
    account: Id = ""
    card: Id = ""
    except_programs: Ids = ()
    except_accounts: Ids = ()
    except_cards: Ids = ()

    @property
    def level(self) -> str:
        return "card" if self.card else "account" if self.account else "program"


class When(Struct, frozen=True, forbid_unknown_fields=True, rename={"not_": "not"}):
    """A condition: all that is said must hold. Of a list one must."""

    all: Annotated[tuple["When", ...], SOME] = ()
    any: Annotated[tuple["When", ...], SOME] = ()
    not_: "When | None" = None

    mcc: Codes = ()  # codes and ranges, "7800-7802"
    mcc_group: Codes = ()
    merchant: Codes = ()  # DE 42
    merchant_name: Codes = ()  # of DE 43; * stands for anything, and case for nothing
    terminal: Codes = ()  # DE 41
    acquirer: Codes = ()  # DE 32
    country: Codes = ()  # ISO 3166 alpha-2
    country_group: Codes = ()
    currency: Codes = ()  # of the transaction, ISO 4217 numeric
    network: Codes = ()
    channel: Annotated[tuple[Channel, ...], SOME] = ()
    purpose: Annotated[tuple[Purpose, ...], SOME] = ()
    finality: Annotated[tuple[Finality, ...], SOME] = ()
    weekday: Annotated[tuple[Weekday, ...], SOME] = ()  # at the account's home
    time: Annotated[str, SOME] = ""  # "23:00-05:00" there: from, and up to but not with
    card_present: bool | None = None
    cash: bool | None = None
    foreign: bool | None = None  # in another currency than the account's
    token: bool | None = None  # a wallet's number in place of the card's
    authenticated: bool | None = None  # 3-D Secure
    merchant_initiated: bool | None = None
    amount_from: Minor | None = None  # billed, in minor units of the account's currency
    amount_to: Minor | None = None  # both ends count
    risk_from: Annotated[int, Meta(ge=0, le=999)] | None = None  # of the network's score
    card_age_below_days: Annotated[int, Meta(ge=1, le=36_500)] | None = None


EVERYTHING = When()

# What a rule may say when it declines: reasons about where and for what.
DECLINES = frozenset(
    {
        Reason.RULE_DECLINED,
        Reason.SUSPECTED_FRAUD,
        Reason.MERCHANT_BLOCKED,
        Reason.COUNTRY_BLOCKED,
        Reason.MCC_BLOCKED,
        Reason.CHANNEL_BLOCKED,
        Reason.TRANSACTION_LIMIT,
    }
)


class Rule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """If this holds, then that. Asked in the order of the file, the program's before the
    account's before the card's; the first that declines, refers or approves is the last."""

    name: Name
    outcome: Literal["approve", "decline", "refer", "cap", "uplift", "flag"]
    scope: Scope = Scope()
    when: When = EVERYTHING
    reason: Reason = Reason.RULE_DECLINED  # of a decline
    amount: Minor = 0  # of a cap: no more than this; of an uplift: so much is held beyond
    percent: Percent = 0  # of an uplift


class LimitRule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """So much, or so often, in a window."""

    name: Plain
    measure: Literal["amount", "count", "declines", "merchants", "countries"]
    ceiling: Minor  # minor units of the account's currency, or a number
    window: str  # hour | day | week | month | year | lifetime, or rolling: 10s to 90d
    per: Literal["card", "account", "program"] = "card"
    each: Literal["merchant", "country", "channel", "mcc"] | None = None  # a counter for each
    scope: Scope = Scope()
    when: When = EVERYTHING


class FeeRule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the cardholder pays beside the amount, in minor units of the account's currency.

    Of each kind one row: the card's before the account's before the program's before everybody's,
    and the first in the file. A row of nothing is how an exemption is made.
    """

    name: Name
    kind: Literal["cross_border", "atm", "foreign_currency"]
    bp: Annotated[int, Meta(ge=0, le=5_000)] = 0  # basis points of what is billed
    fixed: Minor = 0
    min: Minor = 0
    max: Minor | None = None
    home: Codes = ()  # of cross_border: the countries that are not abroad
    scope: Scope = Scope()
    when: When = EVERYTHING


class Groups(Struct, frozen=True, forbid_unknown_fields=True):
    """Names for many codes. "@name" in a list stands for another group of the same kind."""

    mcc: dict[str, Codes] = {}
    country: dict[str, Codes] = {}


class Policy(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of it."""

    version: Name
    groups: Groups = Groups()
    rule: tuple[Rule, ...] = ()
    limit: tuple[LimitRule, ...] = ()
    fee: tuple[FeeRule, ...] = ()
    exchange: ExchangeRules | None = None

    @property
    def mcc_groups(self) -> Mapping[str, Codes]:
        """The file's, and those of the standard."""
        return self.groups.mcc | iso_groups()


NO_POLICY = Policy(version="none")


def read_policy(text: str) -> Policy:
    """A policy from TOML, checked whole. Raises: PolicyError."""
    if len(text.encode()) > SIZE_MAX:
        raise PolicyError(f"has more than {SIZE_MAX} bytes")
    content = tables_of(text)
    try:
        policy = msgspec.convert(content, Policy)
    except msgspec.ValidationError as error:
        problem, path = split(str(error))
        raise at(text, path, problem + known_words(problem, path)) from None
    except RecursionError:
        raise PolicyError("nested too deeply") from None
    check(policy, text)
    return policy


WORDS: dict[str, Iterable[str]] = {
    "outcome": get_args(Rule.__annotations__["outcome"]),
    "kind": get_args(FeeRule.__annotations__["kind"]),
    "measure": get_args(LimitRule.__annotations__["measure"]),
    "per": get_args(LimitRule.__annotations__["per"]),
    "weekday": WEEKDAYS, "channel": Channel, "purpose": Purpose, "finality": Finality,
    "reason": sorted(DECLINES),
}  # fmt: skip


TABLES: dict[str, type[Struct]] = {
    "": Policy, "groups": Groups, "rule": Rule, "limit": LimitRule, "fee": FeeRule,
    "exchange": ExchangeRules, "scope": Scope,
    "when": When, "all": When, "any": When, "not": When,
}  # fmt: skip


def known_words(problem: str, path: str) -> str:
    """The words that would have been one, where it is a word or a key that is none."""
    name = path.rpartition(".")[2].partition("[")[0]
    if problem.startswith("object contains unknown field") and name in TABLES:
        return nearest(problem, [field.encode_name for field in fields(TABLES[name])])
    if not problem.startswith("invalid enum value") or name not in WORDS:
        return ""
    return f"; known are {', '.join(map(str, WORDS[name]))}"


def check(policy: Policy, text: str) -> None:
    """What no type can say. Raises: PolicyError."""
    sizes: dict[tuple[str, str], int] = {}
    for name in policy.groups.mcc:
        if name.startswith(PREFIX):
            raise at(text, f"groups.mcc.{name}", f"{PREFIX} begins the names of ISO 18245 alone")
    for kind, what, groups in (
        ("mcc", MCC, policy.mcc_groups),
        ("country", COUNTRY, policy.groups.country),
    ):
        for name in groups:
            try:
                sizes[kind, name] = size_of(resolve(name, groups, what))
            except ValueError as error:
                raise at(text, f"groups.{kind}.{name}", str(error)) from None
    codes, patterns = 0, 0
    for number, most, what_of in (
        (len(policy.rule), RULES_MAX, "rules"),
        (len(policy.limit), LIMITS_MAX, "limits"),
        (
            sum(limit.measure in DIFFERENT for limit in policy.limit),
            DIFFERENT_LIMITS_MAX,
            "limits on different merchants or countries",
        ),
        (len(policy.fee), FEES_MAX, "fees"),
    ):
        if number > most:
            raise PolicyError(f"more than {most} {what_of}")
    try:
        check_exchange(policy.exchange or ExchangeRules())
    except RatesError as error:
        raise at(text, f"exchange.{error.path}", error.problem) from None
    taken: dict[str, str] = {}
    rows: list[tuple[str, Rule | LimitRule | FeeRule]] = [
        *((f"rule[{n}]", row) for n, row in enumerate(policy.rule)),
        *((f"limit[{n}]", row) for n, row in enumerate(policy.limit)),
        *((f"fee[{n}]", row) for n, row in enumerate(policy.fee)),
    ]
    for where, row in rows:
        if row.name in taken:
            raise at(text, f"{where}.name", f"used before, by {taken[row.name]}")
        taken[row.name] = where
        about = (row.scope.program, row.scope.account, row.scope.card)
        if len([part for part in about if part]) > 1:
            raise at(text, f"{where}.scope", "names more than one of program, account, card")
        left_out = row.scope.except_programs + row.scope.except_accounts + row.scope.except_cards
        if any(re.fullmatch("[0-9]{12,19}", id) for id in (*about, *left_out)):
            raise at(text, f"{where}.scope", "a card number; a card is named by its id")
        problem = problem_of(row.when, policy, 0)
        if problem:
            raise at(text, f"{where}.when", problem)
        for when in all_of(row.when):
            codes += size_of(MCC.read(code) for code in when.mcc)
            codes += sum(sizes["mcc", name] for name in when.mcc_group)
            patterns += len(when.merchant_name)
        if codes > CODES_MAX:
            raise at(text, f"{where}.when", f"more than {CODES_MAX} codes in all conditions")
        if patterns > PATTERNS_MAX:
            raise at(text, f"{where}.when", f"more than {PATTERNS_MAX} merchant names")
        if isinstance(row, LimitRule):
            try:
                rolling(row.window)
            except ValueError as error:
                raise at(text, f"{where}.window", str(error)) from None
            key, _, problem = problem_of_limit(row).partition(": ")
            if problem:
                raise at(text, f"{where}.{key}", problem)
        elif isinstance(row, FeeRule):
            problem = problem_of_fee(row)
            if problem:
                raise at(text, f"{where}.{problem.partition(':')[0]}", problem)
        else:
            problem = problem_of_rule(row)
            if problem:
                raise at(text, f"{where}.outcome", problem)


def problem_of_rule(rule: Rule) -> str:
    if rule.outcome == "decline" and rule.reason not in DECLINES:
        return f"cannot decline as {rule.reason}"
    if rule.outcome != "decline" and rule.reason is not Reason.RULE_DECLINED:
        return f"{rule.outcome} has no reason"
    if rule.outcome == "cap" and not rule.amount:
        return "a cap needs an amount"
    if rule.outcome == "uplift" and not (rule.amount or rule.percent):
        return "an uplift needs an amount or percent"
    if rule.percent and rule.outcome != "uplift":
        return f"{rule.outcome} takes no percent"
    if rule.amount and rule.outcome not in ("cap", "uplift"):
        return f"{rule.outcome} takes no amount"
    return ""


def problem_of_fee(fee: FeeRule) -> str:
    """Begins with the key that is wrong."""
    if (fee.kind == "cross_border") != bool(fee.home):
        return "home: a cross_border fee, and no other, needs the countries that are not abroad"
    if fee.max is not None and fee.max < max(fee.min, fee.fixed):
        return "max: below min or fixed"
    try:
        for code in fee.home:
            COUNTRY.read(code)
    except ValueError as error:
        return f"home: {error}"
    return ""


def problem_of(when: When, policy: Policy, depth: int) -> str:
    if depth > DEPTH_MAX:
        return f"conditions in conditions, more than {DEPTH_MAX} deep"
    try:
        for code in when.mcc:
            MCC.read(code)
        for code in when.country:
            COUNTRY.read(code)
        for code in when.currency:
            CURRENCY.read(code)
        if when.time:
            minutes_of(when.time)
    except ValueError as error:
        return str(error)
    for name in when.mcc_group:
        if name not in policy.mcc_groups:
            return f"mcc_group: no group {name}"
    for name in when.country_group:
        if name not in policy.groups.country:
            return f"country_group: no group {name}"
    if None not in (when.amount_from, when.amount_to) and when.amount_from > when.amount_to:  # type: ignore[operator]
        return "amount_from: above amount_to"
    problems = (problem_of(one, policy, depth + 1) for one in inner_of(when))
    return next((problem for problem in problems if problem), "")


def inner_of(when: When) -> tuple[When, ...]:
    return (*when.all, *when.any, *((when.not_,) if when.not_ else ()))


def all_of(when: When) -> Iterator[When]:
    """A condition, and those in it. Not deeper than `problem_of` let it be."""
    yield when
    for one in inner_of(when):
        yield from all_of(one)


def size_of(ranges: Iterable[tuple[str, str]]) -> int:
    """How many codes; of what has no ranges so many as there are."""
    return sum(int(last) - int(first) + 1 if first.isdigit() else 1 for first, last in ranges)
