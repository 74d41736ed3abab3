"""Exceptions whose message is for the reader."""


class UserError(ValueError):
    """A mistake in what the user gave: a file, a key, an option.

    The message is one line: where (file, line, key), what was expected, what to do. The command line prints it
    alone, without a traceback, and exits with code 2.
    """


class ExportError(RuntimeError):
    """A model cannot become a bundle, by no mistake of the user's. The message is one line and says why."""
