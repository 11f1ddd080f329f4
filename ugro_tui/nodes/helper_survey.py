"""What a launcher must know of a node before it starts anything there. Part of a program that runs on nodes, on any
Python >= 3.6: see `helper_launch`.
"""

import os
import time
from typing import Any, Dict, List

from ugro_tui.nodes.helper_paths import absolute
from ugro_tui.nodes.helper_proc import ran
from ugro_tui.nodes.helper_records import saved_in
from ugro_tui.nodes.helper_scope import scope

PYTHON_SECONDS, GPU_SECONDS = 20.0, 5.0

# Nothing is imported that takes long: torch takes seconds; what its import says is seen when it is started. Where it is
# run does not count: a script finds what lies beside it, not what lies there (a checkout of torch, say).
PROBE = """
import os, sys
sys.path = [place for place in sys.path if place]
def found(name):
    for finder in sys.meta_path:
        spec = finder.find_spec(name, None) if hasattr(finder, "find_spec") else None
        if spec is not None:
            return spec
def version(spec):
    try:
        with open(os.path.join(os.path.dirname(spec.origin), "version.py")) as lines:
            return [line.split("'")[1] for line in lines if line.startswith("__version__ = '")][0]
    except (OSError, IndexError, TypeError, UnicodeError):
        return "?"
torch = found("torch")
print("\\n%s|%s|%s" % (sys.version.split()[0], version(torch) if torch else "", "yes" if found("ugro_emitter") else ""))
"""


def lent_folder(name: str) -> str:
    """Where what launchers bring with them is kept, for all jobs; `name` is a digest of its content."""
    return os.path.join(absolute("~/.cache/ugro-tui/lent"), os.path.basename(name))


def survey(request: Dict[str, Any]) -> Dict[str, Any]:
    """What is asked for: `root`, `python`, `workdir`, `script` (empty: brought), `port` (None: a free one), `lent`.

    `meets`: the ranks are to meet here; `again`: what takes longest, the Python and the GPUs, is known already;
    `resumes`: the job is to go on from a checkpoint.
    """
    workdir = absolute(request["workdir"] or "~")
    root = absolute(request["root"])
    there = existing(root)
    disk = os.statvfs(there)
    ran_here = []  # type: List[Dict[str, Any]]
    return {
        "root": root,
        "host": os.uname().nodename,
        "workdir": workdir,
        "script": os.path.join(workdir, os.path.expanduser(request["script"])),
        "lent": lent_folder(request["lent"]),
        "has_lent": os.path.isdir(lent_folder(request["lent"])),
        "has_workdir": os.path.isdir(workdir),
        "has_script": os.path.isfile(os.path.join(workdir, os.path.expanduser(request["script"]))),
        "writable": os.access(there, os.W_OK | os.X_OK),
        "free": disk.f_bavail * disk.f_frsize,
        "inodes": disk.f_favail if disk.f_files else None,
        "python": {} if request["again"] else python(request["python"], workdir, request["path"], ran_here),
        "pythonpath": os.environ.get("PYTHONPATH", ""),
        "port": port(request["port"]) if request["meets"] else None,
        "gpus": [] if request["again"] else gpus(ran_here),
        "ran": ran_here,
        "scope": scope(),
        "saved": saved_in(os.path.join(root, request["job"])) if request["resumes"] else None,
        "time": time.time(),
    }


def existing(path: str) -> str:
    """The nearest folder above that is there."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def python(name: str, workdir: str, path: str, told: List[Dict[str, Any]]) -> Dict[str, Any]:
    """What an interpreter says of itself, with `path` as its PYTHONPATH; `problem` where it does not run. What is run
    is added to `told`."""
    import shutil
    import subprocess

    called = os.path.expanduser(name)
    if os.sep in called:
        called = os.path.join(workdir, called)
    found = shutil.which(called)
    if found is None:
        return {"problem": "there is no program of this name that may be run"}
    environment = dict(os.environ, PYTHONPATH=path) if path else None
    argv, begun = [found, "-c", PROBE.strip()], time.monotonic()
    told.append({"argv": argv, "code": None, "seconds": 0.0})
    try:
        child = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=existing(workdir),
        )
        out, err = child.communicate(timeout=PYTHON_SECONDS)
        told[-1].update(code=child.returncode, seconds=time.monotonic() - begun)
        version, torch, emitter = out.decode("utf-8", "replace").strip().rpartition("\n")[2].split("|")
        return {"version": version, "torch": torch or None, "emitter": bool(emitter), "path": found}
    except subprocess.TimeoutExpired:
        child.kill()
        return {"problem": "it did not answer within %.0f s" % PYTHON_SECONDS}
    except OSError as error:
        return {"problem": str(error.strerror)}
    except ValueError:
        said = err.decode("utf-8", "replace").strip().splitlines()[-1:]
        return {"problem": said[0] if said else "exit code %s" % child.returncode}


def port(wanted: Any) -> Any:
    """A TCP port on which nobody listens: the wanted one (None: any); None where that is taken."""
    import socket

    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("", wanted or 0))
            listener.listen(1)
        except OSError:
            return None
        return listener.getsockname()[1]


def gpus(told: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """NVIDIA GPUs that a job may use, by nvidia-smi: bytes of memory used and in all; `told`: what was run."""
    import shutil

    if shutil.which("nvidia-smi") is None:
        return []
    argv = ["nvidia-smi", "--query-gpu=index,memory.used,memory.total", "--format=csv,noheader,nounits"]
    begun = time.monotonic()
    code, said = ran(argv, GPU_SECONDS)
    told.append({"argv": argv, "code": code, "seconds": time.monotonic() - begun})
    rows = [[part.strip() for part in line.split(",")] for line in said.splitlines()] if code == 0 else []
    found = [
        {"index": int(row[0]), "used": int(row[1]) << 20, "total": int(row[2]) << 20}
        for row in rows
        if len(row) == 3 and all(part.isdigit() for part in row)
    ]
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return found
    names = [part.strip() for part in chosen.split(",")]
    return [one for one in found if str(one["index"]) in names] if all(n.isdigit() for n in names) else found
