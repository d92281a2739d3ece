"""`authz bench rebuild`, small."""

from bench.rebuild import run


def test_every_account_and_every_open_authorization_comes_back() -> None:
    figures = run(None, accounts=300)  # fewer than the authorizations that it has by default
    assert (figures["accounts"], figures["cards"], figures["open"]) == (300, 300, 300)
