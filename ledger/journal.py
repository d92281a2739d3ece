"""The contract between the hot state and the books: one entry per act.

An entry has two parts. The *envelope* is written by the function that carried the
act out, in the same atomic step: what was decided and what moved. The *body* is
encoded once by the engine before the call: what the decision was made from. Both
are MessagePack; arrays rather than maps, since there is one per act.

A field is only ever added at the end, with a default: old entries stay readable.
"""

import zlib
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

LAYOUT = 1

# The two fields of a stream entry that are what happened: its id and the chains are made of them.
ENVELOPE = b"e"
BODY = b"b"
# And two that may come with them, of what stands in the hot state since, for a rebuild: the record
# of the authorization, b"" where it is gone; and the answer, behind its life in seconds.
RECORD = b"r"
ANSWER = b"a"


class Envelope(Struct, frozen=True, array_like=True, kw_only=True):
    """What an act did to the hot state, told by the function that did it."""

    layout: int
    kind: str  # authorization | reversal | advice | completion | clearing | increment | close |
    # withdrawal | note | account | card | judgement | lists | gate | cut_over | announcement |
    # review
    message_id: str
    authorization_id: str
    account_id: str
    card_id: str
    verdict: str  # held | declined | over_limit | no_funds | reversed | unmatched | ...
    detail: str  # the ceiling that refused, or the rung of the ladder that matched
    currency: str  # ISO 4217 numeric, of every amount here
    posted_delta: int  # minor units
    held_delta: int  # minor units
    posted_after: int
    held_after: int
    at_ms: int  # the store's clock
    counters: list[tuple[str, int, int]]  # counter, seen before, after
    versions: list[int]  # of account, card and lists: what the plan was made from
    absorbed: list[str] = []  # authorization ids of tombstones that this one took in
    totals: list[tuple[str, int, int]] = []  # "network/day/currency/kind", count, amount
    review: str = ""  # of a referral: opened, or full where there was no room for its case
    # Of each window that is no single counter: which of the body's limits looked at it, what it had
    # in it, and what of the request would be new to it.
    windows: list[tuple[int, int, int]] = []
    # Of each ceiling of a whole program: which of the body's limits it is, what of it was used in
    # the account's shard, and what might be used there.
    quotas: list[tuple[int, int, int]] = []


# Reason, counter, use, ceiling, scale.
LimitRow = tuple[str, str, int, int, int]


def seen_by(e: Envelope, limits: Sequence[LimitRow]) -> list[tuple[int | None, int | None, int]]:
    """Of each ceiling what its counter or window had before the act, after it, and what of the
    request was new to it. None where nothing is known."""
    moved = {counter: (before, after) for counter, before, after in reversed(e.counters)}
    windows = {place: (seen, new) for place, seen, new in e.windows}
    rows: list[tuple[int | None, int | None, int]] = []
    for place, (_, counter, use, *_) in enumerate(limits):
        before, after = moved.get(counter, (None, None))
        if place in windows:
            seen, use = windows[place]
            rise = (after or 0) - (before or 0)
            is_different = counter.count("|") > 1
            rows.append((seen, seen + (min(rise, use) if is_different else rise), use))
        else:
            rows.append((before, after, use))
    return rows


class AuthorizationBody(Struct, frozen=True, array_like=True, tag="authorization", gc=False):
    """The facts and the plan of one authorization."""

    network: str
    card_key: str
    purpose: str
    amount_minor: int
    currency: str
    transaction_minor: int
    transaction_currency: str
    mcc: str
    merchant_id: str
    terminal_id: str
    acquirer_id: str
    country: str
    entry_mode: str
    expiry: str
    stan: str
    rrn: str
    sent_at: int
    planned: str  # the plan's reason
    limits: tuple[LimitRow, ...]
    credit_line_minor: int
    mti: str = "0100"
    rule: str = ""  # of the policy: which had the last word
    flags: tuple[str, ...] = ()  # and which flagged it
    policy: str = ""  # the version in force; "" where there was none
    finality: str = "plain"
    merchant_initiated: bool = False
    partial_ok: bool = False
    merchant_name: str = ""
    channel: str = "unknown"
    card_present: bool = False
    token: bool = False
    authenticated: bool = False
    risk: int = 0
    # What it costs, in minor units of `currency`; nothing in entries of before there were fees.
    settle_minor: int = -1  # in all: the amount and the fees
    fee_minor: int = 0  # all of them
    cross_border_fee_minor: int = 0  # of these
    rate: str = ""  # of `currency` for one of the transaction's, with spread and markup
    rate_source: str = ""  # "network" where it billed the amount; "" where nothing was converted
    rate_date: str = ""  # YYYY-MM-DD
    exception: str = ""  # the card's, that let it past the rule
    device: str = ""  # what optional checks told; `risk`, `authenticated` and `token` have it too
    ip: str = ""
    skipped: tuple[str, ...] = ()  # optional checks that gave no answer in their time, by name
    skipped_means: str = ""  # what follows: decline | refer; "": went on without
    bin: str = ""  # the first six digits of the card's number


class ReversalBody(Struct, frozen=True, array_like=True, tag="reversal", gc=False):
    """A reversal as it was asked for."""

    network: str
    mti: str
    card_key: str
    transaction_minor: int
    transaction_currency: str
    remaining_minor: int  # of the transaction amount; -1 means: all of it is reversed
    stan: str
    rrn: str
    sent_at: int
    references: tuple[tuple[str, str], ...]  # rung and reference, as they were tried


class AdviceBody(Struct, frozen=True, array_like=True, tag="advice", gc=False):
    """An advice or a completion as it was told, and what it was taken for."""

    told: AuthorizationBody
    act: str  # set | post | last; "" where it was only taken note of
    approved: bool
    approval_code: str
    references: tuple[tuple[str, str], ...]  # rung and reference, as they were tried


# The network's own name of it; +1 we pay it, -1 we are given it, 0 not told; its amount and
# currency; decimals behind the point of a major unit, -1 for minor units.
ToldFee = tuple[str, int, int, str, int]


class ClearingBody(Struct, frozen=True, array_like=True, tag="clearing", gc=False):
    """A record of a clearing file that moved a cardholder's money, or took back what one had moved.

    Amounts are unsigned. Of one that takes back, `told` has the price of what it takes back, as far
    as it does.
    """

    told: AuthorizationBody  # the item as it was priced; sent when it was taken in
    act: str  # post | last | full | part
    references: tuple[tuple[str, str], ...]  # rung and reference, as they were tried
    item: str  # its key, the same for good in any file
    kind: str  # presentment | refund | cash | chargeback
    of: str  # of a chargeback: what was disputed; else the kind
    reversal: bool
    arn: str
    file_id: str
    record: int
    business_date: str = ""  # the file's, YYYY-MM-DD; "" where it tells none
    settlement_minor: int = 0  # what the network settles with us
    settlement_currency: str = ""  # "" where the file does not say
    fees: tuple[ToldFee, ...] = ()  # interchange and the like
    takes_back: str = ""  # the message id of what it takes back
    remaining_minor: int = -1  # of that, in its transaction's currency; -1 means: nothing


class IncrementBody(Struct, frozen=True, array_like=True, tag="increment", gc=False):
    """A request for more on an authorization, and what it was judged by."""

    asked: AuthorizationBody
    approval_code: str
    references: tuple[tuple[str, str], ...]  # rung and reference, as they were tried


class CloseBody(Struct, frozen=True, array_like=True, tag="close", gc=False):
    """A hold that was ended: by its date, or by a named person's word."""

    source: str


class WithdrawalBody(Struct, frozen=True, array_like=True, tag="withdrawal", gc=False):
    """An answer that came too late to be sent, taken back."""

    attempt: str


class AccountBody(Struct, frozen=True, array_like=True, tag="account", gc=False):
    """An account's profile as it now is, and who said so."""

    profile: msgspec.Raw
    opening_minor: int
    source: str


class CardBody(Struct, frozen=True, array_like=True, tag="card", gc=False):
    """A card's profile as it now is, the key it is found by, and who said so."""

    profile: msgspec.Raw
    card_key: str
    source: str


class ReviewBody(Struct, frozen=True, array_like=True, tag="review", gc=False):
    """What a person said of a referral, or that nobody did in time; the entry names the message."""

    source: str
    exception: str = ""  # that an approval opened


ListRow = tuple[str, str, int, int]  # reason, author, from and up to: seconds, 0 for no such end
ListRows = tuple[ListRow, ...]


class Change(Struct, frozen=True, array_like=True, gc=False):
    """What a version of the judgement changed: what was there before and what is since.

    Both, so that it can be told forwards from a beginning and backwards from today.
    """

    texts: tuple[tuple[str, str, str], ...] = ()  # policy | shadow | rates; "" where none
    # "block/merchant/M1": list, kind, value; None where it is not listed
    entries: tuple[tuple[str, ListRows | None, ListRows | None], ...] = ()


class JudgementBody(Struct, frozen=True, array_like=True, tag="judgement", gc=False):
    """By what engines judge from here on: another version of policy, rates or lists."""

    version: int
    source: str
    packed: bytes = b""  # a Change; where a gate was told of the version, nothing

    @property
    def change(self) -> Change:
        """Raises: msgspec.MsgspecError, zlib.error."""
        return _change(zlib.decompress(self.packed)) if self.packed else Change()


class GateBody(Struct, frozen=True, array_like=True, tag="gate", gc=False):
    """The gate was opened: which run of the store, and on whose word."""

    run_id: str
    source: str


class CutOverBody(Struct, frozen=True, array_like=True, tag="cut_over", gc=False):
    """A network's word that its business day is over; or a person's, which day is in force."""

    network: str
    mti: str
    stan: str
    sent_at: int
    forwarder_id: str
    day: int  # as it was told, in days since 1970; 0: the next
    source: str = ""  # the person


class AdministrativeBody(Struct, frozen=True, array_like=True, tag="administrative", gc=False):
    """That an administrative advice came: by whom, when, and with which data elements."""

    network: str
    mti: str
    stan: str
    sent_at: int
    acquirer_id: str
    forwarder_id: str
    elements: tuple[int, ...]  # their numbers; their content may hold a card number


class AnnouncementBody(Struct, frozen=True, array_like=True, tag="announcement", gc=False):
    """What a network was told of a card, and after how many tries it answered; or was dropped."""

    network: str
    code: str  # add | delete
    tries: int
    source: str = ""  # who dropped it


class ReconciliationBody(Struct, frozen=True, array_like=True, tag="reconciliation", gc=False):
    """What a network says that it counted on a business day, and what we did."""

    network: str
    mti: str
    stan: str
    sent_at: int
    day: int  # counted from 1970
    currency: str
    told: tuple[tuple[str, int], ...]  # by name, as far as it said so
    ours: tuple[tuple[str, int], ...]


# Program, currency, role, subject, minor units: a debit is above zero.
LedgerLine = tuple[str, str, str, str, int]


class LedgerBody(Struct, frozen=True, array_like=True, tag="ledger", gc=False):
    """Money that moves between accounts of the ledger, and no cardholder's among them.

    A settlement, a clearing item that is nobody's, a network's fee. The hot state only journals it,
    as a note; its message id is its own for good.
    """

    what: str  # settlement | interchange | unmatched | fee | dispute | write_off
    reference: str  # of what: a batch, a clearing item
    source: str  # who said so: a person, a file
    lines: tuple[LedgerLine, ...]
    facts: tuple[tuple[str, str], ...] = ()  # what else is known of it, by name


Body = (
    AuthorizationBody
    | ReversalBody
    | AdviceBody
    | ClearingBody
    | IncrementBody
    | CloseBody
    | WithdrawalBody
    | AccountBody
    | CardBody
    | JudgementBody
    | GateBody
    | CutOverBody
    | AdministrativeBody
    | AnnouncementBody
    | ReconciliationBody
    | ReviewBody
    | LedgerBody
)

encode_body = msgspec.msgpack.Encoder().encode
_envelope = msgspec.msgpack.Decoder(Envelope)
_body = msgspec.msgpack.Decoder(Body)
_change = msgspec.msgpack.Decoder(Change).decode


def pack_change(change: Change) -> bytes:
    """Entries of one list are much alike: a tenth of their size is left."""
    return zlib.compress(encode_body(change))


class Entry(Struct, frozen=True):
    """One journal entry as it is read back."""

    stream_id: str  # a position, never a key: ids were seen to repeat after a failover
    envelope: Envelope
    body: Body


def read_entry(stream_id: bytes, fields: dict[bytes, bytes] | Any) -> Entry:
    """An entry as the stream holds it.

    Raises: msgspec.MsgspecError (DecodeError, ValidationError), KeyError.
    """
    return Entry(stream_id.decode(), _envelope.decode(fields[ENVELOPE]), _body.decode(fields[BODY]))
