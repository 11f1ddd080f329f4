"""What can go wrong when we act; wrong input of the user is `core.errors.BadInput`."""

from __future__ import annotations

from ugro_tui.core.errors import UgroError


class LaunchError(UgroError):
    """The job was not started, and nothing of it runs."""


class StopError(UgroError):
    """Processes of the job are still there although they were told to end and then killed."""


def reason_of(error: BaseException) -> str:
    """What is written down of a launch that this has ended: the first line of it."""
    line = next(iter(str(error).splitlines()), "")
    return f"failed: {line}" if isinstance(error, UgroError) and line else "failed: interrupted while it was launched"
