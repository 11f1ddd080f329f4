"""What the directory of a job holds of what its ranks have written. Part of programs that run on nodes, on any
Python >= 3.6: see `helper_launch` and `helper_clerk`.
"""

import os
from typing import List, Optional

MARK = b'"checkpoint"'
"""What the line of a declared checkpoint holds."""

MOST_SEARCHED, PIECE = 256 << 20, 1 << 20
"""Bytes of records that are searched in all, and at a time."""


def records_in(folder: str) -> List[str]:
    """The paths of the records of ranks; none where the folder is not there."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [os.path.join(folder, name) for name in names if name.startswith("metrics")]


def saved_in(folder: str) -> Optional[bool]:
    """Whether a checkpoint is known of: one was declared, or lies in `checkpoints`; None where that cannot be told."""
    kept = os.path.join(folder, "checkpoints")
    if os.path.isdir(kept) and os.listdir(kept):
        return True
    left = MOST_SEARCHED
    for path in records_in(folder):
        with open(path, "rb") as stream:
            before = b""
            while left > 0:
                piece = stream.read(PIECE)
                if MARK in before + piece:
                    return True
                if not piece:
                    break
                before, left = piece[-len(MARK) :], left - len(piece)
    return False if left > 0 else None
