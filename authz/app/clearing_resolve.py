"""A person's word on a record that was nobody's: this card's holder pays it, or gets it.

Two acts, each with an id that is its own for good: what stood in the unmatched account, or in
disputes, goes back to the network; and the card is billed like a forced record. Which card and
how much is written down first. So whoever is killed in between says it again, and both are done
once.
"""

from typing import Any

from msgspec.structs import replace
from redis.asyncio import Redis

from authz import identity
from authz.app.clearing import MOVES, TIMEOUT_S
from authz.app.clearing_acts import ANSWER_TTL_S, FileFacts, asked, has_price, request_of
from authz.app.clearing_run import Desk
from authz.app.looking import NotThere, search
from authz.app.meaning import is_id
from authz.cards import Known
from authz.engine import Engine
from authz.hot import keys
from authz.hot.acts import Note
from authz.profiles import read_account, read_card
from ledger.cleared import Waiting
from ledger.clearing.outcome import Outcome
from ledger.clearing.posting import movement
from ledger.clearing.record import unpack_item
from ledger.journal import encode_body
from rules.facts import Purpose
from rules.fees import NO_FEES
from rules.price import price

FOR = "bill "  # in front of a card id, where a row says what was begun
BILLABLE = (Outcome.UNMATCHED, Outcome.REPRESENTED)


async def bill(
    at: Desk, file_id: str, record: int, card_id: str, note: str
) -> tuple[str, int, str]:
    """The account, and what it pays in its currency; below zero: what it gets.

    Raises: NotThere, with what is wrong, and nothing is changed; HotStateError, RedisError,
    OSError, asyncpg.PostgresError, and it may be said again.
    """
    row = await at.cleared.item(file_id, record)
    if row is None:
        raise NotThere("no such item")
    if row["outcome"] not in BILLABLE:
        raise NotThere(f"it is {row['outcome']}: only what is unmatched or represented is billed")
    if row["resolved_at"] is not None:
        raise NotThere("it was resolved before")
    program = await at.cleared.program_of(row["message_id"])
    if program is None:
        raise NotThere("its movement is not in the books yet: authz settle writes it")
    known = await card_of(at.client, at.engine, card_id)
    moves, amount, currency = acts_of(at, row, program, known)
    act = moves[1].act
    begun = await at.cleared.claim(
        row["file_id"], record, f"{FOR}{card_id}", act.message_id, act.billed, currency
    )
    if begun != f"{FOR}{card_id}":
        raise NotThere(f"it was begun for card {begun.removeprefix(FOR)}: say it for that one")
    if not await at.cleared.moved([moves[0].message_id]):
        await at.engine.hot.note(moves[0], TIMEOUT_S)
    await at.engine.hot.apply(moves[1], TIMEOUT_S)
    await at.cleared.resolve(row["file_id"], record, note, any_outcome=True)
    return known.account.account_id, amount, currency


async def card_of(client: Redis, engine: Engine, card_id: str) -> Known:
    """Raises: NotThere."""
    if not is_id(card_id):
        raise NotThere("no such card")
    account_id = await search(client, keys.card_field(card_id))
    at_account, account, at_card, card = await engine.hot.profiles(account_id, card_id, TIMEOUT_S)
    return Known(read_card(card), at_card, read_account(account), at_account)


def acts_of(at: Desk, row: dict[str, Any], program: str, known: Known) -> Any:
    """The note and the act, and what the account pays. Raises: NotThere, without a rate."""
    item, network = unpack_item(row["told"]), row["network"]
    date = row["business_date"]
    facts = FileFacts(row["file_id"], date.isoformat() if date else "", row["sent_s"], at.source)
    role, what = MOVES[Outcome(row["outcome"])]
    key = row["item_key"]
    back = movement(
        replace(item, network=network), role, what=what, program=program, key=key,
        source=at.source, facts=(("why", "billed"),),
    )  # fmt: skip
    lines = tuple((*line[:4], -line[4]) for line in back.lines)
    note_id = identity.clearing_id(network, f"{key}/back")
    note = Note(
        shard_of=key, message_id=note_id, fingerprint=identity.fingerprint(key, what),
        attempt=at.engine.attempt(), deadline_ms=0, verdict="billed", planned="",
        answer_ttl_s=ANSWER_TTL_S, body=encode_body(replace(back, lines=lines)),
    )  # fmt: skip
    waiting = Waiting(
        row["record"], key, identity.clearing_id(network, f"{key}/billed"), row["bin"],
        row["card_key"], row["told"], "",
    )  # fmt: skip
    request = request_of(item, waiting, known, facts.sent_s)
    pays = Purpose.REFUND if item.sign < 0 else Purpose.PURCHASE
    priced = price(replace(request, purpose=pays), known.card, known.account, at.engine.judge)
    if not has_price(priced, known):
        raise NotThere("there is no rate for its currency")
    priced = replace(priced, fees=NO_FEES)
    if row["billed_by"]:  # begun before, at a price that was written down; rates may be others
        begun_at = replace(priced.request, amount_minor=row["billed_minor"])
        priced = replace(priced, request=begun_at)
    act = asked(at.engine, item, waiting, known, facts, priced, "last", 1, (), 0, None)
    return (note, act.act), item.sign * act.billed_minor, act.currency
