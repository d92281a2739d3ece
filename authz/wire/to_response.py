"""From the engine's word to the answer's data elements."""

from contextlib import suppress
from functools import lru_cache

from msgspec import Struct

from authz.wire.elements import text
from authz.wire.networks import GENERIC, Network
from authz.wire.to_request import PURPOSES
from authz.wire.totals import say_totals
from iso8583.cut import cut
from iso8583.errors import PartError
from iso8583.message import Message
from rules.facts import Approved, Funds, Purpose
from rules.fx import half_even
from rules.notices import Balance
from rules.reason import APPROVED, Reason


class Reply(Struct, frozen=True, gc=False):
    """What is said to a request."""

    reason: Reason
    approval_code: str = ""
    bad_field: int | None = None  # the element that made a format error of it
    approved: Approved | None = None  # where it is less than was asked
    funds: Funds | None = None  # where that was asked
    balance: Balance | None = None  # where totals were


def to_response(
    message: Message, reply: Reply, network: Network = GENERIC
) -> dict[int, str | bytes]:
    """The elements of the answer to a request, in any order, whether it could be understood or not.

    A response is a function of the request and the decision alone, so an identical
    request gets identical bytes (tests/scenarios/test_life.py).
    """
    echoed = places(message.layout.fields, network.echoes(message.mti))
    values = message.values
    fields: dict[int, str | bytes] = {number: values[place] for number, place in echoed}
    if message.mti[1:2] not in ("5", "8"):
        echo_parts(fields, message, network)
    approved = reply.reason is APPROVED
    if approved and reply.approval_code:
        fields[38] = reply.approval_code
    elif approved and 38 in message:
        fields[38] = message[38]  # of the reversal of an approval
    asks_only = bool(network.codes.account_check) and is_account_check(message)
    fields[39] = network.codes.code(reply.reason, message.mti, asks_only)
    if network.response_source and message.mti[1] in "12":
        fields[44] = network.response_source
    if reply.bad_field is not None and network.codes.names_bad_field:
        fields[44] = f"{reply.bad_field:03}"
    if reply.approved is not None:
        say_part(fields, message, reply.approved, network)
    if reply.funds is not None:
        fields[54] = balances(reply.funds)
    if reply.balance is not None:
        say_totals(fields, reply.balance, network)
    return fields


@lru_cache(maxsize=1024)  # messages of one bitmap share it
def places(fields: tuple[int, ...], echoed: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """What is echoed of these, and at which place its value stands."""
    return tuple((number, fields.index(number)) for number in echoed if number in fields)


def echo_parts(fields: dict[int, str | bytes], message: Message, network: Network) -> None:
    """Of some elements a network wants a part back, as the request had it."""
    insides = message.layout.insides
    for number, keys in network.echoed_parts:
        value = message.get(number)
        if not isinstance(value, bytes) or number not in insides:
            continue
        with suppress(PartError):  # refused for it, or nobody had to look there
            parts = cut(insides[number], number, value, keys)
            if parts:
                fields[number] = parts


def say_part(
    fields: dict[int, str | bytes], message: Message, approved: Approved, network: Network
) -> None:
    """Less than was asked: what was approved in DE 4 and 6, and what was asked in DE 54."""
    fields[4] = f"{approved.transaction_minor:012}"
    if 6 in message:
        fields[6] = f"{billed_in_part(message, approved):012}"
    fields[39] = network.codes.partial
    currency = str(message.get(49))
    fields[54] = additional_amount("57", currency, int(str(message[4])))


def billed_in_part(message: Message, approved: Approved) -> int:
    """What the network is to bill. More was approved where fees of ours stand beside it: then the
    same part of DE 6 as of DE 4, half to even. By the message alone: a repeat is told the same."""
    billed, asked = int(str(message[6])), int(str(message[4]))
    part = approved.transaction_minor
    if approved.billing_minor * asked < (part + 1) * billed:
        return approved.billing_minor
    return half_even(billed * part, asked)


def balances(funds: Funds) -> str:
    """The ledger balance and what is available, in DE 54."""
    ledger = additional_amount("01", funds.currency, funds.posted_minor)
    return ledger + additional_amount("02", funds.currency, funds.available_minor)


def additional_amount(kind: str, currency: str, minor: int) -> str:
    """One entry of DE 54: account type 00, unspecified; the kind; currency, sign, amount.

    Source: ISO 8583:1987, DE 54; the kinds 01, 02 and 57 in docs/networks.md.
    """
    sign = "C" if minor >= 0 else "D"
    return f"00{kind}{currency}{sign}{min(abs(minor), AMOUNT_MAX):012}"


AMOUNT_MAX = 10**12 - 1  # what twelve digits hold


def is_account_check(message: Message) -> bool:
    """Whether a purchase of nothing asks only about the card. A balance inquiry asks for more."""
    value = message.get(4)
    if message.mti[1:3] not in ("10", "20") or not isinstance(value, str) or value.strip("0"):
        return False
    return PURPOSES.get(text(message, 3)[:2]) is not Purpose.BALANCE_INQUIRY
