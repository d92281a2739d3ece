"""What makes a message itself: its id, its fingerprint, and what later acts find it by.

The id keys answers and acts. It never names the link, since a repeat may come on the
sister link, and never the PAN's hash where the card is ours, since keys rotate.
"""

from binascii import b2a_base64
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import blake2b

from iso8583.mti import without_repeat
from rules.facts import Advice, AuthorizationRequest, Increment, Original, Reversal


def message_id(
    *, network: str, mti: str, stan: str, sent_at: int, acquirer_id: str, subject: str
) -> str:
    """The id of a request and of all its repeats: 20 characters.

    `subject` is the card id, or the card key of a card that is not ours.
    """
    kind = without_repeat(mti)[1:]  # class and function: 1987 and 1993 mean the same
    parts = (network, kind, stan, str(sent_at), acquirer_id, subject)
    return _short("\x1f".join(parts), 15)


def closing_id(kind: str, account_id: str, authorization_id: str, at: int) -> str:
    """The id of the act that ends a hold."""
    return _short("\x1f".join((kind, account_id, authorization_id, str(at))), 15)


def clearing_id(network: str, item: str) -> str:
    """The id of what a cleared item moves, for good: `item` is its key, the same in any file."""
    return _short("\x1f".join(("clearing", network, item)), 15)


def exception_id(*parts: str) -> str:
    """The id of a card's exception: 12 characters. The same parts make it once."""
    return _short("\x1f".join(("exception", *parts)), 9)


def fingerprint(*parts: str) -> str:
    """What a repeat must have in common with the first: 12 characters."""
    return _short("\x1f".join(parts), 9)


def _short(text: str, size: int) -> str:
    """A digest of that many bytes, in characters that need no quoting anywhere."""
    digest = blake2b(text.encode(), digest_size=size).digest()
    return b2a_base64(digest, newline=False).translate(_UNQUOTED).decode()


_UNQUOTED = bytes.maketrans(b"+/", b"._")


@lru_cache(maxsize=1024)  # asked twice of each approval, at its plan and at its answer
def approval_code(message_id: str) -> str:
    """DE 38 of an approval: six hexadecimal digits, told from the id alone.

    So a repeat decided afresh after a withdrawal gets the same code, and the reference
    that it makes can be written in the same step as the hold.
    """
    return blake2b(message_id.encode(), digest_size=3).hexdigest().upper()


# The ladder that later acts climb, strongest first. Each rung is told within one limit
# subject: a replaced card's reversal finds what the old card did. A reference is a digest:
# there are up to five per authorization, and nobody needs to read them.

ORIGINAL, LIFE_CYCLE, RETRIEVAL, RRN, APPROVAL = "de90", "life_cycle", "de37", "rrn", "de38"
OWN = "own"  # no rung: what an advice itself is named by
EXACT = frozenset({ORIGINAL, LIFE_CYCLE})  # these name one authorization, whenever it was sent

Rung = tuple[str, str]  # its name and the reference


def own_reference(request: AuthorizationRequest, subject: str) -> str:
    """What a full DE 90 names this message by; a DE 56 of 1993 is read as one."""
    mti = f"0{request.mti[1:]}"  # as the stories are told: see wire/version_1993.py
    sent = request.named_at or _as_sent(request.sent_at)
    return _reference(ORIGINAL, mti, request.stan, sent, subject)


def references_of_request(
    request: AuthorizationRequest, code: str, subject: str
) -> tuple[str, ...]:
    """All that a later act may find this authorization by; its own first."""
    rungs = [own_reference(request, subject)]
    if request.life_cycle:
        rungs.append(_reference(LIFE_CYCLE, request.life_cycle, subject))
    if request.rrn:
        if request.terminal_id or request.merchant_id:
            rungs.append(_by_retrieval(request, subject))
        rungs.append(_reference(RRN, request.rrn, subject))
    rungs.append(_reference(APPROVAL, code, str(request.transaction_minor), subject))
    return tuple(rungs)


def reference_of_part(code: str, subject: str) -> str:
    """What finds an approval of less than was asked: DE 38 with whatever amount is told."""
    return _reference(APPROVAL, code, "", subject)


def exact_among(references: tuple[Rung, ...]) -> int:
    """How many of them name one authorization and no other. They come first."""
    return sum(rung in EXACT for rung, _ in references)


def references_of_advice(advice: Advice, subject: str) -> tuple[Rung, ...]:
    """What this advice says of its authorization, strongest first; and its own, for a reversal."""
    rungs = _ladder(advice.original, advice.told, advice.told.transaction_minor, subject)
    return (*rungs, (OWN, own_reference(advice.told, subject)))


def references_of_increment(increment: Increment, code: str, subject: str) -> tuple[Rung, ...]:
    """The same of an increment; and what later acts may find it by."""
    asked = increment.asked
    rungs = _ladder(increment.original, asked, asked.transaction_minor, subject)
    by_code = _reference(APPROVAL, code, str(asked.transaction_minor), subject)
    return (*rungs, (OWN, own_reference(asked, subject)), (OWN, by_code))


def references_of_reversal(reversal: Reversal, subject: str) -> tuple[Rung, ...]:
    """What this reversal says of its authorization: rung and reference, strongest first."""
    return tuple(_ladder(reversal.original, reversal, reversal.transaction_minor, subject))


def reference_of_cleared(message_id: str) -> str:
    """What a cleared item is named by, where a later one takes it back."""
    return _reference("cleared", message_id)


def references_of_cleared(
    told: AuthorizationRequest, sent: str, code: str, subject: str
) -> tuple[Rung, ...]:
    """What a cleared item says of its authorization, strongest first.

    `sent`: DE 7 of the authorization, MMDDhhmmss, where the file has it beside a STAN; `code`: its
    DE 38. Files tell less than messages, so DE 37 alone is tried behind DE 37 with 41 and 42.
    """
    rungs: list[Rung] = []
    if told.stan and sent:
        for mti in ("0100", "0200"):
            rungs.append((ORIGINAL, _reference(ORIGINAL, mti, told.stan, sent, subject)))
    if told.life_cycle:
        rungs.append((LIFE_CYCLE, _reference(LIFE_CYCLE, told.life_cycle, subject)))
    if told.rrn.strip("0"):
        if told.terminal_id or told.merchant_id:
            rungs.append((RETRIEVAL, _by_retrieval(told, subject)))
        rungs.append((RRN, _reference(RRN, told.rrn, subject)))
    if code:
        rungs.append((APPROVAL, _reference(APPROVAL, code, str(told.transaction_minor), subject)))
        rungs.append((APPROVAL, reference_of_part(code, subject)))
    return tuple(rungs)


def _ladder(
    original: Original, told: AuthorizationRequest | Reversal, minor: int, subject: str
) -> list[Rung]:
    """The rungs that a message has, as far down as they add something."""
    rungs: list[Rung] = []
    if original.stan:
        # DE 90 as far as it can be trusted: MTI, STAN and DE 7. Its rest may be zeros.
        mti, stan, sent = without_repeat(original.mti), original.stan, original.sent
        rungs.append((ORIGINAL, _reference(ORIGINAL, mti, stan, sent, subject)))
    if told.life_cycle:
        rungs.append((LIFE_CYCLE, _reference(LIFE_CYCLE, told.life_cycle, subject)))
    if told.rrn and not original.stan:
        # Beside a DE 90, which names one message and no other, DE 37 would add wrong ones: a
        # terminal that asks once more keeps it, and a reversal of its first try is not the
        # second's.
        if told.terminal_id or told.merchant_id:
            rungs.append((RETRIEVAL, _by_retrieval(told, subject)))
        else:
            rungs.append((RRN, _reference(RRN, told.rrn, subject)))
    if original.approval_code:
        # The code is of one answer of ours, so it may mend a DE 90 that is a second off.
        code = original.approval_code
        rungs.append((APPROVAL, _reference(APPROVAL, code, str(minor), subject)))
        rungs.append((APPROVAL, reference_of_part(code, subject)))
    return rungs


def _by_retrieval(facts: AuthorizationRequest | Reversal, subject: str) -> str:
    """DE 37 with 41 and 42."""
    return _reference(RETRIEVAL, facts.rrn, facts.terminal_id, facts.merchant_id, subject)


def _reference(*parts: str) -> str:
    """12 characters. Within one account, so 72 bits are many."""
    return _short("\x1f".join(parts), 9)


@lru_cache(maxsize=4096)  # one entry a second; messages of one second share it
def _as_sent(sent_at: int) -> str:
    """DE 7 as the message had it."""
    return datetime.fromtimestamp(sent_at, UTC).strftime("%m%d%H%M%S")
