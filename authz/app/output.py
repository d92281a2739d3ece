"""How commands answer: programs, with JSON to a file or to standard output; people, in words."""

from pathlib import Path
from typing import Any

import click
import msgspec

from authz.audit import AuditReport


def write_json(target: str, answer: Any) -> None:
    """`target` is a file's name, or - for standard output. Raises: OSError."""
    text = msgspec.json.format(msgspec.json.encode(answer), indent=2)
    if target == "-":
        click.echo(text.decode())
    else:
        Path(target).write_bytes(text + b"\n")


def counted(count: int, what: str) -> str:
    """ "1 account", "8,214 accounts", "0 journal entries"."""
    if count != 1:
        what = what[:-1] + "ies" if what.endswith("y") else what + "s"
    return f"{count:,} {what}"


def sentence(error: Exception) -> str:
    """An error's text with a capital letter, and a full stop unless it ends in a sign."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '?')) else '.'}"


def extent(report: AuditReport) -> str:
    """What was compared. Authorizations as `authz show` counts them: no early reversals."""
    return ", ".join(
        (
            counted(report.accounts, "account"),
            counted(report.authorizations, "approved authorization"),
            counted(report.entries, "journal entry"),
        )
    )
