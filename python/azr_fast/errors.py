"""The one exception a user is meant to see."""


class UserError(ValueError):
    """Bad input or a machine that lacks something.

    The message is one line that names what was wrong and what to do about it. The command line
    prints it without a traceback and exits with 2; anything else that escapes is a bug of ours.
    """
