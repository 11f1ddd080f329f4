"""What `Agent` lends of the room of action to start and stop jobs, over connections of its own."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from ugro_tui.config import Config
from ugro_tui.core.commands import Act, Launch, PlanLaunch, RecallLaunch, Stop
from ugro_tui.core.errors import BadInput
from ugro_tui.core.launching import Backend, LaunchPlan, LaunchRequest, LaunchView, Stage
from ugro_tui.core.numbers import counted
from ugro_tui.core.ports import Clock, Collection
from ugro_tui.nodes.base import NeedsPassphrase
from ugro_tui.nodes.executed import ExecutedLog
from ugro_tui.nodes.fleet import make_nodes
from ugro_tui.nodes.inventory import LOCAL, NodeSpec
from ugro_tui.nodes.secrets import Secrets
from ugro_tui.settling import Settler

if TYPE_CHECKING:
    from ugro_tui.act.backend import Backend as Running
    from ugro_tui.act.backend import JobStanding
    from ugro_tui.act.coordinator import LaunchCoordinator
    from ugro_tui.act.sites import Site
    from ugro_tui.act.torchrun import Torchrun
    from ugro_tui.core.snapshot import Question, Snapshot
    from ugro_tui.demo_run import DemoRun

Result = TypeVar("Result")

HALF_SECONDS = 5.0
"""How long who closes waits for agents that are being started or ended: else ranks would wait for those of others."""

_HALF = (Stage.COPYING, Stage.STARTING, Stage.STOPPING)


class LaunchDoor:
    """Starts and stops jobs on the nodes of `config`. `show` takes how far that is, `log` what is done on nodes.

    `ask` answers what only a person can, the passphrase of a key; None where nobody is there.
    """

    def __init__(
        self,
        config: Config,
        secrets: Secrets,
        clock: Clock,
        log: ExecutedLog,
        show: Callable[[LaunchView], None],
        ask: Callable[[Question], str] | None = None,
    ) -> None:
        self._ask = ask
        self._config = config
        self._secrets = secrets
        self._clock = clock
        self._log = log
        self._show = show
        self._hears: list[Callable[[LaunchView], None]] = []
        self._making = threading.Lock()
        self._torchrun: Torchrun | None = None
        self._made: LaunchCoordinator | None = None
        self._collection: Collection | None = None
        self._over = threading.Event()
        self._whole = threading.Event()  # nothing is half done
        self._whole.set()

    def use(self, collection: Collection) -> None:
        """Hand the jobs that are started to this collection."""
        self._collection = collection

    def hear(self, hear: Callable[[LaunchView], None]) -> None:
        """Tell this too how far launches and stops are."""
        self._hears.append(hear)

    def obey(self, command: Act) -> str:
        """Do what a front end asks for; what came of it. Raises UgroError."""
        match command:
            case PlanLaunch():
                return _counted(self.plan(command.request))
            case RecallLaunch():
                recalled = self.relaunch(command.job_id, resume=False)
                self._show(LaunchView(command.job_id, Stage.WAITING, recalled=recalled))
                return ""
            case Launch():
                return f"job {command.request.job_id} runs: {_counted(self.launch(command.request, command.typed))}"
            case Stop():
                self.stop(command.job_id, command.grace)
                return f"job {command.job_id} was stopped"

    def plan(self, request: LaunchRequest) -> LaunchPlan:
        """What a launch would do; see `LaunchCoordinator.plan`."""
        return self._unlocked(lambda one: one.plan(self._completed(request)))

    def launch(self, request: LaunchRequest, typed: Mapping[str, str] | None = None) -> LaunchPlan:
        """Start a job; secrets without a file that are not `typed` are asked for. See `LaunchCoordinator.launch`."""
        from ugro_tui.act.brought import asked_for  # only who launches pays for it

        self._coordinator()
        with asked_for(request, typed or {}, self._secrets, self._ask):
            return self._unlocked(lambda one: one.launch(self._completed(request)))

    def relaunch(self, job_id: str, *, resume: bool) -> LaunchRequest:
        """What to ask for to start a job again; see `LaunchCoordinator.relaunch`."""
        return self._unlocked(lambda one: one.relaunch(job_id, resume=resume))

    def look(self, job_id: str) -> JobStanding:
        """Where a job stands; see `LaunchCoordinator.look`."""
        return self._unlocked(lambda one: one.look(job_id))

    def stop(self, job_id: str, grace: float) -> JobStanding:
        """End a job everywhere; see `LaunchCoordinator.stop`."""
        return self._unlocked(lambda one: one.stop(job_id, grace))

    def standing(self, job_id: str) -> JobStanding:
        """Where a job stands, written down where it is over; see `LaunchCoordinator.finalize`."""
        return self._unlocked(lambda one: one.finalize(job_id))

    def _unlocked(self, work: Callable[[LaunchCoordinator], Result]) -> Result:
        """What `work` returns; each passphrase that it lacks is asked for once."""
        asked: set[str] = set()
        while True:
            try:
                return work(self._coordinator())
            except NeedsPassphrase as locked:
                told = "" if self._ask is None or locked.key in asked else self._ask(_question(locked.key))
                asked.add(locked.key)
                if not told:
                    raise
                self._secrets.put(locked.key, told)

    def demo(self, options: Sequence[str]) -> LaunchRequest:
        """What `ugro-tui demo` asks for. Raises UgroError."""
        from ugro_tui.act.demo import demo_request

        return demo_request(self._config.metrics_dir, options, self._clock)

    def _collected(self) -> Collection:
        assert self._collection is not None
        return self._collection

    def close(self) -> None:
        """Let go of all connections; what was started runs on, and what is half started or half ended is waited for."""
        self._over.set()
        self._whole.wait(HALF_SECONDS)
        if self._torchrun is not None:
            self._torchrun.close()

    def settle(self, look: Callable[[], Snapshot]) -> None:
        """From now on, write down how jobs ended that are seen to have ended, on a thread of its own."""
        if not self._config.read_only:
            settler = Settler(look, lambda job: self.standing(job).over, self._clock, self._over)
            threading.Thread(target=settler.run, name="settling", daemon=True).start()

    def _coordinator(self) -> LaunchCoordinator:
        """Raises BadInput: nothing may be started or stopped from here."""
        config = self._config
        if config.read_only:
            raise BadInput(
                f"read_only is set ({config.origins.get('read_only', 'default')}): jobs are neither started nor "
                "stopped from here; leave it out to do so"
            )
        with self._making:
            if self._made is None:
                self._made = self._make()
            return self._made

    def _make(self) -> LaunchCoordinator:
        from ugro_tui.act.coordinator import LaunchCoordinator  # only who launches pays for it
        from ugro_tui.act.slurm import SlurmBackend
        from ugro_tui.act.torchrun import Torchrun

        specs = self._config.inventory()
        names = [spec.name for spec in specs] or [LOCAL]
        sites = self._sites(specs)
        self._torchrun = torchrun = Torchrun(sites, self._clock, names, self._secrets.get)
        slurm = SlurmBackend(sites, self._clock, self._secrets.get)
        backends: dict[Backend, Running] = {Backend.SSH: torchrun, Backend.LOCAL: torchrun, Backend.SLURM: slurm}
        return LaunchCoordinator(backends, self._collected(), self._tell)

    def _sites(self, specs: Sequence[NodeSpec]) -> dict[str, Site]:
        from ugro_tui.act.sites import Site

        config = self._config
        named = (*specs, *([] if any(spec.name == LOCAL for spec in specs) else [NodeSpec(LOCAL, LOCAL)]))
        own = {spec.name: spec.metrics_dir or config.remote_metrics_dir for spec in named if spec.name != LOCAL}
        here, there = config.metrics_dir, config.remote_metrics_dir
        made = make_nodes(named, here, there, config.ssh_config, self._secrets, self._clock, self._log)
        return {
            node.name: Site(node, own.get(node.name, str(here)), _address(spec, config), self._note)
            for node, spec in zip(made, named, strict=True)
        }

    def _completed(self, request: LaunchRequest) -> LaunchRequest:
        """With the settings where nothing is asked for."""
        config = self._config
        if request.backend is Backend.SSH and not config.remote and not request.nodes:
            request = replace(request, backend=Backend.LOCAL)
        python = request.python or config.launch_python
        script = request.script or config.launch_script
        here = request.backend is Backend.SLURM and not config.remote and not request.slurm.login
        if request.backend is not Backend.LOCAL and not here:
            return replace(request, python=python, script=script)
        workdir = os.path.abspath(request.workdir or os.curdir) if not request.sync_code else request.workdir
        return replace(request, python=python or sys.executable, script=script, workdir=workdir)

    def _tell(self, view: LaunchView) -> None:
        (self._whole.clear if view.stage in _HALF else self._whole.set)()
        self._show(view)
        for hear in self._hears:
            hear(view)

    def _note(self, node: str, command: str, well: bool, seconds: float) -> None:
        self._log.tell(node, command, 0 if well else 1, seconds)


def _question(key: str) -> Question:
    from ugro_tui.core.snapshot import Question

    return Question(key, f"Passphrase of the key {key}")


class Launching:
    """What an `Agent` does to start and stop jobs."""

    launches: LaunchDoor

    def launch(self, request: LaunchRequest) -> LaunchPlan:
        """Start a job on its nodes, all or nothing, and follow it; it outlives this application.

        Raises:
            BadInput, LaunchError: it was not started, and nothing of it runs: where, why, and what to do.
        """
        return self.launches.launch(request)

    def stop(self, job_id: str, grace: float = 10.0) -> JobStanding:
        """End a job on all nodes: SIGTERM, and SIGKILL after `grace` seconds; how it stands afterwards.

        Raises:
            BadInput: there is no such job.
            StopError: something may run on: where, why, and what to do.
        """
        return self.launches.stop(job_id, grace)

    def start_demo(self, options: Sequence[str]) -> DemoRun:
        """Start the training run of `ugro-tui demo` on this machine; `DemoRun.wait_begun` tells whether it runs.

        Raises:
            UgroError: there is no such run; the message says why and what to do.
        """
        from ugro_tui.demo_run import DemoRun

        return DemoRun(self.launches, self.launches.demo(options))


def _address(spec: NodeSpec, config: Config) -> Callable[[], str]:
    """How other nodes reach one: by the name that SSH reaches it by."""

    def address() -> str:
        if spec.name == LOCAL:
            return socket.gethostname()
        from ugro_tui.nodes.sshconfig import settings_of

        return settings_of(spec.target, config.ssh_config, user=spec.user or None, port=spec.port).host

    return address


def _counted(plan: LaunchPlan) -> str:
    ranks, nodes = counted(plan.world_size, "rank"), len(plan.nodes)
    where = plan.nodes[0].node if nodes == 1 else counted(nodes, "node")
    return f"{ranks} on {where}" if nodes else ranks
