"""The clock of a node that is read over SFTP, which tells the times of files but not its own."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

from ugro_tui.nodes.asking import Clocks
from ugro_tui.nodes.carriers import SftpStat
from ugro_tui.nodes.sftp_files import stamp


class SftpClock:
    """What time it is there: `clocks.offset` where it could be asked, put right by the files that change while we look.

    They were written between two looks, by the node's clock, which bounds it both ways. The usual one of them counts:
    some files are dated as their writers like. Where nobody could be asked, it is ours until the first change.
    """

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks
        self._stamps: dict[str, str] = {}
        self._looked = clocks.monotonic()

    def now(self) -> float:
        """Unix seconds by the node's clock."""
        return self._clocks.time() + (self._clocks.offset or 0.0)

    def learn(self, began: float, files: Iterable[tuple[str, SftpStat | None]]) -> None:
        """Compare what is said of files with what was said at the last look; this one `began` then (monotonic)."""
        told = {path: info for path, info in files if info is not None}
        stamps = {path: stamp(info) for path, info in told.items()}
        changed = [told[path].mtime for path, mark in stamps.items() if self._stamps.get(path, mark) != mark]
        if changed:
            usual, elapsed = statistics.median_low(changed), self._clocks.monotonic() - self._looked
            ahead, behind = usual - self.now(), usual + 1 + elapsed - self.now()  # times are in whole seconds
            if not ahead <= 0.0 <= behind:  # it was written just now, as far as is known
                self._clocks.offset = (self._clocks.offset or 0.0) + ahead
        self._stamps, self._looked = stamps, began
