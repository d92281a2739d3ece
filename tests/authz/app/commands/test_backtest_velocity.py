"""authz rules backtest under limits of every kind: each recorded answer comes out again."""

import asyncio
import json
from random import Random

import pytest
from click.testing import CliRunner

from authz.app import cli
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.hot import admin
from authz.judgement import put_policy
from authz.privacy import Pan
from tests.support.engine import KEYS, OTHER_PAN, PAN, World, account, code, purchase, reversal
from tests.support.hot import opened

POLICY = """
version = "{version}"
[[rule]]
name = "no vices"
when = {{ mcc = ["7995"] }}
outcome = "decline"
[[limit]]
name = "rolling"
per = "account"
measure = "amount"
ceiling = {amount}
window = "10m"
[[limit]]
name = "each kind"
measure = "count"
ceiling = 3
window = "5m"
each = "mcc"
[[limit]]
name = "shops"
per = "account"
measure = "merchants"
ceiling = {shops}
window = "20m"
[[limit]]
name = "lands"
measure = "countries"
ceiling = 2
window = "day"
when = {{ amount_from = 1500 }}
[[limit]]
name = "told no"
measure = "declines"
ceiling = 3
window = "{window}"
"""
NAMES = {"US": "NEW YORK", "FR": "PARIS", "DE": "BERLIN"}


@pytest.mark.parametrize("seed", range(3))
def test_what_was_in_force_says_what_it_said(fresh_redis: str, seed: int) -> None:
    dice, reasons = Random(seed), dict[str, int]()

    async def scenario() -> None:
        state, client = await opened(fresh_redis), admin.administrator(fresh_redis)
        now_ms = 1000 * int((await client.time())[0]) + 60_000
        world = World(state)
        world.clock.advance((now_ms - world.clock.now_ms()) / 1000)
        await put_accounts(
            state, [NewAccount(profile=account("A1"), opening_minor=9_000_000)], "test"
        )
        cards = [NewCard(pan=Pan(pan), account_id="A1", expiry="2812") for pan in (PAN, OTHER_PAN)]
        await put_cards(state, KEYS, cards, "test")
        link, stan = world.link(), 1
        for version, amount, shops, window in ((1, 9000, 2, "1m"), (2, 30_000, 4, "90s")):
            policy = POLICY.format(version=version, amount=amount, shops=shops, window=window)
            await put_policy(client, policy, "test")
            for _ in range(120):
                stan += 2
                # Some come late, so that a window is asked for that others have passed.
                at = now_ms - 3_000_000 + stan * 6000 - dice.choice([0, 0, 0, 40_000])
                land = dice.choice(["US", "US", "FR", "DE"])
                bought = purchase(
                    stan, dice.choice([100, 900, 1600, 2500]), at_ms=at,
                    de2=dice.choice([PAN, OTHER_PAN]),
                    de18=dice.choice(["5411"] * 3 + ["5812"] * 3 + ["7995"]),
                    de42=f"SHOP{dice.randint(1, 5):011}",
                    de43="SHOP".ljust(25) + NAMES[land].ljust(13) + land,
                    de60=dice.choice(["", "", "000000000100"]),
                )  # fmt: skip
                back = reversal(bought, stan + 1, at_ms=at + 1000)
                when = dice.random()
                if when < 0.05:
                    await link.say("0400", back)
                said = code(await link.say("0100", bought))
                reasons[said] = reasons.get(said, 0) + 1
                if when > 0.7:
                    await link.say("0400", back)
                elif when > 0.6:
                    original = f"0100{bought[11]}{bought[7]}{bought[32]:0>11}{'':0>11}"
                    more = {**bought, 11: f"{stan + 1:06}", 4: f"{700:012}", 90: original}
                    more[37] = f"{stan + 1:012}"
                    said = code(await link.say("0100", more))
                    reasons[said] = reasons.get(said, 0) + 1
        await client.aclose()
        state._connection.close()  # type: ignore[union-attr]
        await asyncio.sleep(0)

    asyncio.run(scenario())
    assert {"00", "61", "65"} <= reasons.keys(), reasons
    words = ["rules", "backtest", "--redis", fresh_redis, "--json", "-"]
    result = CliRunner().invoke(cli.main, words, env={"AUTHZ_REDIS_FSYNC": "off"})
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)["report"]
    assert report["requests"] == sum(reasons.values())
    assert report["same"] == report["requests"], report
