"""An engine in memory, and a card network that talks to it in ISO 8583, without a socket."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from authz.actions import Ask, Send
from authz.cards import NearCache
from authz.clock import ManualClock, utc
from authz.dispatch import Dispatcher, Refusal, reply_of
from authz.engine import Engine, Settings
from authz.hot.acts import PutAccount, PutCard, Withdraw
from authz.hot.memory import MemoryHotState
from authz.privacy import Pan, PanKeys
from authz.profiles import write_profile
from authz.session import LinkSettings, Session
from authz.wire.to_response import Reply
from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.framing import FRAMINGS, Frame
from iso8583.message import Message
from ledger.journal import AccountBody, CardBody, encode_body
from rules.facts import AccountProfile, AccountState, CardProfile, CardState

NOON = 1_774_180_800_000  # 2026-03-22 12:00:00 UTC, a Sunday
KEYS = PanKeys(b"a key for tests only, 32 bytes!!" * 2)
RAW = msgspec.Raw(msgspec.msgpack.encode([]))
PAN = "9999990000000010"  # a range that no issuer has
OTHER_PAN = "9999990000000028"


@dataclass
class Watcher:
    """Hears everything; tests look at what it heard."""

    heard: list[tuple[str, Any]] = field(default_factory=list)

    def stage(self, name: str, seconds: float) -> None: ...
    def hot_call(self, outcome: str) -> None:
        self.heard.append(("hot_call", outcome))

    def near_cache_stale(self) -> None:
        self.heard.append(("stale", None))


@dataclass
class SpoolInMemory:
    full: bool = False
    acts: list[Withdraw] = field(default_factory=list)

    def note(self, act: Withdraw) -> None:
        self.acts.append(act)


def account(account_id: str = "A1", **changes: Any) -> AccountProfile:
    base: dict[str, Any] = {
        "account_id": account_id, "program": "test", "currency": "840", "credit_line_minor": 0,
        "time_zone": "UTC", "state": AccountState.ACTIVE,
    }  # fmt: skip
    return AccountProfile(**(base | changes))


def card(card_id: str = "C1", account_id: str = "A1", **changes: Any) -> CardProfile:
    base: dict[str, Any] = {
        "card_id": card_id, "account_id": account_id, "limit_subject": card_id, "expiry": "2812",
        "state": CardState.ACTIVE,
    }  # fmt: skip
    return CardProfile(**(base | changes))


class World:
    """One engine, its hot state, its clock; and the control acts that a test needs."""

    def __init__(self, hot: Any = None, settings: Settings | None = None) -> None:
        self.clock = ManualClock(NOON)
        self.hot = hot if hot is not None else MemoryHotState(NOON)
        self.watcher, self.spool = Watcher(), SpoolInMemory()
        self.engine = self.another_engine(settings)

    def another_engine(self, settings: Settings | None = None, name: str = "e1") -> Engine:
        return Engine(
            self.hot, NearCache(1000), self.clock, self.spool, self.watcher,
            settings or Settings(), name,
        )  # fmt: skip

    def moment(self) -> str:
        """Now, as DE 7 has it."""
        return utc(self.clock.now_ms()).strftime("%m%d%H%M%S")

    async def put_account(self, profile: AccountProfile, opening: int = 0) -> str:
        return await self.hot.put_account(
            PutAccount(
                account_id=profile.account_id, profile=write_profile(profile),
                currency=profile.currency, opening_minor=opening,
                body=encode_body(AccountBody(RAW, opening, "test")),
            )
        )  # fmt: skip

    async def put_card(self, profile: CardProfile, pan: str = PAN) -> str:
        said = await self.hot.put_card(
            PutCard(
                card_id=profile.card_id, account_id=profile.account_id,
                profile=write_profile(profile), body=encode_body(CardBody(RAW, "key", "test")),
            )
        )  # fmt: skip
        await self.hot.put_directory(KEYS.card_key(Pan(pan)), profile.account_id, profile.card_id)
        return str(said.verdict)

    async def open_with(self, opening: int = 10_000, **limits: Any) -> "World":
        """Account A1 with that much money, and card C1 on it."""
        await self.put_account(account(), opening)
        await self.put_card(card(**limits))
        return self

    def link(self, engine: Engine | None = None, **changes: Any) -> "InMemoryLink":
        return InMemoryLink(self, engine or self.engine, **changes)


class InMemoryLink:
    """A link of the card network to an engine; already signed on."""

    def __init__(self, world: World, engine: Engine, **changes: Any) -> None:
        base = {
            "name": "test", "dialect": BY_NAME["iso87_ascii"], "framing": FRAMINGS["binary2"],
            "sign_on_required": False,
        }  # fmt: skip
        self.settings = LinkSettings(**(base | changes))
        self.world, self.dispatcher = world, Dispatcher(engine, KEYS)
        self.session = Session(self.settings, 0.0)

    async def send(self, raw: bytes) -> list[bytes]:
        """One message's bytes in; the bytes of each answer out."""
        answers = []
        now = self.world.clock.monotonic()
        for action in self.session.receive(self.settings.framing.pack(raw), now):
            if isinstance(action, Ask):
                try:
                    outcome = await self.dispatcher.answer(
                        action.message, self.settings.network, now, self.settings.partial_approval
                    )
                    action = self.session.answer(
                        action,
                        reply_of(outcome),
                    )
                except Refusal as refusal:
                    action = self.session.answer(
                        action, Reply(refusal.reason, bad_field=refusal.field)
                    )
            if isinstance(action, Send):
                [frame] = self.settings.framing.reader().feed(action.data)
                assert isinstance(frame, Frame), frame
                answers.append(frame.body)
        return answers

    async def say(self, mti: str, fields: dict[int, str]) -> Message:
        """One request said, one answer heard."""
        answers = await self.send(encode(mti, fields, self.settings.dialect))
        assert len(answers) == 1, answers
        return decode(answers[0], self.settings.dialect)


def purchase(
    stan: int = 1, amount: int = 5000, *, at_ms: int = NOON, **changes: str
) -> dict[int, str]:
    """The fields of a 0100. `de7="…"` and the like change them; "" takes one out."""
    moment = utc(at_ms)
    fields = {
        2: PAN, 3: "000000", 4: f"{amount:012}", 7: moment.strftime("%m%d%H%M%S"),
        11: f"{stan:06}", 12: moment.strftime("%H%M%S"), 13: moment.strftime("%m%d"), 14: "2812",
        18: "5411", 22: "051", 32: "123456", 37: f"{stan:012}", 41: "TERM0001",
        42: "MERCHANT0000001", 43: "GROCER".ljust(25) + "NEW YORK".ljust(13) + "US", 49: "840",
    }  # fmt: skip
    return with_changes(fields, changes)


def reversal(
    of: dict[int, str], stan: int = 900, *, at_ms: int = NOON + 30_000, **changes: str
) -> dict[int, str]:
    """The fields of a 0400 that takes a 0100 back."""
    original = f"0100{of[11]}{of[7]}{of.get(32, ''):0>11}{'':0>11}"
    fields = {number: of[number] for number in (2, 3, 4, 32, 37, 41, 42, 49) if number in of}
    fields |= {7: utc(at_ms).strftime("%m%d%H%M%S"), 11: f"{stan:06}", 90: original}
    return with_changes(fields, changes)


def advice_of(
    of: dict[int, str], stan: int, *, at_ms: int = NOON + 60_000, **changes: str
) -> dict[int, str]:
    """The fields of a 0120 or 0220 that refers to a 0100 by DE 37 with 41 and 42."""
    moment = utc(at_ms).strftime("%m%d%H%M%S")
    return with_changes(of | {7: moment, 11: f"{stan:06}"}, changes)


def with_changes(fields: dict[int, str], changes: dict[str, str]) -> dict[int, str]:
    fields = fields | {int(name[2:]): value for name, value in changes.items()}
    return {number: value for number, value in sorted(fields.items()) if value != ""}


def code(message: Message) -> str:
    """DE 39."""
    value = message[39]
    assert isinstance(value, str)
    return value


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


def held(world: World, account_id: str = "A1", currency: str = "840") -> int:
    return int(world.hot.accounts[account_id].held[currency])


def used(world: World, account_id: str = "A1") -> dict[str, int]:
    return dict(world.hot.accounts[account_id].used.flat())


def codes(answers: Iterable[Message]) -> list[str]:
    return [code(answer) for answer in answers]
