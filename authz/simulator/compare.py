"""Traffic held against data: the same figures of both, side by side, and how far apart."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from msgspec import Struct

from authz.simulator import calibration
from authz.simulator.calibration import QUANTILES
from authz.simulator.merchants import make_merchants
from authz.simulator.messages import Event
from authz.simulator.population import make_population
from authz.simulator.traffic import Traffic
from authz.simulator.transactions import BadRow, read

SHOWN = (0.10, 0.50, 0.90, 0.99)


class Purchase(Struct, frozen=True, gc=False):
    """What can be compared of one purchase."""

    category: str
    dollars: float
    hour: int
    pan: str

    def __repr__(self) -> str:
        return f"Purchase({self.category})"


class Figures(Struct, frozen=True):
    """A heap of purchases in summary. Amounts may be known at QUANTILES only."""

    amounts: Mapping[str, Sequence[float]]  # US dollars, ascending, by category and for "all"
    shares: dict[str, float]  # by category
    hours: tuple[float, ...]
    per_card: Sequence[float]  # transactions of a card against the mean card, ascending

    @classmethod
    def of(cls, purchases: Iterable[Purchase]) -> "Figures":
        amounts: dict[str, list[float]] = {"all": []}
        hours: Counter[int] = Counter()
        cards: Counter[str] = Counter()
        for purchase in purchases:
            amounts["all"].append(purchase.dollars)
            amounts.setdefault(purchase.category, []).append(purchase.dollars)
            hours[purchase.hour] += 1
            cards[purchase.pan] += 1
        total = len(amounts["all"])
        assert total, "nothing to compare"
        return cls(
            amounts={name: sorted(values) for name, values in amounts.items()},
            shares={name: len(amounts[name]) / total for name in sorted(amounts) if name != "all"},
            hours=tuple(hours[hour] / total for hour in range(24)),
            per_card=[value * len(cards) / total for value in sorted(cards.values())],
        )


IN_DATA = Figures(
    calibration.AMOUNTS_IN_DATA,
    calibration.SHARES_IN_DATA,
    calibration.HOURS_IN_DATA,
    calibration.PER_CARD_IN_DATA,
)


class Row(Struct, frozen=True):
    """One figure, as generated and as it should be."""

    figure: str
    generated: float
    reference: float


class Comparison(Struct, frozen=True):
    """All figures, and distances between 0 (the same) and 1 (nothing in common).

    `amount.*` and `transactions per card` are Kolmogorov-Smirnov distances, the largest gap
    between the two cumulative distributions; the rest is total variation.
    """

    rows: tuple[Row, ...]
    distances: dict[str, float]

    def __str__(self) -> str:
        """The table that a terminal shows."""
        lines = [f"{'figure':<34}{'generated':>12}{'reference':>12}"]
        lines += [f"{r.figure:<34}{r.generated:>12.3f}{r.reference:>12.3f}" for r in self.rows]
        lines += ["", f"{'distance (0 is the same)':<34}"]
        lines += [f"{name:<34}{value:>12.3f}" for name, value in self.distances.items()]
        return "\n".join(lines)


def compare(generated: Iterable[Event], csv_path: Path | None = None) -> Comparison:
    """Generated purchases against a file of transactions, or against the shipped figures.

    Cash, account checks, refusals made on purpose and follow-ups are left out: the data
    has none of them. Raises: NotTransactions, OSError.
    """
    ours = Figures.of(purchases_of(generated))
    theirs = IN_DATA if csv_path is None else Figures.of(purchases_in(csv_path))
    return side_by_side(ours, theirs)


def like_the_data(seed: int) -> Iterator[Event]:
    """Generated traffic of as many cards and days as the data has, to be compared with it.

    Part of a day would be compared with whole days, and few days with many.
    """
    population = make_population(seed, calibration.CARDS_IN_DATA)
    traffic = Traffic(population, make_merchants(seed), seed)
    return islice(traffic, calibration.TRANSACTIONS_IN_DATA)


def purchases_of(events: Iterable[Event]) -> Iterator[Purchase]:
    for event in events:
        if event.kind == "purchase":
            yield Purchase(event.category, event.dollars, event.hour, event.elements[2])


def purchases_in(path: Path) -> Iterator[Purchase]:
    for row in read(path):
        if not isinstance(row, BadRow):
            yield Purchase(row.category, row.dollars, row.at.hour, row.pan)


def side_by_side(ours: Figures, theirs: Figures) -> Comparison:
    categories = sorted(theirs.shares)
    rows: list[Row] = []
    for name in ("all", *categories):
        for q in SHOWN:
            mine = quantile(ours.amounts.get(name, (0.0,)), q)
            rows.append(
                Row(f"amount {name} p{q * 100:.0f}", mine, quantile(theirs.amounts[name], q))
            )
    for name in categories:
        rows.append(Row(f"share {name}", ours.shares.get(name, 0.0), theirs.shares[name]))
    for hour in range(24):
        rows.append(Row(f"hour {hour:02d}", ours.hours[hour], theirs.hours[hour]))
    for q in SHOWN:
        mine, wanted = quantile(ours.per_card, q), quantile(theirs.per_card, q)
        rows.append(Row(f"transactions per card p{q * 100:.0f}", mine, wanted))

    shares = [(ours.shares.get(name, 0.0), theirs.shares[name]) for name in categories]
    distances = {
        "category shares": total_variation(shares),
        "hours": total_variation(list(zip(ours.hours, theirs.hours))),
        "transactions per card": largest_gap(ours.per_card, theirs.per_card),
    }
    for name in ("all", *categories):
        gap = largest_gap(ours.amounts.get(name, (0.0,)), theirs.amounts[name])
        distances[f"amount {name}"] = gap
    return Comparison(tuple(rows), distances)


def quantile(values: Sequence[float], q: float) -> float:
    """Of a whole sample; or of a summary, which has one value for each of QUANTILES."""
    if len(values) == len(QUANTILES):
        return values[QUANTILES.index(q)]
    return values[min(int(q * len(values)), len(values) - 1)]


def largest_gap(sample: Sequence[float], reference: Sequence[float]) -> float:
    """Kolmogorov-Smirnov; against a summary, the largest gap at its quantiles."""
    if len(reference) == len(QUANTILES):
        return max(abs(below(sample, x) - q) for x, q in zip(reference, QUANTILES))
    points = (*sample, *reference)
    return max(abs(below(sample, x) - below(reference, x)) for x in points)


def below(values: Sequence[float], x: float) -> float:
    """The share of values up to x."""
    return bisect_right(values, x) / len(values)


def total_variation(pairs: Sequence[tuple[float, float]]) -> float:
    return sum(abs(a - b) for a, b in pairs) / 2
