"""What a node knows of a job that is in trouble: the program that a diagnosis runs there, on any Python >= 3.6.

It comes over standard input, writes no file, and answers once: JSON, compressed.
"""

import json
import os
import re
import shutil
import stat
import sys
import time
import zlib
from typing import Any, Dict, List, Optional

from ugro_tui.nodes.helper_files import READ, Folders
from ugro_tui.nodes.helper_proc import boot_id, heartbeat_of, ran, read_text
from ugro_tui.nodes.helper_stacks import Process, Refused, described, stacks

MOST = 900_000
"""Bytes of an answer; where it is longer, fewer lines of logs are sent."""

MAX_DOCUMENT, MAX_LOG = 1 << 16, 1 << 17
TOOL_SECONDS = 8.0
_KERNEL = re.compile("out of memory|oom-kill|killed process|NVRM: Xid|I/O error|nfs: server", re.IGNORECASE)
_KERNEL_LINES = 40


class Evidence:
    """All that is found. `request`: `root`, `job`, `ranks`, `suspects` (some of them), `lines` of a log, `seconds`."""

    def __init__(self, request: Dict[str, Any]) -> None:
        self._request = request
        self._until = time.monotonic() + request["seconds"]
        self._job = request["job"]
        self._folders = Folders(os.path.abspath(os.path.expanduser(os.fsdecode(request["root"].encode()))))
        self._processes: List[str] = []

    def gather(self) -> Dict[str, Any]:
        """Stacks first: they change, and the rest does not run away."""
        found: Dict[str, Any] = {"boot_id": boot_id(), "ranks": {}, "job": self._denied()}
        for rank in self._request["suspects"]:
            found["ranks"][str(rank)] = self._suspect(rank)
        for rank in self._request["ranks"]:
            found["ranks"].setdefault(str(rank), {}).update(self._files(rank))
        found["gpu"] = self._tool(["nvidia-smi"])
        found["kernel"] = self._kernel()
        found["processes"] = "\n\n".join([_machine(), *self._processes])
        return found

    def _denied(self) -> str:
        """Why the job's folder cannot be read; empty where it can."""
        try:
            self._folders.handle(self._job, "")
        except OSError as error:
            return error.strerror or type(error).__name__
        return ""

    def _suspect(self, rank: int) -> Dict[str, Any]:
        beat = heartbeat_of(self._tail("", "heartbeat.rank-%d.json" % rank, MAX_DOCUMENT) or "")
        try:
            process = Process(beat)
        except Refused as why:
            return {"here": False, "process": str(why)}
        if time.monotonic() > self._until:
            return {"here": True, "process": "no time was left to look at it"}
        self._processes.append("rank %d, process %d\n%s" % (rank, process.pid, described(process)))
        told = stacks(process, self._folders, self._job, rank)
        return {"here": True, "process": "process %d" % process.pid, "stacks": told}

    def _files(self, rank: int) -> Dict[str, Any]:
        log = self._tail("logs", "rank_%d.log" % rank, MAX_LOG)
        return {
            "heartbeat": self._tail("", "heartbeat.rank-%d.json" % rank, MAX_DOCUMENT),
            "error": self._tail("errors", "rank_%d.json" % rank, MAX_DOCUMENT),
            "log": None if log is None else last_lines(log, self._request["lines"]),
        }

    def _tail(self, folder: str, name: str, most: int) -> Optional[str]:
        """The end of a file, at most so many bytes; None where there is none that can be read."""
        try:
            handle = os.open(name, READ, dir_fd=self._folders.handle(self._job, folder))
        except OSError:
            return None
        try:
            info = os.fstat(handle)
            if not stat.S_ISREG(info.st_mode):
                return None
            return os.pread(handle, most, max(0, info.st_size - most)).decode("utf-8", "replace")
        except OSError:
            return None
        finally:
            os.close(handle)

    def _tool(self, argv: List[str]) -> str:
        """What a program says; why it says nothing in brackets."""
        if shutil.which(argv[0]) is None:
            return "(%s is not installed)" % argv[0]
        left = self._until - time.monotonic()
        if left < 0:
            return "(no time was left for %s)" % argv[0]
        code, said = ran(argv, min(TOOL_SECONDS, left), 1 << 20)
        return said if code == 0 else "(%s: %s)" % (argv[0], " ".join(said.split())[:500])

    def _kernel(self) -> str:
        said = self._tool(["dmesg"])
        if said.startswith("(dmesg"):
            return said
        return "\n".join([line for line in said.splitlines() if _KERNEL.search(line)][-_KERNEL_LINES:])


def _machine() -> str:
    memory = read_text("/proc/meminfo").splitlines()[:3]
    return "\n".join(["load: " + read_text("/proc/loadavg").strip(), *[" ".join(line.split()) for line in memory]])


def last_lines(text: str, lines: int) -> str:
    """The last lines of a text."""
    return "\n".join(text.rstrip("\n").split("\n")[-lines:])


def packed(found: Dict[str, Any]) -> bytes:
    """The answer as it travels, at most MOST bytes."""
    lines = 200
    while True:
        data = zlib.compress(json.dumps(found).encode(), 6)
        if len(data) <= MOST or lines < 2:
            return data
        lines //= 2
        for rank in found["ranks"].values():
            if rank.get("log"):
                rank["log"] = last_lines(rank["log"], lines)


def answer(words: bytes) -> bytes:
    """The answer to a request; what goes wrong is part of it."""
    try:
        found = Evidence(json.loads(words.decode())).gather()
    except Exception as error:  # noqa: BLE001 - the program's outer edge: nobody sees a traceback
        found = {"ranks": {}, "job": "%s: %s" % (type(error).__name__, error)}
    return packed(found)


def serve() -> None:
    """Answer the request that stands behind the program on standard input; before the answer stands the mark."""
    sys.stdout.buffer.write(sys.argv[1].encode() + answer(sys.stdin.buffer.read()))
    sys.stdout.buffer.flush()
