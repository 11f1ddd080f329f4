"""Paths as people give them. Part of programs that run on nodes, on any Python >= 3.6: see `helper_launch`."""

import os


def absolute(path: str) -> str:
    """A path of this machine: `~` is the home, and what is relative begins there."""
    return os.path.normpath(os.path.join(os.path.expanduser("~"), os.path.expanduser(path)))
