"""Real training on three real nodes, with faults, under watch at default settings: what is said of it, and when.

A job is three torchrun agents over loopback, one rank on each machine, at home there; it is watched over SSH.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cgroups import MemoryGroup
from tests.faults.lab import Lab
from tests.sshd import Machine, descendants
from tests.writing import clean_environment, wait_until
from ugro_tui.act.tensorboard import free_port
from ugro_tui.agent import Agent
from ugro_tui.core.alerts import Alert
from ugro_tui.core.summary import JobSummary

REPOSITORY = Path(__file__).resolve().parents[1]
DEFAULT_REFRESH = 5.0
RANKS = 3
TINY = "--layers=1 --heads=2 --width=32 --context=32 --batch-size=4 --warmup=5 --eval-every=0 --checkpoint-every=0"
PACE = " ".join(f"--inject=slow-data:rank={rank}:30ms@1" for rank in range(RANKS))
"""The same wait on every rank, so that steps are long beside what other programs take from the cores."""

FOR_EVER = 1_000_000

SECONDS = 30.0
"""Within which a hang, a stall, a death and a crash are told."""
STEP_SECONDS, RECORDS = 60.0, 5
"""Within which a slow rank is named: seconds of steps, or of so many records where steps take longer."""

_BLAMED = ("rank_error", "died_silently", "job_hang", "rank_stalled")

_SPENDTHRIFT = """
import os, sys
while os.path.exists(sys.argv[2]):
    if not locals().get("eaten"):
        eaten = []
        with open(os.path.join(sys.argv[1], "cgroup.procs"), "w") as procs:
            procs.write(str(os.getpid()))
    eaten.append(bytearray(os.urandom(1 << 20)))
"""


@dataclass(frozen=True)
class Seen:
    """What the application said of a job at one moment (`at`: Unix seconds)."""

    at: float
    summary: JobSummary

    @property
    def alerts(self) -> tuple[Alert, ...]:
        return self.summary.alerts

    def alert(self, rule: str) -> Alert | None:
        """The first alert of a rule, if it fires."""
        return next((alert for alert in self.alerts if alert.rule == rule), None)

    @property
    def first(self) -> Alert | None:
        """What the verdict is about."""
        return next((alert for alert in self.alerts if self.summary.verdict.endswith(alert.sentence)), None)

    def bad_records(self, rank: int) -> int:
        """Records of a rank with a value that is no number."""
        return sum(one.non_finite for one in self.summary.per_rank_stats if one.rank == rank)


class Watching:
    """Everything that the application has said, picture by picture."""

    def __init__(self, agent: Agent) -> None:
        self.seen: dict[str, list[Seen]] = {}
        self._agent = agent
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        version = 0
        while not self._over.is_set():
            snapshot = self._agent.collector.wait_newer(version, 0.5)
            if snapshot.version != version:
                version = snapshot.version
                for view in snapshot.jobs:
                    self.seen.setdefault(view.job_id, []).append(Seen(time.time(), view.summary))


class Job:
    """One training job on three machines, and what is said of it."""

    def __init__(
        self, name: str, machines: Sequence[Machine], watching: Watching, options: str, text: Path,
        groups: Mapping[int, MemoryGroup | None],
    ) -> None:  # fmt: skip
        self.name = name
        self._groups = {rank: group for rank, group in groups.items() if group is not None}
        self.machines = machines
        self._watching = watching
        self._agents: list[subprocess.Popen[bytes]] = []
        port = free_port()
        for rank, machine in enumerate(machines):
            self._agents.append(self._start(rank, machine, port, options, text))

    def _start(self, rank: int, machine: Machine, port: int, options: str, text: Path) -> subprocess.Popen[bytes]:
        log = machine.metrics / self.name / "logs" / f"rank_{rank}.log"
        log.parent.mkdir(parents=True)
        torchrun = (
            f"--nnodes={RANKS} --node-rank={rank} --nproc-per-node=1 --master-addr=127.0.0.1 --master-port={port}"
        )
        job = f"--job-id={self.name} --metrics-dir={machine.metrics} --data={text}"
        command = [
            sys.executable, "-m", "torch.distributed.run", *torchrun.split(), "--log-dir", os.devnull,
            str(REPOSITORY / "train" / "train_production.py"), *job.split(), *TINY.split(), *options.split(),
        ]  # fmt: skip
        if rank in self._groups:
            joins = f'echo $$ > {self._groups[rank].folder}/cgroup.procs; exec "$@"'
            command = ["/bin/sh", "-c", joins, "sh", *command]
        # Three machines share these cores: each rank takes one thread, however many cores it sees.
        added = {"OMP_NUM_THREADS": "1", "OMP_THREAD_LIMIT": "1", "GLOO_SOCKET_IFNAME": "lo"}
        added["PYTHONPATH"] = str(REPOSITORY / "emitter")
        with log.open("ab") as stream:
            env = clean_environment(machine.home, **added)
            return subprocess.Popen(command, env=env, cwd=machine.home, stdout=stream, stderr=stream)

    def stop(self) -> None:
        """End it as when the power goes, ranks that are held or hang too."""
        for agent in self._agents:
            below = descendants(agent.pid)
            agent.kill()
            for pid in below:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            agent.wait()

    # --- what happens on the machines

    def agent_pid(self, rank: int) -> int:
        """The process of the torchrun agent that holds a rank."""
        return self._agents[rank].pid

    def pid(self, rank: int) -> int:
        """The process of a rank, by its heartbeat."""
        pid: int = self.heartbeat(rank)["pid"]
        return pid

    def starve(self, rank: int) -> None:
        """Have another process of the rank's cgroup take all memory that is left, until the kernel kills the rank."""
        group, pid = self._groups[rank], self.pid(rank)
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000")
        group.limit(group.used() + (32 << 20))
        subprocess.run([sys.executable, "-c", _SPENDTHRIFT, group.folder, f"/proc/{pid}"], check=True, timeout=60)

    def heartbeat(self, rank: int) -> dict[str, Any]:
        """The newest heartbeat of a rank."""
        found: dict[str, Any] = json.loads((self._folder(rank) / f"heartbeat.rank-{rank}.json").read_bytes())
        return found

    def records(self, rank: int) -> list[dict[str, Any]]:
        """The step records that a rank has written."""
        lines = self._file(rank).read_bytes().split(b"\n")[:-1]
        return [record for record in map(json.loads, lines) if record["kind"] == "step"]

    def step(self) -> int:
        """The step that all ranks have recorded; 0 before the first."""
        return min(map(self._step_of, range(RANKS)))

    def _step_of(self, rank: int) -> int:
        file = self._file(rank)
        tail = file.read_bytes()[-8192:].split(b"\n")[1:-1] if file.exists() else []
        return max((int(json.loads(line).get("step", 0)) for line in tail), default=0)

    def trains(self, step: int = 1, seconds: float = 120.0) -> None:
        """Wait until all ranks have recorded this step."""
        try:
            wait_until(lambda: self.step() >= step or self._ended(), seconds)
            assert self.step() >= step
        except AssertionError:
            raise AssertionError(f"{self.name} does not come to step {step}:\n{self._logs()}") from None

    def _ended(self) -> bool:
        return any(agent.poll() is not None for agent in self._agents)

    def _logs(self) -> str:
        logs = (self._folder(rank) / "logs" / f"rank_{rank}.log" for rank in range(RANKS))
        return "\n".join(log.read_text()[-1500:] for log in logs)

    def _file(self, rank: int) -> Path:
        return self._folder(rank) / ("metrics.jsonl" if rank == 0 else f"metrics.rank-{rank}.jsonl")

    def _folder(self, rank: int) -> Path:
        return self.machines[rank].metrics / self.name

    def made_at(self, step: int) -> float:
        """When the first rank recorded a step, or the first one after it, Unix seconds."""
        return min(float(next(r["ts"] for r in self.records(rank) if r["step"] >= step)) for rank in range(RANKS))

    def last_at(self, rank: int) -> float:
        """When a rank wrote its newest record, Unix seconds."""
        ts: float = self.records(rank)[-1]["ts"]
        return ts

    def made_between(self, step: int, at: float) -> int:
        """Records after `step` that all ranks had written `at` (Unix seconds)."""
        return min(len([r for r in self.records(rank) if r["step"] > step and r["ts"] <= at]) for rank in range(RANKS))

    # --- what is said of it

    @property
    def seen(self) -> list[Seen]:
        """All that was said so far."""
        return list(self._watching.seen.get(self.name, ()))

    def said(self, wanted: Callable[[Seen], object], seconds: float = 90.0) -> Seen:
        """The first picture of which it is true."""
        with suppress(AssertionError):
            wait_until(lambda: any(map(wanted, self.seen)), seconds)
        found = next(filter(wanted, self.seen), None)
        assert found is not None, (self.told(), self._logs())
        return found

    def told(self) -> list[str]:
        """The sentences of all alerts so far, each rule once for each rank, as it was first told."""
        first = {(alert.rule, alert.rank): alert.sentence for one in reversed(self.seen) for alert in one.alerts}
        return list(first.values())

    def blamed(self, *rules: str) -> set[int | None]:
        """The ranks that these rules have named so far."""
        return {alert.rank for one in self.seen for alert in one.alerts if alert.rule in rules}

    def names(self, rank: int, rule: str, words: str, since: float) -> Seen:
        """Wait until the verdict is an alert of this rule about this rank, and of no other one that is new.

        It must come `SECONDS` from `since` (Unix seconds).
        """
        found = self.said(lambda seen: seen.first and (seen.first.rule, seen.first.rank) == (rule, rank))
        assert found.first is not None
        assert found.first.node == self.machines[rank].name
        assert words in found.first.what, self.told()
        assert found.at - since < SECONDS
        stood = {one.first.subject for one in self.seen if one.first and one.at <= since}
        new = [one.first for one in self.seen if one.first and one.first.subject not in stood]
        assert {alert.rank for alert in new if alert.rule in _BLAMED} <= {None, rank}, self.told()
        return found

    def names_slow(self, rank: int, phase: str, step: int) -> Seen:
        """Wait until a rank that is slow since `step` is named, with its phase, and in time."""
        self.trains(step)
        since = self.made_at(step)
        found = self.said(lambda seen: seen.at > since and (named := seen.alert("straggler")) and named.rank == rank)
        alert = found.alert("straggler")
        assert alert is not None
        assert alert.node == self.machines[rank].name
        assert alert.what.startswith(f"{phase} "), alert.what
        assert found.at - since < STEP_SECONDS or self.made_between(step, found.at) <= RECORDS
        return found

    def names_bad(self, rank: int, step: int) -> Seen:
        """Wait until a loss that is no number was read: it is told with the same look, and first of all."""
        found = self.said(lambda seen: seen.bad_records(rank))
        assert f"loss not finite since step {step} (loss NaN)" in found.summary.verdict, found.summary.verdict
        alert = found.alert("non_finite_loss")
        assert alert is not None
        assert (alert.rank, alert.node) == (rank, self.machines[rank].name)
        return found


class Ground:
    """Three machines, and the application that watches them at default settings."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.machines = [lab.fleet.add() for _ in range(RANKS)]
        self._text = lab.folder / "text.txt"
        self._text.write_text("".join(f"{n} bottles of milk on the wall, take {n % 7} down. " for n in range(1500)))
        self._watching = Watching(lab.watch(DEFAULT_REFRESH))

    def close(self) -> None:
        self._watching.close()

    @contextmanager
    def job(
        self, name: str, options: str, *, pace: str = PACE, groups: Mapping[int, MemoryGroup | None] | None = None
    ) -> Iterator[Job]:
        """A job that trains until it is stopped, or a fault ends it. `groups`: ranks that live in memory cgroups."""
        job = Job(name, self.machines, self._watching, f"--steps={FOR_EVER} {pace} {options}", self._text, groups or {})
        try:
            yield job
        finally:
            job.stop()
