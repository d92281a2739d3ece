"""What may be shown of a card number."""

SHORTEST_PAN = 13  # below this, first six and last four would leave too little hidden
LONGEST_PAN = 19  # ISO/IEC 7812


def mask_pan(pan: str) -> str:
    """The first six and the last four digits, stars between.

    Fails closed: whatever is not 13 to 19 ASCII digits is hidden whole, since a track
    handed over by mistake would show its secret end (test_mask.py, every length).
    Source: PCI DSS 3.4.1, which allows the BIN and the last four.
    """
    if not (SHORTEST_PAN <= len(pan) <= LONGEST_PAN and pan.isascii() and pan.isdigit()):
        return "*" * len(pan)
    return f"{pan[:6]}{'*' * (len(pan) - 10)}{pan[-4:]}"
