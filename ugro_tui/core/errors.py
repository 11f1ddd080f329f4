"""Errors that a person is to read: what, where, why, what to do."""

from __future__ import annotations


class UgroError(Exception):
    """An error with a message for the user; front doors print it without a traceback."""

    exit_code = 1


class BadInput(UgroError):
    """What the user typed or configured cannot be used."""

    exit_code = 2


class NoSource(UgroError):
    """No node could be read: the metrics directory is missing or may not be read."""

    exit_code = 3


class Partial(UgroError):
    """Some nodes could not be read, and what was asked for may be there."""

    exit_code = 4
