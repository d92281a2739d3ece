"""Records of an account that the hot state's ladder does not lead to.

An authorization by its approval code alone: what a file often has, and no message needs.

The ladder of the hot state has the code with the amount, since a message tells both. A file tells
of another amount just when it matters. Our codes are made from message ids, so the card's records
can be looked through for one. That is done where nothing else that the item says is known.

And what an item itself has moved, in a run that was cut short.
"""

import msgspec
from redis.asyncio import Redis

from authz import identity
from authz.app.looking import reply
from authz.cards import Known
from authz.hot import keys
from authz.hot.record import Act, Record, decode_record
from authz.profiles import read_card

STEP = 500  # fields of an account in one look
BY_CODE = "de38 alone"  # the rung's name; it is tried behind all others
DETAIL, AUTHORIZATION = 2, 6  # places in an answer's string, as prelude.lua names them


async def by_code(client: Redis, known: Known, code: str, sent_s: int) -> tuple[str, Record] | None:
    """The latest purchase of the card, sent by then, that was answered with this code; one that
    something is left of before others."""
    key, cursor, found = keys.account(known.account.account_id), 0, dict[str, Record]()
    while code:
        after, flat = await reply(client, "HSCAN", key, cursor, "MATCH", "a:*", "COUNT", STEP)
        for name, packed in pairs(flat):
            id = name.decode().removeprefix("a:")
            if identity.approval_code(id) == code.upper():
                found[id] = decode_record(packed)
        cursor = int(after)
        if cursor == 0:
            break
    mine = [
        (one.holds + one.posted > 0, one.sent, id)
        for id, one in found.items()
        if one.original == id and one.sign == 1 and one.sent <= sent_s and one.references
        if await is_of(client, one.card, known)
    ]
    if not mine:
        return None
    id = max(mine)[-1]
    return id, found[id]


async def own_act(client: Redis, account_id: str, message_id: str) -> Act | None:
    """What that item has moved on the account. Its answer says where for a day; behind that its own
    reference does."""
    answer = keys.answer(keys.shard_of(account_id), message_id)
    packed = await reply(client, "GET", answer)
    own = f"r:{identity.reference_of_cleared(message_id)}"
    named = await reply(client, "HGET", keys.account(account_id), own)
    ids = named.decode().split() if named else []
    if packed:
        ids.append(msgspec.msgpack.decode(packed)[AUTHORIZATION])
    for id in ids:
        record = await read_record(client, account_id, id)
        for act in record.acts if record is not None else ():
            if act.message_id == message_id:
                return act
    return None


async def read_record(client: Redis, account_id: str, authorization_id: str) -> Record | None:
    field = keys.authorization_field(authorization_id)
    packed = await reply(client, "HGET", keys.account(account_id), field)
    return decode_record(packed) if packed else None


def pairs(flat: object) -> list[tuple[bytes, bytes]]:
    """As the client gives them: a mapping, or name and value in turn."""
    if isinstance(flat, dict):
        return list(flat.items())
    assert isinstance(flat, list)
    return list(zip(flat[::2], flat[1::2], strict=True))


async def is_of(client: Redis, card_id: str, known: Known) -> bool:
    """Whether it is the same card, or one that it replaces."""
    if card_id == known.card.card_id:
        return True
    key = keys.account(known.account.account_id)
    packed = await reply(client, "HGET", key, keys.card_field(card_id))
    if packed is None:
        return False
    return bool(read_card(packed.partition(b" ")[2]).limit_subject == known.card.limit_subject)
