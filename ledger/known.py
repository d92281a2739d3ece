"""What the books know of accounts and authorizations, and remember from entry to entry."""

import msgspec
from msgspec import Struct

from ledger.chart import UNASSIGNED
from ledger.split import NOTHING, Parts


class Unbookable(Exception):
    """An entry that cannot be told. It is parked alone, with this reason; others go on."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Profile(Struct, frozen=True, array_like=True):
    """As much of an account's profile as the books need; rules/facts.py has all of it."""

    account_id: str
    program: str
    currency: str
    credit_line_minor: int


read_profile = msgspec.msgpack.Decoder(Profile).decode


class Balance(Struct, frozen=True, array_like=True, gc=False):
    """One currency of an account: by our postings, and as the hot state told it last."""

    posted: int = 0
    held: int = 0
    told_posted: int = 0
    told_held: int = 0


NO_BALANCE = Balance()


class Holder(Struct, frozen=True, kw_only=True, gc=False):
    """A cardholder's account as the books know it."""

    account_id: str
    program: str = UNASSIGNED
    currency: str = ""
    credit_line_minor: int = 0
    created: bool = False
    entries: int = 0  # the chain of its journal entries, as the hot state has it
    digest: str = ""


class Authorization(Struct, frozen=True, kw_only=True, gc=False):
    """An authorization, or what stands in for one: all that is held and paid of it."""

    authorization_id: str
    account_id: str
    card_id: str = ""
    currency: str = ""
    network: str = ""
    held: int = 0
    parts: Parts = NOTHING
    approved: bool = False  # judged, approved, and not withdrawn since
    taken_in_by: str = ""  # the authorization that it is a part of now
    acts: str = ""  # "<kind>:<message id>" of each that approved or moved something, by blanks
    first_at_ms: int = 0
    last_at_ms: int = 0


class State:
    """What is known. `get` of what is not there means that the books have never heard of it."""

    def __init__(self) -> None:
        self.holders: dict[str, Holder] = {}
        self.balances: dict[str, dict[str, Balance]] = {}  # by account and currency
        self.authorizations: dict[str, Authorization] = {}
