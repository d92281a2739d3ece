"""A card's exceptions for people, and who opens them."""

from collections.abc import Mapping
from getpass import getuser

import click

from authz.app.cli import hidden
from authz.app.history import Plain
from authz.app.plain_text import money
from authz.clock import utc
from rules.exceptions import EXCEPTIONS_MAX, counters_of
from rules.facts import CardException, CardProfile

WORDS_MAX = 200  # of who says so, and why; it is kept in the journal for ever
NAME_MAX = 64  # of who says so; it stands in the card's profile, in every engine's memory
TOO_MANY = (
    f"The card has {EXCEPTIONS_MAX} exceptions, which is as many as it may have: "
    "authz card except CARD --end ID ends one."
)

who_says = click.option(
    "--by", "person", default="", help="Who says so; else the user of this machine. Kept for ever."
)
why = click.option("--note", default="", help="Why. Kept in the journal.")


def signed(person: str, note: str) -> tuple[str, str]:
    """Who says so; and that with why, for the journal, where a slip must not leave a card
    number."""
    name = hidden(person.strip() or user())[:NAME_MAX]
    return name, hidden(f"{name}: {note.strip()}" if note.strip() else name)[:WORDS_MAX]


def user() -> str:
    try:
        return getuser()
    except (KeyError, OSError):
        raise click.UsageError("--by names a person: this machine has no name for you.") from None


def exception_told(one: CardException) -> Plain:
    return {
        "exception_id": one.exception_id,
        "merchant_id": one.merchant_id or "none named",
        "up_to_minor": one.amount_minor,
        "up_to_currency": one.currency,
        "uses": one.uses or "any number",
        "from": utc(one.from_s * 1000).isoformat(timespec="seconds"),
        "until": utc(one.until_s * 1000).isoformat(timespec="seconds"),
        "opened_by": one.opened_by,
        **({"review_id": one.review_id} if one.review_id else {}),
    }


def in_force(card: CardProfile, used: Mapping[str, int], now_s: int) -> list[Plain]:
    """Those that are not over, with how often each was used."""
    told = []
    for one in card.exceptions:
        if one.until_s > now_s:
            count, _ = counters_of(one, card.limit_subject)
            so_far = {"used": used.get(count, 0)} if one.uses else {}
            told.append(exception_told(one) | so_far)
    return told


def in_a_line(one: CardException) -> str:
    """ "exception x: once, at MERCHANT1, up to 50.00 USD, until 2026-11-23T10:00:00+00:00"."""
    often = {0: "as often as asked", 1: "once"}.get(one.uses, f"{one.uses} times")
    where = f"at {one.merchant_id}" if one.merchant_id else "where no merchant is named"
    amount = (
        "any amount"
        if one.amount_minor is None
        else (f"up to {money(one.amount_minor, one.currency)}")
    )
    until = utc(one.until_s * 1000).isoformat(timespec="seconds")
    return f"exception {one.exception_id}: {often}, {where}, {amount}, until {until}"
