"""Merchant categories by the names of ISO 18245."""

from itertools import pairwise

import pytest

from rules.categories import PREFIX, iso_groups, mcc_name
from rules.codes import MCC
from rules.judge import Judge
from rules.policy import read_policy
from rules.policy_text import PolicyError


def test_groups_are_ranges_that_do_not_meet_and_name_nothing_reserved() -> None:
    ranges = sorted(MCC.read(code) for (code,) in iso_groups().values())
    for (_, last), (first, _) in pairwise(ranges):
        assert last < first
    assert {"iso:airlines", "iso:lodging", "iso:retail outlets"} <= iso_groups().keys()
    assert all(name.startswith(PREFIX) and "reserved" not in name for name in iso_groups())


@pytest.mark.parametrize(
    ("mcc", "name"),
    [("5411", "Groceries and supermarkets"), ("3000", "UNITED AIRLINES"), ("0001", ""), ("", "")],
)
def test_what_a_code_is_called(mcc: str, name: str) -> None:
    assert mcc_name(mcc) == name


def test_a_policy_names_them_alone_and_in_groups_of_its_own() -> None:
    text = (
        'version = "1"\n[groups.mcc]\ntravel = ["@iso:airlines", "@iso:lodging", "4722"]\n'
        '[[rule]]\nname = "a"\noutcome = "flag"\nwhen = { mcc_group = ["travel", "iso:utilities"] }'
    )
    policy = read_policy(text)
    Judge(policy)
    with pytest.raises(PolicyError, match=r"groups.mcc.travel, line 3: no group iso:hotels"):
        read_policy(text.replace("iso:lodging", "iso:hotels"))
    with pytest.raises(PolicyError, match="line 3: iso: begins the names of ISO 18245"):
        read_policy('version = "1"\n[groups.mcc]\n"iso:mine" = ["4722"]\n')
