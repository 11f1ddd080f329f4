"""Start, watch and stop a torchrun job on this machine.

    job = start(plan, clock)        # returns at once; the job outlives this process
    job.wait()                      # or job.poll(), or job.stop()

In the job's directory: job.json, `logs/torchrun.log` (the agent), `logs/rank_{r}.log` and `errors/rank_{r}.json`.
job.json gets its end from a thread of the process that started the job.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shlex
import subprocess
import threading
from dataclasses import dataclass, replace
from pathlib import Path

from ugro_tui.act import processes
from ugro_tui.act.errors import LaunchError
from ugro_tui.act.exits import exit_codes
from ugro_tui.act.manifest import LaunchRecord, read_token, this_host, this_user, write_manifest
from ugro_tui.act.plan import LocalPlan
from ugro_tui.act.preflight import check_plan, check_torch
from ugro_tui.act.processes import Process
from ugro_tui.core.errors import BadInput
from ugro_tui.core.ports import Clock

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class JobEnd:
    """How a job ended: `status` is finished, failed or stopped; code and signal are the torchrun agent's."""

    status: str
    exit_code: int | None
    signal: int | None


def start(plan: LocalPlan, clock: Clock) -> LocalJob:
    """Start the plan's torchrun, in a session of its own; returns once it runs.

    Raises:
        BadInput: the plan cannot be used, the job id is taken (attempt 1), or an attempt of the job still runs.
        LaunchError: this machine does not let us: no torch, no right to write, no disk, no process.
    """
    check_plan(plan)
    token = secrets.token_hex(16)
    environment = plan.environment(os.environ, token)
    check_torch(plan, environment)
    record = LaunchRecord(
        job_id=plan.job_id,
        attempt=plan.attempt,
        world_size=plan.nproc,
        command=plan.command,
        workdir=str(plan.workdir),
        host=this_host(),
        user=this_user(),
        token=token,
        started=clock.time(),
    )
    _claim_folder(plan, record)
    try:
        agent = _spawn(plan, environment)
    except OSError as error:
        _publish(plan.folder, replace(record, status="failed", ended=clock.time()))
        raise LaunchError(f"job {plan.job_id} could not be started: {error}") from error
    return LocalJob(plan, record, agent, clock)


class LocalJob:
    """A job that this process started. Every method may be called from any thread."""

    def __init__(self, plan: LocalPlan, record: LaunchRecord, agent: subprocess.Popen[bytes], clock: Clock) -> None:
        """Takes over the running agent; `start` is the way to get one."""
        self.plan = plan
        self._agent = agent
        self._clock = clock
        self._lock = threading.Lock()  # over the record
        self._stop_lock = threading.Lock()  # one stop at a time
        self._stopping = False
        self._over = threading.Event()
        found = processes.look_up(agent.pid)
        self._record = replace(
            record,
            status="running",
            pid=agent.pid,
            pid_start=found.start if found else None,
            boot_id=processes.boot_id(),
        )
        _publish(plan.folder, self._record)
        _log.info("Started job %s: attempt %d, %d ranks, pid %d", plan.job_id, plan.attempt, plan.nproc, agent.pid)
        threading.Thread(target=self._await_end, name=f"wait {plan.job_id}", daemon=True).start()

    @property
    def record(self) -> LaunchRecord:
        """What job.json says."""
        with self._lock:
            return self._record

    def poll(self) -> JobEnd | None:
        """How the job ended; None while it runs."""
        return self.wait(0)

    def wait(self, timeout: float | None = None) -> JobEnd | None:
        """How the job ended, at the latest after `timeout` seconds; None if it still runs then."""
        if not self._over.wait(timeout):
            return None
        record = self.record
        return JobEnd(record.status, record.exit_code, record.signal)

    def processes(self) -> tuple[Process, ...]:
        """All living processes of the job: agent, ranks and their children, also after the agent's death.

        Where processes cannot be searched (macOS) the agent alone, while it lives.
        """
        record = self.record
        if processes.can_search():
            return processes.of_launch(record.job_id, record.token, (self._agent.pid, record.pid_start))
        return (Process(self._agent.pid, 0),) if self._agent.poll() is None else ()

    def stop(self, grace: float = 10.0) -> None:
        """End all processes of the job: SIGTERM, and SIGKILL after `grace` seconds. None is left on return.

        Recorded as stopped, unless the job ended by itself and left nothing behind. May be called again.

        Raises:
            StopError: a process outlives even SIGKILL by seconds.
        """
        with self._stop_lock:
            if self._over.is_set() and not self.processes():
                return
            self._stopping = True
            _log.info("Stopping job %s", self.plan.job_id)
            processes.end_all(self.processes, self._agent.pid, grace, self._clock)
            self._over.wait()
            record = self.record
            if record.status == "failed":  # the agent had died before; what we ended were its orphans
                self._change(replace(record, status="stopped", ended=self._clock.time()))

    def _await_end(self) -> None:
        code = self._agent.wait()
        # torchrun's code is 1 for a crash and for SIGTERM alike: only we know which it was.
        broken = "stopped" if self._stopping else "failed"
        ended = replace(
            self.record,
            status="finished" if code == 0 else broken,
            ended=self._clock.time(),
            exit_code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            exits=exit_codes(self.plan.folder / "logs" / "torchrun.log") if code else {},
        )
        self._change(ended)
        self._over.set()

    def _change(self, record: LaunchRecord) -> None:
        with self._lock:
            self._record = record
        _publish(self.plan.folder, record)
        _log.info("Job %s %s", record.job_id, record.status)


def _publish(folder: Path, record: LaunchRecord) -> None:
    """Write job.json if the disk lets us: a running job is worth more than its manifest."""
    try:
        write_manifest(folder, record)
    except OSError as error:
        _log.warning("job.json of %s does not say %r: %s", record.job_id, record.status, error)


def _claim_folder(plan: LocalPlan, record: LaunchRecord) -> None:
    """Make the job's directory ours and write the first job.json; see `start` for what is raised."""
    folder = plan.folder
    if plan.attempt > 1:
        _refuse_running(plan)
    try:
        # Of two launches of one id at the same moment, one gets the folder.
        folder.mkdir(parents=True, exist_ok=plan.attempt > 1)
    except FileExistsError:
        raise BadInput(
            f"job {plan.job_id} exists already in {folder.parent}: choose another name, "
            "or start it again as its next attempt"
        ) from None
    except OSError as error:
        raise LaunchError(f"cannot make the job's folder: {error}; choose another metrics directory") from error
    try:
        _remove_stale_errors(folder)
        write_manifest(folder, record)
    except OSError as error:
        with contextlib.suppress(OSError):
            folder.rmdir()  # only if it is empty
        raise LaunchError(f"cannot write job.json in {folder}: {error}") from error


def _refuse_running(plan: LocalPlan) -> None:
    """Two attempts at once would write the same files."""
    token = read_token(plan.folder)
    living = processes.of_launch(plan.job_id, token) if token and processes.can_search() else ()
    if living:
        pids = ", ".join(str(process.pid) for process in living)
        raise BadInput(f"job {plan.job_id} still runs on this machine (pid {pids}): stop it first")


def _remove_stale_errors(folder: Path) -> None:
    """A rank that a new attempt does not have any more would seem to have failed in it."""
    for path in folder.glob("errors/rank_*.json"):
        path.unlink(missing_ok=True)


def _spawn(plan: LocalPlan, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start the agent. Its session has no terminal, so closing ours does not end it. Raises OSError."""
    logs = plan.folder / "logs"
    logs.mkdir(exist_ok=True)
    with (logs / "torchrun.log").open("ab", buffering=0) as log:
        log.write(f"== attempt {plan.attempt}: {shlex.join(plan.command)} ==\n".encode("utf-8", "surrogateescape"))
        return subprocess.Popen(
            plan.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=plan.workdir,
            env=environment,
            start_new_session=True,
        )
