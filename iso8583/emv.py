"""The chip's data in DE 55: its tags by name, whatever the network wraps around them.

Every value is bytes, as the chip and the cryptography have it. Tags that are not in the table
are kept under their number, and hidden from whoever looks.

Source: EMV 4.3 Book 3, Annex A (names and tags); Visa's and Mastercard's own tags as public
tag lists of terminal vendors name them.
"""

from iso8583.composite import Ber, Composite, Field
from iso8583.parts import Node, Parts
from iso8583.spec import RAW, B, Tagged, rest

LONGEST = 255  # bytes of one tag's value; DE 55 itself holds no more

NAMES = {
    "4F": "application_id",
    "50": "application_label",
    "5F2A": "transaction_currency",
    "5F34": "pan_sequence_number",
    "82": "interchange_profile",
    "84": "dedicated_file_name",
    "8A": "response_code",
    "91": "issuer_authentication",
    "95": "verification_results",
    "9A": "transaction_date",
    "9B": "transaction_status",
    "9C": "transaction_type",
    "9F02": "amount",
    "9F03": "amount_other",
    "9F06": "terminal_application_id",
    "9F07": "usage_control",
    "9F09": "terminal_application_version",
    "9F10": "issuer_application_data",
    "9F18": "script_id",
    "9F1A": "terminal_country",
    "9F1E": "device_serial_number",
    "9F21": "transaction_time",
    "9F26": "cryptogram",
    "9F27": "cryptogram_information",
    "9F33": "terminal_capabilities",
    "9F34": "cardholder_verification",
    "9F35": "terminal_type",
    "9F36": "transaction_counter",
    "9F37": "unpredictable_number",
    "9F41": "transaction_sequence_counter",
    "9F53": "transaction_category",
    "9F5B": "script_results",
    "9F66": "terminal_qualifiers",
    "9F6C": "card_qualifiers",
    "9F6E": "form_factor",
    "9F7C": "customer_exclusive_data",
    "DF31": "script_results_visa",
}
# Card data, what proves a cardholder, and what changes a card.
SECRET_NAMES = {
    "5A": "pan",
    "56": "track_1",
    "57": "track_2",
    "5F20": "cardholder_name",
    "5F24": "expiration_date",
    "86": "script_command",
    "99": "pin_block",
    "9F1F": "track_1_discretionary",
    "9F20": "track_2_discretionary",
    "9F6B": "track_2_contactless",
    "C0": "pin_block_secondary",
}

# Script templates, 71 and 72, are constructed: their parts are of this table again.
CHIP_DATA = Composite(
    Ber(),
    (
        *(Field(tag, name, B, rest(LONGEST)) for tag, name in NAMES.items()),
        *(Field(tag, name, B, rest(LONGEST), secret=True) for tag, name in SECRET_NAMES.items()),
    ),
)

# Visa puts the chip's tags into a dataset: an id, two bytes of length, then the tags.
CHIP_DATASETS = Composite(
    Tagged(tag=1, length=2, coding=RAW),
    (Field("01", "chip_data", B, rest(LONGEST), secret=True, inside=CHIP_DATA),),
)


def named(parts: Parts) -> dict[str, bytes]:
    """The chip's values by name, out of datasets and templates; of a repeated tag the first.

    A tag without a name stands under its number.
    """
    values: dict[str, bytes] = {}
    for tag, value in flat(parts):
        if isinstance(value, bytes):
            values.setdefault(NAMES.get(tag) or SECRET_NAMES.get(tag) or tag, value)
    return values


def flat(parts: Parts) -> list[tuple[str, Node]]:
    pairs: list[tuple[str, Node]] = []
    for key, value in parts.items():
        pairs += flat(value) if isinstance(value, Parts) else [(str(key), value)]
    return pairs
