"""What is asked of the hot state, and what it answers. Shared by the store and its twin."""

from msgspec import Struct

from authz.hot.outbox import Word
from authz.hot.record import Act, Touched
from rules.facts import Approved, Limit


class Authorize(Struct, frozen=True, kw_only=True, gc=False):
    """Give this request its verdict, once, and hold the money if it fits."""

    account_id: str
    card_id: str
    account_version: int  # what the plan was made from; the function answers `stale` if they moved
    card_version: int
    lists_version: int
    message_id: str
    fingerprint: str
    attempt: str  # this asking of it: what `Withdraw` takes back
    deadline_ms: int  # by the store's clock: refused if the function runs after it
    planned: str  # the plan's reason; "approved" means: hold if it fits
    hold_minor: int
    asked_minor: int  # in the transaction's currency: partial reversals are told in it
    asked_currency: str
    currency: str
    credit_line_minor: int
    limits: tuple[Limit, ...]  # lasting as long as they may be asked for
    references: tuple[str, ...]  # what later acts may find this authorization by
    sent_at: int  # seconds since 1970
    expires_at: int  # seconds since 1970: when the hold ends by itself
    answer_ttl_s: int
    posts: int = 0  # 1: at once, a single-message request; 2: a credit, available at its approval
    sign: int = 1  # -1: a credit, which needs no funds
    billed_minor: int = -1  # what was asked, where more is wanted, for a tip; -1: all of it
    part_reference: str = ""  # where less will do: what a part is found by, beside its others
    inquires: bool = False  # it asks what there is
    exact: int = 1  # how many of the references name no other authorization, at the front
    tally: str = ""  # what its network's totals count it under; "" for nothing
    review: str = ""  # the reason that opens a case for a person; "" where none may
    body: bytes  # for the journal

    @property
    def asked_billed_minor(self) -> int:
        return self.hold_minor if self.billed_minor < 0 else self.billed_minor


class Decision(Struct, frozen=True, array_like=True, gc=False):
    """What an increment is judged by."""

    planned: str
    credit_line_minor: int
    account_version: int
    card_version: int
    lists_version: int
    limits: tuple[Limit, ...]


class Terms(Struct, frozen=True, array_like=True, gc=False):
    """What a completion should keep to. More is posted all the same, and shown."""

    tolerance_percent: int
    tolerance_minor: int
    overdue_s: int


class Apply(Struct, frozen=True, kw_only=True, gc=False):
    """Take in what is never declined: a reversal, an advice, a completion; early or late."""

    kind: str  # of its journal entry: reversal | advice | completion
    account_id: str
    card_id: str
    message_id: str
    fingerprint: str
    attempt: str
    deadline_ms: int
    act: Act  # what it does to the authorization
    references: tuple[tuple[str, str], ...]  # the ladder, strongest first: rung, reference
    currency: str = ""  # the billing currency; "" of a reversal
    sign: int = 1  # -1 for a credit
    expires_at: int = 0  # seconds since 1970: when what it holds ends by itself
    touched: tuple[Touched, ...] = ()  # counters, if it stands alone
    decision: Decision | None = None  # of an increment: it may be declined
    exact: int = 0  # how many of the references name no other authorization, at the front
    terms: Terms | None = None  # of a completion
    tally: str = ""  # as of an authorization
    review: str = ""  # of an increment, as of an authorization
    answer_ttl_s: int
    body: bytes


class Close(Struct, frozen=True, kw_only=True, gc=False):
    """End a hold: by the date that it carries, or by a named person's word."""

    act_id: str
    account_id: str
    authorization_id: str
    kind: str  # expired | released
    at: int  # seconds since 1970
    body: bytes


class Note(Struct, frozen=True, kw_only=True, gc=False):
    """Remember and journal an answer that moves nothing: a card that is not ours."""

    shard_of: str  # what picks the shard: the card key, as there is no account
    message_id: str
    fingerprint: str
    attempt: str
    deadline_ms: int
    verdict: str
    planned: str
    answer_ttl_s: int
    body: bytes
    detail: str = ""  # what a repeat is told besides


class Withdraw(Struct, frozen=True, kw_only=True, gc=False):
    """Undo one attempt that got no reply in time, if it was carried out at all.

    Asked again until it is answered, from a spool on disk, so it holds all it needs.
    """

    account_id: str  # "" for a card that is not ours
    shard_of: str
    message_id: str
    attempt: str
    answer_ttl_s: int


class SettleReview(Struct, frozen=True, kw_only=True, gc=False):
    """End a case: by a person's word, or since nobody gave one in time."""

    message_id: str  # that was referred
    account_id: str
    verdict: str  # approved | declined | ended
    waited_s: int = 0  # of one that ends by itself: not before it has waited so long
    body: bytes
    card_id: str = ""  # of an approval: which gets another profile in the same step
    made_from: int = 0  # the version that it was made from
    profile: bytes = b""
    card_body: bytes = b""


class CutOver(Struct, frozen=True, kw_only=True, gc=False):
    """A network's business day ends, and another begins. Days are counted from 1970."""

    message_id: str
    fingerprint: str
    attempt: str
    deadline_ms: int
    network: str
    day: int  # that begins; 0: the one after the day in force
    today: int  # by the calendar: the day in force of a network that never cut over
    answer_ttl_s: int
    body: bytes


class Verdict(Struct, frozen=True, kw_only=True, gc=False):
    """What became of an act, now or when it was first asked.

    authorize: held | told (what there is) | declined | over_limit | no_funds | reversed
    apply:     applied | reversed | unmatched (it stands alone) | unapplied (it says nothing here)
               | beyond (more than was held and tolerated) | overdue
    note:      whatever was noted
    cut_over:  moved | same (it had begun before) | older (a later one has begun)
    any:       mismatch (same id, other content; nothing was changed)
    """

    kind: str
    planned: str = ""  # the reason of the plan that was carried out
    detail: str = ""  # the ceiling that refused, or the rung that matched; partial; what there is
    held_minor: int = 0  # authorize: held now; reverse: released now
    authorization_id: str = ""
    replayed: bool = False  # given before, and only repeated here
    approved: Approved | None = None  # where it is less than was asked
    review: str = ""  # of a referral: opened, or full where there was no room for a case


class Stale(Struct, frozen=True, gc=False):
    """The plan was made from old facts. Nothing was done; here are the new ones."""

    account_version: int
    account: bytes
    card_version: int
    card: bytes
    lists_version: int


class PutAccount(Struct, frozen=True, kw_only=True):
    """Create an account, or move its profile. Opening funds count once, at creation."""

    account_id: str
    profile: bytes
    currency: str
    opening_minor: int
    body: bytes


class PutCard(Struct, frozen=True, kw_only=True):
    """Create a card on an account that is there, or move its profile."""

    card_id: str
    account_id: str
    profile: bytes
    body: bytes
    words: tuple[Word, ...] = ()  # what networks are to be told of it
    made_from: int = -1  # the version whose place it takes, 0 for none; -1 for whichever it is


class PutCardSaid(Struct, frozen=True):
    """What became of it, and of the words."""

    verdict: str  # created | moved | same | no_account | other (another version: nothing done)
    queued: int = 0  # networks that are told now: it was news
    full: int = 0  # networks that are not, for want of room
