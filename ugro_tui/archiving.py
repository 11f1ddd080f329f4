"""Where the archive of an `Agent` reads, and what is brought there before somebody waits for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ugro_tui.collect.aggregator import ResultAggregator
from ugro_tui.collect.archive import FileArchive, Open
from ugro_tui.collect.follower import Role
from ugro_tui.config import Config
from ugro_tui.core.archive import Finding, Found, Inquiry, MetricLines, MetricNames
from ugro_tui.core.errors import UgroError
from ugro_tui.core.metric_names import record_path
from ugro_tui.core.ports import Clock

if TYPE_CHECKING:
    from ugro_tui.collect.fired import FiredReader
    from ugro_tui.collect.job_files import JobFiles
    from ugro_tui.core.replay import Fired

READ_SECONDS: Final = 600.0
"""How long a headless command waits for what a job's files hold."""

_COPY: Final = ": copy what there is with S, or with `ugro-tui sync`"


class _Readers(Mapping[type[Inquiry[Any]], Open]):
    """All readers over the files below `root`; what they import is imported when the first of them is needed."""

    def __init__(self, root: Path, config: Config, clock: Clock, *, copied: bool) -> None:
        self._root, self._copied = root, copied
        self._config, self._clock = config, clock

    @cached_property
    def _all(self) -> Mapping[type[Inquiry[Any]], Open]:
        from ugro_tui.collect.attempts import attempt_readers
        from ugro_tui.collect.job_files import JobFiles
        from ugro_tui.collect.logs import log_readers
        from ugro_tui.collect.metrics import metric_readers
        from ugro_tui.core.replay import Fired

        files = JobFiles(self._root, copied=self._copied)
        metrics, attempts = metric_readers(files, _COPY if self._copied else ""), attempt_readers(files)
        fired: dict[type[Inquiry[Any]], Open] = {Fired: lambda ask: self._fired(files, ask)}
        return {**metrics, **attempts, **fired, **log_readers(self._root, copied=self._copied)}

    def _fired(self, files: JobFiles, ask: Fired) -> FiredReader:
        from ugro_tui.alerting import records_of
        from ugro_tui.collect.fired import FiredReader

        records = partial(records_of, self._config, self._clock, ask.job_id)
        return FiredReader(files, ask.job_id, records, self._config.thresholds)

    def __getitem__(self, kind: type[Inquiry[Any]]) -> Open:
        return self._all[kind]

    def __iter__(self) -> Iterator[type[Inquiry[Any]]]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


class ArchiveDoor:
    """The archive over the files of this machine, or over the central copies of all nodes."""

    def __init__(self, config: Config, copies: ResultAggregator | None, clock: Clock) -> None:
        root = config.metrics_dir if copies is None else copies.jobs_dir
        self.archive = FileArchive(_Readers(root, config, clock, copied=copies is not None), clock)
        self._copies = copies

    def read(self, inquiry: Inquiry[Found]) -> Finding[Found]:
        """What is found of a job that was opened, waited for. Event files are copied first where they are asked for.

        Raises:
            UgroError: the central directory cannot be used, or the files are not read in time.
        """
        if self._copies is not None:
            self._copy_events(self._copies, inquiry)
        found = self.archive.wait(inquiry, READ_SECONDS)
        if found.loading:
            raise UgroError(
                f"the files of job {inquiry.job_id} were not read within {READ_SECONDS:.0f} s: look at the disk"
            )
        return found

    def close(self) -> None:
        """Read no more."""
        self.archive.close()

    def _copy_events(self, copies: ResultAggregator, inquiry: Inquiry[Found]) -> None:
        role = copies.role()
        if role is Role.NONE:
            raise UgroError(copies.said())
        of_tag = isinstance(inquiry, MetricLines) and record_path(inquiry.metric) is None
        if role is Role.WRITES and (of_tag or isinstance(inquiry, MetricNames)):
            copies.sync_tensorboard(inquiry.job_id)
