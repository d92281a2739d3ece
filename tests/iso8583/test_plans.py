"""The shelf of plans has a bound, and what fills it is bounded too."""

from random import Random

from iso8583.codec import decode, encode
from iso8583.dialects import BY_NAME
from iso8583.errors import DecodeError
from iso8583.plans import PLANS, SEEN, SIGHTS, Plans, compile_plan
from tests.support.iso import any_message

ASCII_1987 = BY_NAME["iso87_ascii"]


def see(plans, key, times):
    """How many plans were made."""
    made = []
    for _ in range(times):
        plans.saw(key, lambda: made.append(key) or (lambda: key))
    return len(made)


def test_a_plan_is_made_at_the_sixteenth_sight_and_once():
    plans = Plans()
    assert see(plans, "a", SIGHTS - 1) == 0
    assert plans.get("a") is None
    assert see(plans, "a", 1) == 1
    assert plans.get("a")() == "a"
    assert see(plans, "a", 100) == 0


def test_the_shelf_is_bounded_and_the_oldest_goes():
    plans = Plans()
    for key in range(PLANS + 10):
        see(plans, key, SIGHTS)
        assert len(plans) <= PLANS
    assert plans.get(9) is None
    assert plans.get(10) is not None


def test_keys_seen_once_are_forgotten_and_cost_no_plan():
    plans = Plans()
    assert sum(see(plans, key, 1) for key in range(3 * SEEN)) == 0
    assert len(plans._seen) <= SEEN


def test_random_bitmaps_make_no_plans():
    ASCII_1987.decode_plans.clear()
    ASCII_1987.encode_plans.clear()
    randomly = Random(8583)
    for _ in range(300):
        raw = encode("0100", any_message(ASCII_1987, randomly), ASCII_1987)
        decode(raw, ASCII_1987)
    assert len(ASCII_1987.decode_plans) == len(ASCII_1987.encode_plans) == 0


def test_refused_messages_make_no_plans():
    ASCII_1987.decode_plans.clear()
    for _ in range(3 * SIGHTS):
        try:
            decode(b"0100" + b"2000000000000000" + b"00000", ASCII_1987)
        except DecodeError:
            continue
        raise AssertionError("a short field was read")
    assert len(ASCII_1987.decode_plans) == 0
    assert not ASCII_1987.decode_plans._seen


def test_a_generated_function_sees_the_names_it_was_given():
    plan = compile_plan("add", ["def add(a):", "b = a + ONE", "return b"], {"ONE": 1})
    assert plan(2) == 3
