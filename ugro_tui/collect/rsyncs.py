"""Event files brought by rsync beside the looks at a node, so that its metrics do not wait for them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

from ugro_tui.collect.syncs import SyncRun
from ugro_tui.core.layout import FileKind, mirror_folder
from ugro_tui.nodes.base import Node, NodeError
from ugro_tui.nodes.rsync import Found, Rsync

log = logging.getLogger(__name__)


class RsyncRuns:
    """Brings the event files of one node to `jobs_dir`, one run of rsync at a time."""

    def __init__(self, rsync: Rsync, jobs_dir: Path) -> None:
        self._rsync = rsync
        self._jobs_dir = jobs_dir
        self._thread: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether rsync runs now."""
        return self._thread is not None and self._thread.is_alive()

    def begin(self, node: Node, jobs: Sequence[str], runs: Sequence[SyncRun]) -> None:
        """Bring the event files of these jobs; `runs` are told what came, and the end.

        Raises:
            NodeError: the node cannot be asked for their names.
        """
        found = [(job_id, self._rsync.find(node, job_id)) for job_id in jobs]
        self._thread = threading.Thread(target=self._work, args=(node.name, found, runs), daemon=True)
        self._thread.start()

    def _work(self, node: str, found: Sequence[tuple[str, Found]], runs: Sequence[SyncRun]) -> None:
        error = ""
        for job_id, files in found:
            into = self._jobs_dir / job_id / mirror_folder(FileKind.EVENTS, node)
            try:
                count, size = self._rsync.bring(files, into)
            except (NodeError, OSError) as failure:
                log.warning("rsync of job %s: %s", job_id, failure)
                error = str(failure)
                continue
            for run in runs:
                run.counted(node, job_id, count, size)
        for run in runs:
            run.ended(node, error)
