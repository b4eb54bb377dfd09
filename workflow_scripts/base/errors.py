"""Errors that a user can act on."""

from collections.abc import Iterable


class InputError(Exception):
    """Something the user gave is wrong. The message is one clear sentence: what is wrong, where, and what to do.

    Stages print it without a traceback and exit with status 1.
    """

    @classmethod
    def together(cls, what: str, problems: Iterable[str]) -> "InputError":
        """Join problems that were found in one pass, so that they are mended in one pass too."""
        problems = list(problems)
        return cls("\n".join([f"{what}:"] + ["  - " + problem.replace("\n", "\n  ") for problem in problems]))
