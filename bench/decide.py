"""What a decision costs by the size of its policy: facts in, a plan out, no store.

Policies of so many rules, none of which has the last word, so that every one is asked; and ten
limits that all apply, so that each names its counter. Rules ask what programs ask: codes in
groups, amounts, countries, channels, names of merchants, the time of day.
"""

from collections.abc import Iterator
from time import perf_counter_ns
from typing import Any

from authz.app.output import write_json
from bench.machine import this_machine
from rules.decide import decide
from rules.facts import (
    AccountProfile,
    AccountState,
    AuthorizationRequest,
    CardProfile,
    CardState,
    Channel,
    Plan,
    Purpose,
)
from rules.judge import Judge
from rules.lists import Lists
from rules.policy import read_policy
from rules.reason import Reason

COUNTS = (10, 50, 100, 1000)
LIMITS = 10
CALLS = 20_000  # of one row; each is timed by itself
WARM_UP = 2000
SENT_AT = 1_774_180_800
PROMISED = (50, 8.0)  # rules, and microseconds of p50

WHENS = (
    'mcc_group = ["vices"], amount_from = 1000',
    'country = ["KP", "IR", "SY"]',
    'channel = ["ecommerce", "mail_phone"], amount_from = 50000',
    'merchant = ["M0000{n}"]',
    "amount_from = 90000{n}, foreign = true",
    'time = "23:00-05:00", not = {{ country = ["US"] }}',
    "cash = true, amount_from = 40000",
    'terminal = ["T00{n}", "T01{n}"]',
    'weekday = ["sat"], mcc = ["5813", "7800-7802"]',
    'card_age_below_days = 7, channel = ["ecommerce"]',
)
OUTCOMES = ('"decline"', '"refer"', '"flag"')
WINDOWS = ("hour", "day", "week", "month", "year")


def policy_of(rules: int, limits: int = LIMITS) -> str:
    """A policy's text. No rule of it holds for `purchases`."""
    lines = ['version = "bench"', "[groups.mcc]", 'gambling = ["7995", "7800-7802"]',
             'vices = ["@gambling", "5921"]']  # fmt: skip
    for n in range(rules):
        when = WHENS[n % len(WHENS)].format(n=n)
        lines += ["[[rule]]", f'name = "r{n}"', f"when = {{ {when} }}",
                  f"outcome = {OUTCOMES[n % len(OUTCOMES)]}"]  # fmt: skip
    for n in range(limits):
        lines += ["[[limit]]", f'name = "l{n}"', f'measure = "{("amount", "count")[n % 2]}"',
                  f'per = "{("card", "account")[n // 5 % 2]}"', "ceiling = 1000000",
                  f'window = "{WINDOWS[n % 5]}"']  # fmt: skip
    return "\n".join(lines)


def purchases(count: int) -> list[AuthorizationRequest]:
    """Card-present purchases of other minutes and amounts, at home."""
    return [
        AuthorizationRequest(
            network="generic", mti="0100", card_key="k", purpose=Purpose.PURCHASE,
            amount_minor=1000 + n, currency="840", transaction_minor=1000 + n,
            transaction_currency="840", mcc="5411", merchant_id="MERCHANT1", terminal_id="TERM1",
            acquirer_id="123456", country="US", entry_mode="051", expiry="", stan=f"{n:06}",
            rrn="", sent_at=SENT_AT + 7 * n, merchant_name="CORNER GROCERY", channel=Channel.CHIP,
            card_present=True,
        )
        for n in range(count)
    ]  # fmt: skip


def run(json_path: str | None, calls: int = CALLS) -> dict[str, Any]:
    """Measure, print a table, and return `{"by_rules": {count: {"p50_us", "p99_us"}}, …}`."""
    by_rules = {str(count): measured(count, calls) for count in COUNTS}
    few, many = by_rules[str(COUNTS[0])], by_rules[str(COUNTS[-1])]
    per_rule = (many["p50_us"] - few["p50_us"]) / (COUNTS[-1] - COUNTS[0])
    machine = this_machine()
    answer: dict[str, Any] = {
        "machine": machine, "limits": LIMITS, "by_rules": by_rules, "us_per_rule": per_rule,
    }  # fmt: skip
    print("\n".join(table(by_rules, per_rule)))
    print(machine.line())
    if json_path is not None:
        write_json(json_path, answer)
    return answer


def measured(rules: int, calls: int) -> dict[str, float]:
    judge = Judge(read_policy(policy_of(rules)))
    card = CardProfile("C1", "A1", "S1", "2912", CardState.ACTIVE, issued_day=10_000)
    account = AccountProfile("A1", "gold", "840", 0, "America/New_York", AccountState.ACTIVE)
    lists, asked = Lists(), purchases(min(calls, 1000))
    plan: Plan = decide(asked[0], card, account, lists, judge)
    assert (plan.reason, len(plan.limits), plan.flags) == (Reason.APPROVED, LIMITS, ())
    took = []
    for n in range(WARM_UP + calls):
        request = asked[n % len(asked)]
        started = perf_counter_ns()
        decide(request, card, account, lists, judge)
        took.append(perf_counter_ns() - started)
    took = sorted(took[WARM_UP:])
    return {"p50_us": took[len(took) // 2] / 1000, "p99_us": took[len(took) * 99 // 100] / 1000}


def table(by_rules: dict[str, dict[str, float]], per_rule: float) -> Iterator[str]:
    yield f"decide, {LIMITS} limits, every rule asked"
    yield f"{'rules':>8}{'p50 µs':>12}{'p99 µs':>12}"
    for count, row in by_rules.items():
        yield f"{count:>8}{row['p50_us']:>12.2f}{row['p99_us']:>12.2f}"
    rules, promised = PROMISED
    kept = "kept" if by_rules[str(rules)]["p50_us"] < promised else "not kept"
    yield f"{1000 * per_rule:.0f} ns a rule; p50 of {rules} rules under {promised:g} µs: {kept}"
