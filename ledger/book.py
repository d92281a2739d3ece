"""The book: journal entries in, balanced postings and what is now known of accounts out.

The envelope says how much moved; that is the truth to the cent. The body says only whose the other
side is. A cardholder's funds stand in two accounts, `open` and `held`, so a hold moves from one to
the other, and what is posted leaves both for the network, for fees, for an FX position (split.py).

Pure, and in the order of the journal: the same entries give the same postings and the same state,
however they were cut into batches (tests/ledger/test_book.py). What must be known before an entry
can be told is in `State`; whoever tells entries fills it in, and keeps what is said to have
changed.
"""

from contextlib import suppress
from hashlib import sha1
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from ledger.chart import OF_CARDHOLDERS, Account, Posting, Role, sums
from ledger.journal import (
    AccountBody,
    AdviceBody,
    AuthorizationBody,
    Body,
    ClearingBody,
    Envelope,
    IncrementBody,
    LedgerBody,
    ReversalBody,
)
from ledger.known import (
    NO_BALANCE,
    Authorization,
    Balance,
    Holder,
    State,
    Unbookable,
    read_profile,
)
from ledger.split import NOTHING, Parts, Terms, joined, paid, terms_of, terms_of_clearing

EXACT_MAX = 2**53 - 1  # the hot state's; a number beyond it was never counted there
# By the store's clock, ms: 2001 to 2099. What lies outside was never one, and would make a
# partition of the journal of its own.
AT_FIRST_MS, AT_LAST_MS = 978_307_200_000, 4_102_444_800_000
LINES_MAX = 100  # of a movement of the ledger's own: a batch has a handful
TEXT_MAX = 256  # of an id: the hot state makes none above 64
# In an id: what no text of Postgres may hold, and what ledger/store.py puts between ids.
FORBIDDEN = ("\0", "\x1f")

# Roles that a movement may name: a cardholder's money moves by acts of the hot state alone.
OF_THE_LEDGER = frozenset(Role) - OF_CARDHOLDERS - {Role.LINES_GRANTED}

read_body = msgspec.msgpack.Decoder(Body).decode


class Told(NamedTuple):
    """What one entry came to."""

    postings: tuple[Posting, ...]
    notices: tuple[tuple[str, str], ...]  # what a person should look at: its name, and details
    movement: LedgerBody | None = None  # of no cardholder's money; its message id comes once


def needed(e: Envelope) -> tuple[str, ...]:
    """The authorizations that must be known before this entry is told."""
    return (e.authorization_id, *e.absorbed) if e.authorization_id else ()


def chained(digest: str, envelope: bytes, body: bytes) -> str:
    """A chain with one more entry, as `commit` of prelude.lua chains it."""
    return sha1(digest.encode() + envelope + body).hexdigest()


def tell(state: State, e: Envelope, envelope: bytes, body: bytes) -> Told:
    """One more entry of the journal. Nothing of the state changes where it raises.

    Raises: Unbookable.
    """
    check(e)
    holder = state.holders.get(e.account_id) or Holder(account_id=e.account_id)
    notices: list[tuple[str, str]] = []
    before = state.balances.get(e.account_id, {}).get(e.currency, NO_BALANCE)
    now, gap = moved(before, e)
    if gap:
        notices.append(("gap", gap))
    read, readable = body_of(e, body)
    if not readable:
        notices.append(("unreadable_body", e.kind))

    lines = Lines()
    one: Authorization | None = None
    gone: list[Authorization] = []
    movement: LedgerBody | None = None
    if e.kind == "account":
        holder = account_moved(state, holder, e, read, lines)
    elif e.kind == "note" and isinstance(read, LedgerBody):
        movement = read
        add_movement(lines, read)
    elif e.authorization_id:
        one, gone = authorization_moved(state, e, read)
        was = state.authorizations.get(one.authorization_id)
        if e.posted_delta or gone:
            for known in (*gone, *([was] if was else [])):
                stand(lines, holder.program, e.currency, known.parts, known.network, 1)
            stand(lines, holder.program, e.currency, one.parts, one.network, -1)
    elif e.posted_delta:
        lines.add(Account(holder.program, e.currency, Role.SUSPENSE), e.posted_delta)
    if lines:
        if movement is None:
            cardholder(lines, holder, e)
        postings = lines.done()
        if sums(postings):
            raise Unbookable("unbalanced")
    else:
        postings = between_own(holder, e)

    # The entry stands. From here on nothing may fail.
    if e.account_id:
        digest = chained(holder.digest, envelope, body)
        state.holders[e.account_id] = replace(holder, entries=holder.entries + 1, digest=digest)
        if e.currency:
            state.balances.setdefault(e.account_id, {})[e.currency] = now
    if one is not None:
        state.authorizations[one.authorization_id] = one
        for other in gone:
            state.authorizations[other.authorization_id] = replace(
                other, held=0, parts=NOTHING, taken_in_by=one.authorization_id
            )
    return Told(postings, tuple(notices), movement)


def check(e: Envelope) -> None:
    """What no function of the hot state writes. Raises: Unbookable."""
    amounts = e.posted_delta, e.held_delta, e.posted_after, e.held_after
    if max(amounts) > EXACT_MAX or min(amounts) < -EXACT_MAX:
        raise Unbookable("amount")
    if not AT_FIRST_MS <= e.at_ms < AT_LAST_MS:
        raise Unbookable("time")
    texts = (e.kind, e.message_id, e.authorization_id, e.account_id, e.card_id, e.verdict,
             e.currency, *e.absorbed)  # fmt: skip
    whole = "".join(texts)
    if (len(whole) > TEXT_MAX and too_long(*texts)) or forbidden(whole):
        raise Unbookable("text")
    if (e.posted_delta or e.held_delta) and not (e.currency and e.account_id):
        raise Unbookable("amount_of_nobody")


def too_long(*texts: str) -> bool:
    return max(map(len, texts)) > TEXT_MAX


def forbidden(text: str) -> bool:
    return FORBIDDEN[0] in text or FORBIDDEN[1] in text


def body_of(e: Envelope, packed: bytes) -> tuple[Body | None, bool]:
    """The body, where it is asked for its meaning; and whether it had one."""
    if e.posted_delta == 0 and e.kind not in ("account", "note"):
        return None, True  # nothing but the cardholder's own accounts can have moved
    try:
        return read_body(packed), True
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None, False


def moved(before: Balance, e: Envelope) -> tuple[Balance, str]:
    """A balance after it; and how it fits what was told before, where it does not."""
    told = e.posted_after - e.posted_delta, e.held_after - e.held_delta
    gap = ""
    if e.currency and told != (before.told_posted, before.told_held):
        gap = f"{e.currency} {told[0] - before.told_posted} {told[1] - before.told_held}"
    after = Balance(
        before.posted + e.posted_delta, before.held + e.held_delta, e.posted_after, e.held_after
    )
    return after, gap


class Lines:
    """Postings as they are put together: one for each account, in an order of their own."""

    def __init__(self) -> None:
        self._amounts: dict[Account, int] = {}

    def add(self, account: Account, amount: int) -> None:
        if amount:
            self._amounts[account] = self._amounts.get(account, 0) + amount

    def __len__(self) -> int:
        return len(self._amounts)

    def done(self) -> tuple[Posting, ...]:
        return tuple(
            Posting(account, amount) for account, amount in self._amounts.items() if amount
        )


def cardholder(lines: Lines, holder: Holder, e: Envelope) -> None:
    """What the envelope says of the cardholder's own funds."""
    of = holder.program, e.currency
    lines.add(Account(*of, Role.OPEN, e.account_id), e.held_delta - e.posted_delta)
    lines.add(Account(*of, Role.HELD, e.account_id), -e.held_delta)


def between_own(holder: Holder, e: Envelope) -> tuple[Posting, ...]:
    """The same where nobody else has a part in it: most entries, and the shortest way."""
    if e.posted_delta:
        raise Unbookable("unbalanced")
    if not e.held_delta:
        return ()
    program, currency, id = holder.program, e.currency, e.account_id
    return (
        Posting(Account(program, currency, "open", id), e.held_delta),
        Posting(Account(program, currency, "held", id), -e.held_delta),
    )


def account_moved(
    state: State, holder: Holder, e: Envelope, read: Body | None, lines: Lines
) -> Holder:
    """Opening funds come from the bank; a credit line is a promise against itself."""
    if e.posted_delta and holder.created:
        raise Unbookable("opened_twice")
    profile = None
    if isinstance(read, AccountBody):
        with suppress(msgspec.MsgspecError):  # then it stays where it is, or unassigned
            profile = read_profile(read.profile)
    program = profile.program if profile else holder.program
    line = profile.credit_line_minor if profile else holder.credit_line_minor
    if too_long(program) or forbidden(program) or not 0 <= line <= EXACT_MAX:
        raise Unbookable("profile")
    if program != holder.program:
        move_program(state, holder, program, lines)
    more = line - holder.credit_line_minor
    lines.add(Account(program, e.currency, Role.LINE, e.account_id), -more)
    lines.add(Account(program, e.currency, Role.LINES_GRANTED), more)
    lines.add(Account(program, e.currency, Role.BANK), e.posted_delta)
    return replace(
        holder, program=program, currency=e.currency, credit_line_minor=line, created=True
    )


def add_movement(lines: Lines, movement: LedgerBody) -> None:
    """Raises: Unbookable, where a line is none of the ledger's own. That they balance is seen to
    with all others."""
    if len(movement.lines) > LINES_MAX:
        raise Unbookable("movement")
    for program, currency, role, subject, amount in movement.lines:
        if role not in OF_THE_LEDGER or not (len(currency) == 3 and currency.isdigit()):
            raise Unbookable("movement")
        if too_long(program, subject) or abs(amount) > EXACT_MAX or forbidden(program + subject):
            raise Unbookable("movement")
        lines.add(Account(program, currency, Role(role), subject), amount)


def move_program(state: State, holder: Holder, program: str, lines: Lines) -> None:
    """All that the cardholder has goes to the new program, with what stands against it."""
    id, line = holder.account_id, holder.credit_line_minor
    for currency, balance in sorted(state.balances.get(id, {}).items()):
        for at, sign in ((holder.program, 1), (program, -1)):
            lines.add(Account(at, currency, Role.OPEN, id), sign * (balance.posted - balance.held))
            lines.add(Account(at, currency, Role.HELD, id), sign * balance.held)
            lines.add(Account(at, currency, Role.BANK), -sign * balance.posted)
    if line:
        for at, sign in ((holder.program, 1), (program, -1)):
            lines.add(Account(at, holder.currency, Role.LINE, id), sign * line)
            lines.add(Account(at, holder.currency, Role.LINES_GRANTED), -sign * line)


def authorization_moved(
    state: State, e: Envelope, read: Body | None
) -> tuple[Authorization, list[Authorization]]:
    """The authorization after this act, and those that it took in, as they were.

    An act that approves or moves money does so once. Told again with other content (a store that
    lost its end and decided afresh), it is not booked: it is parked, and a person looks.
    """
    id = e.authorization_id
    one = state.authorizations.get(id) or Authorization(
        authorization_id=id, account_id=e.account_id, first_at_ms=e.at_ms
    )
    if one.account_id != e.account_id:
        raise Unbookable("other_account")
    gone = taken_in(state, e) if e.absorbed else []
    acts = one.acts.split()
    for known in gone:
        acts += [act for act in known.acts.split() if act not in acts]
    approved = one.approved
    if e.kind == "withdrawal":
        acts = [act for act in acts if act.partition(":")[2] != e.message_id]
        if e.message_id == id:
            approved = False
    else:
        approves = e.verdict == "held"
        if approves or e.posted_delta or e.held_delta:
            act = f"{e.kind}:{e.message_id}"
            if act in acts:
                raise Unbookable("told_twice")
            acts.append(act)
        if approves and e.kind == "authorization":
            approved = True
    network, parts, held = one.network, one.parts, one.held + e.held_delta
    if gone:
        network = network or next((known.network for known in gone if known.network), "")
        parts = joined(parts, [known.parts for known in gone])
        held += sum(known.held for known in gone)
    if read is not None:
        told, terms = whose(read)
        network = one.network or told or network
        parts = paid(parts, -e.posted_delta, terms)
    elif e.posted_delta:
        parts = paid(parts, -e.posted_delta, None)
    # Not by `replace`: there is one for each entry, and this is twice as fast.
    return Authorization(
        authorization_id=id, account_id=one.account_id, card_id=e.card_id or one.card_id,
        currency=e.currency or one.currency, network=network, held=held, parts=parts,
        approved=approved, taken_in_by=one.taken_in_by, acts=" ".join(acts),
        first_at_ms=one.first_at_ms, last_at_ms=e.at_ms,
    ), gone  # fmt: skip


def taken_in(state: State, e: Envelope) -> list[Authorization]:
    """Those of the account that an act took in, each once."""
    found = []
    for other in dict.fromkeys(e.absorbed):
        known = state.authorizations.get(other)
        if known is not None and known.account_id == e.account_id and other != e.authorization_id:
            found.append(known)
    return found


def whose(read: Body) -> tuple[str, Terms | None]:
    """The network that an act came by, and what it says of its price."""
    match read:
        case AuthorizationBody():
            return read.network, terms_of(read)
        case AdviceBody(told=told) | IncrementBody(asked=told):
            return told.network, terms_of(told)
        case ClearingBody():
            return read.told.network, terms_of_clearing(read)
        case ReversalBody():
            return read.network, None
        case _:
            return "", None


def stand(lines: Lines, program: str, currency: str, parts: Parts, network: str, by: int) -> None:
    """What stands against what was paid, put there (-1) or taken away (1)."""
    if not network:
        lines.add(Account(program, currency, Role.SUSPENSE), by * parts.paid)
        return
    lines.add(Account(program, currency, Role.NETWORK, network), by * parts.direct)
    lines.add(Account(program, currency, Role.FEES), by * parts.fees)
    lines.add(Account(program, currency, Role.CROSS_BORDER), by * parts.cross_border)
    lines.add(Account(program, currency, Role.FX_POSITION), by * parts.converted)
    for abroad, amount in parts.foreign:
        if abroad == currency:
            lines.add(Account(program, currency, Role.FX_INCOME), by * amount)
            lines.add(Account(program, currency, Role.NETWORK, network), -by * amount)
            continue
        lines.add(Account(program, abroad, Role.FX_POSITION), -by * amount)
        lines.add(Account(program, abroad, Role.NETWORK, network), by * amount)
