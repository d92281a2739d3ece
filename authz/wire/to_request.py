"""From data elements to facts. The PAN becomes a card key here and goes no further."""

from authz.privacy import PanKeys
from authz.wire import elements
from authz.wire.elements import BadElement
from authz.wire.indicators import NOTHING, Indicators
from authz.wire.indicators.said import found
from authz.wire.networks import NETWORKS
from authz.wire.usage import usage
from iso8583.message import Message
from iso8583.mti import without_repeat
from rules.facts import (
    INQUIRY,
    Advice,
    AuthorizationRequest,
    Channel,
    Does,
    Increment,
    Original,
    Purpose,
    Reversal,
)

# The first two digits of DE 3. Transfers are another story.
PURPOSES = {
    "00": Purpose.PURCHASE,
    "01": Purpose.CASH,
    "09": Purpose.PURCHASE_WITH_CASH,
    "10": Purpose.ACCOUNT_FUNDING,
    "11": Purpose.QUASI_CASH,
    "20": Purpose.REFUND,
    "26": Purpose.ORIGINAL_CREDIT,
    "28": Purpose.ORIGINAL_CREDIT,
    "30": Purpose.BALANCE_INQUIRY,
    "31": Purpose.BALANCE_INQUIRY,
}

READ = (3, 4, 6, 11, 14, 18, 22, 25, 32, 37, 41, 42, 49, 51)  # what a question is read from
UNKNOWN = Channel.UNKNOWN
TELLS_LITTLE = frozenset({Channel.MANUAL, UNKNOWN})  # a network may say more


class Unsupported(Exception):
    """A well-formed request for something that this engine does not do."""


def to_request(
    message: Message, network: str, keys: PanKeys, now_ms: int, says: Indicators = NOTHING
) -> AuthorizationRequest:
    """The question that a 0100 or a 0200 asks. Raises: BadElement, Unsupported."""
    (
        processing_code, asked, billed_as, stan, expiry, mcc, entry_mode, condition, acquirer_id,
        rrn, terminal_id, merchant_id, transaction_currency, currency,
    ) = elements.texts(message, READ)  # fmt: skip
    purpose = PURPOSES.get(elements.said(processing_code, 3)[:2])
    if purpose is None:
        raise Unsupported(f"processing code {processing_code[:2]}")
    # An inquiry is about no amount and may be of no merchant: it need not say either.
    inquires = purpose is INQUIRY
    if inquires and message.mti[1:3] not in ("10", "20"):
        raise Unsupported("an inquiry that is no request")
    transaction_minor = 0 if inquires and 4 not in message else elements.minor(asked, 4)
    if transaction_currency or not inquires:
        elements.currency(transaction_currency, 49)
    # The network's own conversion, where it made one, is what the account is billed.
    billed = 6 in message
    amount_minor = elements.minor(billed_as, 6) if billed else transaction_minor
    currency = elements.currency(currency, 51) if billed else transaction_currency
    if billed and currency == transaction_currency and amount_minor != transaction_minor:
        raise BadElement(6, "differs from DE 4 in the same currency")
    if (amount_minor == 0) != (transaction_minor == 0):
        # Zero asks only about the card: it must not be said of a purchase.
        raise BadElement(6, "zero beside an amount, or an amount beside zero")
    if len(mcc) != 4 and not (inquires and not mcc):
        raise BadElement(18, "not a merchant category code" if mcc else "missing")
    pan = elements.card_number(message)
    sent_at = elements.transmission_time(message, now_ms)
    elements.said(stan, 11)
    if inquires and transaction_minor:
        raise BadElement(4, "an amount beside an inquiry")
    channel, card_present = usage(entry_mode, condition)
    if channel in TELLS_LITTLE and says.channel is not UNKNOWN:
        channel = says.channel
    return AuthorizationRequest(
        network=network,
        mti=without_repeat(message.mti),
        card_key=keys.card_key(pan),
        purpose=purpose,
        amount_minor=amount_minor,
        currency=currency,
        transaction_minor=transaction_minor,
        transaction_currency=transaction_currency,
        mcc=mcc,
        merchant_id=merchant_id,
        terminal_id=terminal_id,
        acquirer_id=acquirer_id,
        country=elements.merchant_country(message) if says.country is None else says.country,
        entry_mode=entry_mode,
        expiry=expiry,
        stan=stan,
        rrn=elements.named_by(rrn),
        sent_at=sent_at,
        named_at=elements.named_at(message),
        life_cycle=says.life_cycle,
        finality=says.finality,
        merchant_initiated=says.merchant_initiated,
        partial_ok=says.partial_ok,
        merchant_name=elements.merchant_name(message, network),
        channel=channel,
        card_present=card_present,
        authenticated=says.authenticated,
        risk=says.risk,
        network_rate=elements.billing_rate(message) if billed else "",
        bin=pan.bin,
    )


def to_increment(
    message: Message, network: str, keys: PanKeys, now_ms: int, says: Indicators
) -> Increment:
    """The 0100 that asks for more. Raises: BadElement, Unsupported."""
    asked = to_request(message, network, keys, now_ms, says)
    if asked.sign < 0 or asked.purpose is INQUIRY:
        raise Unsupported(f"an increment of a {asked.purpose}")
    return Increment(asked=asked, original=original(message))


def to_advice(
    message: Message, network: str, keys: PanKeys, now_ms: int, says: Indicators, does: Does
) -> Advice:
    """What a 0120 or a 0220 tells. Raises: BadElement, Unsupported."""
    return Advice(
        told=to_request(message, network, keys, now_ms, says),
        original=original(message),
        approved=elements.text(message, 39) in NETWORKS[network].codes.approvals,
        does=does,
        shipments=says.shipments,
    )


def to_reversal(
    message: Message, network: str, keys: PanKeys, now_ms: int, says: Indicators = NOTHING
) -> Reversal:
    """What a 0400 or 0420 takes back. Raises: BadElement."""
    return Reversal(
        network=network,
        mti=message.mti,
        card_key=keys.card_key(elements.card_number(message)),
        transaction_minor=elements.amount(message, 4) if 4 in message else 0,
        transaction_currency=elements.text(message, 49),
        remaining_minor=remaining(message),
        original=original(message),
        stan=elements.required(message, 11),
        rrn=elements.retrieval_reference(message),
        merchant_id=elements.text(message, 42),
        terminal_id=elements.text(message, 41),
        acquirer_id=elements.text(message, 32),
        sent_at=elements.transmission_time(message, now_ms),
        life_cycle=says.life_cycle,
    )


def original(message: Message) -> Original:
    """The original's MTI, STAN and DE 7, from DE 90, empty where it says nothing; and DE 38.

    Networks ask for the first part only and let the rest be zeros, so zeros name nothing.
    """
    value, code = elements.text(message, 90), elements.text(message, 38)
    if not value:
        return Original(approval_code=code)
    if len(value) != 42 or not (value.isascii() and value.isdigit()):
        raise BadElement(90, "not original data elements")
    mti, stan, sent = value[0:4], value[4:10], value[10:20]
    if stan == "000000" or sent == "0000000000":
        return Original(approval_code=code)
    return Original(mti=mti, stan=stan, sent=sent, approval_code=code)


def remaining(message: Message) -> int:
    """The first twelve digits of DE 95: the amount that stays; -1 where nothing does.

    What follows differs by network (12 + 9 + 9, or 12 + 12 + 6) and says the same in other
    currencies. Source: usage gathered in docs/matching.md: DE 95 present and not zero is partial.
    """
    value = message.get(95)
    if value is None:
        return -1
    found(message, 95, 1, 2)  # its second amount is read by nobody, but is one
    digits = str(value)[:12]
    if not (len(digits) == 12 and digits.isascii() and digits.isdigit()):
        raise BadElement(95, "not replacement amounts")
    return int(digits) or -1
