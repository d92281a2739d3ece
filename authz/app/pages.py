"""Pages of docs/ that are made from tables of the code: `make docs` writes them.

Run as `python -m authz.app.pages` in a checkout. tests/authz/app/test_pages.py holds that they are
what the tables say.
"""

import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from authz.app.plain_text import money
from authz.hot.life import ACTS, State, Step, all_steps, plain_steps
from authz.link_states import ENDINGS, TRANSITIONS, takes_requests
from authz.link_states import State as LinkState
from authz.simulator.stories import CURRENCY, OPENING_MINOR, STORIES, Story
from authz.simulator.story_messages import WITHOUT, Change, Quoted
from authz.simulator.story_messages import Step as StoryStep
from iso8583.mti import response_to

MADE = "Made from {source} by `make docs`; a change here is lost."


WIDTH = 130  # as the pages that people write


def page(lines: Iterable[str]) -> str:
    """Paragraphs wrapped; tables, headings and what is indented as they are."""
    return "\n".join(
        line
        if line.startswith(("|", "#", " ", "`"))
        else textwrap.fill(line, WIDTH, break_long_words=False, break_on_hyphens=False)
        for line in lines
    )


# -- stories ----------------------------------------------------------------------------


def stories_page() -> str:
    return page(
        (
            "# Stories",
            "",
            MADE.format(source="`authz/simulator/stories.py`"),
            "",
            f"Each begins with an account of {in_money(OPENING_MINOR)} and a new card. Tell one to "
            "an engine, message by message, and see whether it goes so:",
            "",
            "    authz simulate --story list",
            "    authz simulate --story partial-reversal --own-engine    # and a store of its own",
            "    authz simulate --story all                              # the engine that runs",
            "",
            "An engine that runs must share its store with the command: give both the same "
            "`--config`, `--redis` or `--data-dir`. It tells the stories of one `--dialect` and "
            "`--framing`, which must be its link's. Rows of `[[hold]]` of your own, "
            "`link.partial_approval` and lists may make stories go otherwise there; "
            "`--own-engine` has none of these.",
            "",
            "| story | messages | outcome |",
            "|---|---|---|",
            *map(row, STORIES),
            "",
            "Not told: holds that end by their date, since an engine's clock cannot be moved from "
            "outside (`tests/authz/test_expire.py`, `tests/scenarios/test_permutations.py`); and a "
            "cut-over, which would end the day of an engine that others use "
            "(`tests/scenarios/test_cut_over.py`).",
            "",
        )
    )


def row(story: Story) -> str:
    messages, outcomes = [], []
    for number, step in enumerate(story.steps, start=1):
        messages.append(f"{number}. `{step.mti}` the {step.who} {step.says}{elements_of(step)}")
        outcomes.append(f"{number}. {outcome(step)}")
    cells = (f"**{story.name}**: {story.about}", "<br>".join(messages), "<br>".join(outcomes))
    return f"| {' | '.join(cells)} |"


def elements_of(step: StoryStep) -> str:
    """Which elements differ from what such a message says anyway, but for its amount."""
    changes = [(n, step.changes[n]) for n in sorted(step.changes) if n != 4]
    said = [f"DE {n}" for n, change in changes if change != WITHOUT]
    left_out = [f"no DE {n}" for n, change in changes if change == WITHOUT]
    return f" ({', '.join((*said, *left_out))})" if said or left_out else ""


def outcome(step: StoryStep) -> str:
    parts = [f"`{response_to(step.mti)}` {step.code}"]
    parts += [f"DE {n} {expected(change)}" for n, change in step.answer.items()]
    if step.held is not None:
        parts.append(f"held {in_money(step.held)}")
    if step.available is not None:
        parts.append(f"available {in_money(step.available)}")
    return ", ".join(parts)


def expected(change: Change) -> str:
    if isinstance(change, Quoted):
        return f"as in {change.step}"
    return "absent" if change == WITHOUT else str(change)


def in_money(minor: int) -> str:
    return money(minor, CURRENCY)


# -- states -----------------------------------------------------------------------------


def states_page() -> str:
    return page(
        (
            "# States",
            "",
            MADE.format(source="the tables in `authz/hot/life.py` and `authz/link_states.py`"),
            "",
            "## An authorization",
            "",
            "A record keeps no state: what is held and posted is a fold over the set of its acts "
            "(`authz/hot/record.py`, [0008](decisions/0008-an-authorization-is-a-fold.md)). The "
            "states are words for what that amounts to. The arrows were found by folding: each is "
            "what one more act does to the shortest life that leads to a state.",
            "",
            *mermaid(plain_arrows()),
            "",
            "| act | told by | what it does |",
            "|---|---|---|",
            *(f"| {kind.words} | {kind.told_by} | {kind.does} |" for kind in ACTS.values()),
            "",
            "Longer lives have these steps besides:",
            "",
            "| from | by | to |",
            "|---|---|---|",
            *(f"| {step.before} | {step.act} | {step.after} |" for step in rarer_steps()),
            "",
            "Acts come in any order, and the fold is the same in each: a step that looks odd, such "
            "as a completion after a reversal, is what the network told us, in the order of DE 7.",
            "",
            "## A link",
            "",
            "Network management moves a link; a network says these words by its own element "
            "(`authz/wire/networks.py`). What comes where no requests are taken is answered 30. "
            "`connected` takes them only where no sign-on is asked for (`link.sign_on_required`). "
            "A key change moves nothing; a cut-over is asked of the engine like a request.",
            "",
            *mermaid(link_arrows()),
            "",
            "| state | requests, sign-on required | requests, not required |",
            "|---|---|---|",
            *map(link_row, LinkState),
            "",
            "Words that change nothing are answered too. What ends a link, and where:",
            "",
            "| kind in the metrics | why | in |",
            "|---|---|---|",
            *(f"| `{kind}` | {end.why} | {', '.join(words(s.value) for s in end.states)} |"
              for kind, end in ENDINGS.items()),
            "",
        )
    )  # fmt: skip


Arrow = tuple[str, str, str]  # from, to, label; "[*]" before the first


def plain_arrows() -> list[Arrow]:
    return joined(
        ("[*]" if step.before is None else name(step.before), name(step.after), step.act)
        for step in plain_steps()
    )


def rarer_steps() -> list[Step]:
    plain = set(plain_steps())
    return [step for step in all_steps() if step not in plain]


def link_arrows() -> list[Arrow]:
    arrows = [("[*]", LinkState.CONNECTED.value, "the link stands")]
    arrows += [
        (before.value, after.value, word.value)
        for (before, word), after in TRANSITIONS.items()
        if before is not after
    ]
    arrows += [
        (state.value, "[*]", "any ending below") for state in LinkState
    ]  # fmt: skip
    return joined(arrows)


def joined(arrows: Iterable[Arrow]) -> list[Arrow]:
    """Those between the same two states as one."""
    labels: dict[tuple[str, str], list[str]] = {}
    for before, after, label in arrows:
        labels.setdefault((before, after), []).append(label)
    return [(before, after, " / ".join(said)) for (before, after), said in labels.items()]


def mermaid(arrows: list[Arrow]) -> list[str]:
    lines = [f"    {before} --> {after}: {label}" for before, after, label in arrows]
    return ["```mermaid", "stateDiagram-v2", *lines, "```"]


def name(state: State) -> str:
    """As Mermaid takes it."""
    return state.value.replace(" ", "_")


def words(value: str) -> str:
    return value.replace("_", " ")


def link_row(state: LinkState) -> str:
    taken = ("asked" if takes_requests(state, required) else "30" for required in (True, False))
    return f"| {words(state.value)} | {' | '.join(taken)} |"


PAGES: dict[str, Callable[[], str]] = {
    "docs/stories.md": stories_page,
    "docs/states.md": states_page,
}


def main() -> None:
    """Write them all, from the folder of the checkout."""
    for path, page in PAGES.items():
        Path(path).write_text(page(), encoding="utf-8")
        click.echo(path)


if __name__ == "__main__":
    main()
