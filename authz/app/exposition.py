"""Several workers' metrics as one text. Each sample says which worker it comes from.

Counters of workers could be added up, but gauges and build facts cannot, and a sum hides
the one worker that is stuck; whoever scrapes can sum, and cannot take apart.
"""

from collections.abc import Iterator, Mapping


def merge_exposition(texts: Mapping[str, bytes]) -> bytes:
    """Expositions by worker, in one: every family once, its samples together.

    Source: the Prometheus text format 0.0.4, as prometheus-client writes it.
    """
    heads: dict[str, dict[str, str]] = {}  # family: HELP and TYPE, of whoever came first
    samples: dict[str, list[str]] = {}
    for worker, text in texts.items():
        label = f'worker="{escaped(worker)}"'
        family = ""
        for line in lines_of(text):
            if line.startswith(("# HELP ", "# TYPE ")):
                _, word, family, *_ = line.split(" ", 3)
                heads.setdefault(family, {}).setdefault(word, line)
                samples.setdefault(family, [])
            elif not line.startswith("#"):
                name = line[: min(at for at in (line.find("{"), line.find(" ")) if at >= 0)]
                if not belongs(name, family):
                    family = name  # a sample that nobody announced is a family of its own
                samples.setdefault(family, []).append(labelled(line, name, label))
    merged: list[str] = []
    for family, lines in samples.items():
        merged += heads.get(family, {}).values()
        merged += lines
    return "".join(f"{line}\n" for line in merged).encode()


def lines_of(text: bytes) -> Iterator[str]:
    for line in text.decode().split("\n"):
        if line.strip():
            yield line


def belongs(name: str, family: str) -> bool:
    """Histograms and summaries have samples under their name with an ending."""
    ending = name.removeprefix(family) if family else name
    return ending in ("", "_bucket", "_sum", "_count")


def labelled(line: str, name: str, label: str) -> str:
    rest = line[len(name) :]
    if not rest.startswith("{"):
        return f"{name}{{{label}}}{rest}"
    rest = rest[1:]
    return f"{name}{{{label}{rest if rest.startswith('}') else ',' + rest}"


def escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
