"""The text of a policy: where in it something stands, and that no card number does."""

import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any


class PolicyError(Exception):
    """What is wrong with a policy, and where: "rule[3].when.mcc, line 41: …"."""


def split(error: str) -> tuple[str, str]:
    """msgspec's words, and its path as ours: "rule[3].when"."""
    problem, _, place = error.partition(" - at `$")
    path = place.rstrip("`").lstrip(".").replace("[...]", "")
    return f"{problem[0].lower()}{problem[1:]}", path


def nearest(problem: str, known: list[str]) -> str:
    """Which key may have been meant by the one that a problem ends with, or all that are known."""
    near = get_close_matches(problem.rpartition(" ")[2].strip("`"), known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known are {', '.join(known)}"


def at(text: str, path: str, problem: str) -> PolicyError:
    line = line_of(text, path)
    where = ", ".join(part for part in (path, f"line {line}" if line else "") if part)
    return PolicyError(f"{where}: {problem}" if where else problem)


ROW = re.compile(r"^(rule|limit|fee)\[(\d+)\]\.?([A-Za-z_]*)")


def line_of(text: str, path: str) -> int | None:
    """Where in the file a path begins, as well as a line can be told: the row, or its key."""
    match = ROW.match(path)
    if match is None:
        names = [part.partition("[")[0] for part in path.split(".")[::-1]]
        return next(filter(None, (first_line(text, name) for name in names)), None)
    table, number, key = match[1], int(match[2]), match[3]
    seen, start = -1, None
    for n, line in enumerate(text.splitlines(), 1):
        if re.match(rf"\s*\[\[?\s*{table}\s*\.", line):  # [rule.when] is a part of its row
            if start is not None and key and re.match(rf"[\s\[]*{table}\s*\.\s*{key}\b", line):
                return n
        elif re.match(r"\s*\[", line):
            if start is not None and seen == number:
                return start
            if re.match(rf"\s*\[\[\s*{table}\s*\]\]", line):
                seen += 1
                start = n if seen == number else None
        elif start is not None and key and re.match(rf"\s*{key}\b", line):
            return n
    return start or first_line(text, table)  # rule = [{…}]


def first_line(text: str, key: str) -> int | None:
    """The first that begins with that key."""
    begins = re.compile(rf"\s*(?:\[(?:.*\.)?)?[\"']?{re.escape(key)}\b")
    lines = (n for n, line in enumerate(text.splitlines(), 1) if begins.match(line))
    return next(lines, None) if key else None


# tomllib keeps each beginning of a dotted key, so one of n parts takes n squared of memory: one
# that fills a policy file would take all there is, of an engine too that reads it at SIGHUP.
KEY_PARTS_MAX = 16
PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
LONG_KEY = re.compile(rf"""(?<![A-Za-z0-9_"'-]){PART}(?:[ \t]*\.[ \t]*{PART}){{{KEY_PARTS_MAX}}}""")


def refuse_long_keys(text: str) -> None:
    """Before it is read as TOML. Raises: PolicyError."""
    found = LONG_KEY.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        raise PolicyError(f"line {line}: a key of more than {KEY_PARTS_MAX} parts")


def tables_of(text: str) -> dict[str, Any]:
    """A file as it was read, with no card number anywhere in it. Raises: PolicyError."""
    refuse_long_keys(text)
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(f"not TOML: {error}") from None
    except ValueError:
        raise PolicyError("not TOML: a number of thousands of digits") from None
    except RecursionError:
        raise PolicyError("nested too deeply") from None
    refuse_card_numbers(text, content)
    return content


# In one piece; and in the groups that are printed on a card, as four codes in a row may be too.
NUMBER = re.compile(r"(?<![0-9])[0-9]{12,19}(?![0-9])")
GROUPED = re.compile(
    r"(?<![0-9])(?:[0-9]{4}(?:[-._ ]{1,3}[0-9]{4}){3}(?:[-._ ]{1,3}[0-9]{1,3})?"
    r"|[0-9]{4}[-._ ]{1,3}[0-9]{6}[-._ ]{1,3}[0-9]{4,5})(?![0-9])"
)
ALONE = 13  # so many digits that stand by themselves need not be a valid number to be refused


def refuse_card_numbers(text: str, content: dict[str, Any]) -> None:
    """The text is shown, compared and journalled as it is: no card number may stand anywhere in it,
    comments among it. Numbers of merchants may look like one, and amounts: each is let be where it
    stands, and so often. Raises: PolicyError."""
    others = Counter(others_in(content))
    for n, line in enumerate(text.splitlines(), 1):
        for number in numbers_in(line):
            if not others[number]:
                raise PolicyError(f"line {n}: has a card number; a card is named by its id")
            others[number] -= 1
    # What is spelt with escapes stands in no line.
    for value in strings_in(content):
        if any(numbers_in(value)):
            raise PolicyError("has a card number; a card is named by its id")


def numbers_in(text: str) -> Iterator[str]:
    """What is, or looks like, a card number, whatever digits it is written in."""
    plain = unicodedata.normalize("NFKC", text)
    if not plain.isascii():
        plain = "".join(str(unicodedata.decimal(c, c)) for c in plain)
    for found in NUMBER.finditer(plain):
        beside = plain[found.start() - 1 : found.start()] + plain[found.end() : found.end() + 1]
        alone = len(found[0]) >= ALONE and not re.search("[A-Za-z.]", beside)
        if alone or is_luhn(found[0]):
            yield found[0]
    for grouped in GROUPED.finditer(plain):
        digits = re.sub("[^0-9]", "", grouped[0])
        if is_luhn(digits):
            yield digits


def strings_in(content: Any, key: str = "") -> Iterator[str]:
    """All that is said, and the keys; not the numbers of merchants, terminals and acquirers."""
    if isinstance(content, dict):
        for name, value in content.items():
            yield name
            yield from strings_in(value, name)
    elif isinstance(content, list):
        for value in content:
            yield from strings_in(value, key)
    elif isinstance(content, str) and not (key in IDS and len(content) <= 15):
        yield content


IDS = ("merchant", "terminal", "acquirer")


def others_in(content: Any, key: str = "") -> Iterator[str]:
    """What stands in lists of merchants, terminals and acquirers and fits there; and integers.
    Each as often as it stands there."""
    if isinstance(content, dict):
        for name, value in content.items():
            yield from others_in(value, name)
    elif isinstance(content, list):
        for value in content:
            yield from others_in(value, key)
    elif isinstance(content, str) and key in IDS and len(content) <= 15:
        yield content
    elif isinstance(content, int):
        yield str(content)


def is_luhn(digits: str) -> bool:
    doubled = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
    every = [int(digit) for digit in reversed(digits)]
    return sum(every[::2] + [doubled[digit] for digit in every[1::2]]) % 10 == 0
