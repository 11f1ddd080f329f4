"""What keeps a launch from coming about, on real sshd nodes: told by the node's name at once, and nothing runs."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.act.launching import WAITS, living, stub_python
from tests.faults.lab import Lab
from tests.sshd import Machine
from tests.writing import clean_environment, wait_until
from ugro_tui.act.errors import LaunchError, StopError
from ugro_tui.act.planning import port_of
from ugro_tui.agent import Agent
from ugro_tui.core.errors import UgroError
from ugro_tui.core.launching import LaunchRequest, LaunchView, Stage

REPOSITORY = Path(__file__).resolve().parents[2]
NO_ANSWER_SECONDS = 10.0
SMI = '#!/bin/sh\ncase "$*" in *index,memory*) echo "0, 70000, 80000"; echo "1, 100, 80000";; esac\n'
"""An `nvidia-smi` whose first GPU is in use."""


def with_path(lab: Lab, name: str, **programs: str) -> dict[str, str]:
    """The environment of a node whose PATH begins with these programs."""
    folder = lab.folder / f"bin of {name}"
    folder.mkdir()
    for program, text in programs.items():
        path = folder / program.replace("_", "-")
        path.write_text(text)
        path.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


@pytest.fixture
def nodes(lab: Lab) -> Iterator[list[Machine]]:
    """n1 with a GPU in use, n2 without torch, n3; all with a torchrun of a few lines."""
    stub = f'#!/bin/sh\nexec "{stub_python(lab.folder)}" "$@"\n'
    bare = f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n'
    lab.fleet.add(env=with_path(lab, "n1", python3=stub, nvidia_smi=SMI))
    lab.fleet.add(env=with_path(lab, "n2", python3=bare))
    lab.fleet.add(env=with_path(lab, "n3", python3=stub))
    yield lab.fleet.machines
    for pid in living(lab.fleet.folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def request(lab: Lab, *nodes: str, **changes: object) -> LaunchRequest:
    script = lab.folder / "train.py"
    script.write_text(WAITS)
    return LaunchRequest(**{"job_id": "job", "script": str(script), "nodes": nodes, "nproc": 1, **changes})  # type: ignore[arg-type]


def untouched(lab: Lab) -> bool:
    """Nothing runs on any node, and nothing of a job lies there."""
    left = [path for machine in lab.fleet.machines for path in machine.home.glob("ugro_data/jobs/*")]
    return (left, list(living(lab.fleet.folder))) == ([], [])


def test_one_node_that_cannot_is_named_and_a_gpu_in_use_is_warned_of(lab: Lab, nodes: list[Machine]) -> None:
    for machine in nodes[:2]:
        (machine.home / "mine.py").write_text(WAITS)
    with Agent(lab.config()) as agent:
        with pytest.raises(LaunchError, match=r"\An2: torch is not installed for .*python3: run `.*pip install torch`"):
            agent.launch(request(lab))
        with pytest.raises(LaunchError, match=r"\An3: there is no training script .*/n3/home/mine.py: .*--sync-code"):
            agent.launch(request(lab, "n1", "n3", script="mine.py"))
        assert untouched(lab)
        views: list[LaunchView] = []
        agent.launches.hear(views.append)
        plan = agent.launch(request(lab, "n1", nproc=None))
        assert (plan.world_size, views[-1].warnings) == (2, ("n1: GPU 0 is in use: others train there",))
        agent.stop("job")
    assert list(living(lab.fleet.folder)) == []


@pytest.fixture
def small_disk(nodes: list[Machine]) -> Iterator[Path]:
    """A disk of 66 MiB below n3's metrics directory."""
    place = nodes[2].metrics
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=66m", "none", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no filesystem can be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def fill(place: Path, left: int) -> None:
    free = shutil.disk_usage(place).free
    with (place / "others").open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, free - left)


def test_a_full_disk_is_told_before_and_when_it_fills_meanwhile(lab: Lab, small_disk: Path) -> None:
    def fill_late(view: LaunchView) -> None:
        if view.stage is Stage.STARTING and not (small_disk / "others").exists():
            fill(small_disk, 0)

    with Agent(lab.config()) as agent:
        fill(small_disk, 1 << 20)
        with pytest.raises(LaunchError, match=r"\An3: the disk of .*/n3/.* is full \(1 MiB free\): make room"):
            agent.launch(request(lab, "n1", "n3"))
        (small_disk / "others").unlink()
        agent.launches.hear(fill_late)
        with pytest.raises(LaunchError, match=r"\An3: .*No space left on device\Z"):
            agent.launch(request(lab, "n1", "n3"))
        (small_disk / "others").unlink()
    assert untouched(lab)


@pytest.mark.parametrize(
    ("when", "said", "real"),
    [
        (Stage.PREFLIGHT, r"\An1: the port for the ranks to meet was taken meanwhile: launch again", False),
        pytest.param(
            Stage.STARTING,
            r"\An\d: torchrun ended at once \(exit code 1\): .*(already in use|EADDRINUSE)",
            True,
            marks=[pytest.mark.acceptance, pytest.mark.torchrun],
        ),
    ],
)
@pytest.mark.usefixtures("nodes")
def test_a_port_that_somebody_takes_meanwhile_is_told(lab: Lab, when: Stage, said: str, *, real: bool) -> None:
    with socket.socket() as taken, Agent(lab.config()) as agent:

        def take(view: LaunchView) -> None:
            if view.stage is when and view.plan is not None and taken.getsockname()[1] == 0:
                taken.bind(("", port_of(view.plan)))
                taken.listen(1)

        agent.launches.hear(take)
        with pytest.raises(LaunchError, match=said):
            agent.launch(request(lab, "n1", "n3", python=sys.executable if real else ""))
    assert list(living(lab.fleet.folder)) == []


@pytest.mark.acceptance
def test_a_node_that_freezes_is_told_of_within_seconds_and_what_runs_elsewhere_is_stopped(
    lab: Lab, nodes: list[Machine]
) -> None:
    with Agent(lab.config()) as agent:
        agent.launches.plan(request(lab, "n1", "n3"))
        nodes[2].freeze()
        began = time.monotonic()
        with pytest.raises(LaunchError, match=r"\An3: (no sign of life for 10 s|no session was opened)"):
            agent.launch(request(lab, "n1", "n3"))
        assert time.monotonic() - began < NO_ANSWER_SECONDS + 5
        nodes[2].thaw()
        agent.launch(request(lab, "n1", "n3"))
        nodes[2].freeze()
        with pytest.raises(StopError, match=r"\An3: .*\nit may go on there: stop the job again"):
            agent.stop("job")
        assert all(f"{nodes[2].home}/" in environment(pid) for pid in living(lab.fleet.folder))
        nodes[2].thaw()
        assert agent.stop("job").status == "stopped"
    assert list(living(lab.fleet.folder)) == []


def environment(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_text()


def launching(lab: Lab, name: str = "job") -> subprocess.Popen[str]:
    """A launch on all nodes from the command line."""
    config = lab.folder / "config.toml"
    names = ",".join(machine.name for machine in lab.fleet.machines)
    config.write_text(f'nodes = "{names}"\nssh_config = "{lab.fleet.ssh_config}"\ncentral = "{lab.central}"\n')
    argv = [sys.executable, "-m", "ugro_tui", "--config", str(config), "launch", "--name", name, "--nproc", "1"]
    argv += ["--python", str(lab.folder / "a python"), "--", str(lab.folder / "train.py")]
    env = clean_environment(lab.folder, PYTHONPATH=str(REPOSITORY))
    null = subprocess.DEVNULL
    return subprocess.Popen(argv, stdin=null, stdout=null, stderr=subprocess.PIPE, text=True, env=env)


def supervisors(nodes: list[Machine], name: str = "job") -> list[Path]:
    return [machine.metrics / name / "launch" / f"supervisor.{rank}.json" for rank, machine in enumerate(nodes)]


def test_a_launch_that_is_interrupted_takes_back_what_it_began(lab: Lab, nodes: list[Machine]) -> None:
    request(lab)
    stub_python(lab.folder, "import signal\nsignal.pause()\n")
    process = launching(lab)
    try:
        wait_until(lambda: all(path.exists() for path in supervisors(nodes)))
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert any("interrupted: what was begun is ended everywhere" in line for line in process.stderr)
        process.send_signal(signal.SIGTERM)  # impatience changes nothing
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert list(living(lab.fleet.folder)) == []


def landed(nodes: list[Machine], name: str) -> int:
    """How far a launch has come: directories and agents."""
    return sum(path.exists() for path in (*supervisors(nodes, name), *(one.metrics / name for one in nodes)))


@pytest.mark.parametrize("kills", [pytest.param(30, marks=[pytest.mark.acceptance, pytest.mark.timeout(1800)])])
def test_a_launcher_that_is_killed_at_any_moment_launches_once_and_its_job_is_known(
    lab: Lab, nodes: list[Machine], kills: int
) -> None:
    request(lab)
    rand, known = random.Random(kills), 0
    for kill in range(kills):
        name = f"job{kill}"
        process, much = launching(lab, name), rand.randrange(7)
        wait_until(lambda: landed(nodes, name) >= much)  # noqa: B023 - it is over when the name changes
        threading.Event().wait(rand.uniform(0, 0.2))
        process.kill()
        process.communicate()
        with Agent(lab.config()) as agent:
            refused = refusal(agent, request(lab, job_id=name, python=str(lab.folder / "a python")))
            assert not refused or "exists here already" in refused
            known += bool(refused)
            agents = [path for path in supervisors(nodes, name) if path.exists()]
            assert len(list(living(lab.fleet.folder))) <= 4 * len(agents)
            agent.stop(name)
        assert list(living(lab.fleet.folder)) == []
        assert not [path for machine in nodes for path in machine.home.rglob("*.tmp")]
    assert 0 < known < kills, "the moments were all alike"


def refusal(agent: Agent, wanted: LaunchRequest) -> str:
    """Why it is not launched; empty: it was."""
    try:
        agent.launch(wanted)
    except UgroError as error:
        return str(error)
    return ""
