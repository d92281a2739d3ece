"""Runs pyemv's TLV for us, in its own interpreter, as `pyiso8583_worker.py` runs pyiso8583.

One JSON request a line on standard input, one JSON answer a line on standard output. Bytes
travel as hexadecimal digits, tags with parts as objects. Standard library and pyemv only.
"""

import json
import sys
from importlib import import_module
from typing import Any

tlv: Any = import_module("pyemv").tlv


def answer(request: dict[str, Any]) -> Any:
    match request["do"]:
        case "decode":
            return [decoded(bytes.fromhex(value)) for value in request["values"]]
        case "encode":
            return [tlv.encode(in_bytes(tags)).hex() for tags in request["values"]]
        case unknown:
            raise ValueError(unknown)


def decoded(value: bytes) -> Any:
    """The tags, or null if pyemv refuses the value."""
    try:
        return tlv.decode(value, convert=lambda _, part: part.hex())
    except tlv.DecodeError:
        return None


def in_bytes(tags: dict[str, Any]) -> dict[str, Any]:
    return {
        tag: in_bytes(value) if isinstance(value, dict) else bytes.fromhex(value)
        for tag, value in tags.items()
    }


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
