"""The chart of accounts: where money can be, for each program and currency.

A posting's amount is in minor units of its account's currency. A debit is positive, a credit
negative: what a cardholder may spend is our debt to them, so their open funds stand below zero,
and spending is a debit.
"""

from enum import StrEnum
from typing import NamedTuple

UNASSIGNED = "unassigned"  # the program of an account whose profile never came, or is unreadable


class Role(StrEnum):
    """What an account of the ledger is for. Its `subject` says whose, where it has one."""

    OPEN = "open"  # cardholder funds that may be spent; subject: the cardholder's account
    HELD = "held"  # cardholder funds that are promised to an authorization; likewise
    LINE = "line"  # the credit line that we granted; likewise
    LINES_GRANTED = "lines_granted"  # what stands against all of those: a promise, no money
    NETWORK = "network"  # settlement with a card network: payable below zero; subject: the network
    BANK = "bank"  # the settlement bank
    FEES = "fees"  # income: fees but the next
    CROSS_BORDER = "cross_border"  # income: fees for merchants abroad
    INTERCHANGE = "interchange"  # income: what the merchant's bank leaves the issuer of a payment
    FX_INCOME = "fx_income"  # income: what closing an FX position leaves
    FX_POSITION = "fx_position"  # one currency given for another; one account in each of the two
    DISPUTES = "disputes"
    SUSPENSE = "suspense"  # the other side of what moved, where its body does not say why
    UNMATCHED = "unmatched"  # clearing that found no authorization
    STAND_IN_LOSSES = "stand_in_losses"  # what others approved in our stead and nobody pays


OF_CARDHOLDERS = frozenset({Role.OPEN, Role.HELD, Role.LINE})


class Account(NamedTuple):
    """One account of the ledger. Its name is all of its fields: there are no numbers to hand out,
    so the same journal makes the same ledger wherever it is told."""

    program: str
    currency: str  # ISO 4217 numeric
    role: str  # a Role; plain text, as the database has it
    subject: str = ""


class Posting(NamedTuple):
    """One line of an entry."""

    account: Account
    amount_minor: int  # a debit above zero, a credit below


def sums(postings: tuple[Posting, ...]) -> dict[str, int]:
    """What postings come to, by currency: nothing, or they are no entry."""
    found: dict[str, int] = {}
    for account, amount in postings:
        found[account.currency] = found.get(account.currency, 0) + amount
    return {currency: amount for currency, amount in found.items() if amount}
