"""What the archive reads of a job's attempts: its metrics files, and how its launcher has started it."""

from __future__ import annotations

import os
from typing import Any, Final

from ugro_tui.collect.archive import Open
from ugro_tui.collect.following import Following
from ugro_tui.collect.job_files import JobFiles
from ugro_tui.core.archive import Finding, Inquiry
from ugro_tui.core.attempts import Attempt, AttemptLog, Attempts, attempts_of
from ugro_tui.core.documents import parse_manifest
from ugro_tui.core.framing import LineFramer
from ugro_tui.core.layout import FileKind
from ugro_tui.core.records import Manifest

MOST_RANKS: Final = 8
"""Ranks whose files are read through: the others of an attempt do the same."""

MOST_BYTES: Final = 1 << 20
"""Of a manifest: a command line is no longer than that."""


def attempt_readers(files: JobFiles) -> dict[type[Inquiry[Any]], Open]:
    """The readers of attempts for a `FileArchive`."""
    return {Attempts: lambda ask: AttemptsReader(files, ask)}


class AttemptFile:
    """The attempts that one metrics file tells."""

    def __init__(self) -> None:
        self.log = AttemptLog()
        self._framer = LineFramer()

    def feed(self, data: bytes) -> None:
        """Take what follows in the file."""
        self.log.take(self._framer.feed(data))


class AttemptsReader:
    """Reads the attempts of a job."""

    def __init__(self, files: JobFiles, ask: Attempts) -> None:
        self._files = files
        self._job_id = ask.job_id
        self._following = Following(files, ask.job_id, FileKind.METRICS, AttemptFile, most=MOST_RANKS)
        self._found: tuple[Attempt, ...] | None = None

    def read(self) -> Finding[tuple[Attempt, ...]]:
        """See `Reader.read`."""
        if not self._following.read() and self._found is None:
            return Finding()
        logs = {rank: [one.content.log for one in files] for rank, files in self._following.followed.items()}
        manifest = self._manifest()
        command, launched = (manifest.command, manifest.attempt) if manifest is not None else ((), 0)
        found = attempts_of(logs, self._following.ranks, command, launched)
        self._found = self._found if repr(found) == repr(self._found) else found  # NaN is not equal to itself
        problem = (
            "" if found else f"job {self._job_id} has no records here: see its state, or wait until it writes some"
        )
        return Finding(self._found, "; ".join(self._following.denied[:1]) or problem)

    def _manifest(self) -> Manifest | None:
        """What the launcher wrote last, of those that the nodes show."""
        spots = [spot for found in self._files.spots(self._job_id, FileKind.MANIFEST).values() for spot in found]
        lying = self._files.lying(spots, FileKind.MANIFEST)
        if not lying:
            return None
        try:
            with self._files.opened(lying[-1].spot) as handle:
                return parse_manifest(os.pread(handle, MOST_BYTES, 0))
        except OSError:
            return None  # replaced or gone meanwhile: the next look reads it
