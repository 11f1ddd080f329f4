"""Real nodes under watch: machines with sshd, runs that grow on them, the application, and what its copies hold."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.faults.growing import Grower
from tests.proxy import FaultProxy
from tests.sshd import Fleet, Machine
from tests.writing import wait_until
from ugro_tui.agent import Agent
from ugro_tui.config import Config
from ugro_tui.core.commands import Answer, Command, Refresh
from ugro_tui.core.layout import FileKind, classify, mirror_folder
from ugro_tui.core.snapshot import JobView, NodeView, Snapshot
from ugro_tui.core.states import NodeState
from ugro_tui.plain import status_dict

JOB = "run"
_IN_FOLDERS = (FileKind.ERROR, FileKind.LOG, FileKind.EVENTS)


class Lab:
    """Machines n1, n2, … of a fleet, some of them behind a link that can be spoilt, and one central directory."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        self.fleet = fleet
        self.folder = folder
        self.central = folder / "central"
        self._open = ExitStack()

    def behind(self, machine: Machine, *, known: bool = True) -> FaultProxy:
        """A link before the machine: its name leads there from now on; the machine's host key has that name too."""
        proxy = self._open.enter_context(FaultProxy((machine.host, machine.port)))
        text = self.fleet.ssh_config.read_text()
        block = f"Host {machine.name}\n  HostKeyAlias {machine.name}\n  Port {proxy.port}\n"
        self.fleet.ssh_config.write_text(text.replace(f"Host {machine.name}\n", block, 1))
        if known:
            self.trust(machine)
        return proxy

    def add_sftp(self) -> Machine:
        """A machine that runs no commands for us: files only, which SFTP shows from the home on."""
        home = self.fleet.folder / f"n{len(self.fleet.machines) + 1}" / "home"
        return self.fleet.add(f"ForceCommand internal-sftp -d {home}")

    def trust(self, machine: Machine) -> None:
        """Write the host key of a machine behind a link into `known_hosts`."""
        with self.fleet.known_hosts.open("a") as stream:
            stream.write(f"{machine.name} {machine.public_key}\n")

    def grow(self, *machines: Machine) -> list[Grower]:
        """A run with one rank on each machine, whose files grow until the test ends, or `pause`."""
        made = [Grower(machine.metrics / JOB, rank, len(machines)) for rank, machine in enumerate(machines)]
        for grower in made:
            grower.go()
            self._open.callback(grower.pause)
        return made

    def config(self, refresh: float = 0.5, nodes: Sequence[str] = ()) -> Config:
        names = nodes or [machine.name for machine in self.fleet.machines]
        ssh_config = self.fleet.ssh_config
        return Config(nodes=(",".join(names),), ssh_config=ssh_config, central=self.central, refresh=refresh)

    def watch(self, refresh: float = 0.5, nodes: Sequence[str] = (), *, keep: bool = True) -> Agent:
        """The application without its screen."""
        agent = self._open.enter_context(Agent(self.config(refresh, nodes), keep=keep))
        agent.start()
        return agent

    def release(self) -> None:
        """End everything but the machines."""
        for machine in self.fleet.machines:
            machine.thaw()
        self._open.close()

    def copied(self, machine: Machine) -> dict[Path, Path]:
        """The source and the copy of every file of the protocol on the machine."""
        found = {path: self.copy_of(machine, path) for path in machine.metrics.rglob("*") if path.is_file()}
        return {source: copy for source, copy in found.items() if copy is not None}

    def copy_of(self, machine: Machine, source: Path) -> Path | None:
        """Where the copy of a file is, or is to be; None for what is not copied."""
        job, *inner = source.relative_to(machine.metrics).parts
        file = classify("/".join(inner))
        if file is None:
            return None
        below = inner[1:] if file.kind in _IN_FOLDERS else inner
        return self.central.joinpath("jobs", job, mirror_folder(file.kind, machine.name), *below)

    def differing(self, *machines: Machine) -> list[Path]:
        """Files whose copies are not byte by byte the same."""
        pairs = [pair for machine in machines or self.fleet.machines for pair in self.copied(machine).items()]
        assert pairs
        return [source for source, copy in pairs if not copy.exists() or sha(copy) != sha(source)]

    def wrong(self, *machines: Machine) -> list[Path]:
        """Copies that are no beginning of their source, which may be growing; and what was put aside as another file's.

        Files that are replaced whole are in order when they are whole.
        """
        bad = list(self.central.glob("jobs/*/generations"))
        for machine in machines or self.fleet.machines:
            for source, copy in self.copied(machine).items():
                held = copy.read_bytes() if copy.exists() else b""  # first the copy: the source only grows
                whole = json.loads(held) is not None if copy.suffix == ".json" and copy.exists() else None
                if whole is None and not source.read_bytes().startswith(held):
                    bad.append(copy)
        return bad


def sha(path: Path) -> str:
    """The digest of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def node(agent: Agent, name: str) -> NodeView:
    """How a node is at present."""
    unknown = NodeView(name, math.nan, state=NodeState.CONNECTING)
    return next((one for one in agent.feed.snapshot().nodes if one.name == name), unknown)


def job(agent: Agent, job_id: str = JOB) -> JobView:
    """The picture of the run."""
    found = agent.feed.snapshot().job(job_id)
    assert found is not None, agent.feed.snapshot().nodes
    return found


def steps(agent: Agent, rank: int, job_id: str = JOB) -> float:
    """The newest step of a rank that is shown; 0 before there is one."""
    found = agent.feed.snapshot().job(job_id)
    stats = [one.step for one in found.summary.per_rank_stats if one.rank == rank] if found else []
    return stats[0] if stats and stats[0] == stats[0] else 0.0


def answered(agent: Agent, command: Command, seconds: float = 30.0) -> Answer:
    """Ask, as a key does, and wait for the answer."""
    number = agent.feed.request(command).number

    def there() -> list[Answer]:
        return [one for one in agent.feed.snapshot().answers if one.number == number]

    wait_until(there, seconds)
    return there()[0]


def within(seconds: float, condition: Callable[[], object]) -> float:
    """Wait until it holds, which must come about within the seconds; how long it took."""
    began = time.monotonic()
    wait_until(condition, seconds)
    return time.monotonic() - began


def all_text(snapshot: Snapshot) -> str:
    """Every text of a snapshot as `status --json` tells it, unescaped."""
    found: list[str] = []
    waiting: list[object] = [status_dict(snapshot)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value, *value.values()]
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str):
            found.append(value)
    return " ".join(found)


def settle(lab: Lab, agent: Agent, growers: Sequence[Grower]) -> None:
    """Let nothing grow any more, sync, and see that everything is here, and once: bytes, ranks and records."""
    for grower in growers:
        grower.pause()
    assert agent.copies is not None
    failed = [part for part in agent.copies.sync(seconds=30).nodes if part.error]
    assert not failed, failed
    answer = answered(agent, Refresh())
    assert answer.problem == "", answer
    assert not lab.differing(), lab.differing()
    assert not lab.wrong(), lab.wrong()
    whole = [(grower.rank, f"n{grower.rank + 1}", float(grower.steps), grower.steps, 0, 0) for grower in growers]

    def told() -> list[tuple[int, str, float, int, int, int]]:
        ranks = job(agent).summary.per_rank_stats
        return [(one.rank, one.node, one.step, one.records, one.lost, one.skipped) for one in ranks]

    wait_until(lambda: told() == whole, 10)
