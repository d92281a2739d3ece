"""The best of several rate sources, against a plain calculation."""

from decimal import ROUND_HALF_EVEN, Decimal

from hypothesis import given
from hypothesis import strategies as st

from rules.fx import EXPONENTS
from rules.routes import Quote, converted, offers

PAIRS = [("978", "840"), ("840", "392"), ("392", "840"), ("048", "840")]
quotes = st.builds(
    Quote,
    name=st.sampled_from(["alpha", "beta", "gamma", "delta"]),
    of=st.just("978"),
    into=st.just("840"),
    rate=st.decimals("0.0001", "300", places=4).map(lambda d: f"{d:f}"),
    cost_bp=st.integers(0, 5000),
    fixed_minor=st.integers(0, 5000),
)


def plain(amount: int, quote: Quote) -> int:
    """What the bank moves, by decimals."""
    places = EXPONENTS[quote.into] - EXPONENTS[quote.of]
    by_rate = (Decimal(abs(amount)) * Decimal(quote.rate)).scaleb(places)
    whole = by_rate.quantize(Decimal(1), ROUND_HALF_EVEN)
    cost = (whole * quote.cost_bp / 10_000).quantize(Decimal(1), ROUND_HALF_EVEN)
    cost += quote.fixed_minor if amount else 0
    return int(whole if amount > 0 else -whole) - int(cost)


@given(st.integers(-(10**11), 10**11), st.lists(quotes, max_size=6, unique_by=lambda q: q.name))
def test_the_best_leaves_us_with_the_most(amount: int, stated: list[Quote]) -> None:
    found = offers(amount, "978", "840", tuple(stated))
    assert {one.name: one.moved_minor for one in found} == {
        q.name: plain(amount, q) for q in stated
    }
    ranks = [(-one.moved_minor, one.name) for one in found]
    assert ranks == sorted(ranks)
    for one in found:
        assert one.cost_minor >= 0
        assert one.converted_minor - one.cost_minor == one.moved_minor


@given(
    st.sampled_from(PAIRS), st.integers(-(10**9), 10**9), st.sampled_from(["1", "0.5", "156.25"])
)
def test_minor_units_of_both_currencies(pair: tuple[str, str], amount: int, rate: str) -> None:
    quote = Quote(name="a", of=pair[0], into=pair[1], rate=rate)
    assert converted(amount, quote) == plain(amount, quote)
    assert converted(-amount, quote) == -converted(amount, quote)


def test_other_pairs_and_the_other_direction_are_not_asked() -> None:
    stated = (
        Quote(name="a", of="840", into="978", rate="0.9"),
        Quote(name="b", of="978", into="392", rate="170"),
        Quote(name="c", of="978", into="840", rate="1.1"),
    )
    assert [one.name for one in offers(100, "978", "840", stated)] == ["c"]


def test_of_equals_the_name_that_comes_first() -> None:
    stated = tuple(Quote(name=n, of="978", into="840", rate="1.1") for n in ("b", "a", "c"))
    assert [one.name for one in offers(-100, "978", "840", stated)] == ["a", "b", "c"]


def test_a_dear_rate_may_beat_a_dear_fee() -> None:
    """We owe 1,000.00 euro: at 1.08 with 20.00 of fees, or at 1.09 with none."""
    stated = (
        Quote(name="low", of="978", into="840", rate="1.08", fixed_minor=2000),
        Quote(name="high", of="978", into="840", rate="1.09"),
    )
    assert [(o.name, o.moved_minor) for o in offers(-100_000, "978", "840", stated)] == [
        ("high", -109_000),
        ("low", -110_000),
    ]
