"""What launchers bring to nodes: the entry wrapper, the emitter, the training script; and the code of a job."""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import os
import subprocess
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ugro_tui.act.errors import LaunchError
from ugro_tui.core.errors import BadInput

ENTRY = Path(__file__).with_name("entry.py")
"""Started by torchrun in each rank; becomes the script."""

PACKAGES, SCRIPT = "packages", "train_production.py"
"""Names in the folder that is lent."""

MOST_CODE = 256 << 20
"""Bytes of code that is brought to each node: more than that is data, and not to be copied for each launch."""

_LEFT_OUT = {".git", "__pycache__", ".venv", "venv", "node_modules", ".mypy_cache", ".pytest_cache"}


@dataclass(frozen=True)
class Lent:
    """A packed folder; `digest` names its content."""

    digest: str
    packed: bytes


def find_bundled(package: Path) -> tuple[Path, Path]:
    """The training script and the folder that holds the emitter's package, for the package `ugro_tui` at `package`.

    Raises:
        LaunchError: they are neither in the package (installed) nor beside it (a checkout).
    """
    installed, checkout = package / "bundled", package.parent
    for script, emitter in (
        (installed / "train_production.py", installed),
        (checkout / "train" / "train_production.py", checkout / "emitter"),
    ):
        if script.is_file() and (emitter / "ugro_emitter").is_dir():
            return script, emitter
    raise LaunchError(
        f"train_production.py and ugro_emitter are not in {installed}, where ugro-tui brings them: install it again"
    )


@functools.cache
def lent() -> Lent:
    """What is lent to every job.

    Raises:
        LaunchError: this installation does not hold it.
    """
    script, emitter = find_bundled(Path(__file__).resolve().parents[1])
    package = sorted((emitter / "ugro_emitter").glob("*.py"))
    named = [
        ("entry.py", ENTRY),
        (SCRIPT, script),
        *((f"{PACKAGES}/ugro_emitter/{path.name}", path) for path in package),
    ]
    packed = pack(named)
    return Lent(hashlib.sha256(packed).hexdigest()[:16], packed)


def pack(named: Iterable[tuple[str, Path]]) -> bytes:
    """Files under these names, the same bytes for the same content. Raises OSError."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as files:
        for name, path in named:
            member = tarfile.TarInfo(name)
            member.size, member.mode = path.stat().st_size, path.stat().st_mode & 0o777
            with path.open("rb") as stream:
                files.addfile(member, stream)
    return gzip.compress(out.getvalue(), 6, mtime=0)


def code(folder: Path) -> list[tuple[str, Path]]:
    """The files of a folder of code: those that git knows or would add; without git all but what is made from them.

    Raises:
        BadInput: there is no such folder, it is empty, or too large to be copied for each launch.
    """
    if not folder.is_dir():
        raise BadInput(f"--sync-code: there is no folder {folder}: give the one with your code")
    names = _known_to_git(folder)
    found = [(name, folder / name) for name in (_all(folder) if names is None else names)]
    found = [(name, path) for name, path in found if path.is_file()]
    size = sum(path.stat().st_size for _, path in found)
    if not found:
        raise BadInput(f"--sync-code: there is no file in {folder}: give the folder with your code")
    if size > MOST_CODE:
        raise BadInput(
            f"--sync-code: {folder} holds {size >> 20} MiB, and {MOST_CODE >> 20} are copied at most: "
            "list data in .gitignore, or bring it to the nodes yourself"
        )
    return found


def _known_to_git(folder: Path) -> list[str] | None:
    argv = ["git", "-C", str(folder), "ls-files", "-coz", "--exclude-standard"]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return [os.fsdecode(name) for name in done.stdout.split(b"\0") if name] if done.returncode == 0 else None


def _all(folder: Path) -> list[str]:
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        found += [os.path.relpath(os.path.join(place, name), folder) for name in sorted(files)]
    return found
