"""A file of card transactions as traffic: the same events, with somebody else's shopping.

DE 12 and 13 are the file's own time, which is
the local time of its people; DE 7 is the time of sending, or the engine would refuse
everything as too old.
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

from authz.simulator import messages
from authz.simulator.cards import Account, Card, Population
from authz.simulator.merchants import ACQUIRERS, MCCS, Merchant, name_location
from authz.simulator.messages import Event, Moment, Party
from authz.simulator.places import Place
from authz.simulator.traffic import Stans, with_follow_ups
from authz.simulator.transactions import ZONE_OF_STATE, BadRow, NotTransactions, Transaction, read

__all__ = ["BadRow", "NotTransactions", "Replay"]

EXPIRY = "4912"  # the file has none
OPENING_DOLLARS = 1_000_000  # generous: the file's people are not to be declined for funds
BAD_ROWS_KEPT = 100  # of those that are reported one by one; the rest is counted


class Replay:
    """A file, read twice: once for its people, once for what they did.

    Raises: NotTransactions, OSError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.bad_rows: list[BadRow] = []  # the first BAD_ROWS_KEPT of them
        self.bad_count = 0
        self.population = self._people()

    def _people(self) -> Population:
        accounts: dict[str, Account] = {}
        cards: dict[str, Card] = {}
        for found in read(self._path):
            if isinstance(found, BadRow):
                self.bad_count += 1
                if len(self.bad_rows) < BAD_ROWS_KEPT:
                    self.bad_rows.append(found)
            elif found.pan not in cards:
                account = accounts.get(found.account) or _account(found)
                accounts[found.account] = account
                cards[found.pan] = _card(found, account)
        return Population(tuple(accounts.values()), tuple(cards.values()))

    def events(self, seed: int | None = None, first_stan: int = 0) -> Iterator[Event]:
        """Every good row as a 0100, in the file's order.

        With a seed, repeats and reversals are strewn in as in generated traffic.
        """
        stans = Stans(first_stan)
        firsts = (_event(row, stans) for row in read(self._path) if isinstance(row, Transaction))
        return firsts if seed is None else with_follow_ups(firsts, Random(seed), stans)


def _account(row: Transaction) -> Account:
    return Account(
        account_id=row.account,
        program="replay",
        currency="USD",
        opening_minor=OPENING_DOLLARS * 100,
        credit_line_minor=0,
        time_zone=ZONE_OF_STATE[row.state],
        status="active",
    )


def _card(row: Transaction, account: Account) -> Card:
    return Card(
        pan=row.pan,
        account=account,
        expiry=EXPIRY,
        status="active",
        per_transaction_minor=None,
        daily_amount_minor=None,
        daily_count=None,
        blocked_mccs=(),
        home=_place(row),
        latitude=row.latitude,
        longitude=row.longitude,
        activity=0,
        habit=0,
    )


def _place(row: Transaction) -> Place:
    """The file names no city: its state stands in for one."""
    zone = ZONE_OF_STATE[row.state]
    return Place(
        city=row.state,
        state=row.state,
        country="US",
        latitude=row.merchant_latitude,
        longitude=row.merchant_longitude,
        time_zone=zone,
        currency="USD",
        weight=1,
    )


def _event(row: Transaction, stans: Stans) -> Event:
    name = row.merchant.removeprefix("fraud_")  # the generator prefixes every merchant so
    number = zlib.crc32(name.encode())  # the same merchant has the same ids in every run
    mccs = MCCS[row.category]
    merchant = Merchant(
        category=row.category,
        mcc=mccs[number % len(mccs)],
        name_location=name_location(name, row.state, "US"),
        merchant_id=f"R{number:014d}",
        terminals=(f"R{number % 10_000_000:07d}",),
        acquirer_id=ACQUIRERS[number % len(ACQUIRERS)],
        place=_place(row),
        latitude=row.merchant_latitude,
        longitude=row.merchant_longitude,
        opens=0,
        closes=24,
    )
    at = row.at
    moment = Moment(f"{at:%H%M%S}", f"{at:%m%d}", f"{at.year % 10}{at:%j}")
    party = Party(row.pan, EXPIRY, "USD")
    stan = stans.next(merchant.acquirer_id)
    event = messages.authorization("purchase", party, merchant, row.dollars, moment, stan)
    event.is_fraud = row.is_fraud
    return event
