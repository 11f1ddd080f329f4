"""Starts a torchrun agent that outlives the connection, and writes down how it ends. Part of a program that runs on
nodes, on any Python >= 3.6: see `helper_launch`.

In the job's directory: `launch/supervisor.N.json` (N: the node's rank) while it runs, `launch/exit.N.json` afterwards,
`logs/torchrun.N.log`. Both documents are written whole or not at all.
"""

import contextlib
import json
import os
import re
import signal
import sys
import time
from typing import Any, Callable, Dict, Iterable, List, Optional

from ugro_tui.nodes.helper_proc import boot_id, state_of
from ugro_tui.nodes.helper_processes import of_launch, rest
from ugro_tui.nodes.helper_scope import command, runtime

ORPHAN_SECONDS = 1.0
"""How often it is looked whether ranks that outlive their agent are there still."""

ROOT_CAUSE = re.compile(r"^Root Cause.*\n\[0\]:\n.*\n.*\n +rank +: (\d{1,6}) ", re.M)
"""As torchrun names the rank that failed first, in the last lines of its output."""


def write_document(path: str, document: Dict[str, Any]) -> None:
    """Replace a file in one step, synced to the disk. Raises OSError and leaves no half file then."""
    # Nodes that share a filesystem may have processes of the same number.
    beside = os.path.join(os.path.dirname(path), ".%s.%s.tmp" % (os.path.basename(path), os.urandom(6).hex()))
    try:
        with open(beside, "w") as stream:
            json.dump(document, stream, indent=1)
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(beside, path)
    except OSError:
        if os.path.exists(beside):
            os.unlink(beside)
        raise


def read_document(path: str) -> Dict[str, Any]:
    """The object in a file; empty where there is none."""
    try:
        with open(path, "rb") as stream:
            found = json.loads(stream.read(1 << 20).decode("utf-8", "replace"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def as_bytes(text: str) -> bytes:
    """A text as the system takes it, whatever the locale; what was no text here is the same bytes there."""
    return text.encode("utf-8", "surrogateescape")


class Supervised:
    """What is to run: `argv` in `workdir` with `environment`, as the node of this `rank` in the job at `folder`."""

    def __init__(self, request: Dict[str, Any], folder: str, environment: Dict[bytes, bytes]) -> None:
        self.argv = [as_bytes(part) for part in request["argv"]]  # not every locale could encode them
        self.workdir = as_bytes(request["workdir"])
        self.environment = environment
        self.token = request["token"]
        self.rank = request["node_rank"]
        self.attempt = request["manifest"]["attempt"]
        self.folder = folder
        self.job = request["job"]
        self.node = request["node"]

    def place(self, name: str) -> str:
        """The path of one of its documents."""
        return os.path.join(self.folder, "launch", "%s.%d.json" % (name, self.rank))

    def run(self, ready: int) -> None:
        """Start the agent, say so to the pipe `ready`, wait for its end and write it down. Raises OSError."""
        import subprocess

        with open(os.path.join(self.folder, "logs", "torchrun.%d.log" % self.rank), "ab", buffering=0) as log:
            log.write(("== attempt %d: %s ==\n" % (self.attempt, self._spelled())).encode())
            agent = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.workdir,
                env=self.environment,
                start_new_session=True,
            )
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):  # after the agent began with the ordinary ones
            signal.signal(number, signal.SIG_IGN)
        self.note(agent.pid)
        os.write(ready, b"\n{}")
        os.close(ready)
        code = agent.wait()
        ended = {"code": code if code >= 0 else None, "signal": -code if code < 0 else None, "at": time.time()}
        write_document(self.place("exit"), dict(ended, token=self.token))
        if code and self._orphans():
            self._stay(code)

    def _orphans(self) -> bool:
        """Whether ranks outlive their agent: torchrun ends them before it ends, unless it was killed."""
        return bool(of_launch(self.job, self.token, (), os.path.dirname(self.folder)))

    def _stay(self, code: int) -> None:
        """Say in job.json that ranks go on without their agent, as long as they do."""
        self._tell_orphaned(code)
        while self._orphans():
            rest(ORPHAN_SECONDS)
        self._tell_orphaned(None)

    def _tell_orphaned(self, code: Optional[int]) -> None:
        path = os.path.join(self.folder, "job.json")
        manifest = read_document(path)
        if manifest.get("token") == self.token:
            others = {node: one for node, one in dict(manifest.get("orphaned") or {}).items() if node != self.node}
            manifest["orphaned"] = others if code is None else dict(others, **{self.node: code})
            with contextlib.suppress(OSError):
                write_document(path, manifest)

    def note(self, agent: int) -> None:
        """Write down who watches whom; a disk that refuses it must not end a run that has begun."""
        found = {
            "token": self.token,
            "boot_id": boot_id(),
            "pid": os.getpid(),
            "pid_start": state_of(os.getpid())[1],
            "agent": agent,
            "agent_start": state_of(agent)[1],
            "started": time.time(),
        }
        with contextlib.suppress(OSError):
            write_document(self.place("supervisor"), found)

    def detach(self) -> Dict[str, Any]:
        """Run in a process that is nobody's child; what it said when the agent had begun, or could not."""
        reader, writer = os.pipe()

        def begin() -> None:
            os.close(reader)
            self.alone(writer)

        in_background(begin)
        os.close(writer)
        return heard(reader)

    def detach_in_scope(self, program: bytes, request: Dict[str, Any]) -> Dict[str, Any]:
        """The same in a scope of the user's systemd, where this program is started anew: there it is asked to
        `supervise`."""
        reader, writer = os.pipe()
        source, feed = os.pipe()
        loads = "import sys,zlib;exec(zlib.decompress(sys.stdin.buffer.read(%d)))" % len(program)
        argv = command(self.job, [sys.executable, "-ISuc", loads, "-"])

        def become() -> None:
            for number, pipe in enumerate((source, writer, writer)):  # others might be closed on the way
                os.dup2(pipe, number)
            os.execvpe(argv[0], argv, dict(os.environ, XDG_RUNTIME_DIR=runtime()))

        in_background(become)
        os.close(writer)
        os.close(source)
        words = json.dumps(dict(request, action="supervise", payload=0)).encode()
        with contextlib.suppress(OSError), os.fdopen(feed, "wb") as stream:  # it may end without reading: it says why
            stream.write(program + words + b"\n")
        return heard(reader)

    def _spelled(self) -> str:
        return json.dumps([part.decode("utf-8", "replace") for part in self.argv])

    def alone(self, ready: int) -> None:
        """Run apart from all that began it. `ready`: the pipe that is told when the agent has begun, or could not."""
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        os.chdir("/")
        try:
            self.run(ready)
        except OSError as error:
            problem = {"problem": "%s: %s" % (self._spelled(), error.strerror)}
            os.write(ready, b"\n" + json.dumps(problem).encode())


def named_in(outputs: Iterable[str]) -> List[int]:
    """The ranks that torchrun names as those that failed first, in the last attempt that it tells of."""
    found = [ROOT_CAUSE.search(text.rpartition("\n== attempt ")[2]) for text in outputs]
    return [int(one.group(1)) for one in found if one]


def in_background(work: Callable[[], None]) -> None:
    """Do something in a process that is nobody's child, in a session of its own."""
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            if os.fork() == 0:
                work()
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def heard(reader: int) -> Dict[str, Any]:
    """What a supervisor said in its last line."""
    with os.fdopen(reader, "rb") as stream:
        said = stream.read().decode("utf-8", "replace")
    last = said.rpartition("\n")[2]
    if last.startswith("{"):
        return dict(json.loads(last))
    return {"problem": said.strip() or "its supervisor ended before it began"}
