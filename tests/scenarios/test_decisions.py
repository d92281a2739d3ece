"""One row, one story: neighbours differ in one cell. Plan, verdict and reason together."""

import pytest

from rules.facts import AccountState, CardState
from tests.support.engine import World, account, card, code, purchase, run

# Card C: 100.00 a day, 3 times a day, 60.00 at once, 7995 (gambling) blocked, good until 2026-03.
# DE 7 is 2026-03-22 12:00:00 UTC. Columns are what a decline may depend on; `-` is left out.
TABLE = """
card      account  expiry  stated  mcc   country  currency  used   times  open   amount   code  reason
active    active   2603    2603    5411  US       840       0      0      50000  5000     00    # approved
active    active   2603    -       5411  US       840       0      0      50000  5000     00    # DE 14 may be absent
active    active   2602    2602    5411  US       840       0      0      50000  5000     54    # card_expired: last month
active    active   2604    2603    5411  US       840       0      0      50000  5000     54    # expiry_mismatch
closed    active   2602    2602    5411  US       840       0      0      50000  5000     14    # card_closed, before expired
lost      active   2602    2602    5411  US       840       0      0      50000  5000     41    # card_lost, before expired
stolen    active   2602    2602    5411  US       840       0      0      50000  5000     43    # card_stolen, before expired
expired   active   2603    2603    5411  US       840       0      0      50000  5000     54    # said to be expired
inactive  active   2603    2603    5411  US       840       0      0      50000  5000     62    # card_inactive
frozen    active   2603    2603    5411  US       840       0      0      50000  5000     62    # card_frozen
frozen    closed   2603    2603    5411  US       840       0      0      50000  5000     62    # the card before its account
active    closed   2603    2603    5411  US       840       0      0      50000  5000     14    # account_closed
active    frozen   2603    2603    5411  US       840       0      0      50000  5000     62    # account_frozen
active    active   2603    2603    7995  US       840       0      0      50000  5000     57    # mcc_blocked
active    active   2603    2603    5411  KP       840       0      0      50000  5000     57    # country_blocked
active    active   2603    2603    5411  US       978       0      0      50000  5000     57    # currency_mismatch
active    active   2603    2603    5411  US       840       0      0      50000  6000     00    # exactly the limit at once
active    active   2603    2603    5411  US       840       0      0      50000  6001     61    # transaction_limit
active    active   2603    2603    5411  US       840       5000   1      50000  5000     00    # exactly the daily amount
active    active   2603    2603    5411  US       840       5001   1      50000  5000     61    # daily_amount_limit
active    active   2603    2603    5411  US       840       200    2      50000  5000     00    # the third of three
active    active   2603    2603    5411  US       840       300    3      50000  5000     65    # daily_count_limit
active    active   2603    2603    5411  US       840       5001   3      50000  5000     65    # count before amount
active    active   2603    2603    5411  US       840       0      0      5000   5000     00    # exactly the funds
active    active   2603    2603    5411  US       840       0      0      4999   5000     51    # funds_insufficient
active    active   2603    2603    5411  US       840       5001   1      4999   5000     61    # a limit before funds
active    active   2603    2603    5411  US       840       5900   3      4999   0        00    # an account check uses nothing
active    active   2603    2603    5411  US       978       0      0      50000  0        00    # an account check has no money to mismatch
frozen    active   2603    2603    5411  US       978       0      0      50000  0        62    # nor is it approved for that
frozen    active   2603    2603    5411  US       840       0      0      50000  0        62    # and is declined on facts
"""  # noqa: E501


def rows() -> list[dict[str, str]]:
    lines = TABLE.strip().splitlines()
    names = lines[0].split()[:-1]
    return [
        dict(zip(names, line.split()), why=line.partition("#")[2].strip()) for line in lines[1:]
    ]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["why"])
def test_decision(row: dict[str, str]) -> None:
    async def story() -> None:
        world = World()
        spent = int(row["used"])
        await world.put_account(
            account(state=AccountState.ACTIVE), opening=int(row["open"]) + spent
        )
        controls = {
            "transaction_limit_minor": 6000, "daily_amount_minor": 10_000, "daily_count": 3,
            "blocked_mccs": ("7995", "7801"), "expiry": row["expiry"],
        }  # fmt: skip
        link = world.link()
        world.hot.blocked = (1, frozenset({("country", "KP")}))
        # What was spent before today's question, while the card was good.
        await world.put_card(card(**(controls | {"expiry": "9912"})))
        for n in range(int(row["times"])):
            amount = spent - (int(row["times"]) - 1) * 50 if n == 0 else 50
            first = await link.say("0100", purchase(100 + n, amount, de14=""))
            assert code(first) == "00"
        await world.put_account(account(state=AccountState(row["account"])))
        await world.put_card(card(state=CardState(row["card"]), **controls))

        location = "SHOP".ljust(25) + "CITY".ljust(13) + row["country"]
        stated = "" if row["stated"] == "-" else row["stated"]
        asked = purchase(
            1, int(row["amount"]), de18=row["mcc"], de43=location, de49=row["currency"], de14=stated
        )
        answer = await link.say("0100", asked)

        assert code(answer) == row["code"]
        assert (38 in answer) == (row["code"] == "00")

    run(story())
