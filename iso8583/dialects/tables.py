"""What several networks' tables share: parts that ISO 8583 itself lays down, and a way to say
"the same table, but".

Source: ISO 8583:1987 section 4; the facts of each network stand beside its own table.
"""

from iso8583.spec import ANS, Composite, Field, N, Positional, Repeated, fixed

# DE 90: whom a reversal means. A network may fill all but the first with zeros.
ORIGINAL_DATA = Composite(
    Positional(),
    (
        Field(1, "mti", N, fixed(4)),
        Field(2, "stan", N, fixed(6)),
        Field(3, "transmission_time", N, fixed(10)),
        Field(4, "acquirer_id", N, fixed(11)),
        Field(5, "forwarder_id", N, fixed(11)),
    ),
)

# DE 54: an amount for each turn.
ADDITIONAL_AMOUNTS = Composite(
    Repeated(),
    (
        Field(1, "account_type", N, fixed(2)),
        Field(2, "amount_type", N, fixed(2)),
        Field(3, "currency", N, fixed(3)),
        Field(4, "sign", ANS, fixed(1)),  # C or D
        Field(5, "amount", N, fixed(12)),
    ),
)


def changed(table: tuple[Field, ...], *rows: Field) -> tuple[Field, ...]:
    """The table with these rows instead of, or beside, those of the same number."""
    by_number = {row.number: row for row in table}
    for row in rows:
        assert by_number.get(row.number) != row, f"field {row.number} is no change"
        by_number[row.number] = row
    return tuple(by_number.values())
