"""A journal told by hand: entries at any time of any day, as the functions of the store write them.

For what the store's own clock cannot show: days that end, nights on which clocks change.
"""

from collections import defaultdict
from typing import Any

import msgspec
from redis.asyncio import Redis

from authz.hot import keys
from ledger.journal import (
    AccountBody,
    AdviceBody,
    AuthorizationBody,
    CloseBody,
    Envelope,
    LedgerBody,
    ReversalBody,
    WithdrawalBody,
    encode_body,
)

pack = msgspec.msgpack.Encoder().encode

Entry = tuple[str, bytes, bytes]  # shard, envelope, body


def authorization_body(amount: int, fee: int = 0, network: str = "visa") -> AuthorizationBody:
    return AuthorizationBody(
        network=network, card_key="k", purpose="purchase", amount_minor=amount, currency="840",
        transaction_minor=amount, transaction_currency="840", mcc="5411", merchant_id="M",
        terminal_id="T", acquirer_id="123456", country="840", entry_mode="051", expiry="2812",
        stan="000001", rrn="000000000001", sent_at=0, planned="approved", limits=(),
        credit_line_minor=0, settle_minor=amount + fee, fee_minor=fee,
    )  # fmt: skip


class Journal:
    """What is said goes on from what was said before, account by account."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.posted: defaultdict[str, int] = defaultdict(int)
        self.held: defaultdict[str, int] = defaultdict(int)

    def say(
        self, kind: str, id: str, at_ms: int, body: Any, *, posted: int = 0, held: int = 0,
        of: str = "", account: str = "A1", verdict: str = "held",
    ) -> None:  # fmt: skip
        self.posted[account] += posted
        self.held[account] += held
        e = Envelope(
            layout=1, kind=kind, message_id=id, authorization_id=of, account_id=account,
            card_id="C1" if of else "", verdict=verdict, detail="",
            currency="840" if account else "",
            posted_delta=posted, held_delta=held, posted_after=self.posted[account],
            held_after=self.held[account], at_ms=at_ms, counters=[], versions=[1, 1, 1],
        )  # fmt: skip
        shard = f"{sum(account.encode()) % 64:02}"
        self.entries.append((shard, pack(e), encode_body(body)))

    def open(self, account: str, at_ms: int, opening: int, line: int = 0) -> None:
        profile = msgspec.Raw(pack([account, "acme", "840", line, "UTC", "active"]))
        self.say("account", f"open {account}", at_ms, AccountBody(profile, opening, "test"),
                 posted=opening, account=account, verdict="created")  # fmt: skip

    def approve(self, id: str, at_ms: int, amount: int, account: str = "A1", fee: int = 0) -> None:
        self.say("authorization", id, at_ms, authorization_body(amount, fee), held=amount + fee,
                 of=id, account=account)  # fmt: skip

    def complete(self, id: str, at_ms: int, held: int, amount: int, account: str = "A1") -> None:
        told = AdviceBody(authorization_body(amount), "last", True, "", ())
        self.say("completion", f"{id} done {at_ms}", at_ms, told, posted=-amount, held=-held,
                 of=id, account=account, verdict="applied")  # fmt: skip

    def refund(self, id: str, at_ms: int, amount: int, account: str = "A1") -> None:
        told = AdviceBody(authorization_body(amount), "post", True, "", ())
        self.say("completion", id, at_ms, told, posted=amount, of=id, account=account,
                 verdict="applied")  # fmt: skip

    def reverse(self, id: str, at_ms: int, held: int, account: str = "A1") -> None:
        body = ReversalBody("visa", "0400", "k", 1, "840", -1, "000002", "000000000001", 0, ())
        self.say("reversal", f"{id} back {at_ms}", at_ms, body, held=-held, of=id, account=account,
                 verdict="reversed")  # fmt: skip

    def end(self, id: str, at_ms: int, held: int, verdict: str, account: str = "A1") -> None:
        self.say("close", f"{id} end", at_ms, CloseBody("test"), held=-held, of=id, account=account,
                 verdict=verdict)  # fmt: skip

    def withdraw(self, id: str, at_ms: int, held: int, account: str = "A1") -> None:
        self.say("withdrawal", id, at_ms, WithdrawalBody("t"), held=-held, of=id, account=account,
                 verdict="released")  # fmt: skip

    def note(
        self, id: str, at_ms: int, what: str, *lines: tuple[str, str, str, str, int],
    ) -> None:  # fmt: skip
        """A movement of no cardholder's money."""
        self.say("note", id, at_ms, LedgerBody(what, id, "test", lines), account="",
                 verdict="noted")  # fmt: skip

    async def write(self, client: Redis, first: int = 0) -> None:
        """Into the streams, in order; the gates need not be open."""
        for shard, envelope, body in self.entries[first:]:
            await client.xadd(keys.journal(shard), {b"e": envelope, b"b": body})
