"""The simulated network's files: read by whoever reads real ones, and without a card number in what
lies beside them."""

import json
import stat
from collections import Counter
from pathlib import Path

import pytest

from authz.app.clearing_files import write_clearing
from ledger.clearing.errors import CannotWrite
from ledger.clearing.reading import read_clearing
from ledger.clearing.record import content_hash
from tests.authz.simulator.test_clearing import PEOPLE, TODAY, a_run


def written(folder: Path, network: str, **changes: int) -> list[Path]:
    events, report = a_run(300)
    return write_clearing(folder, network, events, report, PEOPLE, seed=1, day=TODAY, **changes)


@pytest.mark.parametrize(
    ("network", "format"), [("mastercard", "ipm"), ("visa", "base2"), ("generic", "csv")]
)
def test_each_network_has_its_own_format(network: str, format: str, tmp_path: Path) -> None:
    files = written(tmp_path / "out", network)
    assert len(files) == 2
    for path, after_expiry in zip(files, (False, True)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        file = read_clearing(path)
        assert (file.format, file.network, file.bad_count) == (format, network, 0)
        text = Path(f"{path}.json").read_text()
        assert not any(card.pan in text for card in PEOPLE.cards)
        manifest = json.loads(text)
        assert manifest["after_expiry"] is after_expiry
        assert manifest["business_date"] == file.business_date.isoformat()
        assert Counter(r["expected"] for r in manifest["records"]) == manifest["counts"]
        items = {item.record: item for item in file.items()}
        assert items.keys() == {r["record"] for r in manifest["records"]}
        for record in manifest["records"]:
            item = items[record["record"]]
            assert item.transaction_minor == record["transaction_minor"]
            assert item.transaction_currency == record["transaction_currency"]
            assert item.arn == record["arn"] or record["expected"] == "fee"
            assert (item.kind == "refund") == (record["expected"] == "refunded")
            assert item.reversal == (record["expected"] == "reversed")
            if format == "ipm" and item.kind in ("presentment", "refund"):
                assert len(item.merchant_country) == 3


def test_another_run_of_the_day_has_another_file(tmp_path: Path) -> None:
    first, second = written(tmp_path, "visa"), written(tmp_path, "visa", first_number=10**6)
    assert not set(first) & set(second)
    ids = [read_clearing(path).network_file_ids for path in (*first, *second)]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("network", ["generic", "mastercard"])
def test_a_fee_of_another_run_is_another_fee(tmp_path: Path, network: str) -> None:
    paths = (*written(tmp_path, network), *written(tmp_path, network, first_number=10**6))
    fees = [item for path in paths for item in read_clearing(path).items() if item.kind == "fee"]
    assert len(fees) > 1
    assert len({content_hash(item, "") for item in fees}) == len(fees)


def test_what_the_format_cannot_say_leaves_no_file(tmp_path: Path) -> None:
    events, report = a_run(300)
    for event in events:
        event.elements[2] = "999999000000001"  # 15 digits: no place in BASE II
    with pytest.raises(CannotWrite, match="pan"):
        write_clearing(tmp_path, "visa", events, report, PEOPLE, seed=1, day=TODAY)
    assert list(tmp_path.iterdir()) == []
