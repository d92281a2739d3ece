"""Sixty-four bits, the first one leftmost: which fields a message has."""

from collections.abc import Iterable

# For each byte, the bits set in it, from the left.
BITS = tuple(tuple(bit for bit in range(8) if byte >> (7 - bit) & 1) for byte in range(256))


def numbers_in(bitmap: bytes) -> list[int]:
    """The fields that are announced, ascending; 1 and 65 among them if their bits are set."""
    return [1 + 8 * place + bit for place, byte in enumerate(bitmap) for bit in BITS[byte]]


def bitmap_of(numbers: Iterable[int]) -> bytes:
    """One bitmap, or two with bit 1 set when a field above 64 asks for the second."""
    whole = 0
    for number in numbers:
        assert 2 <= number <= 128, number
        whole |= 1 << (128 - number)
    if whole & (1 << 64) - 1:
        return (whole | 1 << 127).to_bytes(16, "big")
    return (whole >> 64).to_bytes(8, "big")
