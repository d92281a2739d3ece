"""authz bench lists: what it prints of a small list is what there is of it."""

from bench.lists import run


def test_it_loads_reads_and_looks_up() -> None:
    told = run(None, entries=3000)
    assert (told["entries"], told["versions"]) == (3000, 3)
    # So few that what the store takes for itself meanwhile may be more, or less, than they are.
    assert told["of_these"]["entries"] > 0
    assert told["store_bytes"] > 0
    assert 0 < told["look_up_ns"]["no_lists"] <= told["look_up_ns"]["listed"]
