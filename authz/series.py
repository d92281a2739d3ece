"""Counters and histograms for the hot path: cheaper than the library's, by one thread only.

A histogram is one bisection and two additions, 0.3 µs, where `Histogram.observe` walks its buckets
under locks for 1.1 µs; a counter is a number in a dict.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Series:
    """One histogram: counts by bucket, and their sum."""

    __slots__ = ("counts", "edges", "total")

    def __init__(self, edges: tuple[float, ...]) -> None:
        self.edges = edges  # seconds, each bucket's upper end; a last bucket takes the rest
        self.counts = [0] * (len(edges) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(self.edges, seconds)] += 1
        self.total += seconds

    def buckets(self) -> Iterator[tuple[str, float]]:
        """Cumulative, as the exposition wants them."""
        seen = 0
        for edge, count in zip((*self.edges, float("inf")), self.counts):
            seen += count
            yield floatToGoString(edge), seen  # type: ignore[no-untyped-call]


class Histograms(Collector):
    """Series of one name, told apart by one label or by none."""

    def __init__(
        self, name: str, text: str, edges: tuple[float, ...], label: str, values: Iterable[str]
    ) -> None:
        self._name, self._text = name, text
        self._labels = [label] if label else []
        self.series = {value: Series(edges) for value in values}

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for value, series in self.series.items():
            labels = [value] if self._labels else []
            family.add_metric(labels, list(series.buckets()), series.total)
        yield family


class Counts(Collector):
    """Counters of one name by their labels' values: plain numbers, with no lock around each."""

    def __init__(
        self, name: str, text: str, labels: tuple[str, ...], values: Iterable[tuple[str, ...]]
    ) -> None:
        self._name, self._text, self._labels = name, text, labels
        self.counts = dict.fromkeys(values, 0)

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for values, count in self.counts.items():
            family.add_metric(values, count)
        yield family
