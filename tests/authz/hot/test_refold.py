"""An account's hash from its records, beside the twin that counted the same as it came."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from authz.hot.model import SEVERAL
from authz.hot.record import Act, Given, Record, Touched
from authz.hot.refold import Case, centre_words, days_words, quota_words, refold
from authz.standing import Seen, read_counter
from rules.counters import AMOUNT, COUNT, DAY_S, DECLINES, ENTRIES_MAX, Counters, share

NOW = 20_000 * DAY_S
pack = msgspec.msgpack.Encoder().encode


def record(spent: int, *touched: Touched, **changes: Any) -> bytes:
    given = Given(kind="held")
    return pack(
        Record(original="m", holds=spent, given=given, touched=list(touched), sent=NOW, **changes)
    )


def fields(words: list[Any]) -> dict[str, Any]:
    return dict(zip(words[::2], words[1::2], strict=True))


def counters(words: list[Any]) -> dict[str, int]:
    seen = Seen(0, b"", {}, {}, {}, {}, {}, 0, "", (0, 0))
    for name, value in fields(words).items():
        if name.startswith("u:"):
            packed = value if isinstance(value, bytes) else str(value).encode()
            read_counter(seen, name[2:], packed)
    return seen.used


def bucket(number: int, scale: int, item: str = "") -> Touched:
    """Of a window in buckets of a minute, looked at for an hour."""
    at = NOW // 60 + number
    return Touched(f"C1/tries/count/60s|{at}{item}", scale, (at + 1) * 60 + 3600, 60)


touches = st.lists(
    st.one_of(
        st.builds(bucket, st.integers(0, 40), st.just(AMOUNT)),
        st.builds(
            lambda number, item: Touched(f"@A1/shops/x/60s|{number}|{item}", COUNT,
                                         NOW + 4 * DAY_S, 60),
            st.integers(NOW // 60, NOW // 60 + 5), st.sampled_from("abc"),
        ),
        st.just(Touched("C1/day/amount/20241004", AMOUNT, NOW + DAY_S)),
        st.just(Touched("C1/ever/count", COUNT)),
    ),
    max_size=4, unique_by=lambda one: one.counter,
)  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 900), touches), max_size=30))
def test_counters_are_what_their_records_make_of_them(lives: list[Any]) -> None:
    twin = Counters()
    records = []
    for number, (spent, touched) in enumerate(lives):
        records.append((f"a{number}", record(spent, *touched)))
        for one in touched:
            twin.add(one.counter, share(spent, one.scale), one.ends, one.size)
    assert counters(refold("A1", records).words) == twin.flat()


def test_counters_of_declines_and_what_has_ended() -> None:
    over = Touched("C1/day/amount/20240901", AMOUNT, NOW - DAY_S)
    tried = Touched("C1/noes/declines/600s|1", DECLINES, NOW + DAY_S, 600)
    told = refold("A1", [("a1", record(100, over, tried=[tried]))], [pack([tried]), pack([tried])])
    assert counters(told.words) == {tried.counter: 3}


def test_a_window_beyond_its_bound_joins_its_oldest_buckets() -> None:
    many = [(f"a{n}", record(10, bucket(n, AMOUNT))) for n in range(ENTRIES_MAX + 5)]
    found = counters(refold("A1", many).words)
    assert len(found) == ENTRIES_MAX
    assert sum(found.values()) == 10 * (ENTRIES_MAX + 5)
    assert max(found.values()) == 60
    different = [(f"a{n}", record(10, bucket(n, COUNT, "|m"))) for n in range(ENTRIES_MAX + 5)]
    assert len(counters(refold("A1", different).words)) == ENTRIES_MAX


def test_references_name_all_that_have_them_and_many_name_none() -> None:
    held = [(f"a{n}", record(1, references=["all", f"own{n}", f"half{n % 2}"])) for n in range(9)]
    told = fields(refold("A1", held).words)
    assert told["r:all"] == SEVERAL
    assert told["r:own3"] == "a3"
    assert told["r:half1"] == "a1 a3 a5 a7"


def test_holds_and_cases_are_listed_by_when_they_end_or_began() -> None:
    held = [("a1", record(5, expires=77)), ("a2", record(0, expires=88))]
    told = refold("A1", held, (), [Case("m1", "c1", 99, b"body")])
    assert told.expiry == [77, "A1 a1"]
    assert told.reviews == [99, "A1 m1"]
    assert fields(told.words)["v:m1"] == b"c1 99 body"
    assert fields(told.words)["reviews"] == 1


def test_time_is_that_of_the_newest_request() -> None:
    acts = [Act("more", "m2", NOW + 2 * DAY_S), Act("post", "m3", NOW + 9 * DAY_S)]
    assert refold("A1", [("a1", record(5, acts=acts))]).clock == NOW + 2 * DAY_S
    assert refold("A1", []).words == []


def test_programs_counters_are_the_shards() -> None:
    all_of_it = Touched("%P/all/count/20241004", COUNT, NOW + DAY_S)
    told = refold("A1", [("a1", record(5, all_of_it)), ("a2", record(7, all_of_it))])
    assert told.quotas == {all_of_it.counter: (2, NOW + DAY_S)}
    assert counters(told.words) == {}
    day = NOW // DAY_S + 1
    assert fields(quota_words(NOW, told.quotas)) == {
        f"q:{all_of_it.counter}": f"2 2 0 {NOW + DAY_S}",
        "qw": f"{NOW} {day}", f"qw:{day}": f"{all_of_it.counter}\n",
    }  # fmt: skip
    assert fields(centre_words(NOW, told.quotas))[f"l:{all_of_it.counter}"] == f"2 2 {NOW + DAY_S}"
    assert quota_words(NOW + DAY_S, told.quotas) == []


def test_days_are_listed_in_their_order() -> None:
    assert days_words("w", 0, {}) == []
    assert days_words("w", 5, {9: ["b"], 7: ["a", "c"]}) == [
        "w", "5 7 9", "w:9", "b\n", "w:7", "a\nc\n",
    ]  # fmt: skip
