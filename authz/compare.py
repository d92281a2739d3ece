"""One account's records, balance and counters against one another and against the journal."""

from collections.abc import Iterable

import msgspec

from authz.hot.model import SEVERAL
from authz.hot.record import OTHER_ACTS_MAX, Record, fold
from authz.profiles import read_account
from authz.replay import Told, chain_rows
from authz.standing import Row, Seen
from rules.counters import counts_declines, parts_of, share, spans_shards


def compare(seen: Seen, told: Told) -> list[Row]:
    """One account, its records and its entries: everything but the expiry set."""
    if told.whole and not told.version:
        return [("account", "there", None)]
    rows = chain_rows("", seen.entries, seen.digest, told, told.whole) + told.rows
    if told.version and (seen.version, seen.profile) != (told.version, told.profile):
        same = "profile as journalled" if seen.profile == told.profile else "another profile"
        rows.append(("profile", f"version {seen.version}, {same}", f"version {told.version}"))

    rows += compare_cards(seen, told)

    doubtful = compare_records(seen, told)
    rows += doubtful
    held, used = sums(seen.records.values())
    for name, amounts in (("posted", told.posted), ("held", told.held)):
        hot = {k[len(name) + 1 :]: v for k, v in seen.amounts.items() if k.startswith(name + ":")}
        rows += unequal(name, hot, amounts, told.whole)
        if name == "held" and not doubtful:
            rows += unequal(name, hot, held, True)
    rows += unequal("counter", seen.used, told.used, told.whole)
    if not doubtful:
        rows += compare_counters(seen, used)
    rows += compare_available(seen, told)
    rows += compare_reviews(seen, told)
    return list(dict.fromkeys(rows))


def compare_cards(seen: Seen, told: Told) -> list[Row]:
    """Every card is as it was journalled last, and none is there that never was."""
    rows: list[Row] = []
    for id, card in told.cards.items():
        there = seen.cards.get(id)
        if there is None:
            rows.append((f"card {id}", None, f"version {card.version}"))
            continue
        version, _, profile = there.partition(b" ")
        if (version, profile) != (b"%d" % card.version, card.profile):
            same = "profile as journalled" if profile == card.profile else "another profile"
            number = version.decode(errors="replace")
            rows.append((f"card {id}", f"version {number}, {same}", f"version {card.version}"))
    if told.whole:
        rows += [(f"card {id}", "there", None) for id in seen.cards.keys() - told.cards.keys()]
    return rows


def compare_records(seen: Seen, told: Told) -> list[Row]:
    """Each record against its own acts, and the set of them against the journal's."""
    rows: list[Row] = []
    expected = told.expected_records()
    for id, record in seen.records.items():
        hold, posted = fold(record)
        if record.holds != hold:
            rows.append((f"record {id}", f"holds {record.holds}", f"its acts hold {hold}"))
        if record.posted != posted:
            rows.append((f"record {id}", f"posted {record.posted}", f"its acts post {posted}"))
        if not told.whole and (id not in told.judged_by or id in told.begun_before):
            continue  # it may have begun in what was cut
        if id not in expected:
            rows.append((f"record {id}", f"original {record.original or 'none'}", None))
            continue
        for reference in record.references:
            named = seen.references.get(reference, "")
            if named != SEVERAL and id not in named.split():
                rows.append((f"reference {reference}", named or None, id))
        if record.original != told.judged_by.get(id, ""):
            rows.append((f"record {id}", f"original {record.original or 'none'}",
                         f"original {told.judged_by.get(id, 'none')}"))  # fmt: skip
        if record.holds * record.sign != told.held_by.get(id, 0):
            held = f"entries hold {told.held_by.get(id, 0)}"
            rows.append((f"record {id}", f"holds {record.holds * record.sign}", held))
        if record.posted * record.sign != -told.posted_by.get(id, 0):
            told_posted = f"entries post {-told.posted_by.get(id, 0)}"
            rows.append((f"record {id}", f"posted {record.posted * record.sign}", told_posted))
        acts = {act.message_id for act in record.acts if act.kind != "void"}
        others = told.acts.get(id, set())
        full = len(record.acts) >= OTHER_ACTS_MAX and acts <= others
        if told.whole and acts != others and not full:
            rows.append((f"record {id}", f"{len(acts)} acts", f"{len(others)} others"))
    for id in sorted(expected - seen.records.keys()):
        rows.append((f"record {id}", None, f"holds {told.held_by.get(id, 0)}"))
    return rows


def compare_counters(seen: Seen, used: dict[str, int]) -> list[Row]:
    """Counters against the records that they follow.

    Not those that came to their end, which move no more whatever becomes of their records; those
    that took older buckets in; nor those of declines, of which no record tells. What these should
    be the journal tells, entry by entry.
    """
    ends = dict(seen.ends)
    for record in seen.records.values():
        for one in record.counted_by:
            if one.ends:
                ends[one.counter] = min(one.ends, ends.get(one.counter, one.ends))

    def is_told(counter: str) -> bool:
        field, bucket, _ = parts_of(counter)
        joined = bucket is not None and bucket <= seen.floors.get(field, -1)
        over = 0 < ends.get(counter, 0) <= seen.clock
        return not (joined or over or counts_declines(counter) or spans_shards(counter))

    return unequal(
        "counter",
        {counter: use for counter, use in seen.used.items() if is_told(counter)},
        {counter: use for counter, use in used.items() if is_told(counter)},
        True,
    )


def sums(records: Iterable[Record]) -> tuple[dict[str, int], dict[str, int]]:
    """What records hold by currency, and what they make of the counters they touched."""
    held: dict[str, int] = {}
    used: dict[str, int] = {}
    for record in records:
        if record.holds:
            held[record.currency] = held.get(record.currency, 0) + record.holds * record.sign
        if record.spent:
            for one in record.counted_by:
                used[one.counter] = used.get(one.counter, 0) + share(record.spent, one.scale)
    return held, used


def unequal(name: str, hot: dict[str, int], expected: dict[str, int], whole: bool) -> list[Row]:
    """Amounts that differ; what is not there is zero. Of a cut journal, only what it tells."""
    return [
        (f"{name} {key}", hot.get(key, 0), expected.get(key, 0))
        for key in sorted(hot.keys() | expected.keys() if whole else expected.keys())
        if hot.get(key, 0) != expected.get(key, 0)
    ]


def compare_available(seen: Seen, told: Told) -> list[Row]:
    """Nothing is promised that is not there, unless others took it: a control act, or what was
    decided elsewhere (an advice, a force post, a credit taken back)."""
    try:
        profile = read_account(seen.profile)
    except msgspec.MsgspecError:
        return [("profile", "unreadable", f"version {told.version}")]
    posted = seen.amounts.get(f"posted:{profile.currency}", 0)
    held = seen.amounts.get(f"held:{profile.currency}", 0)
    available = posted - held + profile.credit_line_minor
    if available < 0 and told.whole and not told.below_by_others:
        return [("available", available, "not below 0")]
    return []


def compare_reviews(seen: Seen, told: Told) -> list[Row]:
    """The cases that wait are those that were opened, and neither decided nor ended since."""
    there = seen.reviews.keys()
    rows: list[Row] = [(f"review {id}", None, "open") for id in sorted(told.reviews - there)]
    if told.whole:
        rows += [(f"review {id}", "open", None) for id in sorted(there - told.reviews)]
    if seen.review_count != len(seen.reviews):
        rows.append(("open reviews", seen.review_count, len(seen.reviews)))
    return rows


def listed_rows(seen: Seen, listed: dict[str, int]) -> list[Row]:
    """The cases of an account against the list that people see."""
    return [
        (f"review {id} in the list", listed.get(id), seen.reviews.get(id))
        for id in sorted(seen.reviews.keys() | listed.keys())
        if seen.reviews.get(id) != listed.get(id)
    ]


def expiry_rows(seen: Seen, ends: dict[str, int]) -> list[Row]:
    due = {id: record.expires for id, record in seen.records.items() if record.holds > 0}
    return [
        (f"expiry of {id}", ends.get(id), due.get(id))
        for id in sorted(due.keys() | ends.keys())
        if ends.get(id) != due.get(id)
    ]
