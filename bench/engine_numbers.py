"""What an engine says of itself, read from its /metrics."""

from typing import Any

from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

GC = "authz_gc_pause_seconds"


class Numbers(Struct, frozen=True):
    """Since the engine began."""

    stages_us: dict[str, float]  # mean of each
    near_cache: dict[str, int]
    warm: bool  # what there is of cards was learnt after the start
    gc_count: dict[str, float]  # by generation
    gc_total_s: dict[str, float]
    gc_longest_s: float

    @classmethod
    def of(cls, exposition: str) -> "Numbers":
        samples: dict[tuple[str, str], float] = {}  # by name, and by the one label that matters
        for family in text_string_to_metric_families(exposition):
            for sample in family.samples:
                label = sample.labels.get("stage") or sample.labels.get("generation") or ""
                if "le" not in sample.labels:
                    key = sample.name, label
                    samples[key] = samples.get(key, 0.0) + sample.value
        counts = of_label(samples, "authz_stage_seconds_count")
        return cls(
            stages_us={
                stage: round(total / counts[stage] * 1e6, 1)
                for stage, total in of_label(samples, "authz_stage_seconds_sum").items()
                if counts.get(stage)
            },
            near_cache={
                "near_cache": round(samples.get(("authz_near_cache_cards", ""), 0)),
                "near_cache_hits": round(samples.get(("authz_near_cache_hits_total", ""), 0)),
                "near_cache_misses": round(samples.get(("authz_near_cache_misses_total", ""), 0)),
            },
            warm=samples.get(("authz_near_cache_warm", "")) == 1.0,
            gc_count=of_label(samples, f"{GC}_count"),
            gc_total_s=of_label(samples, f"{GC}_sum"),
            gc_longest_s=samples.get(("authz_gc_pause_longest_seconds", ""), 0.0),
        )

    def garbage_since(self, before: "Numbers") -> dict[str, Any]:
        """The collector's pauses: how many, how long in all, by generation; the longest ever."""
        by_generation = {
            generation: {
                "pauses": round(count - before.gc_count.get(generation, 0)),
                "total_ms": milliseconds(
                    self.gc_total_s.get(generation, 0) - before.gc_total_s.get(generation, 0)
                ),
            }
            for generation, count in self.gc_count.items()
        }
        return {
            "pauses": sum(one["pauses"] for one in by_generation.values()),
            "total_ms": round(sum(one["total_ms"] for one in by_generation.values()), 3),
            "longest_ms": milliseconds(self.gc_longest_s),
            "by_generation": by_generation,
        }


def of_label(samples: dict[tuple[str, str], float], name: str) -> dict[str, float]:
    return {label: value for (of, label), value in samples.items() if of == name and label}


def milliseconds(seconds: float) -> float:
    return round(seconds * 1e3, 3)
