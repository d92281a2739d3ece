"""How a card was used: DE 22 and 25 (of 1993 DE 22 alone) as a channel.

    1987, DE 22, the first two digits       1993, DE 22, the seventh character
    01            keyed in by the merchant  1, 6      keyed in
    02, 90, 80 *  stripe                    2         stripe
    05, 95        chip                      5         chip
    07, 91        contactless
    10            on file *
    81, 09        e-commerce *

    Visa's DE 22 has four digits, Mastercard's two parts: both begin with the same two. The card was
    there where it was read: chip, contactless or stripe.

    1987, DE 25 says more where DE 22 says keyed in or nothing: 08 mail or phone, 59 e-commerce *.
    1993, DE 22, the fifth character: 2, 3 mail or phone; 4 recurring; 5 e-commerce; the sixth: 1,
    the card was there.

Source: ISO 8583:1987 and 1993, DE 22 and 25; * marks a reading of public lists.
"""

from functools import lru_cache

from rules.facts import Channel

OF_1987 = {
    "01": Channel.MANUAL, "02": Channel.STRIPE, "90": Channel.STRIPE, "05": Channel.CHIP,
    "95": Channel.CHIP, "07": Channel.CONTACTLESS, "91": Channel.CONTACTLESS,
    "10": Channel.ON_FILE, "81": Channel.ECOMMERCE, "09": Channel.ECOMMERCE,
    "80": Channel.STRIPE,  # where the chip failed
}  # fmt: skip
CONDITION = {"08": Channel.MAIL_PHONE, "59": Channel.ECOMMERCE}
PRESENT = frozenset({Channel.CHIP, Channel.CONTACTLESS, Channel.STRIPE})

OF_1993 = {
    "1": Channel.MANUAL, "6": Channel.MANUAL, "2": Channel.STRIPE, "5": Channel.CHIP,
}  # fmt: skip
HOLDER_1993 = {
    "2": Channel.MAIL_PHONE, "3": Channel.MAIL_PHONE, "4": Channel.RECURRING,
    "5": Channel.ECOMMERCE,
}  # fmt: skip


@lru_cache(maxsize=1024)  # the pairs in play: a few dozen
def usage(entry_mode: str, condition: str) -> tuple[Channel, bool]:
    """The channel, and whether the card was there. `entry_mode`: DE 22; `condition`: DE 25."""
    if len(entry_mode) == 12:
        channel = OF_1993.get(entry_mode[6], Channel.UNKNOWN)
        return HOLDER_1993.get(entry_mode[4], channel), entry_mode[5] == "1"
    channel = OF_1987.get(entry_mode[:2], Channel.UNKNOWN)
    if channel in (Channel.MANUAL, Channel.UNKNOWN):
        channel = CONDITION.get(condition, channel)
    return channel, channel in PRESENT
