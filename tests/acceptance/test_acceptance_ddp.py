"""A real DDP run over three real sshd nodes, watched by the command line from another directory, through faults."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.lab import Lab
from tests.proxy import FaultProxy
from tests.sshd import Machine
from tests.writing import clean_environment, wait_until
from ugro_tui.act.tensorboard import free_port

REPOSITORY = Path(__file__).resolve().parents[2]
JOB = "ddp"
TINY = "--layers=1 --heads=2 --width=32 --context=32 --batch-size=4 --warmup=5 --eval-every=0 --checkpoint-every=0"
PACE = "--inject=slow-data:100ms@1"
NO_ANSWER_SECONDS, CUT_SECONDS, BACK_SECONDS = 10.0, 20.0, 30.0


def train(machines: Sequence[Machine], text: Path, steps: int) -> list[subprocess.Popen[bytes]]:
    """A torchrun agent with one rank on each machine, at home there; what a rank prints is its log."""
    port, agents = free_port(), []
    for rank, machine in enumerate(machines):
        log = machine.metrics / JOB / "logs" / f"rank_{rank}.log"
        log.parent.mkdir(parents=True)
        torchrun = f"--nnodes 3 --node-rank {rank} --nproc-per-node 1 --master-addr 127.0.0.1 --master-port {port}"
        options = f"--job-id={JOB} --metrics-dir={machine.metrics} --data={text} --steps={steps} --emit-every=1"
        command = [
            sys.executable, "-m", "torch.distributed.run", *torchrun.split(), "--log-dir", os.devnull,
            str(REPOSITORY / "train" / "train_production.py"), *options.split(), *TINY.split(), PACE,
        ]  # fmt: skip
        added = {"PYTHONPATH": str(REPOSITORY / "emitter"), "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
        with log.open("ab") as stream:
            env = clean_environment(machine.home, **added)
            agents.append(subprocess.Popen(command, env=env, cwd=machine.home, stdout=stream, stderr=stream))
    return agents


class Desk:
    """Where a person sits: another home and directory, and the command line."""

    def __init__(self, lab: Lab) -> None:
        self._home = lab.folder / "desk"
        self._home.mkdir()
        names = ",".join(machine.name for machine in lab.fleet.machines)
        self._options = f"--nodes={names} --ssh-config={lab.fleet.ssh_config} --central={lab.central}".split()

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """Begin a command."""
        return subprocess.Popen(
            [sys.executable, "-m", "ugro_tui", *argv, *self._options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self._home,
            env=clean_environment(self._home, PYTHONPATH=str(REPOSITORY), PYTHONUNBUFFERED="1"),
        )  # fmt: skip

    def ask(self, *argv: str) -> tuple[int, Any]:
        """The exit code and the JSON of a command."""
        process = self.start(*argv, "--json")
        out, err = process.communicate(timeout=90)
        assert out, err
        return process.returncode, json.loads(out)


class Monitor:
    """`monitor --json` under way, and what it has said."""

    def __init__(self, desk: Desk) -> None:
        self.process = desk.start("monitor", JOB, "--json", "--refresh", "0.5")
        self.told: list[dict[str, Any]] = []
        self.complaints: list[str] = []
        threading.Thread(target=self._read_out, daemon=True).start()
        threading.Thread(target=self._read_err, daemon=True).start()

    def _read_out(self) -> None:
        assert self.process.stdout is not None
        self.told.extend(json.loads(line) for line in self.process.stdout)

    def _read_err(self) -> None:
        assert self.process.stderr is not None
        self.complaints.extend(self.process.stderr)

    def step(self) -> float:
        """The newest step."""
        return float(self.told[-1]["step"] or 0) if self.told else 0.0

    def says(self, pattern: str, seconds: float, since: float) -> None:
        """Wait for a complaint; it must come within the seconds from `since`."""
        left = since + seconds - time.monotonic()
        try:
            wait_until(lambda: any(re.search(pattern, line) for line in self.complaints), left)
        except AssertionError:
            raise AssertionError(f"{pattern} was not said within {seconds} s: {self.complaints}") from None


def break_and_mend(machines: Sequence[Machine], link: FaultProxy, monitor: Monitor) -> None:
    """Kill the first node's sshd, freeze the second's, cut the third off while it speaks; then bring all back."""
    monitor.complaints.clear()
    since = time.monotonic()
    machines[0].stop()
    machines[1].freeze()
    link.down.cut_after = 300
    monitor.says("n1.*(cannot be reached|connection)", NO_ANSWER_SECONDS, since)
    machines[0].start()
    monitor.says("n3.*(cannot be reached|connection)", CUT_SECONDS, since)
    monitor.says("n2.*no answer", NO_ANSWER_SECONDS, since)
    machines[1].thaw()
    back = time.monotonic()
    for name in ("n1", "n2", "n3"):
        monitor.says(f"{name} can be read again", BACK_SECONDS, back)


def of_files(machine: Machine, rank: int) -> dict[str, Any]:
    """A rank's numbers as its own file tells them."""
    name = "metrics.jsonl" if rank == 0 else f"metrics.rank-{rank}.jsonl"
    records = [json.loads(line) for line in (machine.metrics / JOB / name).read_text().splitlines()]
    steps = [record for record in records if record["kind"] == "step"]
    losses = [record["loss"] for record in steps]
    return {
        "records": len(steps), "step": steps[-1]["step"], "final_loss": losses[-1], "min_loss": min(losses),
        "node": machine.name, "state": "finished", "lost": 0, "skipped": 0,
    }  # fmt: skip


@contextmanager
def board(desk: Desk) -> Iterator[str]:
    """TensorBoard, started from the command line; its address."""
    process = desk.start("tensorboard")
    try:
        assert process.stdout is not None
        yield next(found.group(0) for line in process.stdout if (found := re.search(r"http://\S+", line)))
    finally:
        process.terminate()
        process.communicate(timeout=20)


def runs(address: str) -> list[str]:
    """The runs that TensorBoard lists."""
    with urllib.request.urlopen(f"{address.rstrip('/')}/data/runs", timeout=10) as answer:
        return sorted(json.load(answer))


@pytest.mark.torchrun
@pytest.mark.parametrize(
    ("steps", "rounds"), [(60, 1), pytest.param(900, 5, marks=[pytest.mark.acceptance, pytest.mark.timeout(400)])]
)
def test_a_run_over_three_nodes_is_watched_through_faults_to_its_end(lab: Lab, steps: int, rounds: int) -> None:
    machines = [lab.fleet.add() for _ in range(3)]
    link, desk = lab.behind(machines[2]), Desk(lab)
    text = lab.folder / "text.txt"
    text.write_text("".join(f"{n} bottles of milk on the wall, take {n % 7} down. " for n in range(1500)))
    agents = train(machines, text, steps)
    try:
        begun = [machine.metrics / JOB for machine in machines]
        wait_until(lambda: all(any(folder.glob("metrics*.jsonl")) for folder in begun), 90)
        monitor = Monitor(desk)
        for _ in range(rounds):
            wait_until(lambda: monitor.step() > 0, 60)
            break_and_mend(machines, link, monitor)
        assert [agent.wait(180) for agent in agents] == [0, 0, 0]
        assert monitor.process.wait(60) == 0, monitor.complaints
    finally:
        for agent in agents:
            agent.kill()
    steps_told = [told["step"] or 0 for told in monitor.told]  # none before the first, where it is seen to start
    assert steps_told == sorted(steps_told)
    assert monitor.told[-1]["status"] == "finished"
    code, synced = desk.ask("sync")
    assert (code, [node["error"] for node in synced["nodes"]]) == (0, ["", "", ""])
    assert lab.differing() == []
    assert lab.wrong() == []
    code, summary = desk.ask("summary", JOB)
    assert (code, summary["status"], summary["world_size"]) == (0, "finished", 3)
    for rank, machine in enumerate(machines):
        told, files = summary["per_rank_stats"][str(rank)], of_files(machine, rank)
        assert {key: told[key] for key in files} == files
        assert files["step"] == steps
    code, status = desk.ask("status")
    assert (code, [node["state"] for node in status["nodes"]]) == (0, ["ok", "ok", "ok"])
    with board(desk) as address:
        wanted = [f"{JOB}/tensorboard/n{rank + 1}/rank_{rank}" for rank in range(3)]
        wait_until(lambda: runs(address) == wanted, 40)
