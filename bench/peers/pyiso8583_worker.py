"""Runs pyiso8583 for us, in its own interpreter: its import name is `iso8583`, like ours.

One JSON request a line on standard input, one JSON answer a line on standard output.
Messages travel as hexadecimal digits, fields as pyiso8583 has them: strings by number,
binary and BCD ones in upper-case hexadecimal. Standard library and pyiso8583 only.
"""

import json
import sys
import timeit
from importlib import import_module
from typing import Any

# Imported by name at run time, so that no type checker takes our own package for it.
iso8583: Any = import_module("iso8583")
specs: Any = import_module("iso8583.specs")

# The sign of an amount is an ASCII character before BCD digits, which pyiso8583 can only
# see as bytes; these are counted in bytes, all other BCD in digits.
NUMBERS = {*range(2, 28), 32, 33, 35, 53, *range(66, 91), 99, 100} - {65}
SIGNED = {28, 29, 30, 31, 97}


def bcd_spec() -> dict[str, dict[str, Any]]:
    """ISO 8583:1987 with BCD numbers and lengths, in pyiso8583's terms."""
    spec = {key: dict(row) for key, row in specs.default.items()}
    spec["t"]["data_enc"] = "b"
    for key, row in spec.items():
        if not key.isdigit() or key == "1":
            continue
        if row["len_type"]:
            row |= {"len_enc": "bcd", "len_type": (row["len_type"] + 1) // 2}
        if int(key) in NUMBERS:
            row |= {"data_enc": "b", "len_count": "nibbles", "left_pad": "0"}
        elif int(key) in SIGNED:
            row |= {"data_enc": "b", "max_len": (row["max_len"] + 1) // 2}
    return spec


def visa_spec() -> dict[str, dict[str, Any]]:
    """BASE I: numbers in BCD, texts in EBCDIC, one binary byte of length, private fields raw."""
    spec = {key: dict(row) for key, row in specs.default.items()}
    spec["t"]["data_enc"] = "b"
    raw = {46, 47, 48, 55, 56, 57, 58, 60, 62, 63, 104, *range(105, 128)}
    numbers = NUMBERS | {34, 36, 49, 50, 51, 61}
    for key, row in spec.items():
        if not key.isdigit() or key == "1":
            continue
        number = int(key)
        if row["len_type"]:
            row |= {"len_enc": "b", "len_type": 1, "max_len": min(row["max_len"], 255)}
        if number in raw:
            row |= {"data_enc": "b", "max_len": 255}
        elif number in numbers:
            row |= {"data_enc": "b", "len_count": "nibbles", "left_pad": "0"}
        elif number in SIGNED:
            row |= {"data_enc": "b", "max_len": (row["max_len"] + 1) // 2}
        elif row["data_enc"] != "b":
            row |= {"data_enc": "cp037"}
    spec["22"] |= {"max_len": 4}
    spec["35"] |= {"left_pad": "", "right_pad": "F"}
    spec["36"] |= {"len_enc": "bcd", "len_type": 2}
    spec["54"] |= {"max_len": 120}
    spec["59"] |= {"max_len": 14}
    spec["61"] |= {"max_len": 36}
    return spec


def mastercard_spec() -> dict[str, dict[str, Any]]:
    """All characters in EBCDIC, bytes as they are."""
    spec = {key: dict(row) for key, row in specs.default.items()}
    for row in spec.values():
        row["len_enc"] = "cp037"
        if row["data_enc"] == "ascii":
            row["data_enc"] = "cp037"
    for number, size in {54: 120, 56: 37, 60: 60, 61: 26, 62: 100, 63: 50, 121: 6, 123: 512,
                         124: 299, 126: 100, 127: 100}.items():  # fmt: skip
        spec[str(number)]["max_len"] = size
    spec["48"] |= {"data_enc": "b"}
    spec["112"] |= {"data_enc": "b", "max_len": 782}
    spec["125"] |= {"data_enc": "b", "len_type": 0, "max_len": 8}
    return spec


def postilion_spec() -> dict[str, dict[str, Any]]:
    """ASCII around raw bytes; DE 127 with six digits of length."""
    spec = {key: dict(row) for key, row in specs.default.items()}
    spec["53"] |= {"data_enc": "b", "max_len": 48}
    spec["127"] |= {"data_enc": "b", "len_type": 6, "max_len": 9999}
    return spec


# Where 1993 has another size: digits of the length, and the most; bytes count as two digits.
SIZES_1993 = {
    12: (0, 12), 15: (0, 6), 22: (0, 12), 25: (0, 4), 26: (0, 4), 28: (0, 6), 29: (0, 3),
    30: (0, 24), 31: (2, 99), 39: (0, 3), 43: (2, 99), 44: (2, 99), 46: (3, 204), 53: (2, 96),
    54: (3, 120), 56: (2, 35), 57: (0, 3), 58: (2, 11), 66: (3, 204), 71: (0, 8), 72: (3, 999),
    **dict.fromkeys((82, 83, 84, 85, 90, 107, 108), (0, 10)), 91: (0, 3), 92: (0, 3),
    93: (2, 11), 94: (2, 11), 95: (2, 99), 96: (3, 998), 105: (0, 16), 106: (0, 16),
    109: (2, 84), 110: (2, 84),
}  # fmt: skip


def spec_1993() -> dict[str, dict[str, Any]]:
    """ISO 8583:1993 in ASCII, in pyiso8583's terms."""
    spec = {key: dict(row) for key, row in specs.default_ascii.items()}
    for number, (digits, most) in SIZES_1993.items():
        spec[str(number)] |= {"len_type": digits, "max_len": most}
    return spec


SPECS = {
    "iso87_ascii": specs.default_ascii,
    "iso87_ascii_binary_bitmap": specs.default,
    "iso87_binary": bcd_spec(),
    "iso93_ascii": spec_1993(),
    "visa": visa_spec(),
    "mastercard": mastercard_spec(),
    "postilion": postilion_spec(),
}


def answer(request: dict[str, Any]) -> Any:
    spec = SPECS[request["dialect"]]
    match request["do"]:
        case "decode":
            return [
                iso8583.decode(bytes.fromhex(message), spec)[0] for message in request["messages"]
            ]
        case "encode":
            return [iso8583.encode(dict(fields), spec)[0].hex() for fields in request["messages"]]
        case "time":  # seconds per call, of one round each
            raw, fields = bytes.fromhex(request["raw"]), request["fields"]
            calls = request["calls"]
            return {
                "decode": timeit.timeit(lambda: iso8583.decode(raw, spec), number=calls) / calls,
                "encode": timeit.timeit(lambda: iso8583.encode(fields, spec), number=calls) / calls,
            }
        case unknown:
            raise ValueError(unknown)


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
