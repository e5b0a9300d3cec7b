"""The errors that a person can mend, each with the exit status that a script can read."""


class MlopsError(Exception):
    """Something failed: the message says what, where, and what to do instead."""

    exit_status = 1


class UsageError(MlopsError):
    """The command was called wrongly: an unknown environment, a missing file."""

    exit_status = 2


class Refused(MlopsError):
    """A rule said no: the contract, the gate, the order of environments."""

    exit_status = 3
