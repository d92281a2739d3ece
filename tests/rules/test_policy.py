"""Policies: what is read, and that what is wrong is told with its place and changes nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.policy import MCC as MCC_CODES
from rules.policy import Rule, read_policy, resolve
from rules.policy_text import PolicyError

HEAD = 'version = "1"\n'


def rule(**keys: str) -> str:
    lines = {"name": '"a"', "outcome": '"decline"'} | keys
    return "\n[[rule]]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items() if value)


def limit(**keys: str) -> str:
    lines = {"name": '"a"', "measure": '"count"', "ceiling": "3", "window": '"day"'} | keys
    return "\n[[limit]]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items() if value)


def test_a_policy_is_read_whole() -> None:
    policy = read_policy(
        HEAD
        + '[groups.mcc]\ngambling = ["7995", "7800-7802"]\n'
        + rule(
            when='{ mcc_group = ["gambling"], not = { country = ["US"] } }',
            scope='{ program = "p" }',
        )
        + limit(name='"b"', per='"account"', when="{ cash = true }")
    )
    assert [row.name for row in policy.rule] == ["a"]
    assert policy.rule[0].scope.level == "program"
    assert policy.limit[0].when.cash is True


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "object missing required field `version`"),
        ("version = 1", "version, line 1: expected `str`"),
        ("[", "not TOML"),
        (HEAD + "\nrules = 1", "unknown field `rules`"),
        (HEAD + rule(name='"-"'), "rule[0].name, line 4"),
        (
            HEAD + rule() + rule(name='"b"', outcom='"x"'),
            "rule[1], line 7: object contains unknown field `outcom`; did you mean outcome?",
        ),
        (
            HEAD + rule(when="{ not = { amount_form = 1 } }"),
            "unknown field `amount_form`; did you mean amount_from?",
        ),
        (HEAD + rule(scope='{ shop = "p" }'), "`shop`; known are program, account, card"),
        (
            HEAD + rule(name='"b"') + rule(outcome='"perhaps"'),
            "rule[1].outcome, line 9: invalid enum",
        ),
        (HEAD + rule() + rule(), "rule[1].name, line 8: used before, by rule[0]"),
        (HEAD + rule() + limit(), "limit[0].name, line 8: used before, by rule[0]"),
        (HEAD + rule(when='{ mcc = ["12"] }'), "rule[0].when, line 6: mcc: not a code: 12"),
        (HEAD + rule(when='{ mcc = ["7802-7800"] }'), "a range that ends before it begins"),
        (HEAD + rule(when='{ country = ["us"] }'), "country: not a code: us"),
        (
            HEAD + rule(when='{ currency = ["USD"] }'),
            "currency: not a code: USD (three digits, as 840)",
        ),
        (HEAD + rule(when='{ time = "9-17" }'), "time: expected HH:MM-HH:MM"),
        (HEAD + rule(when='{ time = "24:00-01:00" }'), "time: expected HH:MM-HH:MM"),
        (HEAD + rule(when='{ time = "09:00-09:00" }'), "time: from and to are the same"),
        (HEAD + rule(when="{ amount_from = 2, amount_to = 1 }"), "amount_from: above amount_to"),
        (HEAD + rule(when="{ amount_from = -1 }"), "rule[0].when.amount_from"),
        (HEAD + rule(when='{ mcc_group = ["x"] }'), "mcc_group: no group x"),
        (HEAD + rule(when='{ channel = ["pigeon"] }'), "value 'pigeon'; known are chip, contac"),
        (
            HEAD + rule(outcome='"refuse"'),
            "rule[0].outcome, line 5: invalid enum value 'refuse'; known",
        ),
        (HEAD + rule(scope='{ program = "p", card = "c" }'), "names more than one of"),
        (
            HEAD + rule(scope="{ except_cards = [] }"),
            "rule[0].scope.except_cards, line 6: expected",
        ),
        (HEAD + rule(scope='{ except_cards = ["999901123456"] }'), "scope, line 6: a card number"),
        (HEAD + rule(reason='"card_lost"'), "cannot decline as card_lost"),
        (HEAD + rule(outcome='"refer"', reason='"mcc_blocked"'), "refer has no reason"),
        (HEAD + rule(outcome='"cap"'), "a cap needs an amount"),
        (HEAD + rule(outcome='"uplift"'), "an uplift needs an amount or percent"),
        (HEAD + rule(outcome='"flag"', amount="1"), "flag takes no amount"),
        (HEAD + rule(outcome='"cap"', amount="1", percent="1"), "cap takes no percent"),
        (
            HEAD + limit(window='"9s"'),
            "limit[0].window, line 7: unknown; known are hour, day, week, "
            "month, year, lifetime, and rolling ones of 10s to 90d",
        ),
        (HEAD + limit(window='"91d"'), "limit[0].window, line 7: unknown"),
        (
            HEAD + limit(measure='"merchants"', ceiling="101"),
            "limit[0].ceiling, line 6: more than 100",
        ),
        (HEAD + limit(measure='"shops"'), "limit[0].measure, line 5"),
        (
            HEAD + limit(per='"program"', measure='"declines"'),
            "limit[0].measure, line 5: of a program only amount and count",
        ),
        (
            HEAD + limit(per='"program"', window='"24h"'),
            "limit[0].window, line 7: of a program only hour, day",
        ),
        (HEAD + limit(per='"program"', each='"mcc"'), "limit[0].each, line 9: not of a program"),
        (HEAD + limit(per='"town"'), "limit[0].per, line 8"),
        (HEAD + limit(each='"terminal"'), "limit[0].each, line 8"),
        (HEAD + limit(window='"fortnight"'), "limit[0].window, line 7: unknown; known are hour"),
        (HEAD + limit(ceiling="-1"), "limit[0].ceiling, line 6"),
        (
            HEAD + '[groups.mcc]\na = ["@b"]\nb = ["@a"]\n',
            "groups.mcc.a, line 3: a group in itself",
        ),
        (HEAD + '[groups.mcc]\na = ["@b"]\n', "groups.mcc.a, line 3: no group b"),
        (HEAD + rule(when="{ not = " * 10 + "{ cash = true }" + "}" * 10), "more than 8 deep"),
        ("x = " + "[" * 5000, ""),
        ("# a\n" + "a." * 100_000 + "b = 1\n", "line 2: a key of more than 16 parts"),
        ("[" + "'a' . " * 40_000 + "b]\n", "line 1: a key of more than 16 parts"),
        ('"a\\"" .' * 30_000 + "b = 1\n", "line 1: a key of more than 16 parts"),
        (HEAD + rule(amount="9" * 5000), "not TOML: a number of thousands of digits"),
        (HEAD + rule(amount="9" * 30), "rule[0].amount, line 6"),
        ("version = 2026-11-21", "version, line 1: expected `str`, got `date`"),
        ('version = "a\\n"', "version, line 1"),
        (HEAD + HEAD, "not TOML"),
        (HEAD + rule(when="{ mcc = [] }"), "rule[0].when.mcc, line 6: expected `array` of length"),
        (HEAD + rule(when="{ any = [] }"), "rule[0].when.any, line 6"),
        (HEAD + rule(when="{ weekday = [] }"), "rule[0].when.weekday, line 6"),
        (HEAD + "[groups.mcc]\na = []\n", "groups.mcc, line 2: expected `array`"),
        (HEAD + rule(when='{ mcc = ["٥٤١١"] }'), "mcc: not a code"),
        (HEAD + rule(scope='{ card = "" }'), "rule[0].scope.card, line 6"),
        (HEAD + limit(name='"a/b"'), "limit[0].name, line 4"),
        (HEAD + 'rule = [{ name = "a", outcome = "cap" }]', "rule[0].outcome, line 2: a cap needs"),
        (
            HEAD + limit() + rule(name='"b"') + '[rule.when]\nmcc = ["1"]\n',
            "rule[0].when, line 12: mcc",
        ),
        (
            HEAD + "[groups.mcc]\n" + "".join(f'a{n} = ["@a{n + 1}"]\n' for n in range(3000)),
            "groups in groups, more than 8 deep",
        ),
        (
            HEAD
            + rule(when='{ mcc = ["0000-9999"] }')
            + "".join(rule(name=f'"{n}"', when='{ mcc = ["0000-9999"] }') for n in range(50)),
            "more than 500000 codes in all conditions",
        ),
        (
            HEAD + rule(when="{ merchant_name = [" + '"*a*",' * 1001 + "] }"),
            "more than 1000 merchant names",
        ),
        ("#" * 300_000, "has more than"),
        (
            HEAD + "".join(limit(name=f'"{n}"', measure='"merchants"') for n in range(9)),
            "more than 8 limits on different merchants or countries",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, said: str) -> None:
    with pytest.raises(PolicyError) as error:
        read_policy(text)
    assert said in str(error.value)


@given(st.text(max_size=200))
def test_any_text_is_a_policy_or_its_error(text: str) -> None:
    for given_text in (text, HEAD + text, HEAD + "[[rule]]\n" + text):
        said = ""
        try:
            said = read_policy(given_text).version
        except PolicyError as error:
            said = str(error)
        assert said


def test_groups_stand_for_others() -> None:
    groups = {"a": ("@b", "5411"), "b": ("7800-7802",)}
    assert resolve("a", groups, MCC_CODES) == {("7800", "7802"), ("5411", "5411")}


def test_a_rule_says_by_itself_whom_it_is_about() -> None:
    assert Rule(name="a", outcome="flag").scope.level == "program"


TEST_PAN = "9999990000000010"
TWELVE = "999999000006"


@pytest.mark.parametrize(
    "text",
    [
        f"# {TEST_PAN}",
        "# 9999 9900 0000 0014",
        rule(scope=f'{{ card = "{TEST_PAN}" }}'),
        rule(scope=f'{{ card = "{int(TEST_PAN) + 1}" }}'),
        rule(scope=f'{{ account = "{int(TEST_PAN) + 1}" }}'),
        rule(name=f'"{TEST_PAN}"'),
        rule(outcome=f'"{TEST_PAN}"'),
        rule(when=f'{{ mcc = ["{TEST_PAN}"] }}'),
        rule(when=f'{{ merchant = ["{TEST_PAN}"] }}'),
        f'[groups.mcc]\n{TEST_PAN} = ["5411"]',
        "# x9999990000000014y",
        "# 9999\u00a09900\u00a00000\u00a00014",
        "# 9999  9900  0000  0014",
        f"# {''.join(chr(ord(digit) + 0xFEE0) for digit in TEST_PAN)}",
        f"# {''.join(chr(ord(digit) + 0x630) for digit in TEST_PAN)}",
        f"# {TWELVE}",
        rule(when='{ merchant = ["378282246310005"] }') + "# 378282246310005",
    ],
)
def test_a_card_number_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(PolicyError) as error:
        read_policy(HEAD + text)
    assert "card number" in str(error.value)
    assert "9999990" not in str(error.value)
    assert "line " in str(error.value)


def test_a_card_number_that_is_spelt_with_escapes_is_refused() -> None:
    with pytest.raises(PolicyError, match="has a card number"):
        read_policy(HEAD + rule(name=f'"\\u0039{TEST_PAN[1:]}"'))


def test_a_merchant_may_have_a_number_like_a_card() -> None:
    read_policy(HEAD + rule(when='{ merchant = ["999999000000012"], amount_to = 1000000000000 }'))
    read_policy(HEAD + "# 5411 5412 5413 5414 on 2026-11-21 15:30, ask +49 170 1234567\n")


def test_groups_that_name_one_another_over_and_over_are_read_once() -> None:
    groups = {f"a{n}": (f"@a{n + 1}",) * 1000 for n in range(8)} | {"a8": ("5411",)}
    assert resolve("a0", groups, MCC_CODES) == {("5411", "5411")}
