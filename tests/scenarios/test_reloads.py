"""A storm of reloads under load, over TCP: no answer is lost, none is by another policy than its
journal entry names."""

import asyncio
import time
from typing import Any

import uvloop

from authz.app.explaining import request_of
from authz.control import NewAccount, NewCard, put_accounts, put_cards
from authz.dispatch import Dispatcher
from authz.engine import Settings
from authz.hot import admin, keys
from authz.judgement import put_lists, put_policy
from authz.privacy import Pan
from authz.profiles import read_account, read_card
from authz.server import Server
from authz.session import LinkSettings
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS
from ledger.journal import (
    AccountBody,
    AuthorizationBody,
    CardBody,
    Entry,
    JudgementBody,
    read_entry,
)
from rules.decide import decide
from rules.judge import NO_JUDGE, Judge
from rules.lists import ALWAYS, BLOCK, Lists
from rules.policy import read_policy
from tests.authz.test_dialer import Listening
from tests.scenarios.test_live_links import Caller
from tests.support.engine import KEYS, NOON, World, account, purchase
from tests.support.hot import opened

RELOADS, CALLERS = 100, 8
SHOP = "MERCHANT0000001"
CODES = {"approved": "00", "rule_declined": "05", "merchant_blocked": "57"}
PANS = [f"99999900001{n}00" + "00" for n in range(CALLERS)]


def policy(n: int) -> str:
    """Another ceiling each time, and every third one no rules at all."""
    rule = f'name = "r{n}"\noutcome = "decline"\nwhen = {{ amount_from = {n * 7 % 100 + 1} }}'
    return f'version = "{n}"\n' + (f"[[rule]]\n{rule}" if n % 3 else "")


def test_a_hundred_reloads_under_load(fresh_redis: str) -> None:
    answers: dict[int, str] = {}

    async def whole() -> list[Entry]:
        now_ms = time.time_ns() // 1_000_000
        patient = Settings(hot_deadline_s=60)  # its clock stands still
        world, client = World(await opened(fresh_redis), patient), admin.administrator(fresh_redis)
        world.engine.store_offset_ms = now_ms - NOON
        server = Server(Dispatcher(world.engine, KEYS), world.clock, Listening())
        for n, pan in enumerate(PANS):
            new = NewAccount(profile=account(f"A{n}"), opening_minor=10**9)
            await put_accounts(world.hot, [new], "test")
            one = NewCard(pan=Pan(pan), account_id=f"A{n}", expiry="2812")
            await put_cards(world.hot, KEYS, [one], "test")
        settings = LinkSettings(
            name="test", dialect=BY_NAME["iso87_ascii"], framing=FRAMINGS["ascii4"],
            sign_on_required=False,
        )  # fmt: skip
        port = await server.listen(settings, "127.0.0.1", 0)
        done = asyncio.Event()

        async def call(n: int) -> None:
            caller = await Caller(port, settings.dialect, settings.framing).open()
            stan = n * 100_000
            while not done.is_set():
                stan += 1
                fields = purchase(stan, stan * 13 % 100 + 1, at_ms=now_ms, de2=PANS[n])
                said = await caller.ask("0100", fields)
                answers[stan] = str(said[39])
            caller.writer.close()

        async def reload() -> None:
            for n in range(RELOADS):
                if n % 10:
                    await put_policy(client, policy(n), "test")
                else:
                    shop = [("merchant", SHOP)] if n % 20 else []
                    await put_lists(client, [("country", "KP"), *shop], "test")
            done.set()

        await asyncio.gather(*(call(n) for n in range(CALLERS)), reload())
        rows: list[Any] = []
        for shard in keys.ALL_SHARDS:
            rows += await client.xrange(keys.journal(shard))
        await client.aclose()
        await server.close()
        world.hot._connection.close()
        await asyncio.sleep(0.01)
        return [read_entry(*row) for row in rows]

    entries = uvloop.run(whole())
    assert check(entries, answers) > 30, "versions were met"


def check(entries: list[Entry], answers: dict[int, str]) -> int:
    """Each entry by the text of the version that it names. Returns how many versions there were."""
    cards, accounts, texts = {}, {}, {0: ""}
    lists = {0: Lists()}  # the shop's own block is all that a request may meet
    for entry in entries:
        body = entry.body
        if isinstance(body, JudgementBody) and body.packed:
            assert body.version == len(texts), "every version, once and in order"
            changed = {kind: after for kind, _, after in body.change.texts}
            texts[body.version] = changed.get("policy", texts[body.version - 1])
            lists[body.version] = lists[body.version - 1]
            for field, _, after in body.change.entries:
                if field == f"block/merchant/{SHOP}":
                    lists[body.version] = Lists(body.version)
                    lists[body.version].put(BLOCK, "merchant", SHOP, ALWAYS if after else None)
        elif isinstance(body, CardBody):
            cards[entry.envelope.card_id] = read_card(bytes(body.profile))
        elif isinstance(body, AccountBody):
            accounts[entry.envelope.account_id] = read_account(bytes(body.profile))
    judges = {
        version: Judge(read_policy(text)) if text else NO_JUDGE for version, text in texts.items()
    }
    judged = {}
    for entry in entries:
        body, e = entry.body, entry.envelope
        if isinstance(body, AuthorizationBody):
            judge = judges[e.versions[2]]
            plan = decide(
                request_of(body),
                cards[e.card_id],
                accounts[e.account_id],
                lists[e.versions[2]],
                judge,
            )
            assert (plan.reason, plan.rule, judge.version) == (body.planned, body.rule, body.policy)
            assert int(body.stan) not in judged, "judged once"
            judged[int(body.stan)] = CODES[body.planned]
    # A request that met two reloads in its few milliseconds is told to ask again, and left nothing.
    undecided = {stan for stan, code in answers.items() if code == "91"}
    assert judged == {stan: code for stan, code in answers.items() if stan not in undecided}
    assert len(undecided) <= len(answers) // 20
    return len({e.envelope.versions[2] for e in entries if e.envelope.kind == "authorization"})
