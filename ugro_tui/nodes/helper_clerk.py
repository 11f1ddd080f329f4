"""What is written about a job of Slurm on its shared filesystem: by a launcher on the login node, by its batch script.

As a program on standard input it answers one request, a line of JSON behind it, in JSON. As a file in the job's own
directory it is run by the batch script: `clerk.py FOLDER running`, `clerk.py FOLDER ended CODE TOLD`. Python >= 3.6.
"""

import contextlib
import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from typing import Any, Dict, Iterator

OVER = ("finished", "failed", "stopped")
SCONTROL_SECONDS = 10
TAIL = 1 << 20
FAILURE = re.compile(rb"^ +rank +: (\d{1,6}) \(local_rank: \d+\)\n +exitcode +: (-?\d{1,9}) ", re.M)


class Problem(Exception):
    """Why something was not done, for people."""


def absolute(path: str) -> str:
    """A path of this machine: `~` is the home, and what is relative begins there."""
    return os.path.normpath(os.path.join(os.path.expanduser("~"), os.path.expanduser(path)))


def folder_of(request: Dict[str, Any]) -> str:
    """The directory of the job that is meant."""
    return os.path.join(absolute(request["root"]), request["job"])


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


def change(folder: str, token: str, news: Dict[str, Any]) -> Dict[str, Any]:
    """Take `news` into job.json, if it is of this launch; what it says then. An end that is written stays."""
    with held(folder):
        document = read(folder)
        if document.get("token") != token:
            return document
        if document.get("status") in OVER:
            news = {name: value for name, value in news.items() if name not in ("status", "ended")}
        document.update(news)
        write(folder, document)
        return document


def survey(request: Dict[str, Any]) -> Dict[str, Any]:
    """Where things are, and what is there: `root`, `job`, `workdir`, `script`, `python`."""
    root, workdir = absolute(request["root"]), absolute(request["workdir"] or "~")
    script = os.path.normpath(os.path.join(workdir, os.path.expanduser(request["script"])))
    python, place = os.path.expanduser(request["python"]), root
    while not os.path.isdir(place) and place != os.path.dirname(place):
        place = os.path.dirname(place)
    return {
        "root": root,
        "workdir": workdir,
        "script": script,
        "python": os.path.normpath(os.path.join(workdir, python)) if os.sep in python else python,
        "has_workdir": os.path.isdir(workdir),
        "has_script": os.path.isfile(script),
        "has_python": shutil.which(os.path.join(workdir, python) if os.sep in python else python) is not None,
        "has_sbatch": shutil.which("sbatch") is not None,
        "writable": os.access(place, os.W_OK | os.X_OK),
        "exists": os.path.isdir(os.path.join(root, request["job"])),
        "manifest": read(os.path.join(root, request["job"])),
    }


def claim(request: Dict[str, Any]) -> Dict[str, Any]:
    """Make the job's directory ours and put what it needs there; a launch that did so before finds it as it is.

    `job`, `token`, `record` (job.json), `files` (text by their paths below `launch/`).
    """
    folder, known = folder_of(request), read(folder_of(request))
    if known.get("token") == request["token"]:
        return {"manifest": known, "found": True}
    first = request["record"]["attempt"] == 1
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    try:
        os.mkdir(folder)
    except FileExistsError:
        if first:
            raise Problem("job %s exists there already: choose another name, or relaunch it" % request["job"]) from None
        if known and known.get("status") not in OVER:
            raise Problem("attempt %s of it has not ended: stop it first" % known.get("attempt")) from None
    for name in ("launch", "logs", "errors"):
        os.makedirs(os.path.join(folder, name), exist_ok=True)
    for name in os.listdir(os.path.join(folder, "errors")):
        os.unlink(os.path.join(folder, "errors", name))  # a rank would seem to have failed in this attempt
    for path, text in request["files"].items():
        place = os.path.join(folder, "launch", path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
    write(folder, request["record"])
    return {"manifest": request["record"], "found": False}


def tell(request: Dict[str, Any]) -> Dict[str, Any]:
    """job.json, empty where there is none; and whether there is such a directory."""
    folder = folder_of(request)
    return {"manifest": read(folder), "exists": os.path.isdir(folder)}


def note(request: Dict[str, Any]) -> Dict[str, Any]:
    """Take `news` into the job.json of this launch."""
    return {"manifest": change(folder_of(request), request["token"], request["news"])}


def withdraw(request: Dict[str, Any]) -> Dict[str, Any]:
    """Take back a launch that Slurm did not take: its directory, or that its attempt is to come."""
    folder = folder_of(request)
    document = read(folder)
    if document.get("token") != request["token"]:
        return {}
    if document.get("attempt") == 1:
        shutil.rmtree(folder)
    else:
        change(folder, request["token"], {"status": "failed", "ended": time.time()})
    return {}


ACTIONS = {"survey": survey, "claim": claim, "tell": tell, "note": note, "withdraw": withdraw}


def answered(line: bytes) -> bytes:
    """The answer to a request; what goes wrong is part of it."""
    try:
        request = json.loads(line.decode())
        found = {"told": ACTIONS[request["do"]](request)}  # type: Dict[str, Any]
    except Problem as why:
        found = {"problem": str(why)}
    except OSError as error:
        found = {"problem": "%s: %s" % (error.filename or "the system", error.strerror)}
    return json.dumps(found).encode()


def running(folder: str) -> None:
    """The batch script has begun."""
    job = os.environ.get("SLURM_JOB_ID", "")
    news = {"status": "running", "slurm_job_id": job, "slurm_nodes": os.environ.get("SLURM_JOB_NODELIST", "")}
    change(folder, os.environ["UGRO_LAUNCH_TOKEN"], news)


def ended(folder: str, code: int, told: bool) -> None:
    """The batch script ends. `told`: by Slurm, because somebody cancels the job or its time is over."""
    stopped = read(folder).get("stop_asked") or (told and not time_was_up())
    status = "finished" if code == 0 else "stopped" if stopped else "failed"
    news = {"status": status, "ended": time.time(), "exit_code": code, "exits": exits(folder) if code else {}}
    change(folder, os.environ["UGRO_LAUNCH_TOKEN"], news)


def exits(folder: str) -> Dict[str, int]:
    """The exit codes of ranks as torchrun tells them at the end, minus a signal's number where one ended them."""
    try:
        with open(os.path.join(folder, "logs", "slurm-%s.out" % os.environ["SLURM_JOB_ID"]), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            return {rank.decode(): int(code) for rank, code in FAILURE.findall(file.read())}
    except (OSError, KeyError):
        return {}


def time_was_up() -> bool:
    """Whether Slurm ends this job at its limit of time."""
    try:
        command = ["scontrol", "show", "job", os.environ.get("SLURM_JOB_ID", "")]
        told = subprocess.run(command, stdout=subprocess.PIPE, timeout=SCONTROL_SECONDS, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    return b" Reason=TimeLimit " in told


def main(arguments: "list[str]") -> None:
    """See the head of this file."""
    if len(arguments) == 1:
        sys.stdout.buffer.write(arguments[0].encode() + answered(sys.stdin.buffer.read()))
        sys.stdout.buffer.flush()
    elif arguments[1] == "running":
        running(arguments[0])
    else:
        ended(arguments[0], int(arguments[2]), arguments[3] == "yes")


if __name__ == "__main__":
    main(sys.argv[1:])
