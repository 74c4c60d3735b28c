"""Errors that a user can act on; the number of each class is the exit code of the command."""

from __future__ import annotations


class QuartetError(Exception):
    """Base of every expected failure.

    A message says what was expected, what was received (value, file, case number) and what to do. It is one line
    and holds no patient identifier.
    """

    exit_code = 1


class ConfigError(QuartetError):
    """A setting, flag or configuration file is wrong."""

    exit_code = 2


class DataError(QuartetError):
    """An input file or data set is missing, damaged or inconsistent."""

    exit_code = 3


class CheckpointError(QuartetError):
    """Weights or a checkpoint are missing, damaged, unsafe or do not fit the model."""

    exit_code = 4


class ResourceError(QuartetError):
    """The machine cannot do it: memory, disk, permissions, device or a lock held by another process."""

    exit_code = 5


class NumericsError(QuartetError):
    """A loss or gradient is not finite more often than allowed."""

    exit_code = 6
