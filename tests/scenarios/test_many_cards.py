"""Any life of many cards: whatever is said, in any order, on any link of any engine, the store
holds what a bookkeeper tells from the messages and their answers.

Twelve cards on five accounts, two engines with two links each, one real store. A step is a handful
of messages sent at once. What comes alone to an account in its step must be answered exactly as the
bookkeeper says; what comes in a crowd may be answered in any order, and never goes over.
"""

import asyncio
from collections import Counter
from random import Random
from typing import Any, NamedTuple

from hypothesis import Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from authz import identity
from authz.audit import audit_store
from authz.cards import NearCache
from authz.clock import ManualClock, utc
from authz.control import NewAccount, NewCard, card_id_for, freeze_card, put_accounts, put_cards
from authz.engine import Engine, Settings
from authz.expire import Expiry
from authz.hot import admin, keys
from authz.hot.acts import Close
from authz.hot.resp import connect
from authz.hot.store import RedisHotState
from authz.privacy import Pan
from iso8583.message import Message
from ledger.journal import CloseBody, encode_body
from rules.holds import HoldRule
from tests.support.bookkeeper import RATE, Holder, Payment, Plastic, Said
from tests.support.engine import KEYS, SpoolInMemory, Watcher, World, account, purchase
from tests.support.hot import opened

DEEP = settings.default is not None and settings.default.max_examples > 100
EXAMPLES = 1000 if DEEP else 50
PHASES = (Phase.generate, Phase.shrink)  # what it would explain is of no use here

DAY_S = 86_400
BEGINS_S = 30 * DAY_S  # before now, by the store's clock: so that whatever is due may end
ENDS_S = 25 * DAY_S

# What is held and for how long, by the kind of merchant. (Also said by the bookkeeper.)
POLICY = (
    HoldRule(mcc_group="restaurants", days=7, uplift_percent=20),
    HoldRule(mcc_group="airlines", days=7, remainder="keep"),
    HoldRule(mcc_group="hotels", days=7, credit="approval"),
)
SHOP, DINNER, FLIGHT, HOTEL = "5411", "5812", "4511", "7011"

STARTS = {
    # what         MTI     DE 3      DE 18
    "buys":      ("0100", "000000", SHOP),
    "dines":     ("0100", "000000", DINNER),
    "flies":     ("0100", "000000", FLIGHT),
    "withdraws": ("0100", "010000", DINNER),
    "pays":      ("0200", "000000", SHOP),
    "returns":   ("0100", "200000", SHOP),
    "cancels":   ("0100", "200000", HOTEL),
    "refunded":  ("0200", "200000", SHOP),
    "is paid":   ("0200", "260000", SHOP),
}  # fmt: skip
FOLLOWS = [
    "more", "more", "advice", "no", "part", "last", "back", "back", "back of", "back of", "again",
    "twist",
]  # fmt: skip
# What comes before its request, which may come late or never.
FIRST = {"stand in": "advice", "force": "last", "back first": "back", "more first": "more"}
AMOUNTS = [100, 700, 2500, 4000, 9000, 20_000]


class Word(NamedTuple):
    """One message to be said; who it is of counts back from the latest payment."""

    what: str
    of: int  # a card, or a payment
    amount: int
    how: int  # which of the ways there are to say it
    twice: bool = False  # its repeat comes beside it

    def __repr__(self) -> str:
        return f"W({self.what!r}, {self.of}, {self.amount}, {self.how}{', True' * self.twice})"


ASKS_LATE = Word("asks late", 0, 0, 0)


@st.composite
def a_word(draw: st.DrawFn, whats: list[str], of: int) -> Word:
    """Drawn by hand, since `builds` would print each of its parts on a line."""
    amount, how = draw(st.sampled_from(AMOUNTS)), draw(st.integers(0, 23))
    return Word(
        draw(st.sampled_from(whats)), draw(st.integers(0, of)), amount, how, draw(st.booleans())
    )


starts, follows = a_word(list(STARTS), 11), a_word(FOLLOWS, 5)
orphans = a_word(["stand in", "force", "back first", "more first", "asks late", "inquires"], 11)
words = st.lists(st.one_of(starts, follows, follows, orphans), min_size=2, max_size=8)


def luhn(digits: str) -> str:
    """With its check digit."""
    doubled = [int(d) * (2 - n % 2) for n, d in enumerate(reversed(digits))]
    return digits + str(-sum(d // 10 + d % 10 for d in doubled) % 10)


class Town:
    """The engines, the store, the cards and the books."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.holders = [
            Holder("A1", 30_000), Holder("A2", 0, line=10_000), Holder("A3", 8000),
            Holder("A4", 10**9), Holder("A5", 50_000),
        ]  # fmt: skip
        ceilings: list[dict[str, Any]] = [
            {"daily_count": 4}, {"daily_amount": 20_000}, {"daily_amount": 20_000}, {}, {},
            {"daily_count": 3}, {"daily_count": 2, "daily_amount": 9000}, {}, {}, {}, {},
            {"daily_amount": 15_000},
        ]  # fmt: skip
        on = [0, 0, 0, 1, 1, 2, 2, 3, 3, 3, 4, 4]
        self.cards = [
            Plastic(f"c{n}", luhn(f"9999990000000{n:02}"), self.holders[on[n]], **ceilings[n])
            for n in range(12)
        ]
        self.payments: list[Payment] = []
        self.said: list[Said] = []  # all that was answered
        self.stan = 0

    def yesterday(self) -> str:
        return utc(self.clock.now_ms() - DAY_S * 1000).strftime("%Y%m%d")

    async def open(self) -> None:
        self.client = admin.administrator(self.url)
        await self.client.flushall()
        self.store = await opened(self.url)
        seconds, _ = await self.client.time()
        noon = (seconds - BEGINS_S) // DAY_S * DAY_S + DAY_S // 2
        self.world = World(self.store)
        self.world.clock = self.clock = ManualClock(noon * 1000)
        self.began = noon
        profiles = [
            NewAccount(
                profile=account(h.name, credit_line_minor=h.line), opening_minor=h.opening
            )
            for h in self.holders
        ]  # fmt: skip
        await put_accounts(self.store, profiles, "test")
        new = [
            NewCard(
                pan=Pan(c.pan), account_id=c.holder.name, expiry="3912",
                daily_count=c.daily_count, daily_amount_minor=c.daily_amount,
                replaces=Pan(self.cards[1].pan) if c is self.cards[2] else None,
            )
            for c in self.cards
        ]  # fmt: skip
        await put_cards(self.store, KEYS, new[:2] + new[3:], "test")
        assert (await put_cards(self.store, KEYS, new[2:3], "test")).refused == []
        for card in self.cards:
            card.subject = KEYS.card_id(Pan(card.pan))
        self.cards[2].subject = self.cards[1].subject
        self.stores, self.links, self.engines = [self.store], [], []
        for name in ("e1", "e2"):
            hot = RedisHotState()
            hot.attach(await connect(self.url), self.store.run_id)
            self.stores.append(hot)
            # The engine's clock is behind the store's, so its deadlines are far ahead.
            ample = Settings(hot_deadline_s=2 * BEGINS_S, hold_rules=POLICY)
            engine = Engine(
                hot, NearCache(5), self.clock, SpoolInMemory(), Watcher(), ample, name
            )  # fmt: skip
            self.engines.append(engine)
            self.links += [self.world.link(engine), self.world.link(engine)]

    async def close(self) -> None:
        for store in self.stores:
            assert store._connection is not None
            store._connection.close()
        await self.client.aclose()
        await asyncio.sleep(0)

    # -- messages -------------------------------------------------------------------------

    def now(self) -> int:
        return self.clock.now_ms() // 1000

    def fields(self, card: Plastic, amount: int, **changes: str) -> tuple[int, dict[int, str]]:
        """A second later than the message before, with a DE 11 of its own."""
        self.stan += 1
        self.clock.advance(1)
        changes = {"de2": card.pan, "de14": "3912"} | changes
        return self.now(), purchase(self.stan, amount, at_ms=self.clock.now_ms(), **changes)

    def start(self, word: Word) -> Payment:
        """A payment and its request, which is not sent yet."""
        card = self.cards[word.of % 12]
        mti, code, mcc = STARTS.get(word.what, STARTS["buys"])
        changes = {"de3": code, "de18": mcc}
        billed = word.amount
        if word.how & 1:
            billed = int(word.amount * RATE)
            changes |= {"de49": "978", "de6": f"{billed:012}", "de51": "840"}
        if word.how & 2 and code[:2] in ("00", "01"):
            changes["de60"] = "000000000100"
        at, fields = self.fields(card, word.amount, **changes)
        said = Said("start", card, at, mti, fields, word.amount, billed)
        payment = Payment(
            card, said, sign=-1 if code[0] == "2" else 1, posts=mti == "0200",
            early_credit=mcc == HOTEL, keeps=mcc == FLIGHT,
            tip=mcc == DINNER and code == "000000", rung="de90" if word.how & 4 else "de37",
        )  # fmt: skip
        card.holder.payments.append(payment)
        self.payments.append(payment)
        return payment

    def follower(
        self, payment: Payment, kind: str, word: Word, mti: str, rung: str, **changes: str
    ) -> Said:
        """What belongs to a payment, with its currencies, told on its card or the one after it."""
        first = payment.start
        card = payment.card
        if card.subject == self.cards[1].subject and word.how & 8:
            card = self.cards[1 if card is self.cards[2] else 2]
        billed = word.amount
        if 6 in first.fields:
            billed = int(word.amount * RATE)
            changes = {"de49": "978", "de6": f"{billed:012}", "de51": "840"} | changes
        changes = {"de3": first.fields[3], "de18": first.fields[18]} | changes
        changes["de37"] = first.fields[37]
        if rung == "de90":
            changes["de90"] = original_of(first)
        elif rung == "de38":
            assert first.answer is not None
            changes |= {"de37": "", "de38": first.answer[38]}
        at, fields = self.fields(card, word.amount, **changes)
        return Said(kind, card, at, mti, fields, word.amount, billed)

    def reversal(self, payment: Payment, word: Word, rung: str) -> Said:
        target = None
        if word.what == "back of":
            named = [a for a in payment.acts if a.kind in ("more", "part", "last", "advice")]
            if not named:
                return self.reversal(payment, word._replace(what="back"), rung)
            target = named[word.how % len(named)]
        stays = None if word.how % 3 else word.amount
        if payment.start.answer is None and target is None and payment.acts:
            stays = None  # of what a part would be a part, only the request could say
        whole = (target or payment.start).amount
        changes = {"de95": f"{stays:012}{'':0>30}"} if stays is not None else {}
        if target is not None:
            rung, changes["de90"] = "", original_of(target)
        mti = "0420" if word.how & 4 else "0400"
        said = self.follower(payment, "back", word._replace(amount=whole), mti, rung, **changes)
        said.stays, said.target = stays, target
        return said


def original_of(said: Said) -> str:
    """DE 90."""
    return f"{said.mti}{said.fields[11]}{said.fields[7]}{'':0>22}"


class Step:
    """A handful of messages, said at once; then what became of them."""

    def __init__(self, town: Town, words: list[Word], seed: int) -> None:
        self.town, self.dice = town, Random(seed)
        self.before = {h.name: (h.available, h.counters) for h in town.holders}
        self.new: list[tuple[Payment | None, Said]] = []
        self.again: list[Said] = []
        self.twisted: list[tuple[str, dict[int, str]]] = []
        self.twice: set[int] = set()
        for word in words:
            self._add(word, alone=len(words) == 1)
        heard = Counter(said.card.holder.name for _, said in self.new)
        self.alone = [pair for pair in self.new if heard[pair[1].card.holder.name] == 1]
        self.expected = [self._expected(*pair) for pair in self.alone]

    def _add(self, word: Word, alone: bool) -> None:
        if word.what in STARTS:
            if word.what == "dines" and not alone and self.town.cards[word.of].holder.name != "A4":
                word = word._replace(what="buys")  # what is held for a tip would depend on the rest
            payment = self.town.start(word)
            self._say(payment, payment.start, word)
        elif word.what in FIRST:
            kinds = list(STARTS) if word.what == "back first" else ("buys", "dines", "flies")
            payment = self.town.start(word._replace(what=kinds[(word.how + word.of) % len(kinds)]))
            if word.what in ("stand in", "force"):
                payment.rung = "de37"
            elif word.what == "more first":
                payment.rung = "de90"
            self._follow(payment, word._replace(what=FIRST[word.what]))
        elif word.what == "inquires":
            card = self.town.cards[word.of]
            at, fields = self.town.fields(card, 0, de3="310000", de4="")
            self._say(None, Said("none", card, at, "0100", fields), word)
        elif word.what == "asks late":
            unsent = [
                p
                for p in self.town.payments
                if not p.asked_before and self.town.now() - p.start.at < 3000
                and (alone or not p.tip or p.card.holder.name == "A4")
            ]  # fmt: skip
            if unsent:
                self._say(unsent[-1], unsent[-1].start, word)
        elif word.what in ("again", "twist"):
            self._once_more(word)
        elif self.town.payments:
            self._follow(self.town.payments[-1 - word.of % len(self.town.payments)], word)

    def _say(self, payment: Payment | None, said: Said, word: Word) -> None:
        if payment is not None and said is payment.start:
            payment.asked_before = True
        if word.twice:
            self.twice.add(len(self.new))
        self.new.append((payment, said))

    def _once_more(self, word: Word) -> None:
        """What was answered before: word for word, or with other content under its name."""
        if not self.town.said:
            return
        said = self.town.said[-1 - word.of % len(self.town.said)]
        if said.mti in ("0100", "0200") and self.town.now() - said.at > 3000:
            return  # as old as the answers to requests may be
        if word.what == "again":
            self.again.append(said)
        elif 4 in said.fields:
            amount = said.amount + 100
            fields = said.fields | {4: f"{amount:012}"}
            if 6 in fields:
                fields[6] = f"{int(amount * RATE):012}"
            self.twisted.append((said.mti, fields))

    def _follow(self, payment: Payment, word: Word) -> None:
        """What belongs to a payment, if it can be told what it should do.

        Until it is approved its followers share one rung, so that they find one another; and none
        depends on what only an approved request could have said.
        """
        beside = [said for other, said in self.new if other is payment]
        answer = payment.start.answer
        known = answer is not None and payment.approved > 0
        declined = answer is not None and not known
        rung = payment.rung
        if known:
            rung = ("de90", "de37", "de38")[word.how % 3]
        others = {said.kind for said in [*payment.acts, *beside]}
        partly = any(s.kind == "back" and s.stays for s in [*payment.acts, *beside])
        match word.what:
            case "more":
                early = rung == "de90" and not declined and not partly and not payment.posts
                if payment.sign > 0 and (known or early):
                    said = self.town.follower(payment, "more", word, "0100", "de90")
                    self._say(payment, said, word)
            case "advice":
                if known or not (declined or payment.sign < 0 or payment.posts):
                    by = rung if rung != "de38" else "de37"
                    self._say(
                        payment, self.town.follower(payment, "advice", word, "0120", by), word
                    )
            case "no":
                said = self.town.follower(payment, "none", word, "0120", "de37", de39="05")
                self._say(payment, said, word)
            case "part" | "last":
                by = rung if rung != "de38" else "de37"
                counted = word.what == "part" or word.how % 2
                number = "0001" if word.what == "part" else "0002"
                changes = {"de71": number, "de72": "0002"} if counted else {}
                said = self.town.follower(payment, word.what, word, "0220", by, **changes)
                said.of = 2 if counted else 0
                self._say(payment, said, word)
            case "back" | "back of":
                if not known and (declined or "more" in others):
                    word = word._replace(how=word.how - word.how % 3 + 1)  # all of it
                self._say(payment, self.town.reversal(payment, word, rung), word)

    def _expected(self, payment: Payment | None, said: Said) -> str:
        if said.kind == "start":
            assert payment is not None
            less = 60 in said.fields
            code, payment.foretold = payment.expected_start(less)
            return code
        if said.kind == "more":
            assert payment is not None
            return payment.expected_increment(said)
        if said.mti == "0100":
            return "62" if said.card.frozen else "00"
        return "00"

    async def take(self) -> None:
        """All of it at once, in any order, on any link. A repeat gets the answer of its first."""
        asked = [(n, said.mti) for n, (_, said) in enumerate(self.new)]
        asked += [(n, f"{self.new[n][1].mti[:3]}1") for n in self.twice]
        self.dice.shuffle(asked)
        links = self.town.links
        answers, again, twisted = await asyncio.gather(
            asyncio.gather(
                *(self.dice.choice(links).say(mti, self.new[n][1].fields) for n, mti in asked)
            ),
            asyncio.gather(
                *(self.dice.choice(links).say(f"{s.mti[:3]}1", s.fields) for s in self.again)
            ),
            asyncio.gather(*(self.dice.choice(links).say(*one) for one in self.twisted)),
        )
        heard: dict[int, list[Message]] = {}
        for (n, _), answer in zip(asked, answers, strict=True):
            heard.setdefault(n, []).append(answer)
        for n, (_, said) in enumerate(self.new):
            first, *others = [read(answer) for answer in heard[n]]
            said.answer = first
            note(f"  {said!r}")
            assert all(other == first for other in others), "a repeat beside it"
        for said, answer in zip(self.again, again, strict=True):
            note(f"  again {said!r}")
            assert read(answer) == said.answer, "a repeat"
        for (mti, fields), answer in zip(self.twisted, twisted, strict=True):
            note(f"  {mti} {fields[11]} with another amount -> {answer[39]}")
            assert answer[39] == "94", "a duplicate"

    def judge(self) -> None:
        """What was told alone was told right; then all of it is taken into the books."""
        for (payment, said), expected in zip(self.alone, self.expected, strict=True):
            assert said.code == expected, said
            if said.answer is not None and 54 in said.answer and payment is None:
                holder = said.card.holder
                told = [int(said.answer[54][at + 8 : at + 20]) for at in (0, 20)]
                told = [-n if said.answer[54][at + 7] == "D" else n for at, n in zip((0, 20), told)]
                assert told == [holder.posted, self.before[holder.name][0]], said
        certain = {id(said) for _, said in self.alone}
        for payment, said in sorted(self.new, key=lambda pair: pair[1].kind == "back"):
            self.town.said.append(said)
            if payment is None or said.code not in ("00", "10"):
                continue
            if said.kind == "start":
                approve(payment, id(said) in certain)
            elif said.kind != "none" and (
                said.kind != "back"
                or said.target is None
                or said.target in payment.acts
            ):  # fmt: skip
                payment.acts.append(said)
        for holder in self.town.holders:
            self._never_over(holder)

    def _never_over(self, holder: Holder) -> None:
        """But for what was decided elsewhere, and for a credit that is taken back."""
        forced = any(
            said.kind in ("advice", "part", "last", "back") and said.card.holder is holder
            for _, said in self.new
        )
        if forced:
            return
        available, used = self.before[holder.name]
        assert holder.available >= min(0, available), holder.name
        for card in self.town.cards:
            for name, (_, ceiling) in card.counters(self.town.now()).items():
                if card.holder is holder:
                    assert holder.counters.get(name, 0) <= max(ceiling, used.get(name, 0)), name


def read(answer: Message) -> dict[int, str]:
    return {number: str(answer[number]) for number in answer.layout.fields}


def approve(payment: Payment, certain: bool) -> None:
    said = payment.start
    assert said.answer is not None
    told = int(said.answer[6 if 6 in said.answer else 4])
    payment.approved, payment.approved_asked = told, int(said.answer[4])
    if said.code == "10":
        assert told < said.billed
    elif certain:
        payment.approved = payment.foretold
    elif payment.tip:
        payment.approved = payment.wanted()


class AlwaysReady:
    ready = True


class ManyCards(RuleBasedStateMachine):
    """Steps until something differs; then the audit."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.town = Town(self.url)
        self.loop.run_until_complete(self.town.open())

    def _run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    @rule(words=words, seed=st.integers(0, 99))
    def said(self, words: list[Word], seed: int) -> None:
        step = Step(self.town, words, seed)
        self._run(step.take())
        step.judge()
        self._run(compare(self.town))

    @rule(word=st.one_of(starts, follows, orphans), seed=st.integers(0, 99))
    def said_alone(self, word: Word, seed: int) -> None:
        self.said([word], seed)

    @rule(word=a_word(list(FIRST), 11), more=st.lists(follows, max_size=1), seed=st.integers(0, 99))
    def comes_first(self, word: Word, more: list[Word], seed: int) -> None:
        """What belongs to a request, then perhaps more of it, and then the request."""
        for said in (word, *(other._replace(of=0) for other in more), ASKS_LATE):
            self.said([said], seed)

    @rule(card=st.integers(0, 11), frozen=st.booleans())
    def freezes(self, card: int, frozen: bool) -> None:
        plastic = self.town.cards[card]

        async def freeze() -> None:
            who = await card_id_for(self.town.store, KEYS, Pan(plastic.pan))
            await freeze_card(self.town.store, who, frozen=frozen, source="test")

        self._run(freeze())
        plastic.frozen = frozen

    @rule(days=st.sampled_from([1, 3, 7]))
    def days_pass(self, days: int) -> None:
        town = self.town
        if town.now() + days * DAY_S > town.began + ENDS_S:
            return
        town.clock.advance(days * DAY_S)

        async def tick() -> None:
            told: list[str] = []
            ends = [Expiry(engine, AlwaysReady(), told.append) for engine in town.engines]
            while sum(await asyncio.gather(*(end.tick() for end in ends))):
                pass
            assert set(told) <= {"closed", "gone"}

        self._run(tick())
        for payment in town.payments:
            if payment.held and payment.expires <= town.now():
                payment.ended = True
        self._run(compare(town))

    @rule(of=st.integers(0, 5))
    def is_released(self, of: int) -> None:
        """By a person's word."""
        there = [p for p in self.town.payments if p.approved and p.held]
        if not there:
            return
        payment = there[-1 - of % len(there)]
        said, held = self._run(self.town.store.close(released(payment, self.town.now()), 5))
        assert (said, held) == ("closed", payment.held)
        payment.ended = True
        self._run(compare(self.town))

    def teardown(self) -> None:
        try:
            report = self._run(audit_store(self.town.url))
            assert [*report.differences] == []
        finally:
            self._run(self.town.close())
            self.loop.close()


def released(payment: Payment, at: int) -> Close:
    first = payment.start
    id = identity.message_id(
        network="generic", mti=first.mti, stan=first.fields[11], sent_at=first.at,
        acquirer_id=first.fields[32], subject=KEYS.card_id(Pan(payment.card.pan)),
    )  # fmt: skip
    name = payment.card.holder.name
    return Close(
        act_id=identity.closing_id("released", name, id, at), account_id=name,
        authorization_id=id, kind="released", at=at, body=encode_body(CloseBody("test")),
    )  # fmt: skip


async def compare(town: Town) -> None:
    """The store against the books, account by account."""
    async with town.client.pipeline(transaction=False) as all_of_them:
        for holder in town.holders:
            all_of_them.hgetall(keys.account(holder.name))
            all_of_them.zrange(keys.account_keys(holder.name)[2], 0, -1)
        replies = await all_of_them.execute()
    for holder, fields, ends in zip(town.holders, replies[::2], replies[1::2], strict=True):
        there = {
            "posted": int(fields[b"posted:840"]),
            "held": int(fields[b"held:840"]),
            "open holds": sum(end.startswith(holder.name.encode() + b" ") for end in ends),
            "counters": {
                name[2:].decode(): int(use)
                for name, use in fields.items()
                if name[:2] == b"u:" and use != b"0"  # it stays until its day has passed
            },
        }
        books = {
            "posted": holder.posted,
            "held": holder.held,
            "open holds": holder.open_holds,
            "counters": dict(holder.counters),
        }
        for counters in (there["counters"], books["counters"]):  # those of old days are dropped
            for name in [name for name in counters if name[-8:] < town.yesterday()]:
                del counters[name]
        assert there == books, holder.name


def test_any_life_of_many_cards(fresh_redis: str) -> None:
    machine = type("ManyCardsHere", (ManyCards,), {"url": fresh_redis})
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=EXAMPLES, stateful_step_count=100, phases=PHASES),
    )
