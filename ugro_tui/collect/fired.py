"""What the archive finds out of the past of a job: its records, told again through the rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from ugro_tui.collect.job_files import JobFiles
from ugro_tui.core.archive import Finding
from ugro_tui.core.layout import FileKind
from ugro_tui.core.numbers import size
from ugro_tui.core.replay import Past, Replay, Told
from ugro_tui.core.rules.rule import Thresholds

LOOKS: Final = 10
"""Looks of the rules in one turn: some 20 ms, then other inquiries have theirs."""

MOST_BYTES: Final = 64 << 20
"""Records of a job beyond which they are not told again by the way: all of them lie in memory meanwhile."""


class FiredReader:
    """Tells a job again once; `records` reads all that there are by then."""

    def __init__(
        self, files: JobFiles, job_id: str, records: Callable[[], Iterable[Told]], thresholds: Thresholds
    ) -> None:
        self._files, self._job_id = files, job_id
        self._records, self._thresholds = records, thresholds
        self._replay: Replay | None = None
        self._found: Finding[tuple[Past, ...]] = Finding()

    def read(self) -> Finding[tuple[Past, ...]]:
        """See `Reader.read`."""
        if not self._found.loading:
            return self._found
        if self._replay is None:
            spots = self._files.spots(self._job_id, FileKind.METRICS)
            lying = (one for found in spots.values() for one in self._files.lying(found, FileKind.METRICS))
            if (length := sum(one.size for one in lying)) > MOST_BYTES:
                self._found = Finding(problem=f"{size(length)} of records are not told again by the way")
                return self._found
            self._replay = Replay(self._records(), self._thresholds)
        if self._replay.go_on(LOOKS):
            self._found, self._replay = Finding(self._replay.past), None
        return self._found
