"""The four digits of a message type: version, class, function, origin.

Source: ISO 8583:1987 section 4.1; later versions keep the same arithmetic.
"""

from functools import lru_cache

CLASSES = {
    "1": "authorization",
    "2": "financial",
    "3": "file action",
    "4": "reversal",
    "5": "reconciliation",
    "6": "administrative",
    "7": "fee collection",
    "8": "network management",
}
FUNCTIONS = {
    "0": "request",
    "1": "request response",
    "2": "advice",
    "3": "advice response",
    "4": "notification",
    "5": "notification acknowledgement",
}
# Repeats are the odd origins, so the repeat of each stands one above it.
ORIGINS = {
    "0": "",  # the acquirer, who begins nearly everything
    "1": "repeat",
    "2": "by the issuer",
    "3": "repeat by the issuer",
    "4": "by another party",
    "5": "repeat by another party",
}
MTIS = 1024  # those in play: a few dozen, and what peers make up
WITHOUT_REPEAT = {"1": "0", "3": "2", "5": "4"}


def is_mti(mti: str) -> bool:
    return len(mti) == 4 and mti.isascii() and mti.isdigit()


@lru_cache(maxsize=MTIS)
def is_request(mti: str) -> bool:
    """Whether someone waits for an answer: the even functions ask, the odd ones answer."""
    return is_mti(mti) and mti[2] in "02468"


@lru_cache(maxsize=MTIS)
def without_repeat(mti: str) -> str:
    """The MTI under which this was first said: 0101 and 0100 are one question."""
    assert is_mti(mti), "an MTI is four digits"
    return mti[:3] + WITHOUT_REPEAT.get(mti[3], mti[3])


@lru_cache(maxsize=MTIS)
def response_to(mti: str) -> str:
    """The MTI of the answer, also for a class nobody knows: that one gets a refusal."""
    assert is_request(mti), "only a request is answered"
    first = without_repeat(mti)
    return f"{first[:2]}{int(first[2]) + 1}{first[3]}"


def describe_mti(mti: str) -> str:
    """In words, as in "authorization request repeat"."""
    if not is_mti(mti):
        return "not a message type"
    words = (
        CLASSES.get(mti[1], f"class {mti[1]}"),
        FUNCTIONS.get(mti[2], f"function {mti[2]}"),
        ORIGINS.get(mti[3], f"from origin {mti[3]}"),
    )
    return " ".join(word for word in words if word)
