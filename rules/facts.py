"""What a decision is made from: the request, the card, its account. The lists: rules/lists.py.

Plain frozen data. Nothing here knows ISO 8583, Redis or the time.
"""

from enum import StrEnum

from msgspec import Struct

EXACT_MAX = 2**53 - 1  # the hot state counts in doubles; every amount stays exact


class CardState(StrEnum):
    ACTIVE = "active"
    INACTIVE = "inactive"  # issued, not yet activated
    FROZEN = "frozen"
    LOST = "lost"
    STOLEN = "stolen"
    EXPIRED = "expired"
    CLOSED = "closed"


class AccountState(StrEnum):
    ACTIVE = "active"
    FROZEN = "frozen"
    CLOSED = "closed"


class Purpose(StrEnum):
    """What the money is for: the first two digits of DE 3."""

    PURCHASE = "purchase"  # 00
    CASH = "cash"  # 01
    PURCHASE_WITH_CASH = "purchase_with_cash"  # 09
    ACCOUNT_FUNDING = "account_funding"  # 10
    QUASI_CASH = "quasi_cash"  # 11
    REFUND = "refund"  # 20: money back to the card
    ORIGINAL_CREDIT = "original_credit"  # 26, 28: money to the card that never left it
    BALANCE_INQUIRY = "balance_inquiry"  # 30, 31: asks what there is, and moves nothing


CREDITS = frozenset({Purpose.REFUND, Purpose.ORIGINAL_CREDIT})
CASH_PURPOSES = frozenset({Purpose.CASH, Purpose.PURCHASE_WITH_CASH, Purpose.QUASI_CASH})
# Here and wherever each request passes, members have names of their own: to look one up on its enum
# costs ten times as much, and a request asks for some fifty.
INQUIRY = Purpose.BALANCE_INQUIRY


class Finality(StrEnum):
    """Whether the amount of an authorization is the last word."""

    PLAIN = "plain"  # nothing was said
    PRE = "pre"  # an estimate: increments and a completion of another amount are to come
    FINAL = "final"


class Channel(StrEnum):
    """How the card was used."""

    CHIP = "chip"
    CONTACTLESS = "contactless"
    STRIPE = "stripe"
    MANUAL = "manual"  # the number keyed in by the merchant
    ECOMMERCE = "ecommerce"
    MAIL_PHONE = "mail_phone"
    RECURRING = "recurring"
    ON_FILE = "on_file"  # with a number that the merchant keeps
    UNKNOWN = "unknown"


class Does(StrEnum):
    """What a message does to its authorization."""

    HOLD = "hold"
    POST = "post"  # at once
    INCREASE = "increase"
    SET = "set"  # the hold, to what was decided elsewhere
    COMPLETE = "complete"  # post, and end the hold
    PART = "part"  # post one of several completions


class AuthorizationRequest(Struct, frozen=True, kw_only=True, gc=False):
    """One merchant's question: may this card spend this much, here, now?

    The PAN never gets this far: `card_key` is its keyed hash. Amounts are integers
    in minor units of the currency beside them; zero asks only about the card.
    """

    network: str  # the network profile that the message came by
    mti: str  # without the repeat digit: 0100 asks to hold, 0200 to post at once
    card_key: str
    purpose: Purpose
    amount_minor: int  # DE 6 where the network billed it, else DE 4
    currency: str  # DE 51 or DE 49, ISO 4217 numeric, "840"; "" where an inquiry says none
    transaction_minor: int  # DE 4
    transaction_currency: str  # DE 49
    mcc: str  # DE 18, ISO 18245, four digits; "" where an inquiry says none
    merchant_id: str  # DE 42, without padding; "" where absent
    terminal_id: str  # DE 41, without padding
    acquirer_id: str  # DE 32
    country: str  # of the merchant, ISO 3166 alpha-2; "" where unknown
    entry_mode: str  # DE 22
    expiry: str  # DE 14, YYMM; "" where absent
    stan: str  # DE 11: unique per acquirer and day only
    rrn: str  # DE 37: the acquirer's reference
    sent_at: int  # DE 7 as seconds since 1970, UTC
    named_at: str = ""  # by which later acts name it, MMDDhhmmss, where that is not DE 7
    life_cycle: str = ""  # the network's own id of the whole life of this payment
    finality: Finality = Finality.PLAIN
    merchant_initiated: bool = False
    partial_ok: bool = False  # the terminal can take less than it asked for
    merchant_name: str = ""  # of DE 43
    channel: Channel = Channel.UNKNOWN
    card_present: bool = False
    token: bool = False  # a wallet's number in place of the card's
    authenticated: bool = False  # 3-D Secure
    risk: int = 0  # 0 to 999: the network's score, or a check's if that is larger; 0 without any
    network_rate: str = ""  # DE 10, in decimals: by which it billed; "" where it does not say
    device: str = ""  # an id of it, as an optional check told; "" where none did
    ip: str = ""  # the payer's address, likewise
    skipped: tuple[str, ...] = ()  # optional checks that gave no answer in their time
    skipped_means: str = ""  # the strictest word on them: decline, refer, or "": go on without
    bin: str = ""  # the first six digits of the card's number, and no more of it

    def __post_init__(self) -> None:
        assert 0 <= self.amount_minor <= EXACT_MAX, self.amount_minor
        assert 0 <= self.transaction_minor <= EXACT_MAX, self.transaction_minor
        is_inquiry = self.purpose is INQUIRY
        assert len(self.mcc) == 4 or (is_inquiry and not self.mcc), self.mcc
        assert self.currency or is_inquiry

    @property
    def posts(self) -> bool:
        """Whether it moves the money at once: a financial request."""
        return self.mti[1] == "2"

    @property
    def sign(self) -> int:
        """-1 for money that comes to the card."""
        return -1 if self.purpose in CREDITS else 1


class Approved(Struct, frozen=True, gc=False):
    """An approval of less than was asked for, in minor units."""

    billing_minor: int
    transaction_minor: int


class Funds(Struct, frozen=True, gc=False):
    """What there was on an account when it was asked, in minor units."""

    currency: str
    posted_minor: int
    available_minor: int


class Original(Struct, frozen=True, kw_only=True, gc=False):
    """What a message says of the one that it belongs to; "" where it says nothing."""

    mti: str = ""  # DE 90
    stan: str = ""
    sent: str = ""  # MMDDhhmmss, as the original had it
    approval_code: str = ""  # DE 38 of the original's answer


class Advice(Struct, frozen=True, kw_only=True, gc=False):
    """What was decided elsewhere: by the network in our stead, or by the merchant who completes.
    Told with the same facts as a request."""

    told: AuthorizationRequest
    original: Original
    approved: bool  # DE 39 there; absent means that it was
    does: Does  # SET, COMPLETE or PART
    shipments: int = 0  # of a completion: so many there are in all; 0 where nothing was said


class Increment(Struct, frozen=True, kw_only=True, gc=False):
    """A request for more on an authorization that was given before."""

    asked: AuthorizationRequest
    original: Original


class Reversal(Struct, frozen=True, kw_only=True, gc=False):
    """An acquirer's word that a request is taken back, in whole or in part."""

    network: str
    mti: str  # 0400 or 0420, or their repeats
    card_key: str
    transaction_minor: int  # DE 4: of the original
    transaction_currency: str  # DE 49
    remaining_minor: int  # DE 95: what stays of it; -1 where nothing does
    original: Original
    stan: str
    rrn: str
    merchant_id: str
    terminal_id: str
    acquirer_id: str
    sent_at: int
    life_cycle: str = ""  # the network's own id of the whole life of this payment


class AccountProfile(Struct, frozen=True, array_like=True, gc=False):
    """Whose money it is. Moved by control acts only; the balance lives elsewhere."""

    account_id: str
    program: str
    currency: str  # ISO 4217 numeric
    credit_line_minor: int
    time_zone: str  # IANA name: whose midnight ends the day of a daily limit
    state: AccountState

    def __post_init__(self) -> None:
        assert 0 <= self.credit_line_minor <= EXACT_MAX, self.credit_line_minor


class CardException(Struct, frozen=True, array_like=True, gc=False):
    """A person's word that lets a card past the policy's rules: at one merchant, for a time.

    How often it was used is counted in the hot state, under the card's limit subject.
    """

    exception_id: str
    merchant_id: str  # DE 42, without padding
    amount_minor: int | None  # of each request, at the most; None is no bound
    currency: str  # of that: the account's
    from_s: int  # seconds since 1970, by DE 7 of the request
    until_s: int  # the first second in which it is over
    uses: int  # so often, 1 or more; 0: as often as asked
    opened_by: str
    review_id: str = ""  # the message that was referred, where a review opened it


class CardProfile(Struct, frozen=True, array_like=True, gc=False):
    """One card and its controls. A limit of None is no limit."""

    card_id: str
    account_id: str
    limit_subject: str  # whom counters and references belong to: stays when a card is replaced
    expiry: str  # YYMM, good until the end of that month
    state: CardState
    transaction_limit_minor: int | None = None
    daily_amount_minor: int | None = None
    daily_count: int | None = None
    blocked_mccs: tuple[str, ...] = ()
    issued_day: int = 0  # counted from 1970; 0 where nobody said
    exceptions: tuple[CardException, ...] = ()  # rules/exceptions.py


class Limit(Struct, frozen=True, array_like=True, gc=False):
    """One ceiling to be checked where its counter is kept: in the hot state.

    `scale` says how the counter follows the hold: 1, with its amount; 0, by one
    for as long as anything is held; 2, not at all: it rises when the request is declined.
    How counters are named: rules/counters.py.
    """

    reason: str  # a `Reason`: what to say when this ceiling is hit
    counter: str  # "<limit subject>/<what>/<bucket>"
    use: int
    ceiling: int
    scale: int
    until: int = 0  # seconds since 1970: when nobody looks at this counter any more; 0 for never
    since: int = 0  # of a window in buckets: the first that is in it
    size: int = 0  # of such a bucket, in seconds; 0 of the calendar's


class Plan(Struct, frozen=True, gc=False):
    """What to do about a request: decline it for this reason, or try to hold."""

    reason: str  # a `Reason`; APPROVED means no objection so far
    hold_minor: int = 0  # less than was asked: a rule allows no more, and less will do
    limits: tuple[Limit, ...] = ()
    rule: str = ""  # the policy's, that had the last word or set the cap
    uplift_minor: int = 0  # held beyond what was asked, by a rule
    flags: tuple[str, ...] = ()  # rules that flagged it
    exception: str = ""  # that lets it past the rule: its id
