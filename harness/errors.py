"""The one error that means "your input is wrong"."""


class UserError(Exception):
    """Input that cannot be used.

    The message is one line that names the file, the field, the value and what was expected; the command
    line prints it without a traceback and exits with status 2.
    """


def one_line(error: Exception) -> str:
    """The first line of an error's text, or its type where it has none."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
