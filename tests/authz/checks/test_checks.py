"""Optional checks over real sockets: fast, slow, silent, broken, gone; and what follows of each."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
import uvloop
from msgspec.msgpack import decode

from authz.app.explaining import request_of
from authz.backoff import Backoff
from authz.checks import link, panel, words
from authz.checks.link import OUTCOMES, Check
from authz.checks.panel import Panel
from authz.checks.settings import CheckConfig, Tells, WhenSpent
from authz.clock import SystemClock
from authz.engine import Settings
from authz.hot.acts import Stale
from authz.hot.memory import MemoryHotState
from ledger.journal import AuthorizationBody, IncrementBody
from rules.facts import AuthorizationRequest, CardState
from tests.authz.test_server import until
from tests.scenarios.test_policy import change, rule
from tests.support.engine import NOON, PAN, World, card, code, held, purchase, run
from tests.support.scorer import Scorer

ALL: tuple[Tells, ...] = ("risk", "device", "ip", "authenticated", "token")
SHARE_MS = 80  # long for a scorer on this machine, even where all cores are busy
LATE_S = 0.4


class Seat:
    """A world whose engine asks scorers, with the counts of what came of it."""

    def __init__(self, world: World, hot: "Hot") -> None:
        self.world, self.hot = world, hot
        self.counts: Counter[str] = Counter()
        self.checks: list[Check] = []
        self._running: list[asyncio.Task[None]] = []
        self._scorers: list[Scorer] = []

    def seat(self, scorer: Scorer, **changes: Any) -> Check:
        base: dict[str, Any] = {
            "name": f"c{len(self.checks)}", "connect": scorer.address, "share_ms": SHARE_MS,
            "when_spent": "skip", "tells": ALL,
        }  # fmt: skip
        self._scorers.append(scorer)
        config = CheckConfig(**(base | changes))
        backoff = Backoff(0.01, 0.02, Random(1))
        check = Check(config, SystemClock(), backoff, lambda outcome: self._count(outcome))
        self.checks.append(check)
        self.world.engine.checks = Panel(self.checks)
        self._running.append(asyncio.ensure_future(check.run()))
        return check

    def _count(self, outcome: str) -> None:
        assert outcome in OUTCOMES
        self.counts[outcome] += 1

    async def up(self) -> None:
        await until(lambda: all(check.is_up() for check in self.checks))

    async def end(self) -> None:
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        for scorer in self._scorers:
            await scorer.stop()

    def bodies(self) -> list[AuthorizationBody]:
        """The questions that were journalled, oldest first."""
        bodies = [decode(raw, type=AuthorizationBody | IncrementBody) for raw in self.hot.bodies]
        return [body.asked if isinstance(body, IncrementBody) else body for body in bodies]


class Hot(MemoryHotState):
    """Keeps what it would journal."""

    def __init__(self) -> None:
        super().__init__(NOON)
        self.bodies: list[bytes] = []

    async def authorize(self, act: Any, timeout_s: float) -> Any:
        return self._kept(act, await super().authorize(act, timeout_s))

    async def apply(self, act: Any, timeout_s: float) -> Any:
        return self._kept(act, await super().apply(act, timeout_s))

    def _kept(self, act: Any, answer: Any) -> Any:
        if not isinstance(answer, Stale) and not answer.replayed and answer.kind != "mismatch":
            self.bodies.append(act.body)
        return answer


Story = Callable[[Seat], Awaitable[None]]


def play(story: Story, opening: int = 1_000_000, **limits: Any) -> None:
    async def whole() -> None:
        hot = Hot()
        seat = Seat(await World(hot).open_with(opening, **limits), hot)
        try:
            await story(seat)
        finally:
            await seat.end()

    uvloop.run(whole())


#  scorer answers     when spent     DE 39   skipped  counted
TABLE: list[tuple[str, WhenSpent, str, bool, str]] = [
    ("in time",       "skip",        "00",   False,   "answered"),
    ("in time",       "decline",     "00",   False,   "answered"),
    ("in time",       "refer",       "00",   False,   "answered"),
    ("late",          "skip",        "00",   True,    "late"),
    ("late",          "decline",     "05",   True,    "late"),
    ("late",          "refer",       "01",   True,    "late"),
    ("never",         "skip",        "00",   True,    "late"),
    ("never",         "decline",     "05",   True,    "late"),
    ("garbage",       "decline",     "05",   True,    "broken"),
    ("no id",         "decline",     "05",   True,    "broken"),
    ("too long",      "decline",     "05",   True,    "broken"),
    ("another's id",  "decline",     "05",   True,    "stray"),
    ("out of range",  "decline",     "05",   True,    "out_of_range"),
    ("like a card",   "decline",     "05",   True,    "out_of_range"),
    ("no address",    "decline",     "05",   True,    "out_of_range"),
    ("nothing",       "decline",     "00",   False,   "answered"),
    ("hangs up",      "refer",       "01",   True,    "lost"),
    ("is not there",  "decline",     "05",   True,    "down"),
    ("is not there",  "skip",        "00",   True,    "down"),
]  # fmt: skip

SAYS: dict[str, Any] = {
    "never": lambda asked: None,
    "garbage": b"risk=7\n",
    "no id": b'{"risk": 7}\n',
    "too long": b" " * 5000,
    "another's id": lambda asked: {"id": asked["id"] + 1, "risk": 7},
    "out of range": {"risk": 1000},
    "like a card": {"device": f"d{PAN}"},
    "no address": {"ip": "1.2.3"},
    "nothing": {},
}


@pytest.mark.parametrize("where", ["unix", "tcp"])
@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0]}, {row[1]}")
def test_what_follows(
    row: tuple[str, WhenSpent, str, bool, str], where: str, tmp_path: Path
) -> None:
    answers, when_spent, said, is_skipped, counted = row

    async def story(seat: Seat) -> None:
        scorer = Scorer(tmp_path / "s" if where == "unix" else None, SAYS.get(answers))
        await scorer.start()
        scorer.after_s = LATE_S if answers == "late" else 0
        scorer.hang_up = answers == "hangs up"
        seat.seat(scorer, when_spent=when_spent)
        await seat.up()
        if answers == "is not there":
            await scorer.stop()
            await until(lambda: not seat.checks[0].is_up())
        asked = purchase(1, 5000)
        answer = await seat.world.link().say("0100", asked)
        assert code(answer) == said
        assert held(seat.world) == (5000 if said == "00" else 0)
        [body] = seat.bodies()
        assert body.skipped == (("c0",) if is_skipped else ())
        assert body.skipped_means == (when_spent if is_skipped and when_spent != "skip" else "")
        assert body.risk == (700 if counted == "answered" and answers != "nothing" else 0)
        await until(lambda: seat.counts[counted] == 1)

    play(story)


def test_what_is_told_becomes_facts_and_what_is_not_listed_is_ignored() -> None:
    async def story(seat: Seat) -> None:
        says = {"risk": 700, "device": "d-1", "ip": "192.0.2.7", "authenticated": True, "more": []}
        one = await Scorer(says=says).start()
        two = await Scorer(says={"risk": 800, "device": "d-2", "token": True, "ip": 7}).start()
        seat.seat(one, tells=("risk", "device", "ip", "authenticated"))
        seat.seat(two, tells=("device", "token"))
        await seat.up()
        change(seat.world, rule("decline", "token = true, authenticated = true, risk_from = 701"))
        link = seat.world.link()
        assert code(await link.say("0100", purchase(1, 10))) == "00", "its score is not listed"
        change(seat.world, rule("decline", "token = true, authenticated = true, risk_from = 700"))
        assert code(await link.say("0100", purchase(2, 10))) == "05"
        for body in seat.bodies():
            told = body.risk, body.device, body.ip, body.authenticated, body.token
            assert told == (700, "d-1", "192.0.2.7", True, True)

    play(story)


def test_the_larger_score_counts() -> None:
    async def story(seat: Seat) -> None:
        scorer = await Scorer(says={"risk": 300}).start()
        seat.seat(scorer)
        await seat.up()
        network = request_of(AuthorizationBody(
            "visa", "k", "purchase", 1, "840", 1, "840", "5411", "", "", "", "", "", "", "1", "",
            NOON // 1000, "", (), 0, risk=301,
        ))  # fmt: skip
        known = await seat.world.engine.known("none", seat.world.engine.budget(0))
        assert known is None
        assert panel.with_told(network, [words.Told(risk=300)]).risk == 301
        assert panel.with_told(network, [words.Told(risk=302), words.Told()]).risk == 302
        assert panel.with_told(network, []).risk == 301

    play(story)


@pytest.mark.parametrize(
    ("policies", "said", "means"),
    [
        (("skip", "skip"), "00", ""),
        (("skip", "refer"), "01", "refer"),
        (("refer", "decline"), "05", "decline"),
        (("decline", "skip"), "05", "decline"),
    ],
)
def test_of_several_the_strictest_word_counts(
    policies: tuple[WhenSpent, ...], said: str, means: str
) -> None:
    async def story(seat: Seat) -> None:
        silent = await Scorer(says=lambda asked: None).start()
        fast = await Scorer(says={"risk": 7}).start()
        for policy in policies:
            seat.seat(silent, when_spent=policy)
        seat.seat(fast, when_spent="decline")
        await seat.up()
        started = SystemClock().monotonic()
        assert code(await seat.world.link().say("0100", purchase(1, 10))) == said
        assert SystemClock().monotonic() - started < 2 * SHARE_MS / 1000, "at the same time"
        [body] = seat.bodies()
        assert (body.skipped, body.skipped_means, body.risk) == (("c0", "c1"), means, 7)

    play(story)


def test_what_facts_decline_is_not_asked_and_what_a_rule_declines_is() -> None:
    async def story(seat: Seat) -> None:
        scorer = await Scorer(says={"authenticated": True}).start()
        seat.seat(scorer, when_spent="decline")
        await seat.up()
        link = seat.world.link()
        assert code(await link.say("0100", purchase(1, 6001))) == "61"
        assert code(await link.say("0100", purchase(2, 10, de2="9999990000000028"))) == "14"
        assert scorer.heard == []
        change(seat.world, rule("decline", "authenticated = false"))
        assert code(await link.say("0100", purchase(3, 10))) == "00", "a rule that hangs on it"
        assert len(scorer.heard) == 1

    play(story, transaction_limit_minor=6000)


def test_a_card_that_was_frozen_when_last_looked_at_is_asked_about_after_all() -> None:
    """Else an old fact in memory would let a request past a check that must be answered."""

    async def story(seat: Seat) -> None:
        silent = await Scorer(says=lambda asked: None).start()
        seat.seat(silent, when_spent="decline")
        await seat.up()
        link = seat.world.link()
        await seat.world.put_card(card(state=CardState.FROZEN))
        assert code(await link.say("0100", purchase(1, 10))) == "62"
        await seat.world.put_card(card())
        assert code(await link.say("0100", purchase(2, 10))) == "05"
        assert len(silent.heard) == 1

    play(story)


def test_a_second_plan_and_a_repeat_do_not_ask_again() -> None:
    async def story(seat: Seat) -> None:
        scorer = await Scorer().start()
        seat.seat(scorer)
        await seat.up()
        link, asked = seat.world.link(), purchase(1, 10)
        first = await link.say("0100", asked)
        assert (await link.say("0101", asked)).values == first.values
        change(seat.world, rule("flag"))  # the engine's policy is old: it plans twice
        await link.say("0100", purchase(2, 10))
        assert ("stale", None) in seat.world.watcher.heard
        assert len(scorer.heard) == 2
        assert code(await link.say("0100", asked | {4: f"{11:012}"})) == "94"
        assert len(scorer.heard) == 3, "another question under the same id"

    play(story)


def test_an_increment_is_asked_about_too() -> None:
    async def story(seat: Seat) -> None:
        scorer = await Scorer().start()
        seat.seat(scorer, when_spent="decline")
        await seat.up()
        link, first = seat.world.link(), purchase(1, 2000)
        assert code(await link.say("0100", first)) == "00"
        scorer.says = lambda asked: None
        original = f"0100{first[11]}{first[7]}{'':0>22}"
        more = purchase(2, 1000, at_ms=NOON + 1000, de90=original)
        assert code(await link.say("0100", more)) == "05"
        assert (seat.bodies()[-1].skipped, held(seat.world)) == (("c0",), 2000)
        assert scorer.heard[-1]["amount_minor"] == 1000

    play(story)


def test_it_is_connected_again_after_a_restart_and_after_it_sent_nonsense() -> None:
    async def story(seat: Seat) -> None:
        scorer = await Scorer().start()
        seat.seat(scorer, when_spent="decline")
        await seat.up()
        link = seat.world.link()
        assert code(await link.say("0100", purchase(1, 10))) == "00"
        await scorer.stop()
        await until(lambda: not seat.checks[0].is_up())
        assert code(await link.say("0100", purchase(2, 10))) == "05"
        await scorer.start()
        await seat.up()
        assert code(await link.say("0100", purchase(3, 10))) == "00"
        scorer.says = b"nonsense\n"
        assert code(await link.say("0100", purchase(4, 10))) == "05"
        scorer.says = {"risk": 1}
        await until(lambda: scorer.connections == 3)
        await seat.up()
        assert code(await link.say("0100", purchase(5, 10))) == "00"

    play(story)


def test_a_reply_that_is_late_is_no_answer_to_the_next_question() -> None:
    async def story(seat: Seat) -> None:
        scorer = await Scorer(says={"risk": 900}, after_s=2 * SHARE_MS / 1000).start()
        seat.seat(scorer)
        await seat.up()
        link = seat.world.link()
        await link.say("0100", purchase(1, 10))
        scorer.after_s, scorer.says = 0, {"risk": 5}
        await link.say("0100", purchase(2, 10))
        assert [(body.risk, body.skipped) for body in seat.bodies()] == [(0, ("c0",)), (5, ())]
        await until(lambda: seat.counts["stray"] == 1)

    play(story)


def test_one_who_accepts_and_says_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "SILENT_S", 0.05)

    async def story(seat: Seat) -> None:
        scorer = await Scorer(says=lambda asked: None).start()
        seat.seat(scorer, share_ms=30)
        await seat.up()
        for stan in range(1, 4):
            await seat.world.link().say("0100", purchase(stan, 10))
        await until(lambda: scorer.connections == 2)

    play(story)


def test_questions_under_way_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "IN_FLIGHT_MAX", 3)

    async def story(seat: Seat) -> None:
        scorer = await Scorer(says=lambda asked: None).start()
        check = seat.seat(scorer)
        await seat.up()
        engine_link = seat.world.link
        await asyncio.gather(*(engine_link().say("0100", purchase(n, 10)) for n in range(1, 6)))
        assert seat.counts == {"late": 3, "busy": 2}
        assert len(scorer.heard) == 3
        assert check._link is not None
        assert not check._link.waiting, "none is left behind"

    play(story)


def test_two_hundred_at_once_over_one_connection() -> None:
    async def story(seat: Seat) -> None:
        scorer = await Scorer(says=lambda asked: {"risk": asked["amount_minor"]}).start()
        seat.seat(scorer, share_ms=2000, when_spent="decline")
        seat.world.engine = seat.world.another_engine(Settings(hot_deadline_s=5))
        seat.world.engine.checks = Panel(seat.checks)
        await seat.up()
        link = seat.world.link()
        said = await asyncio.gather(*(link.say("0100", purchase(n, n)) for n in range(1, 201)))
        assert {code(answer) for answer in said} == {"00"}
        assert all(body.risk == body.amount_minor for body in seat.bodies()), "each its own"
        assert (scorer.connections, len(seat.bodies())) == (1, 200)

    play(story)


def test_what_is_left_of_the_budget_is_all_that_is_waited() -> None:
    """Of 150 ms the hot state keeps 50; a request that came 90 ms ago has 10 for its checks."""

    async def story(seat: Seat) -> None:
        scorer = await Scorer(says=lambda asked: None).start()
        check = seat.seat(scorer)
        await seat.up()
        asked = asking(seat)
        rows = ((0, 0.08, "late"), (0.09, 0.01, "late"), (0.10, 0, "no_time"), (0.14, 0, "no_time"))
        for spent_s, at_most_s, counted in rows:
            started, before = SystemClock().monotonic(), seat.counts[counted]
            assert await check.ask(asked, "C1", "A1", 0.15 - spent_s - panel.REST_S) is None
            took_s = SystemClock().monotonic() - started
            assert took_s < at_most_s + 0.05
            assert seat.counts[counted] == before + 1
        assert [question["left_ms"] for question in scorer.heard] in ([80, 10], [80, 9])

    play(story)


def asking(seat: Seat) -> AuthorizationRequest:
    return request_of(AuthorizationBody(
        "visa", "k" * 32, "purchase", 1, "840", 1, "840", "5411", "M1", "T1", "1", "US", "051",
        "2812", "000001", "r", NOON // 1000, "", (), 0,
    ))  # fmt: skip


def test_a_question_has_all_facts_but_no_way_to_the_card() -> None:
    """A fact that is new is told to checks, unless it is named among those that stay here."""

    async def story(seat: Seat) -> None:
        scorer = await Scorer().start()
        seat.seat(scorer)
        await seat.up()
        await seat.world.link().say("0100", purchase(1, 10))
        [line], [asked] = scorer.lines, scorer.heard
        facts = set(AuthorizationRequest.__struct_fields__)
        assert set(asked) - {"id", "left_ms", "card_id", "account_id"} == facts - words.KEPT
        assert {"card_key", "expiry"} <= words.KEPT
        assert (asked["card_id"], asked["account_id"]) == ("C1", "A1")
        assert asked["purpose"] == "purchase"
        for secret in (PAN, PAN[6:], "2812"):
            assert secret.encode() not in line

    play(story)


def test_the_page_has_every_fact_that_is_told() -> None:
    page = Path("docs/checks.md").read_text()
    told = json.loads(page.partition("```json\n")[2].partition("\n```")[0].splitlines()[0])
    assert set(told) == {"id", "left_ms", "card_id", "account_id", *words.SAID}


def test_what_was_told_is_forgotten_at_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(panel, "KEPT_MAX", 2)
    kept = Panel(())
    for n in range(5):
        kept._keep(str(n), ())
    assert list(kept._kept) == ["3", "4"]


def test_nothing_is_asked_where_no_check_is_configured() -> None:
    async def story() -> None:
        world = await World().open_with(100)
        assert world.engine.checks is None
        assert code(await world.link().say("0100", purchase(1, 10))) == "00"

    run(story())
