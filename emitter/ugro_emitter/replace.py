"""Small files that readers take whole: written beside and renamed into place."""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, content: bytes) -> None:
    """Replace `path` in one step, making its folder where needed. Raises OSError; leaves no half file then.

    Not synced to the disk: after a power cut an old heartbeat is as good as none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_bytes(content)
        os.replace(beside, path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
