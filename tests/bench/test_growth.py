"""Rows of growth are compared with the first of their kind."""

from bench import growth
from bench.machine import this_machine


def test_more_cost_is_less_capacity(monkeypatch, tmp_path, capsys):
    asked = []

    async def measure(order, folder):
        asked.append((order.cards, order.rules))
        us = 100.0 + order.rules + order.cards / 10_000
        return {
            "p50_ms": 1.0, "p99_ms": 2.0, "engine_us": us, "store_us": 0.0, "answered": 10,
            "audit_ok": True, "memory_mb": {"engine": 70.0, "store": 20.0}, "machine": MACHINE,
        }  # fmt: skip

    class Machine:
        def line(self):
            return "a machine"

    MACHINE = Machine()
    monkeypatch.setattr(growth, "measure", measure)
    rows = growth.run(None, most_cards=100_000)["rows"]
    assert asked == [(10_000, 0), (100_000, 0), (10_000, 1), (10_000, 10), (10_000, 100)]
    assert rows["cards 10000"]["capacity_ratio"] == rows["rules 1"]["capacity_ratio"] == 1.0
    assert rows["cards 100000"]["capacity_ratio"] == round(101 / 110, 3)
    assert rows["rules 100"]["capacity_ratio"] == round(102 / 201, 3)
    assert "a machine" in capsys.readouterr().out


def test_where_nothing_was_answered_nothing_is_said_of_the_capacity(monkeypatch, capsys):
    async def measure(order, folder):
        us = 0.0 if order.rules == 100 else 50.0
        return {
            "p50_ms": 0.0, "p99_ms": 0.0, "engine_us": us, "store_us": us, "answered": 0,
            "audit_ok": True, "memory_mb": {"engine": 70.0, "store": 20.0}, "machine": machine,
        }  # fmt: skip

    machine = this_machine()
    monkeypatch.setattr(growth, "measure", measure)
    rows = growth.run(None, most_cards=10_000)["rows"]
    assert rows["rules 100"]["capacity_ratio"] == 0.0
    assert rows["rules 10"]["capacity_ratio"] == 1.0
    assert "rules 100" in capsys.readouterr().out
