"""A dialect by what a configuration calls it: one of ours by name, or a file."""

import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from iso8583.dialect_file import DialectFileError, make_dialect
from iso8583.dialects import BY_NAME
from iso8583.spec import Dialect

FILE = "file:"
SIZE_MAX = 1024 * 1024  # bytes; all 127 fields described at length are some 20 kB


def find_dialect(name: str) -> Dialect:
    """`iso87_ascii` and the like, or `file:` and a path.

    Raises: DialectFileError, where a file describes no dialect; KeyError for a name not ours.
    """
    if name.startswith(FILE):
        return read_dialect(Path(name.removeprefix(FILE)).absolute())
    return BY_NAME[name]


@cache  # links that name one file share one dialect, and with it the plans that are made for it
def read_dialect(path: Path) -> Dialect:
    """From TOML; from JSON where the file's name ends so. Raises: DialectFileError."""
    return make_dialect(path.name, parse(path))


def parse(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            raw = file.read(SIZE_MAX + 1)
        if len(raw) > SIZE_MAX:
            raise DialectFileError(f"{path.name}: has more than {SIZE_MAX} bytes")
        text = raw.decode()
        content = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise DialectFileError(f"{path.name}: cannot be read ({error.strerror})") from None
    except RecursionError:
        raise DialectFileError(f"{path.name}: nested too deeply") from None
    except ValueError as error:  # of both parsers, and of text that is not UTF-8
        raise DialectFileError(f"{path.name}: {error}") from None
    if not isinstance(content, dict):
        raise DialectFileError(f"{path.name}: is no table of keys")
    return content
