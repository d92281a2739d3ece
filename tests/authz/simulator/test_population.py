"""A population is the same for the same seed, harmless, and in the shape of load files."""

import csv

from authz.simulator.cards import ACCOUNT_COLUMNS, CARD_COLUMNS
from authz.simulator.population import Population, make_population, write_csv

POPULATION = make_population(1, 4000)


def passes_luhn(pan: str) -> bool:
    """Written anew, digit by digit, so as not to repeat the maker's mistake."""
    total = 0
    for place, digit in enumerate(reversed(pan)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def pans(population: Population) -> list[str]:
    return [card.pan for card in population.cards]


def test_the_same_seed_makes_the_same_people():
    assert make_population(1, 300) == make_population(1, 300)
    assert pans(make_population(1, 300)) != pans(make_population(2, 300))


def test_a_known_card_number_passes_the_check_that_the_others_are_held_against():
    assert passes_luhn("4111111111111111")
    assert not passes_luhn("4111111111111112")


def test_every_card_number_is_synthetic_unique_and_passes_luhn():
    numbers = pans(POPULATION)
    assert len(set(numbers)) == len(numbers) == 4000
    assert all(len(pan) == 16 and pan.startswith("9999") and passes_luhn(pan) for pan in numbers)


def test_most_cards_are_alive_and_some_are_in_every_other_state():
    states = [card.status for card in POPULATION.cards]
    assert states.count("active") / len(states) > 0.95
    assert set(states) == {"active", "inactive", "frozen", "lost", "stolen", "expired", "closed"}


def test_some_accounts_have_several_cards_and_no_card_is_without_account():
    accounts = {account.account_id for account in POPULATION.accounts}
    owners = [card.account.account_id for card in POPULATION.cards]
    assert set(owners) == accounts
    assert 0.05 < 1 - len(accounts) / len(owners) < 0.30


def test_the_load_files_have_their_columns_and_their_rows(tmp_path):
    accounts, cards = write_csv(POPULATION, tmp_path)
    with accounts.open(newline="") as file:
        reader = csv.DictReader(file)
        assert list(reader) == list(POPULATION.account_rows())
        assert tuple(reader.fieldnames or ()) == ACCOUNT_COLUMNS
    with cards.open(newline="") as file:
        reader = csv.DictReader(file)
        assert list(reader) == list(POPULATION.card_rows())
        assert tuple(reader.fieldnames or ()) == CARD_COLUMNS


def test_amounts_in_load_files_have_the_decimals_of_their_currency():
    for row in POPULATION.account_rows():
        decimals = row["opening_funds"].partition(".")[2]
        assert len(decimals) == (0 if row["currency"] == "JPY" else 2)
    assert {row["currency"] for row in POPULATION.account_rows()} >= {"USD", "EUR", "JPY"}


def test_limits_are_empty_or_a_number_and_blocked_categories_are_four_digits():
    for row in POPULATION.card_rows():
        assert not row["per_transaction"] or float(row["per_transaction"]) > 0
        assert not row["daily_count"] or int(row["daily_count"]) > 0
        assert all(len(mcc) == 4 and mcc.isdigit() for mcc in row["blocked_mccs"].split())
        assert len(row["expiry"]) == 4
        assert "01" <= row["expiry"][2:] <= "12"


def test_a_card_does_not_print_its_number():
    card = POPULATION.cards[0]
    assert card.pan not in repr(card)
    assert card.pan not in str(card.__rich_repr__())
