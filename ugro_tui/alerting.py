"""Where the alerts of an `Agent` are kept, and who is told of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ugro_tui.collect.aggregator import ResultAggregator
from ugro_tui.collect.alarms import Alarms
from ugro_tui.collect.alert_log import AlertLog, OwnFolder
from ugro_tui.config import Config, state_path
from ugro_tui.core.alerts import Severity
from ugro_tui.core.entries import Event, Happening
from ugro_tui.core.jsonable import jsonable
from ugro_tui.core.layout import mirror_layout
from ugro_tui.core.ports import Clock
from ugro_tui.core.replay import Past, Told, replay
from ugro_tui.nodes.inventory import LOCAL
from ugro_tui.nodes.local import LocalNode

if TYPE_CHECKING:
    from ugro_tui.act.notify import Notifier


class AlertDoor:
    """Where alerts are kept: beside the copies, or for a directory that is read in place in the state directory.

    With `notify`, this application keeps them, and runs `on_alert`, unless another one does so already; without it,
    it only reads them.
    """

    def __init__(self, config: Config, copies: ResultAggregator | None, clock: Clock, *, notify: bool) -> None:
        folder = config.central if copies is not None else book_folder(config.metrics_dir)
        self._own = OwnFolder(folder, claims=notify and copies is None)
        self._notifier = _notifier(config) if notify else None
        kept = AlertLog(folder, self._own.role if copies is None else copies.role, keeps=notify)
        self.alarms = Alarms(clock, config.thresholds, kept, self._tell, self._troubles)

    def close(self) -> None:
        """Let what happened last be told; call it when the collector has ended."""
        if self._notifier is not None:
            self._notifier.close()
        self._own.close()

    def _tell(self, event: Event) -> None:
        if self._notifier is not None and worth_telling(event):
            self._notifier.tell(event_dict(event))

    def _troubles(self) -> Iterator[str]:
        if self._notifier is not None and self._notifier.trouble:
            yield self._notifier.trouble


def _notifier(config: Config) -> Notifier | None:
    if not config.on_alert:
        return None
    from ugro_tui.act.notify import Notifier  # only who has set it pays for its imports

    return Notifier(config.on_alert)


def book_folder(metrics_dir: Path) -> Path:
    """Where the alerts of a directory are kept that is read in place: job ids are its own."""
    return state_path() / "alerts" / hashlib.sha256(str(metrics_dir).encode()).hexdigest()[:16]


def past_alerts(config: Config, clock: Clock, job_id: str) -> tuple[Past, ...]:
    """What fired over a run, as its records tell.

    Raises:
        NodeError: they cannot be read.
    """
    return replay(records_of(config, clock, job_id), config.thresholds)


def records_of(config: Config, clock: Clock, job_id: str) -> list[Told]:
    """All records of a run: those in place, or their copies, where there are any.

    Raises:
        NodeError: they cannot be read.
    """
    from ugro_tui.collect.history import read_history

    if not config.remote:
        return read_history([(LOCAL, LocalNode(config.metrics_dir, clock.time))], job_id)
    if not (config.central / "jobs").is_dir():
        return []
    names = [spec.name for spec in config.inventory()]
    copies = [(name, LocalNode(config.central / "jobs", clock.time, name, mirror_layout(name))) for name in names]
    return read_history(copies, job_id)


def worth_telling(event: Event) -> bool:
    """Whether `on_alert` is run for it: for warnings and worse, and for the end of a job."""
    ends = event.what in (Happening.FINISHED, Happening.FAILED)
    return ends or event.alert.severity >= Severity.WARN


def event_dict(event: Event) -> dict[str, Any]:
    """An event as `on_alert` reads it; `time` in Unix seconds."""
    return {
        "event": event.what.value,
        "time": event.at,
        "job_id": event.job_id,
        "attempt": event.attempt,
        "verdict": event.verdict,
        "alert": jsonable(event.alert) | {"where": event.alert.where},
    }
