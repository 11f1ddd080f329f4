"""Looks for a secret where none may be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def places_of(secret: str, *folders: Path) -> list[str]:
    """All files below these folders that hold the text, and all processes whose command line does."""
    return list(_places(secret.encode(), folders))


def _places(secret: bytes, folders: tuple[Path, ...]) -> Iterator[str]:
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    for path in (*files, *Path("/proc").glob("[0-9]*/cmdline")):
        with suppress(OSError):
            if secret in path.read_bytes():
                yield str(path)
