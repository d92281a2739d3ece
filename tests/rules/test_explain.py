"""Whatever `decide` decides, the first check that objects says so."""

from hypothesis import given
from hypothesis import strategies as st

from rules.decide import decide
from rules.explain import checks_of
from rules.facts import (
    AccountProfile,
    AccountState,
    Blocklists,
    CardException,
    CardProfile,
    CardState,
)
from rules.judge import NO_JUDGE
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
lists = st.builds(
    Blocklists, cards=st.sampled_from([frozenset(), frozenset({"C1"})]),
    merchants=st.sampled_from([frozenset(), frozenset({"M1"})]),
    countries=st.sampled_from([frozenset(), frozenset({"US"})]),
)  # fmt: skip


@given(
    cards, accounts, lists, st.sampled_from(JUDGES), st.sampled_from(["", "2912"]), st.booleans(),
    st.sampled_from(["5411", "5412"]), st.sampled_from(["none", "", "refer", "decline"]),
)  # fmt: skip
def test_the_first_objection_is_the_decision(card, account, listed, judge, expiry, less, mcc, late):
    skipped = () if late == "none" else ("score",)
    means = late if skipped else ""
    asked = request(expiry=expiry, partial_ok=less, mcc=mcc, skipped=skipped, skipped_means=means)
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
