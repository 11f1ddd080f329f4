"""`ugro-tui health` over real nodes: one frozen, one with a full disk, one fine; and how it shows what it is told."""

from __future__ import annotations

import json
import math
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from tests.cli.support import Begin, Call, ended
from tests.sshd import Fleet, Machine, shared_fleet
from ugro_tui import cli_health, exits
from ugro_tui.agent import Agent
from ugro_tui.cli_health import health_lines, whole_lines
from ugro_tui.config import Config
from ugro_tui.core.errors import BadInput
from ugro_tui.core.health import CENTRAL, DiskHealth, GpuHealth, JobProcess, Late, NodeHealth
from ugro_tui.core.health_score import judged
from ugro_tui.core.snapshot import NodeView
from ugro_tui.core.states import NodeState
from ugro_tui.ui.node_columns import NodeLine, columns

__all__ = ["shared_fleet"]

On: TypeAlias = Callable[..., tuple[int, str, str]]
GIB = 1 << 30


@pytest.fixture(scope="module")
def nodes(shared_fleet: Fleet) -> Fleet:
    """n1, n2 and n3, each with a metrics directory."""
    for _ in range(3):
        shared_fleet.add().metrics.joinpath("job").mkdir()
    return shared_fleet


@pytest.fixture
def on(call: Call, nodes: Fleet) -> Iterator[On]:
    """Run the command line on the nodes of a list; afterwards all are up again."""

    def run(names: str, *argv: str) -> tuple[int, str, str]:
        return call("--ssh-config", str(nodes.ssh_config), "--nodes", names, *argv)

    yield run
    for machine in nodes.machines:
        machine.thaw()
        machine.start() if not machine.processes() else None


@contextmanager
def full_disk(machine: Machine) -> Iterator[None]:
    """Have the metrics directory on a small disk of its own, and that full."""
    folder = machine.metrics
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no disk can be mounted here: {done.stderr.decode().strip()}")
    try:
        folder.joinpath("large").write_bytes(bytes(2 * 1000 * 1000 + 50_000))
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def by_node(out: str) -> dict[str, dict[str, Any]]:
    """What `health --json` said, by node."""
    return {node["node"]: node for node in json.loads(out)["nodes"]}


def test_one_node_frozen_one_disk_full_and_one_fine(on: On, nodes: Fleet) -> None:
    frozen, full, _fine = nodes.machines
    with full_disk(full):
        frozen.freeze()
        code, out, err = on("n1,n2,n3", "health", "--json")
    said = by_node(out)
    assert (code, err) == (exits.UNWELL, "")
    assert (said["n1"]["state"], said["n1"]["score"], said["n1"]["well"]) == ("silent", 0, False)
    assert said["n1"]["age"] is None
    assert said["n1"]["reasons"][0].startswith("n1: ")
    assert (said["n2"]["state"], said["n2"]["well"]) == ("ok", False)
    assert said["n2"]["reasons"][0].startswith("metrics disk: ")
    metrics = next(disk for disk in said["n2"]["disks"] if disk["role"] == "metrics")
    assert metrics["total"] == 2 << 20
    assert metrics["path"] == str(full.metrics)
    assert (said["n3"]["state"], said["n3"]["well"]) == ("ok", True)
    assert said["n3"]["memory_total"] > said["n3"]["memory_available"] > 0
    assert "not known: GPUs: no NVIDIA driver" in said["n3"]["reasons"]
    assert json.loads(out)["central"]["disks"][0]["role"] == "central"


def test_the_exit_code_says_how_many_answer(on: On, nodes: Fleet) -> None:
    nodes.machines[0].stop()
    code, out, _ = on("n1,n3", "health")
    assert code == exits.PARTIAL
    first, second, third, last = out.splitlines()
    assert first.split()[:3] == ["NODE", "SCORE", "REACH"]
    assert second.split()[:3] == ["n1", "0", "unreachable"]
    assert third.split()[0] == "n3"
    assert last.startswith(CENTRAL)
    assert on("n1", "health")[0] == exits.NONE_REACHED
    assert on("n1,n3", "health", "n3")[0] == exits.WELL


def test_a_node_that_nothing_is_known_of_has_no_score_and_is_not_counted_as_well() -> None:
    asked, dead = NodeHealth("n1"), judged(NodeHealth("n2", state=NodeState.WAITING))
    mute = judged(NodeHealth("n3", state=NodeState.OK, error="n3: the connection was lost"))
    well = replace(asked, state=NodeState.OK, age=1.0)
    lines = [*health_lines([asked, dead, mute, well])][1:]
    assert [line.split()[1] for line in lines] == ["–", "0", "–", "100"]
    assert [exits.of_health([well, one]) for one in (asked, dead, mute, well)] == [exits.PARTIAL] * 3 + [exits.WELL]
    shown = [*columns(0.0)]
    (score,) = (column for column in shown if column.title == "Score")
    told = [NodeLine(NodeView(one.node, 1.0), one) for one in (asked, dead, mute, well)]
    assert [score.cell(line) for line in told] == ["–", "0", "–", "100"]


def test_a_node_that_is_not_watched_is_a_mistake(on: On) -> None:
    code, out, err = on("n2,n3", "health", "n9")
    assert (code, out, err) == (2, "", "ugro-tui: no node 'n9' is watched: n2, n3\n")


def test_watching_goes_on_until_it_is_interrupted(on: On, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    plain = cli_health._print

    def printing(*words: Any, **more: Any) -> None:
        plain(*words, **more)
        looks.append(1)
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(cli_health, "WATCH_SECONDS", 0.0)
    monkeypatch.setattr(cli_health, "_print", printing)
    code, out, _ = on("n3", "health", "--watch", "--json")
    assert code == 130
    assert [json.loads(line)["nodes"][0]["node"] for line in out.splitlines()] == ["n3", "n3"]
    looks.clear()
    code, out, _ = on("n3", "health", "--watch")
    assert [block.splitlines()[2].split()[0] for block in out.split("\n\n") if block] == ["n3", "n3"]


def test_ctrl_c_ends_a_watch_at_once(begin: Begin, nodes: Fleet) -> None:
    process = begin("--ssh-config", str(nodes.ssh_config), "--nodes", "n3", "health", "--watch", "--json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["nodes"][0]["state"] == "ok"
    process.send_signal(signal.SIGINT)
    assert ended(process)[0] == 130


def test_beside_another_application_the_nodes_themselves_are_asked(on: On, nodes: Fleet, tmp_path: Path) -> None:
    central = tmp_path / "central"
    with Agent(Config(nodes=("n1,n3",), ssh_config=nodes.ssh_config, central=central)) as first:
        first.look()
        nodes.machines[0].stop()
        code, out, _ = on("n1,n3", "health", "--json", "--central", str(central))
    said = by_node(out)
    assert code == exits.PARTIAL
    assert (said["n1"]["score"], said["n1"]["state"], said["n1"]["brief"]) == (0, "silent", "unreachable")
    assert (said["n3"]["well"], said["n3"]["state"]) == (True, "ok")
    assert said["n3"]["disks"]


def test_from_python(nodes: Fleet, tmp_path: Path) -> None:
    with Agent(Config(nodes=("n2,n3",), ssh_config=nodes.ssh_config, central=tmp_path / "central")) as agent:
        assert [one.node for one in agent.health()] == ["n2", "n3", CENTRAL]
        (one,) = agent.health("n3")
        assert (one.node, one.state) == ("n3", NodeState.OK)
        assert math.isfinite(one.age)
        assert [shown.node for shown in agent.feed.snapshot().health] == ["n2", "n3", CENTRAL]
        assert agent.get_health("n3")["nodes"][0]["well"] is True
        with pytest.raises(BadInput, match="no node 'n7' is watched: n2, n3"):
            agent.health("n7")
    assert [one.node for one in agent.health("n2")] == ["n2"]


GPU = GpuHealth(0, "GPU-a", "H100", 97.0, 40 * GIB, 80 * GIB, 71.0, 90.0, 650.0, 700.0, ("sw_power_cap",), 0, 0, False)
NODE = judged(
    NodeHealth(
        "gpu1", 3.0, NodeState.OK, latency=0.012, clock_offset=-0.25, load=(1.5, 1.0, 0.5), cpus=8,
        memory_total=64 * GIB, memory_available=16 * GIB,
        disks=(DiskHealth("metrics", "/m", 100 * GIB, 12 * GIB), DiskHealth("home", "/h", 100 * GIB, 50 * GIB)),
        gpus=(GPU, GpuHealth(1, "GPU-b", "H100", lost=True)), gpus_known=True,
        processes=(JobProcess("run", 0, 4711, 101.0, 3 * GIB, "R"), JobProcess("run", None, 4700)),
    )
)  # fmt: skip


def test_a_table_of_all_nodes() -> None:
    away = NodeHealth(
        "n2", state=NodeState.WAITING, brief="unreachable", error="n2: refused", breaker="open", retry=8.0
    )
    trying = NodeHealth("n3", state=NodeState.WAITING, brief="no answer", error="n3: silent", breaker="half-open")
    title, first, second, third = health_lines([NODE, judged(away), judged(trying)])
    assert title.split()[-1] == "REASON"
    assert first.split("  ")[0] == "gpu1"
    for cell in ("45", "12 ms", "-0.2 s", "1.5/8", "75% of 64.0G", "12% free", "1 of 2, 97%, 71 °C"):
        assert f"  {cell} " in first
    assert first.endswith("GPU 1: lost: restart the node (+1 more)")
    assert second.split()[:5] == ["n2", "0", "unreachable,", "retry", "8.0s"]
    assert second.endswith("n2: refused")
    assert "no answer, tried now" in third


def test_what_is_not_known_is_not_counted_as_a_reason() -> None:
    unknown = judged(NodeHealth("n1", age=1.0, state=NodeState.OK, late=(Late("GPUs", 1.0),), unknown=("load",)))
    assert len(unknown.reasons) == 2
    assert list(health_lines([unknown]))[1].endswith("not known: GPUs: no answer yet")
    lost = judged(replace(NODE, disks=(), unknown=("load", "memory")))
    assert list(health_lines([lost]))[1].endswith("GPU 1: lost: restart the node")


def test_one_node_in_full() -> None:
    lines = list(whole_lines(NODE))
    for line in (
        "told        3s ago",
        "disk        metrics: 12.0G of 100.0G free at /m",
        "GPU 0       H100: 97%, 40.0G of 80.0G, 71 °C, 650 W of 700 W, slowed down: sw_power_cap",
        "GPU 1       H100 lost",
        "process     run rank 0: pid 4711, 101% CPU, 3.0G, R",
        "→ metrics disk: 12 % free (12.0G): make room at /m",
    ):
        assert line in lines
    assert "told        never" in list(whole_lines(judged(NodeHealth("n1"))))
    assert not [line for line in whole_lines(judged(NodeHealth("n1"))) if line.startswith("GPU ")]


@pytest.mark.parametrize(
    ("scores", "code"),
    [
        ([("ok", 100), ("ok", 70)], exits.WELL),
        ([("ok", 69), ("ok", 100)], exits.UNWELL),
        ([("ok", 69), ("silent", 0)], exits.UNWELL),
        ([("ok", 70), ("silent", 0)], exits.PARTIAL),
        ([("person", 0), ("silent", 0)], exits.NONE_REACHED),
        ([("connecting", 100)], exits.NONE_REACHED),
    ],
)
def test_exit_codes(scores: list[tuple[str, int]], code: int) -> None:
    healths = [
        NodeHealth(f"n{place}", state=NodeState(state), score=score) for place, (state, score) in enumerate(scores)
    ]
    assert exits.of_health(healths) == code
    central = NodeHealth(CENTRAL, state=NodeState.OK, score=60)
    assert exits.of_health([*healths, central]) == exits.UNWELL
