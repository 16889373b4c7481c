"""Errors that are nobody's bug: the message says for people what is wrong, where, and what to do now."""

from typing import ClassVar


class FaultError(ValueError):
    """Not the pipeline is at fault: the message says for people what is wrong, where, and what to do now.

    Attributes:
        whose: Whose fault it is: a kind of this error for each.
    """

    whose: ClassVar[str]


class ExportError(FaultError):
    """The export is at fault: whatever else is put right, it cannot be used as it was delivered."""

    whose = "export"


class CallError(FaultError):
    """What was asked for is at fault: an option, a question, a path, a setting of one run."""

    whose = "call"


class HomeError(FaultError):
    """The home is at fault, or the machine it is on: once that is put right, the same export may be used."""

    whose = "home"
