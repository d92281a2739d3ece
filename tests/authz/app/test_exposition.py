"""Merged texts parse to all the samples of each, with its worker's name on them."""

from collections import Counter as Tally

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from authz.app.exposition import merge_exposition
from authz.metrics import Metrics
from rules.reason import Reason

Sample = tuple[str, frozenset[tuple[str, str]], float]


def parsed(text: bytes) -> list[Sample]:
    families = list(text_string_to_metric_families(text.decode()))
    assert len({family.name for family in families}) == len(families), "a family stands twice"
    return [
        (sample.name, frozenset(sample.labels.items()), sample.value)
        for family in families
        for sample in family.samples
    ]


label_values = st.text(max_size=8).filter(lambda text: "\r" not in text)


@st.composite
def expositions(draw: st.DrawFn) -> bytes:
    registry = CollectorRegistry()
    counter = Counter("c_total", "With a\nline { and \\.", ("kind", "b"), registry=registry)
    for kind in draw(st.lists(label_values, max_size=3)):
        counter.labels(kind, 'x"{} ').inc(draw(st.integers(0, 10**6)))
    if draw(st.booleans()):
        Gauge("g", "Alone.", registry=registry).set(draw(st.floats(allow_nan=False)))
    if draw(st.booleans()):
        histogram = Histogram("h", "Times.", ("s",), registry=registry, buckets=(0.1, 1))
        histogram.labels("a").observe(draw(st.floats(0, 2)))
    return generate_latest(registry)


@given(st.dictionaries(label_values, expositions(), max_size=4))
def test_nothing_is_lost_and_everything_says_where_it_is_from(texts: dict[str, bytes]) -> None:
    expected = [
        (name, labels | {("worker", worker)}, value)
        for worker, text in texts.items()
        for name, labels, value in parsed(text)
    ]

    merged = parsed(merge_exposition(texts))

    assert Tally(merged) == Tally(expected)


def test_real_metrics_of_two_workers() -> None:
    one, two = Metrics(), Metrics()
    one.answered("0100", Reason.APPROVED, 0.001)
    two.watch("links", lambda: 2)

    merged = merge_exposition({"0": one.text(), "1": two.text()})

    assert len(parsed(merged)) == len(parsed(one.text())) + len(parsed(two.text()))
    assert merged.count(b"# TYPE authz_requests_total counter") == 1
    assert b'authz_links{worker="1"} 2.0' in merged


def test_samples_that_nobody_announced_are_kept() -> None:
    merged = merge_exposition({"0": b'a 1\nb{x="y"} 2\n# a comment\n', "1": b"a 3\n\n"})

    assert merged.decode().splitlines() == [
        'a{worker="0"} 1',
        'a{worker="1"} 3',
        'b{worker="0",x="y"} 2',
    ]


def test_no_worker_at_all() -> None:
    assert merge_exposition({}) == b""
