"""Answers launchers about jobs of Slurm, on the login node: what is there, what is written of a job, what it needs.

A program on standard input; behind it stand a line of JSON, the request, and what is to be unpacked. It answers once,
in JSON. Python >= 3.6.
"""

import contextlib
import json
import os
import shutil
import sys
import time
from typing import Any, Callable, Dict

from ugro_tui.nodes.helper_batch import OVER, SECRETS, change, clear_errors, read, write
from ugro_tui.nodes.helper_paths import absolute
from ugro_tui.nodes.helper_records import records_in, saved_in
from ugro_tui.nodes.helper_unpack import unpack


class Problem(Exception):
    """Why something was not done, for people."""


def folder_of(request: Dict[str, Any]) -> str:
    """The directory of the job that is meant."""
    return os.path.join(absolute(request["root"]), request["job"])


def survey(request: Dict[str, Any]) -> Dict[str, Any]:
    """Where things are, and what is there: `root`, `job`, `workdir`, `script`, `python`, `resumes`."""
    root, workdir = absolute(request["root"]), absolute(request["workdir"] or "~")
    script = os.path.normpath(os.path.join(workdir, os.path.expanduser(request["script"])))
    python, place, folder = os.path.expanduser(request["python"]), root, folder_of(request)
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
        "exists": os.path.isdir(folder),
        "manifest": read(folder),
        "blank": not records_in(folder),
        "saved": saved_in(folder) if request["resumes"] else None,
    }


def claim(request: Dict[str, Any]) -> Dict[str, Any]:
    """Make the job's directory ours and put what it needs there; a launch that did so before finds it as it is.

    `job`, `token`, `record` (job.json), `files` (text by their paths below `launch/`), `secrets` (variables of ranks).
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
    clear_errors(folder)
    for path, text in request["files"].items():
        place = os.path.join(folder, "launch", path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
    hide(os.path.join(folder, SECRETS), request["secrets"])
    write(folder, request["record"])
    return {"manifest": request["record"], "found": False}


def hide(path: str, secrets: Dict[str, str]) -> None:
    """Write variables into a file that nobody else may read at any moment; none: no file."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    if secrets:
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            json.dump(secrets, file)


def bring(request: Dict[str, Any], payload: bytes) -> Dict[str, Any]:
    """Put code into the directory of the launch that has claimed it, into `folder` below it, once."""
    folder = folder_of(request)
    if read(folder).get("token") != request["token"]:
        raise Problem("job %s was launched by somebody else meanwhile" % request["job"])
    place = os.path.join(folder, request["folder"])
    if not os.path.isdir(place):
        os.makedirs(os.path.dirname(place), exist_ok=True)
        unpack(payload, place)
    return {}


def tell(request: Dict[str, Any]) -> Dict[str, Any]:
    """job.json, empty where there is none; and whether there is such a directory."""
    folder = folder_of(request)
    return {"manifest": read(folder), "exists": os.path.isdir(folder)}


def note(request: Dict[str, Any]) -> Dict[str, Any]:
    """Take `news` into the job.json of this launch, while it says what is in `only`."""
    return {"manifest": change(folder_of(request), request["token"], request["news"], request["only"])}


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


ACTIONS: Dict[str, Callable[[Dict[str, Any], bytes], Dict[str, Any]]] = {
    "survey": lambda request, _: survey(request),
    "claim": lambda request, _: claim(request),
    "code": bring,
    "tell": lambda request, _: tell(request),
    "note": lambda request, _: note(request),
    "withdraw": lambda request, _: withdraw(request),
}


def answered(words: bytes) -> bytes:
    """The answer to a request; what goes wrong is part of it."""
    line, _, payload = words.partition(b"\n")
    try:
        request = json.loads(line.decode())
        found = {"told": ACTIONS[request["do"]](request, payload)}  # type: Dict[str, Any]
    except Problem as why:
        found = {"problem": str(why)}
    except OSError as error:
        found = {"problem": "%s: %s" % (error.filename or "the system", error.strerror)}
    return json.dumps(found).encode()


def serve() -> None:
    """Answer the request that stands behind the program on standard input; before the answer stands the mark."""
    sys.stdout.buffer.write(sys.argv[1].encode() + answered(sys.stdin.buffer.read()))
    sys.stdout.buffer.flush()
