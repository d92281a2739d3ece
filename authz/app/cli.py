"""The command line: `authz COMMAND`. A command's module is imported when it is asked for.

So `authz --help` answers at once, and `authz decode` loads no database driver.
"""

import importlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

# Name and help line; the module is authz.app.commands.<name>, its attribute `command`.
COMMANDS = {
    "demo": "Everything at once: servers, cards, traffic, an audit.",
    "serve": "Run the engine.",
    "load": "Read accounts, cards and lists from files.",
    "simulate": "Be a card network: send traffic over real links.",
    "reconcile": "Audit the hot state, and compare it with the books.",
    "settle": "Write the journal into the books.",
    "clear": "Post what a network's clearing file says.",
    "rebuild": "A lost hot state, from the books.",
    "ledger": "The books: are they whole, and what is in them?",
    "statement": "An account from one day to another, from the books.",
    "proof": "A day of the books: every cent, explained.",
    "settlement": "Batches of what networks settle.",
    "card": "Freeze a card, let it go on, or past the rules for once.",
    "hold": "Let a hold go.",
    "lists": "Block and allow lists: who, where, when.",
    "review": "Referrals that wait for a person.",
    "rules": "The policy that engines judge by.",
    "network": "Look at a network's business day, or set it.",
    "exceptions": "What belongs to no authorization, or could not be applied.",
    "authorize": "Would this pass? Nothing is changed.",
    "explain": "Why a request was answered as it was, check by check.",
    "show": "Look at cards, accounts and what was decided, masked.",
    "doctor": "Look into captured traffic: are its keys unique?",
    "decode": "Show an ISO 8583 message, masked.",
    "bench": "Measure the engine (in a checkout).",
    "config": "Check a configuration.",
}
EPILOG = """\b
Exit codes:
  0  fine
  1  failed
  2  wrong use
  3  inconclusive: the machine itself stalled

AUTHZ_DEBUG=1 shows tracebacks, which may hold card data."""

# Digits enough for a card number, also in groups, and a track's separators. No point: an
# address and its port are to stay readable.
LIKE_CARD_DATA = re.compile(r"\d(?:[\s\-_=D\u2010-\u2015]{0,3}\d){11,}")


class Commands(click.Group):
    """A group that knows its commands by name, and imports the one that runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return bench() if cmd_name == "bench" else command(f"authz.app.commands.{cmd_name}")

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with hiding_card_data():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """The command, and its own reading of its words, which is done in here."""
        with hiding_card_data():
            return super().invoke(ctx)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, and end in one plain sentence whatever happens.

        A traceback would quote values, and values may be card data.
        """
        if not __debug__:
            click.echo(
                "authz does not run under python -O: its checks on money are assertions.", err=True
            )
            sys.exit(2)
        try:
            return super().main(*args, **kwargs)
        except Exception as error:
            if os.environ.get("AUTHZ_DEBUG") == "1":
                raise
            click.echo(sentence(error), err=True)
            sys.exit(1)


def command(module: str) -> click.Command:
    found = importlib.import_module(module).command
    assert isinstance(found, click.Command), module
    return found


def bench() -> click.Command:
    """The bench belongs to a checkout: the wheel goes without it, so it is found by name."""
    try:
        return command("bench.cli")
    except ModuleNotFoundError as error:
        if error.name not in ("bench", "bench.cli"):
            raise
        raise click.UsageError(
            "The bench is not installed with authz: run it in a checkout, after make setup."
        ) from None


@contextmanager
def hiding_card_data() -> Iterator[None]:
    """Errors about the command line quote it, and a card number may stand in the wrong place.

    They end in terminals and in the logs of those who keep them.
    """
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise  # it quotes nothing, and shows the help in place of a message
    except click.ClickException as error:
        text = hidden(error.format_message())
        if isinstance(error, click.UsageError):
            raise click.UsageError(text, error.ctx) from None
        raise click.ClickException(text) from None


def hidden(text: str) -> str:
    """Whatever may be a card number as its mask; what is too long or short for one, as stars."""
    from iso8583.mask import mask_pan  # not before: --help has no use for it

    return LIKE_CARD_DATA.sub(lambda found: mask_pan(re.sub(r"\D", "", found[0])), text)


def sentence(error: Exception) -> str:
    """What is printed of an error nobody expected. Only our own texts are known to be clean."""
    from authz.app.child import NotReady  # not before: --help has no use for it
    from authz.config import ConfigError

    if isinstance(error, NotReady):
        return str(error)
    if isinstance(error, ConfigError):
        return f"Configuration: {error}."
    if isinstance(error, OSError) and error.strerror:
        return f"The system refused: {error.strerror}. AUTHZ_DEBUG=1 shows where."
    return f"An unexpected {type(error).__name__} ended this command. AUTHZ_DEBUG=1 shows where."


@click.group(cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="authz", message="authz %(version)s")
def main() -> None:
    """A real-time card authorization engine: ISO 8583 in, a right answer inside 200 ms."""
