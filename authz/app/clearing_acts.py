"""What a cleared item asks of the hot state: an act on a card of ours, priced.

The cardholder pays what the file bills in the account's currency; where it bills another one, or
nothing, what our own rates make of the transaction; and the program's fees, as for an online
completion. What the network is owed is another matter: the file says that too, and the book splits.
"""

import iso3166
from msgspec import Struct
from msgspec.structs import replace

from authz import identity
from authz.advise import terms_of
from authz.authorize import authorization_body
from authz.cards import Known
from authz.engine import Engine
from authz.hot.acts import Apply
from authz.hot.record import Act, part_of, touched_by
from ledger.cleared import Original, Waiting
from ledger.clearing.posting import told_fees
from ledger.clearing.record import ClearedItem, Kind, unpack_item
from ledger.journal import AuthorizationBody, ClearingBody, encode_body
from rules.counters import lasting
from rules.decide import limits_for
from rules.facts import AuthorizationRequest, Plan, Purpose
from rules.fees import NO_FEES
from rules.holds import HoldRule
from rules.price import NETWORK, Price, price
from rules.reason import Reason
from rules.windows import civil_date

# An answer stands by itself for a day: a run that was killed is run again sooner. Behind that the
# record knows its acts, so a later one moves nothing either.
ANSWER_TTL_S = 86_400
NO_MCC = "0000"  # of an item that tells none
PURPOSES = {
    Kind.PRESENTMENT: Purpose.PURCHASE,
    Kind.CASH: Purpose.CASH,
    Kind.REFUND: Purpose.REFUND,
}


class FileFacts(Struct, frozen=True):
    """What all items of a file share."""

    file_id: str
    business_date: str
    sent_s: int
    source: str


class Asked(Struct, frozen=True):
    """An act, and what it costs or gives the cardholder."""

    act: Apply
    billed_minor: int
    fee_minor: int = 0
    cross_border_minor: int = 0

    @property
    def currency(self) -> str:
        return self.act.currency


# -- what it costs ------------------------------------------------------------------------


def request_of(item: ClearedItem, row: Waiting, known: Known, sent_s: int) -> AuthorizationRequest:
    """The item with the facts of an online completion."""
    amount, currency = item.transaction_minor, item.transaction_currency
    if item.billing_currency == known.account.currency:
        amount, currency = item.billing_minor, item.billing_currency
    purpose = PURPOSES.get(item.kind, Purpose.REFUND if item.sign < 0 else Purpose.PURCHASE)
    return AuthorizationRequest(
        network=item.network, mti="0220", card_key=row.card_key, purpose=purpose,
        amount_minor=amount, currency=currency, transaction_minor=item.transaction_minor,
        transaction_currency=item.transaction_currency, mcc=item.mcc or NO_MCC,
        merchant_id=item.merchant_id, terminal_id=item.terminal_id, acquirer_id=item.acquirer_id,
        country=country_of(item.merchant_country), entry_mode="", expiry="", stan=item.stan,
        rrn=item.rrn, sent_at=sent_s, life_cycle=item.life_cycle,
        merchant_name=item.merchant_name, network_rate=item.billing_rate, bin=row.bin,
    )  # fmt: skip


def country_of(told: str) -> str:
    """ISO 3166 alpha-2, of which Mastercard says three letters and others two."""
    by_letters = iso3166.countries_by_alpha3 if len(told) == 3 else iso3166.countries_by_alpha2
    found = by_letters.get(told.upper())
    return found.alpha2 if found else ""


def has_price(priced: Price, known: Known) -> bool:
    """Whether it is billed in the account's currency: without a rate it is not."""
    return priced.request.currency == known.account.currency


def at_price(priced: Price, known: Known, billed_minor: int) -> Price:
    """The same for what it was billed before, with its fees in it."""
    request = replace(priced.request, amount_minor=billed_minor, currency=known.account.currency)
    return replace(priced, request=request, fees=NO_FEES)


# -- what it asks -------------------------------------------------------------------------


def references_of(
    item: ClearedItem, row: Waiting, known: Known, sent_s: int
) -> tuple[identity.Rung, ...]:
    """What the item says of its authorization."""
    request = request_of(item, row, known, sent_s)
    subject = known.card.limit_subject
    return identity.references_of_cleared(request, sent_of(item), item.approval_code, subject)


def to_post(
    engine: Engine, item: ClearedItem, row: Waiting, known: Known, file: FileFacts,
    more: tuple[identity.Rung, ...] = (), billed_minor: int | None = None,
) -> Asked | None:  # fmt: skip
    """A presentment or a refund. `more`: what else was found to name its authorization;
    `billed_minor`: what it was posted with before, if it was. None: nobody can say what it costs
    in the account's currency."""
    request = request_of(item, row, known, file.sent_s)
    rule = engine.holds.of(request)
    kind, parts = shipment(item, rule)
    in_part = kind == "post" and parts > 1
    priced = price(request, known.card, known.account, engine.judge, in_part=in_part)
    if not has_price(priced, known):
        if billed_minor is None:
            return None
        priced = at_price(priced, known, billed_minor)
    references = (*references_of(item, row, known, file.sent_s), *more)
    exact = identity.exact_among(references)
    return asked(engine, item, row, known, file, priced, kind, parts, references, exact, rule)


def to_charge_back(
    engine: Engine, item: ClearedItem, row: Waiting, known: Known, file: FileFacts,
    original: Original | None, billed_minor: int | None = None,
) -> Asked | None:  # fmt: skip
    """A chargeback of ours: it stands alone, beside what it disputes. Without a word in the file it
    gives back what the original took for so much of its amount; fees are not the network's.
    `billed_minor` and None: as above."""
    request = request_of(item, row, known, file.sent_s)
    currency = known.account.currency
    if request.currency != currency and original is not None:
        billed = shared(original, item.transaction_minor)
        if original.billed_currency == currency and billed is not None:
            request = replace(request, amount_minor=billed, currency=currency)
    priced = price(request, known.card, known.account, engine.judge)
    if not has_price(priced, known):
        if billed_minor is None:
            return None
        priced = at_price(priced, known, billed_minor)
    priced = replace(priced, fees=NO_FEES)
    return asked(engine, item, row, known, file, priced, "last", 1, (), 0, None)


def shared(original: Original, amount_minor: int) -> int | None:
    """What so much of an original's amount was billed, without its fees."""
    whole = original.transaction_minor
    if not 0 < amount_minor <= whole:
        return None
    return part_of(amount_minor, original.billed_minor - original.fee_minor, whole)


def asked(
    engine: Engine, item: ClearedItem, row: Waiting, known: Known, file: FileFacts, priced: Price,
    kind: str, parts: int, references: tuple[tuple[str, str], ...], exact: int,
    rule: HoldRule | None,
) -> Asked:  # fmt: skip
    card, account, request = known.card, known.account, priced.request
    own = identity.reference_of_cleared(row.message_id)
    references = (*references, (identity.OWN, own))
    today = civil_date(file.sent_s, account.time_zone)
    act = Act(
        kind, row.message_id, file.sent_s, item.transaction_minor, item.transaction_currency,
        priced.settle_minor, own, parts,
    )  # fmt: skip
    told = authorization_body(priced, Plan(Reason.APPROVED), 0)
    apply = Apply(
        kind="clearing",
        account_id=account.account_id,
        card_id=card.card_id,
        message_id=row.message_id,
        fingerprint=identity.fingerprint(row.item_key, kind, str(item.transaction_minor)),
        attempt=engine.attempt(),
        deadline_ms=0,
        act=act,
        references=references,
        exact=exact,
        terms=terms_of(rule) if rule is not None else None,
        currency=request.currency,
        sign=request.sign,
        touched=touched_by(lasting(limits_for(request, card, today), engine.linger_s)),
        answer_ttl_s=ANSWER_TTL_S,
        body=encode_body(body_of(item, row, file, told, kind, references)),
    )
    fees = priced.fees
    return Asked(apply, priced.settle_minor, fees.total_minor, fees.cross_border_minor)


def shipment(item: ClearedItem, rule: HoldRule) -> tuple[str, int]:
    """Whether it ends the hold: as the file counts, else as the hold policy says. And of how many
    it is one."""
    count = item.clearing_count
    if item.kind is Kind.REFUND:
        return "last", 1
    if count > 1:
        return ("last" if item.clearing_number == count else "post"), count
    return ("post" if rule.remainder == "keep" else "last"), 1


def sent_of(item: ClearedItem) -> str:
    """DE 7 of the authorization, as far as a file that tells its STAN has it."""
    if not item.stan or item.local_date is None or not item.local_time:
        return ""
    return f"{item.local_date:%m%d}{item.local_time}"


def to_take_back(
    engine: Engine, item: ClearedItem, row: Waiting, known: Known | None, file: FileFacts,
    original: Original, before_minor: int,
) -> Asked | None:  # fmt: skip
    """What takes back an earlier record, in whole or in part. `before_minor`: so much of its amount
    is taken back already. None: there is not so much left."""
    whole, billed = original.transaction_minor, original.billed_minor
    left = whole - before_minor
    remaining = left - item.transaction_minor
    if remaining < 0 or (left == 0 and whole > 0):
        return None
    named = identity.reference_of_cleared(original.message_id)
    # In the amounts that the fold will make of it: each part is told of the whole.
    stays = part_of(remaining, billed, whole) if remaining else 0
    back = (part_of(left, billed, whole) if before_minor else billed) - stays
    fees = part_of(back, original.fee_minor, billed) if billed else 0
    abroad = part_of(back, original.cross_border_minor, billed) if billed else 0
    kind = "part" if remaining else "full"
    references = (("cleared", named),)
    told = body_of_back(item, row, known, file, original, back, fees, abroad)
    body = body_of(item, row, file, told, kind, references)
    body = replace(
        body, takes_back=original.message_id, remaining_minor=remaining if remaining else -1
    )
    apply = Apply(
        kind="clearing",
        account_id=original.account_id,
        card_id=known.card.card_id if known else "",
        message_id=row.message_id,
        fingerprint=identity.fingerprint(row.item_key, kind, str(item.transaction_minor)),
        attempt=engine.attempt(),
        deadline_ms=0,
        act=Act(kind, row.message_id, file.sent_s, max(remaining, 0), names=named),
        references=references,
        exact=1,
        currency=original.billed_currency,
        answer_ttl_s=ANSWER_TTL_S,
        body=encode_body(body),
    )
    return Asked(apply, back, fees, abroad)


def body_of_back(
    item: ClearedItem, row: Waiting, known: Known | None, file: FileFacts, original: Original,
    back: int, fees: int, abroad: int,
) -> AuthorizationBody:  # fmt: skip
    """The price of what is taken back, as the ledger splits it: by the original's."""
    purpose = PURPOSES.get(item.kind, Purpose.PURCHASE if item.sign < 0 else Purpose.REFUND)
    converted = item.transaction_currency != original.billed_currency
    return AuthorizationBody(
        network=item.network, card_key=row.card_key, purpose=purpose,
        amount_minor=back - fees, currency=original.billed_currency,
        transaction_minor=item.transaction_minor, transaction_currency=item.transaction_currency,
        mcc=item.mcc or NO_MCC, merchant_id=item.merchant_id, terminal_id=item.terminal_id,
        acquirer_id=item.acquirer_id, country=country_of(item.merchant_country), entry_mode="",
        expiry="", stan=item.stan, rrn=item.rrn, sent_at=file.sent_s, planned=Reason.APPROVED,
        limits=(), credit_line_minor=0, mti="0220", merchant_name=item.merchant_name,
        settle_minor=back, fee_minor=fees, cross_border_fee_minor=abroad,
        rate_source=source_of(original) if converted else "", bin=row.bin,
    )  # fmt: skip


def source_of(original: Original) -> str:
    """Whose rate billed the original: what the network is owed in its own currency is owed back."""
    billed_in = unpack_item(original.told).billing_currency
    return NETWORK if billed_in == original.billed_currency else "own"


def body_of(
    item: ClearedItem, row: Waiting, file: FileFacts, told: AuthorizationBody, kind: str,
    references: tuple[tuple[str, str], ...],
) -> ClearingBody:  # fmt: skip
    return ClearingBody(
        told, kind, references, row.item_key, str(item.kind), str(item.of), item.reversal,
        item.arn, file.file_id, item.record, file.business_date, item.settlement_minor,
        item.settlement_currency, told_fees(item),
    )  # fmt: skip
