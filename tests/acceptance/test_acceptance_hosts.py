"""Three hosts with networks and processes of their own: launch, a pulled cable, a host without power, stop."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import REPOSITORY
from tests.hosts import Host, Hosts
from tests.sshd import Machine, descendants
from tests.writing import clean_environment, wait_until

JOB = "apart"
TINY = "--layers=1 --heads=2 --width=32 --context=32 --batch-size=4 --warmup=5 --eval-every=0 --checkpoint-every=0"


class Desk:
    """Where a person sits: a home, and the command line."""

    def __init__(self, hosts: Hosts, home: Path) -> None:
        home.mkdir()
        names = ",".join(machine.name for machine in hosts.machines)
        self._home = home
        self._words = f"--nodes={names} --ssh-config={hosts.ssh_config} --central={home}/central".split()

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        environment = clean_environment(self._home, PYTHONPATH=str(REPOSITORY))
        command = [sys.executable, "-m", "ugro_tui", *self._words, *argv]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)

    def told(self, *argv: str) -> dict[str, Any]:
        """The JSON of a command."""
        found: dict[str, Any] = json.loads(self.run(*argv, "--json").stdout)
        return found

    @property
    def job(self) -> dict[str, Any]:
        """The job as `status` tells it."""
        found: dict[str, Any] = self.told("status")["jobs"][0]
        return found

    def until(self, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The job, once this holds of it."""
        seen = self.job

        def comes() -> bool:
            nonlocal seen
            seen = self.job
            return holds(seen)

        wait_until(comes, 90)
        return seen

    def alerts(self) -> Iterator[tuple[str, str]]:
        """The rules that fire, with what they say."""
        for entry in self.told("alerts", JOB)["firing"]:
            yield entry["alert"]["rule"], entry["alert"]["what"]


def ranks_on(host: Machine) -> list[int]:
    """The processes of the training on a host."""
    return [
        pid
        for pid in descendants(host.processes()[0])
        if b"train_production" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


@pytest.mark.acceptance
def test_three_hosts_that_share_nothing(hosts: Hosts, tmp_path: Path) -> None:
    machines = [hosts.add() for _ in range(3)]
    desk = Desk(hosts, tmp_path / "desk")
    text = tmp_path / "text"
    text.write_text((REPOSITORY / "README.md").read_text())
    options = f"--data={text} --steps=100000 --emit-every=1 {TINY}".split()
    launched = desk.run(
        "launch", "--name", JOB, "--python", sys.executable, "--env", "OMP_NUM_THREADS=1", "--", *options
    )
    assert launched.returncode == 0, launched.stderr
    assert all(map(ranks_on, machines))
    desk.until(lambda job: job["ranks_ok"] == 3 and job["step"] > 20)

    second = machines[1]
    assert isinstance(second, Host)
    second.pull()
    wait_until(lambda: any(rule == "job_hang" for rule, _ in desk.alerts()), 90)
    (hang,) = (what for rule, what in desk.alerts() if rule == "job_hang")
    assert "they may wait for rank 1 on n2, which does not answer" in hang
    before = desk.job["step"]
    second.plug()
    desk.until(lambda job: job["ranks_ok"] == 3 and job["step"] > before)

    machines[2].stop()
    left = desk.until(lambda job: job["status"] == "failed")
    assert "rank 2" in left["verdict"], left
    stopped = desk.run("stop", JOB, "--yes")
    assert "n3" in stopped.stderr
    assert not any(map(ranks_on, machines[:2]))
