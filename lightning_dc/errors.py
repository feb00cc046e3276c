"""The one exception that means "the input was wrong", as opposed to "the program is"."""


class InputError(ValueError):
    """A user's slip: the message names the argument, the value and the remedy in one line.

    The command line prints the message without a stack trace.
    """
