"""A policy in force: what it says to messages, how it changes, and what the journal keeps of it."""

import asyncio
from typing import Any

import pytest
from click.testing import CliRunner, Result

from authz.app import cli
from authz.hot import admin, keys
from authz.judgement import put_lists, put_policy, standing_in
from tests.support.engine import NOON, World, card, code, held, purchase, reversal, run, used

PARTIAL = "000000000100"  # DE 60
HEAD = 'version = "1"\n'


async def ruled(policy: str, opening: int = 10_000, **limits: Any) -> World:
    world = await World().open_with(opening, **limits)
    change(world, policy)
    return world


def change(world: World, policy: str) -> None:
    """Another policy is in force from now on, and no engine has heard of it."""
    version, entries = world.hot.blocked
    others = {entry for entry in entries if entry[0] != "policy"}
    world.hot.blocked = version + 1, frozenset(others | {("policy", HEAD + policy)})


def rule(outcome: str, when: str = "", **keys: str) -> str:
    lines = {"name": f'"{outcome}"', "outcome": f'"{outcome}"', "when": f"{{ {when} }}"} | keys
    return "[[rule]]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())


@pytest.mark.parametrize(
    ("policy", "changes", "answer", "holds"),
    [
        (rule("decline", 'mcc = ["5411"]'), {}, "05", 0),
        (rule("decline", 'mcc = ["5412"]'), {}, "00", 5000),
        (rule("decline", reason='"suspected_fraud"'), {}, "59", 0),
        (rule("decline", 'channel = ["ecommerce"]', reason='"channel_blocked"'),
         {"de22": "812"}, "57", 0),
        (rule("refer", "amount_from = 5000"), {}, "01", 0),
        (rule("refer", "amount_from = 5001"), {}, "00", 5000),
        (rule("cap", amount="4999"), {}, "61", 0),
        (rule("cap", amount="4999"), {"de60": PARTIAL}, "10", 4999),
        (rule("cap", amount="5000"), {}, "00", 5000),
        (rule("uplift", percent="20"), {}, "00", 6000),
        (rule("uplift", amount="9000"), {}, "00", 10_000),
        (rule("approve", 'country = ["US"]') + rule("decline"), {}, "00", 5000),
        (rule("flag"), {}, "00", 5000),
    ],
    ids=str,
)  # fmt: skip
def test_what_rules_say_to_a_purchase(
    policy: str, changes: dict[str, str], answer: str, holds: int
) -> None:
    async def story() -> None:
        world = await ruled(policy)
        link = world.link()
        said = await link.say("0100", purchase(1, 5000, **changes))
        assert code(said) == answer
        assert held(world) == holds
        assert (await link.say("0101", purchase(1, 5000, **changes))).values == said.values

    run(story())


def test_a_cap_and_a_partial_reversal_that_came_first() -> None:
    async def story() -> None:
        world = await ruled(rule("cap", amount="4000"))
        link = world.link()
        asked = purchase(1, 5000, de60=PARTIAL)
        await link.say("0400", reversal(asked, de95=f"{3000:012}{'':0>30}"))
        assert code(await link.say("0100", asked)) == "61", "no part is offered then"
        assert held(world) == 0

    run(story())


def test_another_policy_is_in_force_from_the_very_next_message_on_every_engine() -> None:
    async def story() -> None:
        world = await ruled(rule("decline"))
        links = [world.link(), world.link(world.another_engine(name="e2"))]
        for n, link in enumerate(links):
            assert code(await link.say("0100", purchase(1 + n, 100))) == "05"
        change(world, rule("flag"))
        for n, link in enumerate(links):
            assert code(await link.say("0100", purchase(11 + n, 100))) == "00"
        assert code(await links[0].say("0101", purchase(1, 100))) == "05", "what was said stands"

    run(story())


def test_a_limit_counts_per_card_or_account_and_gives_back() -> None:
    async def story() -> None:
        world = await ruled(
            '[[limit]]\nname = "a"\nmeasure = "amount"\nceiling = 6000\nwindow = "day"\n'
            '[[limit]]\nname = "b"\nmeasure = "count"\nceiling = 2\nwindow = "month"\n'
            'per = "account"\n'
        )
        await world.put_card(card("C2"), "9999990000000028")
        link = world.link()
        first = purchase(1, 6000)
        assert code(await link.say("0100", first)) == "00"
        assert code(await link.say("0100", purchase(2, 1))) == "61"
        assert used(world) == {"C1/a/amount/20260322": 6000, "@A1/b/count/202603": 1}
        assert code(await link.say("0400", reversal(first))) == "00"
        assert used(world) == {}
        for stan in (3, 4):
            assert code(await link.say("0100", purchase(stan, 100))) == "00"
        other = {"de2": "9999990000000028"}
        assert code(await link.say("0100", purchase(5, 100, **other))) == "65", "the account's"

    run(story())


def test_an_increment_is_asked_the_same_rules() -> None:
    async def story() -> None:
        world = await ruled(rule("decline", "amount_from = 3000"))
        link = world.link()
        first = purchase(1, 2999)
        await link.say("0100", first)
        original = f"0100{first[11]}{first[7]}{'':0>22}"
        for amount, answer in ((3000, "05"), (2999, "00")):
            more = purchase(10 + amount, amount, at_ms=NOON + 1000, de90=original)
            assert code(await link.say("0100", more)) == answer
        assert held(world) == 5998

    run(story())


def test_an_increment_that_is_capped_is_declined_even_where_less_would_do() -> None:
    async def story() -> None:
        world = await ruled(rule("cap", amount="1000"))
        link = world.link()
        first = purchase(1, 1000)
        await link.say("0100", first)
        original = f"0100{first[11]}{first[7]}{'':0>22}"
        more = purchase(2, 1001, at_ms=NOON + 1000, de90=original, de60=PARTIAL)
        assert code(await link.say("0100", more)) == "61"
        assert held(world) == 1000

    run(story())


def test_uplifts_leave_account_checks_inquiries_and_refunds_alone() -> None:
    async def story() -> None:
        world = await ruled(rule("uplift", amount="500"))
        link = world.link()
        assert code(await link.say("0100", purchase(1, 0))) in ("00", "85")
        assert code(await link.say("0100", purchase(2, 0, de3="300000"))) == "00"
        assert code(await link.say("0100", purchase(3, 100, de3="200000"))) == "00"
        assert held(world) == 0

    run(story())


# -- the command -----------------------------------------------------------------------------


def asked(*words: str) -> Result:
    return CliRunner().invoke(cli.main, ["rules", *words], env={"AUTHZ_REDIS_FSYNC": "off"})


def test_a_policy_is_checked_compared_and_put_in_force(fresh_redis: str, tmp_path: Any) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(HEAD + rule("decline", 'mcc = ["7995"]'))
    bad.write_text(HEAD + rule("decline", 'mcc = ["79"]'))
    store = ("--redis", fresh_redis)

    async def begin() -> None:
        client = admin.administrator(fresh_redis)
        await admin.install(client)
        await admin.open_gates(client, new=True, source="test")
        await put_lists(client, [("country", "KP")], "test")
        await client.aclose()

    asyncio.run(begin())
    assert asked("check", str(good)).output == "policy 1: 1 rule, 0 limits\n"
    wrong = asked("check", str(bad))
    assert (wrong.exit_code, wrong.output) == (
        1, "Error: bad.toml: rule[0].when, line 5: mcc: not a code: 79\n"
    )  # fmt: skip
    assert "no policy is in force" in asked("show", *store).output
    assert asked("diff", str(good), *store).exit_code == 1
    loaded = asked("load", str(good), *store)
    assert loaded.exit_code == 0, loaded.output
    assert "in force, judgement 2" in loaded.output
    assert asked("load", str(bad), *store).exit_code == 1
    assert asked("show", *store).output == good.read_text()
    assert asked("diff", str(good), *store).output == "no difference\n"
    assert "in force already" in asked("load", str(good), *store).output

    async def lists_stay() -> tuple[Any, Any]:
        client = admin.administrator(fresh_redis)
        members = await client.hkeys(keys.LISTS)
        version, changed = await put_policy(client, "", "test")
        await client.aclose()
        return members, (version, changed)

    members, taken_out = asyncio.run(lists_stay())
    assert b"block/country/KP" in members
    assert taken_out == (3, True)
    assert "no policy is in force" in asked("show", *store).output


def test_a_draft_is_put_beside_the_policy_and_taken_away(fresh_redis: str, tmp_path: Any) -> None:
    live, draft = tmp_path / "live.toml", tmp_path / "draft.toml"
    live.write_text(HEAD + rule("decline", 'mcc = ["7995"]'))
    draft.write_text(HEAD + rule("refer"))
    store = ("--redis", fresh_redis)

    async def begin() -> None:
        client = admin.administrator(fresh_redis)
        await admin.install(client)
        await admin.open_gates(client, new=True, source="test")
        await put_lists(client, [("country", "KP")], "test")
        await client.aclose()

    async def kinds() -> list[str]:
        client = admin.administrator(fresh_redis)
        standing = await standing_in(client)
        await client.aclose()
        return sorted([*(kind for kind, text in standing.texts.items() if text), *standing.counts])

    asyncio.run(begin())
    assert asked("load", str(live), *store).exit_code == 0
    said = asked("shadow", str(draft), *store)
    assert (
        said.output
        == "policy 1: 1 rule, 0 limits: judges beside the policy in force, judgement 3\n"
    )
    assert asyncio.run(kinds()) == ["block/country", "policy", "shadow"]
    assert asked("show", *store).output == live.read_text()
    assert asked("load", str(draft), *store).exit_code == 0
    assert asyncio.run(kinds()) == ["block/country", "policy", "shadow"]
    assert asked("shadow", "--off", *store).output == "no draft judges, judgement 5\n"
    assert asyncio.run(kinds()) == ["block/country", "policy"]
    assert asked("shadow", *store).exit_code == 2
    assert asked("shadow", str(draft), "--off", *store).exit_code == 2
