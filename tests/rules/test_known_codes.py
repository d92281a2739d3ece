"""A code that nobody has is refused where a policy is loaded, and read where one is in force."""

import pytest

from rules.known_codes import check_codes
from rules.policy import read_policy
from rules.policy_text import PolicyError

HEAD = 'version = "1"\n'


def row(table: str, **keys: str) -> str:
    lines = {"name": '"a"'} | keys
    return f"[[{table}]]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())


def rule(when: str) -> str:
    return HEAD + row("rule", outcome='"flag"', when=when)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (rule('{ country = ["GB", "XK"] }'), ""),
        (rule('{ country = ["GB", "UK"] }'), "rule[0].when, line 5: country: no country of ISO"),
        (rule('{ not = { any = [{ country = ["UK"] }] } }'), "no country of ISO 3166: UK"),
        (rule('{ currency = ["840"] }'), ""),
        (rule('{ currency = ["000"] }'), "rule[0].when, line 5: currency: no currency of ISO 4217"),
        (rule('{ network = ["visa"] }'), ""),
        (rule('{ network = ["visaa"] }'), "network: no network: visaa; known are generic, visa"),
        (HEAD + '[groups.country]\na = ["GB"]\nb = ["@a", "UK"]\n', "groups.country.b, line 4"),
        (HEAD + row("fee", kind='"cross_border"', home='["UK"]'), "fee[0].home, line 5: country"),
        (HEAD + row("limit", measure='"count"', ceiling="1", window='"day"',
                    when='{ country = ["UK"] }'), "limit[0].when, line 7"),
    ],
)  # fmt: skip
def test_codes_that_nobody_has(text: str, said: str) -> None:
    policy = read_policy(text)
    if not said:
        check_codes(policy, text, ("generic", "visa"))
        return
    with pytest.raises(PolicyError) as caught:
        check_codes(policy, text, ("generic", "visa"))
    assert said in str(caught.value)
