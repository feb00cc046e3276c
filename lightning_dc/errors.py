"""Exception for wrong input, as opposed to errors of the program."""


class InputError(ValueError):
    """Error of the user, not of the program; its message names the argument, the value and the remedy in one line.

    The command line prints the message without a stack trace.
    """
