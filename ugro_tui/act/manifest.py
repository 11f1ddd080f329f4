"""job.json: what a launcher writes about a job, whole or not at all."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

MANIFEST_VERSION = 1


@dataclass(frozen=True)
class LaunchRecord:
    """The content of job.json. Times are Unix seconds; `pid` is the torchrun agent's.

    `status` is starting, running, finished, failed or stopped. `exit_code` and `signal` are the agent's: one of them
    is None, both are while it runs. `exits` are those of the ranks that failed, minus a signal's number where one ended
    them. `pid_start` (clock ticks since boot) and `boot_id` are None off Linux. `token` is in the environment of every
    process of this launch, and of no other.
    """

    job_id: str
    attempt: int
    world_size: int
    command: tuple[str, ...]
    workdir: str
    host: str
    user: str
    token: str
    started: float
    backend: str = "local"
    status: str = "starting"
    pid: int | None = None
    pid_start: int | None = None
    boot_id: str | None = None
    ended: float | None = None
    exit_code: int | None = None
    signal: int | None = None
    exits: Mapping[int, int] = field(default_factory=dict)


def write_manifest(folder: Path, record: LaunchRecord) -> None:
    """Replace `folder`/job.json in one step, synced to the disk. Raises OSError and leaves no half file then."""
    beside = folder / f".job.json.{os.getpid()}.tmp"
    try:
        with beside.open("w", encoding="utf-8") as file:
            json.dump({"v": MANIFEST_VERSION, **asdict(record)}, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(folder / "job.json")
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def read_token(folder: Path) -> str | None:
    """The launch token in `folder`/job.json; None where there is none (another launcher, an older file)."""
    try:
        document = json.loads((folder / "job.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    token = document.get("token") if isinstance(document, dict) else None
    return token if isinstance(token, str) and token else None


def this_host() -> str:
    """The name of this machine, as the emitter's records have it."""
    return socket.gethostname()


def this_user() -> str:
    """Who we are; the number where the system has no name for it (containers)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
