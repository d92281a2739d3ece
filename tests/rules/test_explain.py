"""Whatever `decide` decides, the first check that objects says so."""

from hypothesis import given
from hypothesis import strategies as st

from rules.decide import decide
from rules.explain import checks_of
from rules.facts import (
    AccountProfile,
    AccountState,
    CardException,
    CardProfile,
    CardState,
)
from rules.judge import NO_JUDGE
from rules.lists import ALLOW, ALWAYS, BLOCK, SANCTION, Lists
from rules.reason import Reason
from tests.rules.test_judge import judge_of, request

JUDGES = [
    NO_JUDGE,
    judge_of('outcome = "decline"\nwhen = { mcc = ["5411"] }', 'outcome = "refer"'),
    judge_of('outcome = "cap"\namount = 500', 'outcome = "approve"', 'outcome = "decline"'),
    judge_of('outcome = "flag"', 'scope = { card = "C1" }\noutcome = "refer"'),
    judge_of('scope = { card = "C1" }\noutcome = "refer"', 'outcome = "decline"'),
]

NOW = request().sent_at
ALLOWED = CardException("x", request().merchant_id, None, "840", NOW - 1, NOW + 1, 1, "J. Doe")

cards = st.builds(
    CardProfile, st.just("C1"), st.just("A1"), st.just("S1"), st.sampled_from(["2912", "2602"]),
    st.sampled_from(CardState), st.sampled_from([None, 500, 2000]),
    blocked_mccs=st.sampled_from([(), ("5411",)]),
    exceptions=st.sampled_from([(), (ALLOWED,)]),
)  # fmt: skip
accounts = st.builds(
    AccountProfile, st.just("A1"), st.just("gold"), st.sampled_from(["840", "978"]), st.just(0),
    st.sampled_from(["UTC", "Asia/Tokyo"]), st.sampled_from(AccountState),
)  # fmt: skip
VALUES = {
    "card": "C1", "account": "A1", "merchant": "M1", "mcc": "5411", "country": "US",
    "ip": "192.0.2.7", "bin": "999999",
}  # fmt: skip


def lists_with(listed: set[tuple[str, str]]) -> Lists:
    lists = Lists(1)
    for name, kind in listed:
        lists.put(name, kind, VALUES[kind], ALWAYS)
    return lists


lists = st.sets(st.sampled_from([
    *((name, kind) for name in (BLOCK, ALLOW) for kind in VALUES), (SANCTION, "country"),
])).map(lists_with)  # fmt: skip


@given(
    cards, accounts, lists, st.sampled_from(JUDGES), st.sampled_from(["", "2912"]), st.booleans(),
    st.sampled_from(["5411", "5412"]), st.sampled_from(["none", "", "refer", "decline"]),
)  # fmt: skip
def test_the_first_objection_is_the_decision(card, account, listed, judge, expiry, less, mcc, late):
    skipped = () if late == "none" else ("score",)
    means = late if skipped else ""
    asked = request(
        expiry=expiry, partial_ok=less, mcc=mcc, ip="192.0.2.7", bin="999999", skipped=skipped,
        skipped_means=means,
    )  # fmt: skip
    objections = [check for check in checks_of(asked, card, account, listed, judge)
                  if check.objects]  # fmt: skip
    plan = decide(asked, card, account, listed, judge)
    if plan.reason is Reason.APPROVED:
        assert not objections
    else:
        first = objections[0]
        # Of several caps the lowest is told, so its rule may be another than the first.
        assert first.reason == plan.reason
        assert (first.rule == plan.rule) or first.reason == Reason.TRANSACTION_LIMIT
