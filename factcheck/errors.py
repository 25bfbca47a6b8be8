"""What can go wrong, each with the exit code that the command line gives for it.

Every message is one sentence that names the file, row or option at fault.
"""


class FactcheckError(Exception):
    """Base of all errors that a user can cause or mend.

    Attributes:
        exit_code: What the command line exits with.
    """

    exit_code = 6


class UsageError(FactcheckError):
    """The call itself is wrong: an option, an argument or their combination."""

    exit_code = 2


class PrerequisiteError(FactcheckError):
    """Something that must be installed or reachable is not: an extra, a hub, a device."""

    exit_code = 3


class MissingResourceError(FactcheckError):
    """A file or folder that was named is not there or cannot be read."""

    exit_code = 4


class InvalidInputError(FactcheckError):
    """A file is there but what it holds is wrong: a row, an image, an index, a checkpoint."""

    exit_code = 5


class RunError(FactcheckError):
    """The work itself failed: a full disk, a process that died."""

    exit_code = 6


class PartialResultError(FactcheckError):
    """Some of the work is done and some is not."""

    exit_code = 7
