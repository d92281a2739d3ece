"""A link's states as a table: what moves it from one to another, what ends it, what it takes.

The session looks here (authz/session.py), and so does the diagram of docs/states.md.
"""

from enum import Enum

from msgspec import Struct


class State(Enum):
    CONNECTED = "connected"
    SIGNED_ON = "signed_on"
    SIGNED_OFF = "signed_off"


class Word(Enum):
    """What network management says, by whatever element and code the network says it."""

    SIGN_ON = "sign-on"
    SIGN_OFF = "sign-off"
    ECHO = "echo"
    ACCEPTED = "our sign-on is accepted"  # where we dialled, and sign on ourselves


TRANSITIONS: dict[tuple[State, Word], State] = {
    (State.CONNECTED, Word.SIGN_ON): State.SIGNED_ON,
    (State.CONNECTED, Word.SIGN_OFF): State.SIGNED_OFF,
    (State.CONNECTED, Word.ECHO): State.CONNECTED,
    (State.CONNECTED, Word.ACCEPTED): State.SIGNED_ON,
    (State.SIGNED_ON, Word.SIGN_ON): State.SIGNED_ON,
    (State.SIGNED_ON, Word.SIGN_OFF): State.SIGNED_OFF,
    (State.SIGNED_ON, Word.ECHO): State.SIGNED_ON,
    (State.SIGNED_ON, Word.ACCEPTED): State.SIGNED_ON,
    (State.SIGNED_OFF, Word.SIGN_ON): State.SIGNED_ON,
    (State.SIGNED_OFF, Word.SIGN_OFF): State.SIGNED_OFF,
    (State.SIGNED_OFF, Word.ECHO): State.SIGNED_OFF,
    (State.SIGNED_OFF, Word.ACCEPTED): State.SIGNED_ON,
}
assert TRANSITIONS.keys() == {(state, word) for state in State for word in Word}


CONNECTED, SIGNED_ON = State.CONNECTED, State.SIGNED_ON  # asked of each message: rules/facts.py


def takes_requests(state: State, sign_on_required: bool) -> bool:
    """Whether requests are asked of the engine; else they are answered 30."""
    if state is CONNECTED:
        return not sign_on_required
    return state is SIGNED_ON


class Ending(Struct, frozen=True):
    """Why we hang up, and in which states that happens."""

    why: str
    states: tuple[State, ...] = tuple(State)


ENDINGS: dict[str, Ending] = {
    "framing": Ending("the stream cannot be followed"),
    "over_long": Ending("an over-long frame that is no message"),
    "unanswerable": Ending("too many frames that are no messages"),
    "half_frame": Ending("a frame was not finished in time"),
    "echo_unanswered": Ending("the peer does not answer"),
    "no_sign_on": Ending("no sign-on in time", (State.CONNECTED,)),
    "sign_on_unanswered": Ending("the peer does not answer our sign-on"),
    "sign_on_refused": Ending("the peer refuses our sign-on"),
}
