"""The script for sbatch: what is asked for arrives in a shell as it was given, or is refused by name."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ugro_tui.core.errors import BadInput
from ugro_tui.core.launching import Backend, LaunchRequest, SlurmOptions
from ugro_tui.core.sbatch import Place, Run, agent_command, script_of

TOKEN = "0123456789abcdef" * 2
RUN = Run(attempt=2, token=TOKEN, nproc=4)

WICKED = [
    "-x", "--", "", "a b", "'", '"', "\\", "\\'", "$(touch x)", "`id`", ";reboot", "&", "\n", "\n#SBATCH --nodes=9\n",
    "~", "*", "%j", "ä→", "!", "#",
]  # fmt: skip
HOSTILE = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(WICKED)

# Stands for srun, scontrol and Python alike: says what it was called with, and as srun becomes what it is to start.
DOUBLE = """#!/bin/sh
case $0 in
*/srun) while [ "$1" != sh ]; do shift; done; SLURM_NODEID=1 exec "$@";;
*/scontrol) case $2 in
  hostnames) printf 'first\\nsecond\\n';;
  node) printf 'NodeName=%s Arch=x86_64\\n   NodeAddr=%s NodeHostName=h Version=22.05\\n' "$3" "$ADDRESS";;
  esac;;
*) printf '%s\\0' "$PWD" "$MINE" "$UGRO_JOB_ID" "$UGRO_ATTEMPT" "$UGRO_LAUNCH_TOKEN" "$#" "$@";;
esac
"""


def place(root: str = "/jobs", **changes: str) -> Place:
    return replace(Place(root, "/", "python3", "/code/train.py", f"{root}/job/launch"), **changes)


TWO_NODES = SlurmOptions(nodes=2)


def request(*args: str, slurm: SlurmOptions = TWO_NODES, **changes: Any) -> LaunchRequest:
    return replace(LaunchRequest("job", "train.py", args, Backend.SLURM, slurm=slurm), **changes)


def options(script: str) -> dict[str, str]:
    """What the lines of a script tell sbatch, read as its source does: quotes of both kinds, backslashes, no `#`."""
    lines = [line.removeprefix("#SBATCH ") for line in script.split("\n\n")[0].splitlines()[1:]]
    words = [shlex.split(line, comments=True) for line in lines]
    assert all(len(word) == 1 for word in words)
    found = (word[0].partition("=") for word in words)
    return {name: value for name, _, value in found}


def test_the_script_is_what_a_person_would_write() -> None:
    slurm = SlurmOptions(
        "login", 2, "gpu", "physics", "2-0", 8, ("--exclusive", "--constraint=a100&nvlink", "--comm=x # y")
    )
    hidden = {"HF_TOKEN": "/home/you/token", "OTHER": ""}
    script = script_of(request("--steps", "5000", slurm=slurm, secrets=hidden), place(), RUN)
    assert options(script) == {
        "--job-name": "job",
        "--comment": f"ugro:{TOKEN}",
        "--nodes": "2",
        "--ntasks-per-node": "1",
        "--gpus-per-node": "8",
        "--partition": "gpu",
        "--account": "physics",
        "--time": "2-0",
        "--output": "/jobs/job/logs/slurm-%j.out",
        "--open-mode": "append",
        "--chdir": "/jobs",
        "--export": "HOME,LANG,LC_ALL,LD_LIBRARY_PATH,LOGNAME,MODULEPATH,MODULESHOME,PATH,SHELL,USER",
        "--no-requeue": "",
        "--exclusive": "",
        "--constraint": "a100&nvlink",
        "--comm": "x # y",
    }
    assert '--nnodes "$SLURM_NNODES" --nproc-per-node 4' in script
    assert "\nexport UGRO_SECRETS=/jobs/job/launch/secrets.json\n" in script
    assert "HF_TOKEN" not in script
    assert "UGRO_SECRETS" not in script_of(request(), place(), RUN)
    assert "/jobs/job/launch/entry.py /code/train.py --steps 5000" in script
    assert agent_command(request("a b"), place(), RUN) == (
        "python3", "-m", "torch.distributed.run", "--node-rank", "$SLURM_NODEID", "--nnodes", "$SLURM_NNODES",
        "--nproc-per-node", "4", "--max-restarts", "0", "--log-dir", "/dev/null", "--master-addr", "$master",
        "--master-port", "$port", "/jobs/job/launch/entry.py", "/code/train.py", "a b",
    )  # fmt: skip


def test_c10d_and_an_address_are_as_asked_for() -> None:
    script = script_of(request(rendezvous="c10d", max_restarts=3, master_addr="10.0.0.1"), place(), RUN)
    assert "--max-restarts 3" in script
    assert '--rdzv-backend c10d --rdzv-endpoint "$master:$port" --rdzv-id job' in script
    assert "\nmaster=10.0.0.1\n" in script
    assert "is_host=$((SLURM_NODEID == 0))" in script
    assert "--master-addr" not in script


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with srun, scontrol and python3."""
    folder = tmp_path_factory.mktemp("tools")
    for name in ("srun", "scontrol", "python3"):
        (folder / name).write_text(DOUBLE)
        (folder / name).chmod(0o755)
    return folder


@example(args=WICKED, script="-x 'y'", value="'\"$(touch x)\n")
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(args=st.lists(HOSTILE, max_size=25), script=HOSTILE, value=HOSTILE)
def test_a_shell_gets_every_word_as_it_was_given(tools: Path, args: list[str], script: str, value: str) -> None:
    try:
        text = script_of(request(*args, environment={"MINE": value}), place(script="/" + script), RUN)
    except BadInput:
        assert any("\0" in word or "\r\n" in word for word in (*args, script, value))
        return
    env = {"PATH": f"{tools}:{os.environ['PATH']}", "SLURM_JOB_ID": "12345", "SLURM_NNODES": "2"}
    done = subprocess.run(["sh"], input=text.encode(), env=env, stdout=subprocess.PIPE, check=True)
    told = done.stdout.decode().split("\0")[:-1]
    heads = ["/", value, "job", "2", TOKEN]
    clerk = ["/jobs/job/launch/clerk.py", "/jobs/job"]
    agent = [
        "-m", "torch.distributed.run", "--node-rank", "1", "--nnodes", "2", "--nproc-per-node", "4",
        "--max-restarts", "0", "--log-dir", "/dev/null", "--master-addr", "first", "--master-port", "22345",
        "/jobs/job/launch/entry.py", "/" + script, *args,
    ]  # fmt: skip
    calls = ([*clerk, "running"], agent, [*clerk, "ended", "0", "no"])
    assert told == [word for call in calls for word in (*heads, str(len(call)), *call)]


@pytest.mark.parametrize(("address", "master"), [("10.0.0.7", "10.0.0.7"), ("(null)", "first"), ("", "first")])
def test_ranks_meet_where_slurm_reaches_the_first_node(tools: Path, address: str, master: str) -> None:
    text = script_of(request(), place(script="/train.py"), RUN)
    env = {"PATH": f"{tools}:{os.environ['PATH']}", "SLURM_JOB_ID": "1", "ADDRESS": address, "SLURM_RESTART_COUNT": "3"}
    told = subprocess.run(["sh"], input=text.encode(), env=env, stdout=subprocess.PIPE, check=True).stdout.split(b"\0")
    assert told[told.index(b"--master-addr") + 1].decode() == master
    assert told[3] == b"5"  # the attempt: the second, and three more


@given(HOSTILE)
def test_sbatch_gets_every_option_as_it_was_given(value: str) -> None:
    slurm = SlurmOptions(partition="p" + value, extra=(f"--constraint={value}",))
    try:
        found = options(script_of(request(slurm=slurm), place(), RUN))
    except BadInput:
        assert not value.isprintable()
        return
    assert (found["--partition"], found["--constraint"]) == ("p" + value, value)


@given(HOSTILE)
def test_logs_lie_in_the_job_s_folder_whatever_its_name(name: str) -> None:
    root = "/" + name
    try:
        found = options(script_of(request(), place(root), RUN))
    except BadInput:
        assert not root.isprintable() or "\\" in root
        return
    # Slurm puts a percent sign where two stand, and the number where %j stands.
    told = re.sub("%%|%j", lambda found: {"%%": "%", "%j": "7"}[found.group()], found["--output"])
    assert told == f"{root}/job/logs/slurm-7.out"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"job_id": "-x"}, "not a job id"),
        ({"args": ("a\0b",)}, "zero byte"),
        ({"args": ("a\r\nb",)}, "line end of Windows"),
        ({"args": ("\ud800",)}, "cannot be given to a program"),
        ({"environment": {"a b": "1"}}, "'a b' cannot name an environment variable"),
        ({"secrets": {"a b": "/key"}}, "'a b' cannot name an environment variable"),
        ({"nproc": 0}, "number of ranks a node of job job cannot be 0"),
        ({"slurm": SlurmOptions(nodes=0)}, "number of nodes of job job cannot be 0"),
        ({"slurm": SlurmOptions(extra=("-n 3",))}, "'-n 3' is not an option of sbatch as it is needed here"),
        ({"slurm": SlurmOptions(extra=("--array=1-9",))}, "--array of sbatch is set by the launch itself"),
        ({"slurm": SlurmOptions(time="1\n2")}, "the option --time of sbatch cannot be '1␊2'"),
    ],
)
def test_what_cannot_be_carried_is_refused_by_name(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInput, match=re.escape(why)):
        script_of(request(**changes), place(), RUN)


def test_paths_are_whole() -> None:
    with pytest.raises(BadInput, match="'code' is not a whole path of the cluster"):
        script_of(request(), place(workdir="code"), RUN)
