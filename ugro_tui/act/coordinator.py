"""`LaunchCoordinator`: plan, look first, start all or nothing, hand to the collection, and say how it ended."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from ugro_tui.act.backend import Backend, JobStanding
from ugro_tui.core.errors import BadInput, UgroError
from ugro_tui.core.jobid import checked_job_id
from ugro_tui.core.launching import Backend as Kind
from ugro_tui.core.launching import LaunchPlan, LaunchRequest, LaunchView, NodeProgress, Stage
from ugro_tui.core.ports import Collection

log = logging.getLogger(__name__)


class LaunchCoordinator:
    """Starts and stops jobs by one of the `backends`. Every method may be called from any thread, and takes its time.

    `tell` takes how far a launch or a stop is, each time that is news; it is never slow.
    """

    def __init__(
        self, backends: Mapping[Kind, Backend], collection: Collection, tell: Callable[[LaunchView], None]
    ) -> None:
        self._backends = backends
        self._collection = collection
        self._tell = tell

    def plan(self, request: LaunchRequest) -> LaunchPlan:
        """What a launch would do; nothing is changed.

        Raises:
            BadInput: it cannot be started by anyone.
            UgroError: a node that must be asked does not answer.
        """
        course = _Course(request.job_id, self._tell)
        with course:
            course.plan = self._plan(request)
            course.at(Stage.WAITING)
        return course.plan

    def launch(self, request: LaunchRequest) -> LaunchPlan:
        """Start a job and have it collected; the plan that was followed. What is told last holds the warnings.

        Raises:
            BadInput, LaunchError: it was not started and nothing of it runs: where, why, and what to do.
        """
        course = _Course(request.job_id, self._tell)
        with course:
            course.at(Stage.PREFLIGHT)
            plan = course.plan = self._plan(request)
            course.has(node.node for node in plan.nodes)
            backend = self._of(request.backend)
            course.warnings = backend.preflight(plan, course.told)
            course.at(Stage.STARTING)
            backend.start(plan, course.told)
            self._collection.start_collection(request.job_id)
            course.at(Stage.RUNNING)
        log.info("Launched job %s: attempt %d, %d ranks", request.job_id, plan.attempt, plan.world_size)
        return plan

    def relaunch(self, job_id: str, *, resume: bool) -> LaunchRequest:
        """What is to be asked for to start a job again as its next attempt; with `resume` from its checkpoint.

        On the nodes that it ran on, where all of them can be asked: which ones are named now is another matter.

        Raises:
            BadInput: there is no such job, or it was not launched by us.
            UgroError: no node that could know it answers.
        """
        standing = self.look(job_id)
        request = standing.request
        if request is None:
            raise BadInput(
                f"job {job_id} was not launched by ugro-tui, so its plan is not known: use `ugro-tui launch`"
            )
        nodes = request.nodes or (standing.placed if request.backend is Kind.SSH else ())
        return replace(request, nodes=nodes, resume=True, from_checkpoint=resume)

    def look(self, job_id: str) -> JobStanding:
        """Where a job stands now, whoever launched it.

        Raises:
            BadInput: there is no such job.
            UgroError: no node that could know it answers.
        """
        checked_job_id(job_id)
        standing = self._of(Kind.SSH).look(job_id)
        other = self._backends.get(Kind.SLURM) if standing.backend == Kind.SLURM.value else None
        return other.look(job_id) if other is not None else standing

    def finalize(self, job_id: str) -> JobStanding:
        """Where a job stands; its end, or why it waits, is written down, also if another application launched it.

        Raises:
            BadInput, UgroError: as `look`.
        """
        standing = self.look(job_id)
        if standing.over or standing.status == "pending":
            self._by(standing).finalize(job_id, standing)
        return standing

    def stop(self, job_id: str, grace: float = 10.0) -> JobStanding:
        """End a job everywhere, or cancel it where it waits; how it stands afterwards.

        Raises:
            BadInput: there is no such job.
            StopError: something may run on: where, why, and what to do.
        """
        checked_job_id(job_id)
        course = _Course(job_id, self._tell)
        with course:
            course.at(Stage.STOPPING)
            standing = self._stop(job_id, grace, course)
            course.at(Stage.DONE)
        log.info("Stopped job %s", job_id)
        return standing

    def _stop(self, job_id: str, grace: float, course: _Course) -> JobStanding:
        backend = self._of(Kind.SSH)
        if Kind.SLURM in self._backends:
            backend = self._by(self._of(Kind.SSH).look(job_id, brief=True))
        return backend.stop(job_id, grace, course.told)

    def _plan(self, request: LaunchRequest) -> LaunchPlan:
        checked_job_id(request.job_id)
        return self._of(request.backend).plan(request, secrets.token_hex(16))

    def _by(self, standing: JobStanding) -> Backend:
        known = {kind.value: kind for kind in Kind}
        return self._of(known.get(standing.backend, Kind.SSH))

    def _of(self, kind: Kind) -> Backend:
        """The backend. Raises BadInput."""
        found = self._backends.get(kind)
        if found is None:
            raise BadInput(
                f"--backend {kind.value} cannot be used here: there are {', '.join(k.value for k in self._backends)}"
            )
        return found


class _Course:
    """How far one launch or stop is. As a context it tells of the error that ends it."""

    def __init__(self, job_id: str, tell: Callable[[LaunchView], None]) -> None:
        self.plan: LaunchPlan | None = None
        self.warnings: tuple[str, ...] = ()
        self._view = LaunchView(job_id, Stage.WAITING)
        self._nodes: dict[str, NodeProgress] = {}
        self._lock = threading.Lock()
        self._hear = tell

    def __enter__(self) -> _Course:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is not None:
            known = isinstance(error, UgroError)
            self.at(Stage.FAILED, str(error) if known else f"interrupted ({type(error).__name__})")

    def has(self, nodes: Iterable[str]) -> None:
        """These nodes take part."""
        for node in nodes:
            self._nodes.setdefault(node, NodeProgress(node))

    def told(self, progress: NodeProgress) -> None:
        """How far one node is."""
        with self._lock:
            self._nodes[progress.node] = progress
        self.at(_OF_ALL.get(progress.stage, self._view.stage))

    def at(self, stage: Stage, problem: str = "") -> None:
        """How far all of it is."""
        with self._lock:
            nodes = tuple(self._nodes.values())
            self._view = LaunchView(self._view.job_id, stage, nodes, self.plan, problem, self.warnings)
            self._hear(self._view)


_OF_ALL = {stage: stage for stage in (Stage.COPYING, Stage.STARTING, Stage.VERIFYING)}
"""Stages that are those of the whole while one node is in them; how it ends is not for a node to say."""
