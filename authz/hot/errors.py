"""When the hot state gives no verdict. What matters is whether the act may have run."""


class HotStateError(Exception):
    """No verdict. `may_have_run` tells whether something must be taken back."""

    may_have_run = False


class NotConnected(HotStateError):
    """There is no connection, so nothing was sent."""


class Busy(HotStateError):
    """Too many calls are waiting already, so nothing was sent."""


class Cold(HotStateError):
    """The gate is closed or a key that should be there is not. Nothing was done."""


class Full(HotStateError):
    """The journal has reached its bound: the door is closed rather than money lost."""


class TooLate(HotStateError):
    """The function ran after the deadline, or after `withdraw`, and did nothing."""


class Refused(HotStateError):
    """The server answered with an error. Functions check before they write: nothing was done."""


class NoReply(HotStateError):
    """The deadline passed, or the link broke, after the call had been sent.

    "No reply in time" is not "no": the hold may be in place.
    """

    may_have_run = True


class OutOfStep(HotStateError):
    """A reply to another message came: which act has run is no longer known.

    The connection is closed, as no later reply on it could be trusted either.
    """

    may_have_run = True
