"""Launches for real, with a torchrun of a few lines: started all or nothing, found again, ended with all they left."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.act.launching import BEATS, STUB, TELLS, WAITS, Yard, stub_python
from tests.writing import wait_until
from ugro_tui.act.errors import LaunchError
from ugro_tui.act.planning import port_of
from ugro_tui.act.torchrun import Torchrun
from ugro_tui.clock import SystemClock
from ugro_tui.core.errors import BadInput
from ugro_tui.core.launching import Stage
from ugro_tui.nodes.helper_processes import of_launch

TOLD = (
    "Failures:\n  <NO_OTHER_FAILURES>\n---\nRoot Cause (first observed failure):\n[0]:\n  time      : now\n"
    "  host      : n2\n  rank      : %d (local_rank: 0)\n  exitcode  : %d (pid: 5)\n"
)
"""What torchrun says at the end of a rank that failed first."""


@pytest.fixture
def yard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Yard]:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    made = Yard(tmp_path, "n1", "n2")
    yield made
    made.clear()


def test_a_job_is_started_once_found_again_and_ended_without_a_trace(yard: Yard) -> None:
    plan = yard.torchrun.plan(yard.request(WAITS, nproc=2), "a" * 32)
    assert (plan.world_size, plan.attempt, [node.first_rank for node in plan.nodes]) == (4, 1, [0, 2])
    assert yard.torchrun.preflight(plan, yard.told.append) == ()
    assert not yard.jobs("n1").exists()  # looking changes nothing
    yard.torchrun.start(plan, yard.told.append)
    assert sorted(one.node for one in yard.told if one.stage is Stage.RUNNING) == ["n1", "n2"]
    running = sorted(yard.living())
    yard.torchrun.start(plan, yard.told.append)  # as one that was killed before it heard would
    assert sorted(yard.living()) == running
    standing = yard.torchrun.look("job")
    assert (standing.status, standing.request) == ("running", plan.request)
    assert standing.placed == ("n1", "n2")
    assert Torchrun({"n1": yard.torchrun._sites["n1"]}, SystemClock()).look("job").placed == (), "n2 is not known there"
    with pytest.raises(LaunchError, match=r"n1: job job exists here already: .*\nn2: job job exists"):
        yard.go(yard.request(), "b" * 32)
    with pytest.raises(LaunchError, match="still runs here"):
        yard.go(yard.request(resume=True), "b" * 32)
    assert sorted(yard.living()) == running
    stopped = yard.torchrun.stop("job", 5.0, yard.told.append)
    assert (stopped.status, yard.living()) == ("stopped", [])
    assert [yard.document(name)["status"] for name in ("n1", "n2")] == ["stopped", "stopped"]
    left = {path.name for path in yard.folder.rglob("*") if "tmp" in path.name or path.name.startswith(".job")}
    assert left == set()
    yard.go(yard.request("", resume=True), "c" * 32)
    wait_until(lambda: yard.torchrun.look("job").over)
    standing = yard.torchrun.look("job")
    assert (standing.status, standing.attempt, standing.exit_code) == ("finished", 2, 0)
    yard.torchrun.finalize("job", standing)
    assert [(yard.document(name)["status"], yard.document(name)["attempt"]) for name in ("n1", "n2")] == [
        ("finished", 2),
        ("finished", 2),
    ]
    assert "== attempt 2" in yard.log("n2", 1)


def test_where_one_node_cannot_start_nothing_is_left_on_any(yard: Yard) -> None:
    plan = yard.torchrun.plan(yard.request(), "a" * 32)
    yard.torchrun.preflight(plan, yard.told.append)
    yard.jobs("n2").parent.mkdir(exist_ok=True)
    yard.jobs("n2").write_text("no folder")  # since it was looked at
    with pytest.raises(LaunchError, match="n2: "):
        yard.torchrun.start(plan, yard.told.append)
    assert yard.living() == []
    assert not (yard.jobs("n1") / "job").exists()
    assert {one.node for one in yard.told if one.stage is Stage.FAILED} == {"n2"}


def test_a_torchrun_that_fails_at_once_is_told_by_its_own_words(yard: Yard) -> None:
    stub_python(yard.folder, "import sys\nsys.exit('RuntimeError: no rendezvous')\n")
    with pytest.raises(LaunchError, match=r"torchrun ended at once \(exit code 1\): RuntimeError: no rendezvous"):
        yard.go(yard.request())
    assert yard.living() == []
    stub_python(yard.folder)
    with pytest.raises(LaunchError, match=r"n\d: its ranks ended at once .*: ValueError: no data"):
        yard.go(yard.request("raise ValueError('no data')\n"), "b" * 32)  # nothing was measured: the name is free
    assert (yard.document("n1")["status"], yard.document("n1")["attempt"]) == ("failed", 2)
    assert "its ranks ended at once (exit code 1): ValueError: no data" in yard.document("n2")["said"]
    assert yard.torchrun.look("job").said == yard.document("n1")["said"]
    printed = [log.read_text() for log in yard.folder.glob("n*/jobs/job/logs/rank_*.log")]
    assert any("Traceback" in text for text in printed)  # the other rank may have been ended before it printed a word


def test_what_cannot_work_is_refused_before_anything_is_written(yard: Yard) -> None:
    request = yard.request()
    (yard.folder / "empty").mkdir()
    bare = yard.folder / "bare python"
    bare.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    bare.chmod(0o755)
    for wrong, said in (
        ({"python": "/no/python"}, r"n2: /no/python does not run: .*--python"),
        ({"python": str(bare)}, r"n1: torch is not installed for .*bare python: run `.*pip install torch`"),
        ({"script": "nowhere.py"}, r"n1: there is no training script .*nowhere.py: .*--sync-code"),
        ({"workdir": "/no/where"}, r"n1: there is no folder /no/where"),
    ):
        with pytest.raises(LaunchError, match=said):
            yard.go(yard.request(**{"script": request.script, **wrong}))
    plan = yard.torchrun.plan(request, "a" * 32)
    with socket.socket() as taken:
        taken.bind(("", port_of(plan)))
        taken.listen(1)
        with pytest.raises(LaunchError, match="n1: the port for the ranks to meet was taken"):
            yard.torchrun.preflight(plan, yard.told.append)
    assert not yard.jobs("n1").exists()


def test_ranks_without_their_agent_are_found_and_ended_and_innocent_ones_spared(yard: Yard) -> None:
    stubborn = BEATS + "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True:\n    signal.pause()\n"
    yard.go(yard.request(stubborn, nproc=2), "a" * 32)
    env = {**os.environ, "UGRO_JOB_ID": "job", "UGRO_LAUNCH_TOKEN": "b" * 32}
    innocent = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], env=env)
    try:
        place = yard.jobs("n1") / "job" / "launch" / "supervisor.0.json"
        agent = json.loads(place.read_text())["agent"]
        os.kill(agent, signal.SIGKILL)
        wait_until(lambda: agent not in of_launch("job", "a" * 32, ()))
        assert len(of_launch("job", "a" * 32, ())) == 5  # its ranks, and the other agent with two
        yard.torchrun.stop("job", 0.2, yard.told.append)
        assert of_launch("job", "a" * 32, ()) == {}
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()
    assert yard.document("n1")["status"] == "stopped"
    assert json.loads((yard.jobs("n1") / "job" / "launch" / "exit.0.json").read_text())["signal"] == signal.SIGKILL


def test_a_job_of_others_is_ended_by_its_heartbeats_if_they_are_of_these_very_processes(yard: Yard) -> None:
    folder = yard.jobs("n1") / "job"
    folder.mkdir(parents=True)
    ranks = [subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) for _ in range(2)]
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        for rank, process in enumerate(ranks):
            start = int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19])
            beat = {"pid": process.pid, "pid_start": start - rank, "boot_id": boot}  # of the second: it began later
            (folder / f"heartbeat.rank-{rank}.json").write_text(json.dumps(beat))
        assert yard.torchrun.look("job").status == "running"
        assert yard.torchrun.look("job").request is None
        yard.torchrun.stop("job", 1.0, yard.told.append)
        assert ranks[0].wait(5) == -signal.SIGTERM
        assert ranks[1].poll() is None
    finally:
        for process in ranks:
            process.kill()
            process.wait()


def test_a_job_that_failed_says_how_and_why(yard: Yard) -> None:
    stub_python(yard.folder, STUB.replace("sys.exit(1 if", f"print({TOLD!r} % (node, codes[0]))\nsys.exit(1 if"))
    flag = yard.folder / "now"
    waits = (
        BEATS + f"import sys\nwhile not os.path.exists({str(flag)!r}):\n    pass\nprint('KeyError: 7')\n"
        "sys.exit(int(os.environ['RANK']))\n"
    )
    yard.go(yard.request(waits))
    flag.touch()
    wait_until(lambda: yard.torchrun.look("job").over)
    standing = yard.torchrun.look("job")
    assert (standing.status, standing.exit_code, standing.signal) == ("failed", 1, None)
    yard.torchrun.finalize("job", standing)
    assert (yard.document("n1")["status"], yard.document("n1")["exit_code"]) == ("failed", 1)
    assert yard.document("n1")["said"] == standing.said == "failed: rank 1 ended with exit code 1: KeyError: 7"
    with pytest.raises(BadInput, match="there is no job other on n1, n2"):
        yard.torchrun.look("other")


def test_code_secrets_and_the_emitter_come_along(yard: Yard, tmp_path: Path) -> None:
    code, secret = tmp_path / "my code", tmp_path / "key"
    (code / "sub dir" / "__pycache__").mkdir(parents=True)
    (code / "sub dir" / "__pycache__" / "x.pyc").touch()
    (code / "sub dir" / "train.py").write_text("import near, ugro_emitter\n" + TELLS)
    (code / "sub dir" / "near.py").touch()
    secret.write_text("s3cret\n")
    request = yard.request(script="train.py", workdir="sub dir", sync_code=str(code), secrets={"KEY": str(secret)})
    yard.go(request)
    wait_until(lambda: yard.torchrun.look("job").over)
    arguments, env, place = told(yard)
    assert (arguments, env["KEY"]) == ([], "s3cret")
    assert place == str(yard.jobs("n1") / "job" / "code" / "1" / "sub dir")
    assert not list((yard.jobs("n1") / "job").rglob("*.pyc"))
    assert not any("s3cret" in path.read_text() for path in (yard.jobs("n2") / "job").glob("*.json"))


def told(yard: Yard) -> tuple[list[str], dict[str, str], str]:
    """What rank 0 was given."""
    line = next(line for line in reversed(yard.log("n1", 0).splitlines()) if line.startswith("told "))
    arguments, env, place = json.loads(line.removeprefix("told "))
    return arguments, env, place


NASTY = st.text(st.sampled_from(list("ab é'\"\\;$()`&|<>*?~#!=-\n\t%{}")), max_size=12)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(args=st.lists(NASTY, max_size=6), value=NASTY, name=st.from_regex(r"[a-z][a-z '$;()-]{0,10}", fullmatch=True))
def test_arguments_variables_and_paths_arrive_as_they_were_given(
    yard: Yard, args: list[str], value: str, name: str
) -> None:
    place = yard.folder / f"-{name}"
    place.mkdir(exist_ok=True)
    job = f"job{len(list(yard.jobs('n1').glob('*')))}"
    request = yard.request(TELLS, *args, job_id=job, environment={"VALUE": value}, workdir=str(place), nodes=("n1",))
    yard.go(request)
    wait_until(lambda: yard.torchrun.look(job).over)
    log = (yard.jobs("n1") / job / "logs" / "rank_0.log").read_text()
    got: Any = json.loads(next(line for line in log.splitlines() if line.startswith("told ")).removeprefix("told "))
    assert (got[0], got[1]["VALUE"], got[2]) == (list(args), value, str(place))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"job_id": "../x"}, "not a job id"),
        ({"nproc": 0}, "at least 1"),
        ({"rendezvous": "etcd"}, "choose static or c10d"),
        ({"max_restarts": 1}, "add --rdzv c10d"),
        ({"args": ("a\0b",)}, "zero byte"),
        ({"args": ("--job-id", "other")}, "other is another job than job"),
        ({"environment": {"A=B": "x"}}, "cannot name an environment variable"),
        ({"nodes": ("n3",)}, "there are n1, n2"),
        ({"resume": True}, "there is no job job"),
    ],
)
def test_what_nobody_could_start_is_refused_by_name(yard: Yard, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        yard.torchrun.plan(yard.request(**wrong), "a" * 32)


def test_a_script_that_would_write_elsewhere_is_refused_by_the_plan_and_before_the_start(yard: Yard) -> None:
    plan = yard.torchrun.plan(yard.request(WAITS, "--metrics-dir=/elsewhere", nodes=("n1",)), "a" * 32)
    said = f"n1: --metrics-dir /elsewhere is not {yard.jobs('n1')}"
    assert [problem.startswith(said) for problem in plan.problems] == [True]
    with pytest.raises(LaunchError, match=said):
        yard.torchrun.preflight(plan, yard.told.append)


SYSTEMD_RUN = """#!/bin/sh
echo "$@" >> "$(dirname "$0")/asked"
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""
"""A double: it makes no scope, but takes the command line and becomes the program, as the real one does."""


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A double of systemd-run on the PATH, and of the sockets by which the user's systemd is known."""
    folder = tmp_path / "bin"
    (tmp_path / "runtime" / "systemd" / "private").mkdir(parents=True)
    folder.mkdir()
    (folder / "systemd-run").write_text(SYSTEMD_RUN)
    (folder / "systemd-run").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    return folder


def test_in_a_scope_a_job_is_supervised_found_and_ended_like_any_other(yard: Yard, systemd: Path) -> None:
    request = yard.request(WAITS, scope="user", nodes=("n1",))
    plan = yard.torchrun.plan(request, "a" * 32)
    assert plan.nodes[0].scope
    (warning,) = yard.torchrun.preflight(plan, yard.told.append)
    assert warning.startswith("n1: systemd ends what it keeps for the user with its last login")
    yard.torchrun.start(plan, yard.told.append)
    asked = (systemd / "asked").read_text().splitlines()
    assert len(asked) == 1
    assert asked[0].startswith("--user --scope --quiet --description=ugro-tui: job job -- /")
    assert yard.torchrun.look("job").status == "running"
    assert yard.torchrun.stop("job", 5.0, yard.told.append).status == "stopped"
    assert yard.living() == []
    assert json.loads((yard.jobs("n1") / "job" / "launch" / "exit.0.json").read_text())["code"] == 1


def test_a_scope_that_cannot_be_made_is_refused_before_and_told_after(yard: Yard, systemd: Path) -> None:
    request = yard.request(WAITS, scope="user", nodes=("n1",))
    assert not yard.torchrun.plan(yard.request(WAITS, nodes=("n1",)), "a" * 32).nodes[0].scope  # it would not last
    (systemd / "systemd-run").write_text("#!/bin/sh\necho Failed to connect to bus: No medium found >&2\nexit 1\n")
    with pytest.raises(LaunchError, match="n1: it could not be started: Failed to connect to bus: No medium found"):
        yard.go(request)
    assert not (yard.jobs("n1") / "job").exists()
    (systemd.parent / "runtime" / "systemd" / "private").rmdir()
    with pytest.raises(LaunchError, match=r"n1: no systemd of the user runs \(.*runtime/systemd\), so no scope"):
        yard.go(request)
    assert yard.living() == []
