"""Lists: who decides of several entries, when, and against a search through all of them."""

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.decide import decide
from rules.facts import AccountProfile, AccountState, CardProfile, CardState
from rules.lists import ALLOW, ALWAYS, BLOCK, KINDS, NAMES, SANCTION, Lists, overlap
from rules.reason import Reason
from tests.rules.test_judge import request

CARD = CardProfile("C1", "A1", "S1", "2912", CardState.ACTIVE, blocked_mccs=("7995",))
ACCOUNT = AccountProfile("A1", "gold", "840", 0, "UTC", AccountState.ACTIVE)
SAID: dict[str, str] = {
    "device": "D1", "ip": "192.0.2.7", "terminal_id": "T1", "merchant_id": "M1",
    "acquirer_id": "400001", "bin": "999999", "mcc": "5411", "country": "US",
}  # fmt: skip
VALUES = {"card": "C1", "account": "A1", "device": "D1", "ip": "192.0.2.7", "terminal": "T1",
          "merchant": "M1", "acquirer": "400001", "bin": "999999", "mcc": "5411",
          "country": "US"}  # fmt: skip


def lists(*entries: str, periods: Any = ALWAYS) -> Lists:
    """ "block card" is of the request's own; "block ip=…" of that value."""
    found = Lists(1)
    for entry in entries:
        name, _, rest = entry.partition(" ")
        kind, _, value = rest.partition("=")
        found.put(name, kind, value or VALUES[kind], periods)
    return found


def said(listed: Lists, **changes: Any) -> str:
    return decide(request(**(SAID | changes)), CARD, ACCOUNT, listed).reason


# Neighbours differ in one entry.
TABLE = """
block country                                            | country_blocked
block country, allow mcc                                 | approved
block country, allow merchant                            | approved
block country, block merchant                            | merchant_blocked
block country, block merchant, allow merchant=M2         | merchant_blocked
block country, block merchant, allow terminal            | approved
block country, block merchant, allow country=DE          | merchant_blocked
block merchant, allow country                            | merchant_blocked
block merchant, allow country, allow mcc                 | merchant_blocked
block merchant, allow country, allow card                | approved
block card, allow card=C2                                | card_blocked
block card, allow account                                | card_blocked
block account, allow card                                | approved
block account                                            | account_blocked
block device, allow account                              | approved
block device, allow ip                                   | device_blocked
block ip, allow device                                   | approved
block ip, allow terminal                                 | ip_blocked
block terminal, allow merchant                           | terminal_blocked
block acquirer, allow merchant                           | approved
block acquirer, allow bin                                | acquirer_blocked
block bin, allow mcc                                     | bin_blocked
block mcc, allow bin                                     | approved
block mcc, allow country                                 | mcc_blocked
block ip=192.0.2.0/24                                    | ip_blocked
block ip=192.0.2.0/24, allow ip                          | approved
block ip=192.0.2.0/24, allow ip=192.0.0.0/16             | ip_blocked
block ip=192.0.2.0/24, allow ip=192.0.2.0/25             | approved
block ip=192.0.3.0/24                                    | approved
block ip=2001:db8::/32                                   | approved
sanction country                                         | sanctioned_country
sanction country, allow country                          | sanctioned_country
sanction country, allow card                             | sanctioned_country
sanction country, block card                             | sanctioned_country
sanction country=DE                                      | approved
"""


@pytest.mark.parametrize("row", TABLE.strip().splitlines())
def test_the_most_particular_kind_decides(row: str) -> None:
    entries, _, expected = row.partition("|")
    assert said(lists(*entries.strip().split(", "))) == expected.strip()


def test_an_allowed_card_is_excused_from_lists_and_nothing_else() -> None:
    allowed = lists("allow card")
    assert said(allowed, mcc="7995") == Reason.MCC_BLOCKED  # the card's own controls
    assert said(allowed, currency="978", transaction_currency="978") == Reason.CURRENCY_MISMATCH
    frozen = CardProfile("C1", "A1", "S1", "2912", CardState.FROZEN)
    assert decide(request(), frozen, ACCOUNT, allowed).reason == Reason.CARD_FROZEN


def test_a_timed_entry_is_in_force_from_its_first_second_to_the_last_before_its_end() -> None:
    at = request().sent_at
    for start, end, blocks in (
        (0, at, False), (0, at + 1, True), (at, 0, True), (at, at + 1, True), (at + 1, 0, False),
        (at - 1, at, False),
    ):  # fmt: skip
        listed = lists("block merchant", periods=((start, end),))
        assert (said(listed) == "merchant_blocked") is blocks, (start - at, end - at)
    gone = lists("block merchant")
    gone.put(BLOCK, "merchant", "M1", None)
    assert said(gone) == Reason.APPROVED
    assert len(gone) == 0


def test_what_a_request_does_not_tell_is_on_no_list() -> None:
    everything = lists(*(f"block {kind}" for kind in ("device", "ip", "bin", "terminal")))
    assert said(everything, device="", ip="", bin="", terminal_id="") == Reason.APPROVED
    assert said(lists("block ip=0.0.0.0/0"), ip="no address") == Reason.APPROVED


@dataclass
class Entry:
    name: str
    kind: str
    value: str
    periods: tuple[tuple[int, int], ...]


NETWORKS = ["192.0.2.7", "192.0.2.0/24", "192.0.2.0/25", "192.0.2.128/25", "::1", "2001:db8::/32"]
moments = st.sampled_from([0, 99, 100, 101, 200])
kinds = st.sampled_from([*KINDS])
entries = st.builds(
    lambda name, kind, value, network, periods: Entry(
        name, "country" if name == SANCTION else kind, network if kind == "ip" else value,
        tuple((a, b) for a, b in periods if not b or a < b) if kind != "x" else (),
    ),
    st.sampled_from(NAMES), kinds, st.sampled_from(["V1", "V2"]), st.sampled_from(NETWORKS),
    st.lists(st.tuples(moments, moments), max_size=2),
)  # fmt: skip


def searched(there: list[Entry], values: dict[str, str], at: int) -> tuple[str, str, str] | None:
    """By sanctions, then kind, then the smallest network, then block before allow."""
    found = []
    for entry in there:
        value = values[entry.kind]
        size = 0
        if entry.kind == "ip":
            network = ip_network(entry.value)
            holds = bool(value) and ip_address(value) in network
            size = network.num_addresses
        else:
            holds = entry.value == value
        in_force = not entry.periods or any(a <= at and (not b or at < b) for a, b in entry.periods)
        if holds and in_force:
            rank = (entry.name != SANCTION, [*KINDS].index(entry.kind), size, entry.name == ALLOW)
            found.append((rank, (entry.name, entry.kind, entry.value)))
    return min(found)[1] if found else None


@given(
    st.lists(st.tuples(st.booleans(), entries), max_size=20),
    st.lists(st.sampled_from(["", "V1", "V2"]), min_size=10, max_size=10),
    st.sampled_from(["", "192.0.2.7", "192.0.2.200", "2001:db8::9"]), moments,
)  # fmt: skip
def test_lists_say_what_a_search_through_all_entries_says(changes, values, address, at):
    told = dict(zip(KINDS, values, strict=True)) | {"ip": address}
    fitted = [(put, entry) for put, entry in changes if entry.kind != "ip" or "." in entry.value
              or ":" in entry.value]  # fmt: skip
    model: dict[tuple[str, str, str], Entry] = {}
    listed = Lists()
    for put, entry in fitted:
        key = (entry.name, entry.kind, entry.value)
        listed.put(*key, entry.periods if put else None)
        if put:
            model[key] = entry
        else:
            model.pop(key, None)
    card = CardProfile(told["card"], told["account"], "S1", "2912", CardState.ACTIVE)
    asked = request(
        device=told["device"], ip=address, terminal_id=told["terminal"], sent_at=at,
        merchant_id=told["merchant"], acquirer_id=told["acquirer"], bin=told["bin"],
        country=told["country"],
    )  # fmt: skip
    told["mcc"] = asked.mcc
    found = listed.look(asked, card)
    expected = searched(list(model.values()), told, at)
    assert (found and (found.name, found.kind, found.value)) == expected
    assert len(listed) == len(model)
    # What is shown to people ends with the same entry, where it goes by the order of kinds.
    first = next((one for _, _, one in listed.look_at_each(asked, card) if one is not None), None)
    assert first == found


@given(moments, moments, moments, moments)
def test_periods_overlap_where_they_share_a_second(a, b, c, d):
    one, other = (a, b if b > a else 0), (c, d if d > c else 0)
    seconds = range(300)
    holds = [lambda at, p=p: p[0] <= at and (not p[1] or at < p[1]) for p in (one, other)]
    assert overlap(one, other) == any(holds[0](at) and holds[1](at) for at in seconds)
