"""Launches over SSH: three real sshd nodes, real torchrun, and the application that is killed meanwhile."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest

from tests.act.launching import WAITS, living, stub_python
from tests.faults.lab import Lab
from tests.leaks import places_of
from tests.sshd import Machine, make_key
from tests.writing import wait_until
from ugro_tui.act.errors import LaunchError
from ugro_tui.agent import Agent
from ugro_tui.config import Config
from ugro_tui.core.commands import Launch, PlanLaunch, Stop
from ugro_tui.core.errors import BadInput
from ugro_tui.core.launching import LaunchRequest, LaunchView, Stage
from ugro_tui.core.snapshot import Question, Snapshot
from ugro_tui.nodes.base import NeedsPassphrase


@pytest.fixture
def nodes(lab: Lab) -> Iterator[list[Machine]]:
    made = [lab.fleet.add() for _ in range(3)]
    yield made
    for pid in living(lab.fleet.folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def request(lab: Lab, text: str = WAITS, **changes: object) -> LaunchRequest:
    script = lab.folder / "train.py"
    script.write_text(text)
    python = stub_python(lab.folder)
    return LaunchRequest(**{"job_id": "job", "script": str(script), "python": str(python), "nproc": 1, **changes})  # type: ignore[arg-type]


def test_screens_plan_launch_and_stop_on_three_nodes(lab: Lab, nodes: list[Machine]) -> None:
    agent = lab.watch()
    wanted = request(lab)

    def answer(number: int) -> tuple[str, str] | None:
        found = {one.number: (one.problem, one.said) for one in agent.feed.snapshot().answers}
        return found.get(number)

    plan = agent.feed.request(PlanLaunch(wanted)).number
    wait_until(lambda: answer(plan))
    assert answer(plan) == ("", "3 ranks on 3 nodes")
    snapshot = agent.feed.snapshot()
    assert snapshot.launch is not None
    assert snapshot.launch.plan is not None
    assert [node.first_rank for node in snapshot.launch.plan.nodes] == [0, 1, 2]
    launch = agent.feed.request(Launch(wanted)).number
    wait_until(lambda: answer(launch))
    assert answer(launch) == ("", "job job runs: 3 ranks on 3 nodes")
    assert {one.stage for one in shown(agent).nodes} == {Stage.RUNNING}
    ran = agent.feed.snapshot().executed
    for command in ("torch.distributed.run", "helper: survey", "helper: lend", "a python' -c"):
        assert sorted({(one.node, one.code) for one in ran if command in one.command}) == [
            ("n1", 0),
            ("n2", 0),
            ("n3", 0),
        ], command
    watched_and_launched = [one.node for one in ran if one.command.startswith("ssh -F")]
    assert sorted(watched_and_launched) == ["n1", "n1", "n2", "n2", "n3", "n3"]
    assert [one.node for one in ran if one.code is None and one.command.startswith("sh -c")].count("n2") == 1
    for machine in nodes:
        machine.disconnect()  # the laptop is gone; what was started is not
    stop = agent.feed.request(Stop("job", 5.0)).number
    wait_until(lambda: answer(stop))
    assert answer(stop) == ("", "job job was stopped")
    assert shown(agent).stage is Stage.DONE
    assert list(living(lab.fleet.folder)) == []


def shown(agent: Agent) -> LaunchView:
    snapshot: Snapshot = agent.feed.snapshot()
    assert snapshot.launch is not None
    return snapshot.launch


def test_a_node_that_refuses_keeps_all_from_starting_and_says_so(lab: Lab, nodes: list[Machine]) -> None:
    with Agent(lab.config()) as agent:
        nodes[1].stop()
        with pytest.raises(LaunchError, match=r"n2: .*(refused|closed before SSH began)"):
            agent.launch(request(lab))
        nodes[1].start()
        (nodes[2].home / "ugro_data").write_text("in the way")
        with pytest.raises(LaunchError, match="n3: "):
            agent.launch(request(lab))
    assert list(living(lab.fleet.folder)) == []
    assert not [path for machine in nodes for path in machine.home.rglob("job.json")]
    with pytest.raises(BadInput, match="read_only is set"):
        Agent(Config(read_only=True)).launch(request(lab))


def test_an_application_that_is_killed_in_the_middle_is_followed_by_one_that_knows(
    lab: Lab, nodes: list[Machine]
) -> None:
    config = lab.folder / "config.toml"
    names = ",".join(machine.name for machine in nodes)
    config.write_text(f'nodes = "{names}"\nssh_config = "{lab.fleet.ssh_config}"\ncentral = "{lab.central}"\n')
    wanted = request(lab)
    argv = [sys.executable, "-m", "ugro_tui", "--config", str(config), "launch", "--name", "job", "--nproc", "1"]
    argv += ["--python", wanted.python, "--wait", "--", wanted.script]
    first = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    supervisors = [machine.metrics / "job" / "launch" / f"supervisor.{rank}.json" for rank, machine in enumerate(nodes)]
    wait_until(lambda: supervisors[0].exists())
    first.kill()
    first.wait()
    with Agent(lab.config()) as agent:
        with pytest.raises((LaunchError, BadInput), match="exists here already"):
            agent.launch(wanted)
        assert agent.launches.standing("job").status == "running"
        assert agent.stop("job").status == "stopped"
    assert list(living(lab.fleet.folder)) == []


@pytest.mark.torchrun
def test_a_real_torchrun_on_two_nodes_trains_to_its_end(lab: Lab, nodes: list[Machine]) -> None:
    text = (
        "import torch.distributed as dist, torch\nfrom ugro_emitter import MetricsEmitter\n"
        "dist.init_process_group('gloo')\nemitter = MetricsEmitter()\n"
        "for step in range(3):\n    x = torch.ones(1)\n    dist.all_reduce(x)\n"
        "    emitter.emit_step(step, loss=float(x))\n"
        "emitter.close()\ndist.destroy_process_group()\n"
    )
    wanted = request(lab, text, nodes=("n1", "n2"), python=sys.executable)
    with Agent(lab.config(), keep=True, notify=True) as agent:
        agent.launch(wanted)
    told = [machine.metrics / "job" / "job.json" for machine in nodes[:2]]
    assert [json.loads(path.read_text())["status"] for path in told] == ["running", "running"]
    with Agent(lab.config(), keep=True, notify=True) as agent:  # a later one writes down how the job ended
        wait_until(lambda: all(json.loads(path.read_text())["status"] == "finished" for path in told))
        wait_until(lambda: (found := agent.feed.snapshot().job("job")) is not None and found.summary.final_loss == 2.0)
    assert [json.loads(path.read_text())["exit_code"] for path in told] == [0, 0]
    assert list(living(lab.fleet.folder)) == []


def test_a_passphrase_is_asked_for_once(lab: Lab) -> None:
    machine = lab.fleet.add(ssh=[f"IdentityFile {lab.folder / 'locked'}"])
    key = make_key(lab.folder / "locked", passphrase="open sesame")
    machine.authorized_keys.write_bytes(key.with_name("locked.pub").read_bytes())
    asked: list[str] = []

    def ask(question: Question) -> str:
        asked.append(question.text)
        return "open sesame"

    with pytest.raises(NeedsPassphrase), closing(Agent(lab.config())) as agent:
        agent.launches.plan(request(lab))
    with closing(Agent(lab.config(), ask=ask)) as agent:
        assert agent.launches.plan(request(lab)).world_size == 1
    assert asked == [f"Passphrase of the key {key}"]


def test_a_secret_that_is_typed_reaches_the_ranks_over_ssh_and_nothing_else(lab: Lab, nodes: list[Machine]) -> None:
    secret, asked = f"typed-{os.urandom(8).hex()}", list[str]()
    told = "print('told', hashlib.sha256(os.environ['KEY'].encode()).hexdigest(), flush=True)"

    def ask(question: Question) -> str:
        asked.append(f"{question.text}, {question.secret}")
        return secret

    with closing(Agent(lab.config(), ask=ask)) as agent:
        plan = agent.launch(
            request(lab, f"import hashlib, os\n{told}\n{WAITS}", nodes=("n1", "n2"), secrets={"KEY": ""})
        )
        logs = [machine.metrics / "job" / "logs" / f"rank_{rank}.log" for rank, machine in enumerate(nodes[:2])]
        wait_until(lambda: all("told" in log.read_text() for log in logs))
        assert all(hashlib.sha256(secret.encode()).hexdigest() in log.read_text() for log in logs)
        assert places_of(secret, lab.folder) == []
        assert secret not in repr((plan, agent.feed.snapshot(), agent.launches.__dict__))
        agent.stop("job")
    assert asked == ["Secret KEY of job job, True"]
