"""What is written into job.json of a job of Slurm, and what its batch script says there of itself. Python >= 3.6.

Lies as `clerk.py` in the job's own directory, on the filesystem that all nodes share, where the script runs it:
`clerk.py FOLDER running`, `clerk.py FOLDER ended CODE TOLD`. It is also part of the program that answers launchers.
"""

import contextlib
import fcntl
import json
import os
import re
import select
import socket
import subprocess
import sys
import time
from typing import Any, Dict, Iterator

OVER = ("finished", "failed", "stopped")

SECRETS = os.path.join("launch", "secrets.json")
"""Variables for the ranks alone, below the job's directory; only its owner may read it."""

SCONTROL_SECONDS = 10
CAUSE_SECONDS = 2.0
"""How long after it has ended the ranks Slurm may take to write down why."""

TAIL = 1 << 20
FAILURE = re.compile(rb"^ +rank +: (\d{1,6}) \(local_rank: \d+\)\n +exitcode +: (-?\d{1,9}) ", re.M)
CAUSE = re.compile(rb"^slurmstepd.*: error: \*\*\* JOB \d+ ON \S+ CANCELLED AT \S+(?: DUE TO ([A-Z ]+))?", re.M)
MEMORY = re.compile(rb"^slurmstepd.*: error: .*(?:oom.kill|exceeded (?:job )?memory limit)", re.M | re.I)
STATE = re.compile(rb"^ *JobState=(\w+) Reason=(\S+)", re.M)
RESTARTS = re.compile(rb"^ *Requeue=\d+ Restarts=(\d+)", re.M)
BEGIN = "== attempt "
HEADER = re.compile("^" + BEGIN + ".*$", re.M)
MOST_WORDS = 300
"""Characters of a log that are told as the reason of an end."""

CAUSES = {
    "TIME LIMIT": "its time was over",
    "PREEMPTION": "it was preempted by a job that comes first",
    "NODE FAILURE": "a node failed",
}
ENDING = ("COMPLETING", "CANCELLED", "PENDING", "TIMEOUT", "PREEMPTED", "NODE_FAIL")
"""States of a job whose script still runs, and whose ranks Slurm has ended."""

STATES = {"TIMEOUT": "TIME LIMIT", "PREEMPTED": "PREEMPTION", "NODE_FAIL": "NODE FAILURE"}


def read(folder: str) -> Dict[str, Any]:
    """job.json; empty where there is none."""
    try:
        with open(os.path.join(folder, "job.json"), encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def write(folder: str, document: Dict[str, Any]) -> None:
    """Replace job.json in one step, synced to the disk. Raises OSError."""
    beside = os.path.join(folder, ".job.json.%s.%d.tmp" % (socket.gethostname(), os.getpid()))
    try:
        with open(beside, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, os.path.join(folder, "job.json"))
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


@contextlib.contextmanager
def held(folder: str) -> Iterator[None]:
    """Keep the other writer away, where the filesystem knows locks: the batch script, or a launcher."""
    with open(os.path.join(folder, "launch", "lock"), "a") as lock:
        with contextlib.suppress(OSError):
            fcntl.lockf(lock, fcntl.LOCK_EX)
        yield


def change(folder: str, token: str, news: Dict[str, Any], only: Any = None) -> Dict[str, Any]:
    """Take `news` into job.json, if it is of this launch and says all that is in `only`; what it says then.

    An end that is written stays, unless the news are of a later attempt. With the end secrets are removed.
    """
    with held(folder):
        document = read(folder)
        if any(document.get(name) != value for name, value in dict(only or {}, token=token).items()):
            return document
        if document.get("status") in OVER and news.get("attempt", 0) <= document.get("attempt", 1):
            news = {name: value for name, value in news.items() if name not in ("status", "ended", "said")}
        document.update(news)
        write(folder, document)
    if document.get("status") in OVER:
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(folder, SECRETS))
    return document


def running(folder: str) -> None:
    """The batch script has begun: for the first time, or once more after a requeue, which is another attempt."""
    attempt, job = int(os.environ["UGRO_ATTEMPT"]), os.environ.get("SLURM_JOB_ID", "")
    nodes = os.environ.get("SLURM_JOB_NODELIST", "")
    news = {"status": "running", "said": "", "slurm_job_id": job, "slurm_nodes": nodes, "attempt": attempt}
    if os.environ.get("SLURM_RESTART_COUNT", "0") != "0":
        news.update({"exits": {}, "exit_code": None, "signal": None, "ended": None, "stop_asked": ""})
        clear_errors(folder)
    change(folder, os.environ["UGRO_LAUNCH_TOKEN"], news)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sys.stdout.write("%s%d: job %s of Slurm on %s, %s ==\n" % (BEGIN, attempt, job, nodes, now))
    sys.stdout.flush()


def clear_errors(folder: str) -> None:
    """Remove what ranks of a former attempt have left: they would seem to have failed in this one."""
    for name in os.listdir(os.path.join(folder, "errors")):
        os.unlink(os.path.join(folder, "errors", name))


def ended(folder: str, code: int, told: bool) -> None:
    """The batch script ends. `told`: it got SIGTERM, as somebody cancels the job or Slurm ends it."""
    asked, state = read(folder).get("stop_asked"), slurm_says()
    killed = told or state.get("state") in ENDING
    cause = cause_of(folder, state) if killed else ""
    attempt = int(os.environ["UGRO_ATTEMPT"])
    status, said = verdict(folder, code, asked, killed, cause)
    news = {"status": status, "said": said, "ended": time.time(), "exit_code": code}
    news["exits"] = exits(folder) if code else {}
    if state.get("restarts", 0) > int(os.environ.get("SLURM_RESTART_COUNT", "0")) and not asked:
        why = CAUSES.get(cause, "")
        said = "pending: requeued by Slurm%s" % (": " + why if why else "")
        news = {"status": "pending", "said": said, "attempt": attempt + 1}
    change(folder, os.environ["UGRO_LAUNCH_TOKEN"], news, {"attempt": attempt})


def verdict(folder: str, code: int, asked: Any, killed: bool, cause: str) -> "tuple[str, str]":
    """How it ended, and in words why, where the exit code does not tell."""
    if asked:
        return "stopped", "stopped by %s" % asked
    if cause in CAUSES:
        return "failed", "failed: %s" % CAUSES[cause]
    if killed:
        return "stopped", "stopped: cancelled by scancel, not by ugro-tui"
    if code == 0:
        return "finished", ""
    if MEMORY.search(tail(folder)):
        return "failed", "failed: out of memory: Slurm ended what took more than was asked for (--mem)"
    return "failed", by_rank(folder)


def by_rank(folder: str) -> str:
    """Which rank has failed of its own, and its last words; empty where it said none, or signals have ended them.

    Ranks that have written records tell more than that.
    """
    if any(name.startswith("metrics") for name in os.listdir(folder)):
        return ""
    own = sorted((int(rank), code) for rank, code in exits(folder).items() if code > 0)
    words = last_words(end_of(folder, "rank_%d.log" % own[0][0]).decode("utf-8", "replace")) if own else ""
    return "failed: rank %d ended with exit code %d: %s" % (*own[0], words) if words else ""


def last_words(text: str) -> str:
    """What the newest attempt in a log has said last of an error; its last line where no line names one."""
    lines = [line.strip() for line in HEADER.split(text)[-1].splitlines() if line.strip()]
    last = next((line for line in reversed(lines) if "error" in line.lower()), lines[-1] if lines else "")
    return last[:MOST_WORDS]


def tail(folder: str) -> bytes:
    """What this attempt has written last into the output of its script; srun, torchrun and Slurm write there too."""
    return end_of(folder, "slurm-%s.out" % os.environ.get("SLURM_JOB_ID", "")).rpartition(BEGIN.encode())[2]


def end_of(folder: str, log: str) -> bytes:
    """The end of a log; empty where there is none."""
    try:
        with open(os.path.join(folder, "logs", log), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            return file.read()
    except OSError:
        return b""


def exits(folder: str) -> Dict[str, int]:
    """The exit codes of ranks as torchrun tells them at the end, minus a signal's number where one ended them."""
    return {rank.decode(): int(code) for rank, code in FAILURE.findall(tail(folder))}


def cause_of(folder: str, state: Dict[str, Any]) -> str:
    """Why Slurm ends the job, in its own words (`TIME LIMIT`); empty where somebody has cancelled it."""
    known = "TIME LIMIT" if state.get("reason") == "TimeLimit" else STATES.get(state.get("state", ""), "")
    until = time.monotonic() + CAUSE_SECONDS
    while not known:
        found = CAUSE.search(tail(folder))
        if found or time.monotonic() > until:
            return ((found and found.group(1)) or b"").decode().strip()
        select.select([], [], [], 0.1)
    return known


def slurm_says() -> Dict[str, Any]:
    """`state`, `reason` and `restarts` of this job; empty where Slurm does not answer."""
    try:
        command = ["scontrol", "show", "job", os.environ.get("SLURM_JOB_ID", "")]
        told = subprocess.run(command, stdout=subprocess.PIPE, timeout=SCONTROL_SECONDS, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return {}
    state, restarts = STATE.search(told), RESTARTS.search(told)
    if state is None:
        return {}
    words = {"state": state.group(1).decode(), "reason": state.group(2).decode("utf-8", "replace")}
    return dict(words, restarts=int(restarts.group(1)) if restarts else 0)


def told_by_script(arguments: "list[str]") -> None:
    """See the head of this file."""
    if arguments[1] == "running":
        running(arguments[0])
    else:
        ended(arguments[0], int(arguments[2]), arguments[3] == "yes")
