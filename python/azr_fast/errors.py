"""Exceptions that every part may raise."""


class UserError(ValueError):
    """Bad input or a machine that lacks something.

    The message is one line that names what was wrong and what to do about it. The command line
    prints it without a traceback and exits with 2; anything else that escapes is a bug of ours.
    """


class NotFinite(ArithmeticError):  # noqa: N818 - what was found
    """The model gives numbers that are not finite: nothing can be sampled from it or learnt."""

    def __init__(self) -> None:
        super().__init__("the model's numbers are not finite")


class ContextFull(Exception):  # noqa: N818 - it says what happened
    """A conversation is longer than a prompt may be; nothing was sampled for its last messages."""
