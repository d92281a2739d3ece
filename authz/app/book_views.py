"""What the books answer, as plain data for people and machines: ledger/read.py, in our words."""

from typing import Any

from authz.app.cli import hidden
from authz.clock import utc
from ledger.read import Account, Entry, History, Life, Line, Statement, Sum

Plain = dict[str, Any]


def account_told(found: Account) -> Plain:
    return {
        "account_id": found.account_id,
        "program": found.program,
        "currency": found.currency,
        "entries": found.entries,
        **({"newest_at": at(found.at_ms)} if found.at_ms else {}),
        "balances": [
            {
                "currency": one.currency,
                "posted_minor": one.posted_minor,
                "held_minor": one.held_minor,
                "credit_line_minor": one.credit_line_minor,
                "available_minor": one.available_minor,
            }
            for one in found.balances
        ],
    }


def life_told(found: Life) -> Plain:
    return {
        "authorization_id": found.authorization_id,
        "account_id": found.account_id,
        "card_id": found.card_id,
        "network": found.network,
        "currency": found.currency,
        "approved": found.approved,
        "held_minor": found.held_minor,
        "paid_minor": found.paid_minor,
        "fees_minor": found.fees_minor,
        "cross_border_minor": found.cross_border_minor,
        **({"taken_in_by": found.taken_in_by} if found.taken_in_by else {}),
        "first_at": at(found.first_at_ms),
        "last_at": at(found.last_at_ms),
        "acts": [entry_told(act) for act in found.acts],
        **({"acts_left_out": found.left_out} if found.left_out else {}),
        **({"older_acts": "put away"} if found.may_have_more else {}),
    }


def history_told(found: History) -> Plain:
    return {"entries": [entry_told(entry) for entry in found.entries], "after": found.after}


def statement_told(found: Statement) -> Plain:
    return {
        "account_id": found.account_id,
        "from": at(found.from_ms),
        "to": at(found.to_ms),
        "adds_up": found.adds_up,
        "sums": [sum_told(one) for one in found.sums],
        "lines": [entry_told(entry) for entry in found.lines],
    }


def sum_told(one: Sum) -> Plain:
    return {
        "currency": one.currency,
        "opening_posted_minor": one.opening_posted_minor,
        "moved_posted_minor": one.moved_posted_minor,
        "closing_posted_minor": one.closing_posted_minor,
        "opening_held_minor": one.opening_held_minor,
        "moved_held_minor": one.moved_held_minor,
        "closing_held_minor": one.closing_held_minor,
    }


def entry_told(entry: Entry) -> Plain:
    """One act. Amounts are in `currency`; of its lines, each in its own."""
    return {
        "at": at(entry.at_ms),
        "position": f"{entry.shard:02}/{entry.seq}",
        "kind": entry.kind,
        "verdict": entry.verdict,
        "network": entry.network,
        "merchant": printable(entry.merchant),
        "mcc": entry.mcc,
        "currency": entry.currency,
        "posted_delta_minor": entry.posted_delta_minor,
        "held_delta_minor": entry.held_delta_minor,
        "posted_after_minor": entry.posted_after_minor,
        "held_after_minor": entry.held_after_minor,
        "card_id": entry.card_id,
        "authorization_id": entry.authorization_id,
        "message_id": entry.message_id,
        **({"postings": [line_told(line) for line in entry.lines]} if entry.lines else {}),
    }


def line_told(line: Line) -> Plain:
    return {
        "program": line.program,
        "role": line.role,
        **({"subject": line.subject} if line.subject else {}),
        "currency": line.currency,
        "amount_minor": line.amount_minor,
    }


def at(ms: int) -> str:
    return utc(ms).isoformat(timespec="milliseconds")


def printable(name: str) -> str:
    """A merchant's own words, on a terminal."""
    return hidden("".join(c if c.isprintable() else "?" for c in name))
