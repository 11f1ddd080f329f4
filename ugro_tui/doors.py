"""What `Agent` lends to others that comes from the room of action; each imports what it needs when it is first used."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ugro_tui.config import Config
from ugro_tui.core.entries import BookView, Entry
from ugro_tui.core.jsonable import jsonable
from ugro_tui.core.ports import Clock
from ugro_tui.core.snapshot import JobView, Snapshot
from ugro_tui.nodes.base import NodeError
from ugro_tui.nodes.executed import ExecutedLog
from ugro_tui.nodes.fleet import make_nodes
from ugro_tui.nodes.inventory import LOCAL
from ugro_tui.nodes.secrets import Secrets
from ugro_tui.plain import live_dict, summary_dict

if TYPE_CHECKING:
    from ugro_tui.act.diagnose import Bundle
    from ugro_tui.act.tensorboard import TensorBoard


class TensorBoardDoor:
    """One TensorBoard on `folder`, started when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._board: TensorBoard | None = None

    def open(self) -> str:
        """Its address, and in brackets what is to be said of it.

        Raises:
            UgroError: it cannot be started; the message says why and what to do.
        """
        from ugro_tui.act.tensorboard import TensorBoard, without_events  # only who opens it pays for its imports

        self._board = self._board or TensorBoard(self._folder)
        url, lack = self._board.open(), without_events(self._folder)
        return f"{url} ({lack})" if lack else url

    def close(self) -> None:
        """End it, if it runs."""
        if self._board is not None:
            self._board.stop()


class DiagnosisDoor:
    """Diagnoses jobs on the nodes of `config`, over connections of its own: the pollers' are theirs alone."""

    def __init__(self, config: Config, secrets: Secrets, clock: Clock, log: ExecutedLog) -> None:
        self._config = config
        self._secrets = secrets
        self._clock = clock
        self._log = log

    def open(self, view: JobView, seen: Snapshot, *, replayed: bool) -> Bundle:
        """Diagnose this job; `seen`: the whole picture as it was read last. What is over is told as its book has it,
        and where it is `replayed` as the records tell it too.

        Raises:
            UgroError: the result cannot be written.
        """
        from ugro_tui.act.diagnose import Watched, diagnose  # only who opens it pays for its imports

        config, over = self._config, self._over(view.job_id, seen.book, replayed=replayed)
        specs = config.inventory()
        made = make_nodes(
            specs,
            config.metrics_dir,
            config.remote_metrics_dir,
            config.ssh_config,
            self._secrets,
            self._clock,
            self._log,
        )
        own = {spec.name: spec.metrics_dir or config.remote_metrics_dir for spec in specs if spec.name != LOCAL}
        watched = [Watched(node, own.get(node.name, str(config.metrics_dir))) for node in made]
        state = {"summary": summary_dict(view.summary), "live": live_dict(view), "nodes": jsonable(seen.nodes)}
        state["over"] = jsonable(over)
        jobs = config.central / "jobs" if config.remote else config.metrics_dir
        when = self._clock.time()
        return diagnose(view, state, watched, jobs / view.job_id, when, copies=config.remote, over=over)

    def _over(self, job_id: str, book: BookView, *, replayed: bool) -> tuple[Entry, ...]:
        """What fired of the job and is over, the newest first."""
        kept = tuple(entry for entry in book.history if entry.job_id == job_id)
        if not replayed:
            return kept
        from ugro_tui.alerting import past_alerts
        from ugro_tui.core.pasts import merged

        try:
            return merged(job_id, kept, book.of(job_id), past_alerts(self._config, self._clock, job_id))
        except NodeError:  # the diagnosis itself tells of what cannot be read
            return kept
