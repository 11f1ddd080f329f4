"""What job.json says of the launcher itself."""

from __future__ import annotations

import getpass
import os
import socket

MANIFEST_VERSION = 1


def this_host() -> str:
    """The name of this machine, as the emitter's records have it."""
    return socket.gethostname()


def this_user() -> str:
    """Who we are; the number where the system has no name for it (containers)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
