"""What an item moves between accounts of the ledger, where it moves no cardholder's money.

Pure. The other side is always the network's: what it settles for the item, in the currency that it
settles in, so a file's network lines add up to what the file says.
"""

from ledger.chart import Role
from ledger.clearing.record import ClearedItem
from ledger.journal import LedgerBody, LedgerLine, ToldFee


def settled(item: ClearedItem) -> tuple[int, str]:
    """What the network settles for it; the transaction amount where it does not say."""
    if item.settlement_currency:
        return item.settlement_minor, item.settlement_currency
    return item.transaction_minor, item.transaction_currency


def movement(
    item: ClearedItem,
    role: Role,
    *,
    what: str,
    program: str,
    key: str,
    source: str,
    facts: tuple[tuple[str, str], ...],
) -> LedgerBody:
    """Between the network and that account. `source`: who said so; `facts`: what is known of it
    besides the item."""
    amount, currency = settled(item)
    lines: tuple[LedgerLine, ...] = (
        (program, currency, Role.NETWORK, item.network, -item.sign * amount),
        (program, currency, role, "", item.sign * amount),
    )
    return LedgerBody(what, key, source, lines, (*of_item(item), *facts))


def of_item(item: ClearedItem) -> tuple[tuple[str, str], ...]:
    """What a settlement batch asks of it, by name; what the file does not tell is left out."""
    said = {
        "network": item.network,
        "kind": item.name,
        "of": item.of if item.of is not item.kind else "",
        "mcc": item.mcc,
        "arn": item.arn,
        "transaction": f"{item.transaction_minor} {item.transaction_currency}",
        "merchant": item.merchant_id,
        "reason": item.reason,
        "reference": item.reference,
        "fees": " ".join(",".join(map(str, fee)) for fee in told_fees(item)),
    }
    return tuple((name, str(value)) for name, value in said.items() if value)


def told_fees(item: ClearedItem) -> tuple[ToldFee, ...]:
    return tuple((f.name, f.sign, f.amount, f.currency, f.decimals) for f in item.fees)
