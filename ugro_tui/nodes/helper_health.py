"""What a machine says of its own health. On a node it is a part of the helper that is sent when it is first asked for.

With `helper_gpus` it is the whole part: it imports nothing else of ours, runs on any Python >= 3.6 with its standard
library alone, and writes nothing. What may hang (a dead network disk, a GPU driver) hangs in a thread of its own: an
answer waits for it a moment, and then tells what was found before, how old that is, and for how long the thread hangs.
"""

import itertools
import json
import os
import re
import threading
import time
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from ugro_tui.nodes.helper_gpus import gpus, stop_tools

MAX_PIDS = 50_000
"""Processes of the machine that are looked at."""

MAX_TOLD = 1024
"""Processes of jobs that one answer names."""

MAX_ENVIRONMENT = 1 << 18
"""Bytes read of a process's environment; Linux allows more, and nobody has that."""

LATELY = 600.0
"""Seconds within which something has changed in the folder of a job whose heartbeats are read."""

MAX_JOBS, MAX_NAMES, MAX_BEATS = 5_000, 20_000, 1_024
"""Jobs, names in the folder of each, and heartbeats that are looked at: on a shared disk lie those of all nodes."""

BEATS_SECONDS = 1.0
"""How long heartbeats are waited for; afterwards what they told before is taken."""

_JOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_BEAT = re.compile(r"heartbeat\.rank-(0|[1-9][0-9]{0,5})\.json")


class Part:
    """One thing to look at, in a thread of its own whenever it is asked for and no thread is under way."""

    def __init__(self, look: Callable[[], Any]) -> None:
        self._look = look
        self._found: Tuple[Any, str, Optional[float]] = (None, "", None)
        self._begun: Optional[float] = None
        self._ended = threading.Event()

    def begin(self, fresh: float) -> None:
        """Look, unless what is known is younger than `fresh` seconds, or a look is under way."""
        now, at = time.monotonic(), self._found[2]
        if self._begun is not None or (at is not None and now - at < fresh):
            return
        self._begun = now
        self._ended.clear()
        thread = threading.Thread(target=self._run)
        thread.daemon = True
        try:
            thread.start()
        except RuntimeError as error:  # no more threads are allowed
            self._end(None, str(error))

    def wait(self, seconds: float) -> None:
        """Wait for the end of the look under way, at most so long."""
        self._ended.wait(max(0.0, seconds))

    def told(self) -> Dict[str, Any]:
        """What was found last, `age` seconds ago; `late`: seconds that the look under way has taken."""
        now, begun, (value, error, at) = time.monotonic(), self._begun, self._found
        found: Dict[str, Any] = {"value": value, "error": error}
        found["age"] = None if at is None else round(now - at, 3)
        found["late"] = None if begun is None else round(now - begun, 3)
        return found

    def _run(self) -> None:
        try:
            value, error = self._look(), ""
        except Exception as failure:  # noqa: BLE001 - a thread's outer edge: whatever it is, it is told
            value, error = None, getattr(failure, "strerror", None) or repr(failure)
        self._end(value, error)

    def _end(self, value: Any, error: str) -> None:
        self._found = (value, error, time.monotonic())
        self._begun = None
        self._ended.set()


def parts_of(root: str) -> Dict[str, Part]:
    """All parts of this machine, whose metrics directory is `root`; it may begin with `~`."""
    processes = Processes(root)
    return {
        "machine": Part(machine),
        "processes": Part(processes.look),
        "metrics": disk_at(root),
        "home": disk_at("~"),
        "gpus": Part(gpus),
    }


def disk_at(path: str) -> Part:
    """The disk that holds a directory, as a part."""
    return Part(lambda: disk(path))


def tell(parts: Dict[str, Part], wait: float, fresh: float) -> Dict[str, Any]:
    """Look at all parts that are not `fresh`, wait for them at most `wait` seconds in all, and tell what is known.

    `took`: seconds that this took; `time`: Unix seconds by this machine, at its end.
    """
    began = time.monotonic()
    for part in parts.values():
        part.begin(fresh)
    for part in parts.values():
        part.wait(began + wait - time.monotonic())
    told = {name: part.told() for name, part in parts.items()}
    return {"parts": told, "took": round(time.monotonic() - began, 6), "time": time.time()}


_parts: Dict[str, Part] = {}


def answer(request: Dict[str, Any]) -> Dict[str, Any]:
    """On a node: the answer to a question, whose `root` is the same each time."""
    if not _parts:
        # Bytes, for where the locale is C an old Python takes no other letters than ASCII in a name.
        _parts.update(parts_of(os.fsdecode(request["root"].encode())))
    return tell(_parts, request["wait"], request["fresh"])


def close() -> None:
    """On a node, at the end: let nothing run on that was started."""
    stop_tools()


def machine() -> Dict[str, Any]:
    """Load, CPUs and memory in bytes; what the system does not tell is left out."""
    found: Dict[str, Any] = {"cpus": os.cpu_count(), "load": list(os.getloadavg())}
    with open("/proc/meminfo", "rb") as stream:
        for line in stream:
            name, _, rest = line.partition(b":")
            if name in (b"MemTotal", b"MemAvailable"):
                found["total" if name == b"MemTotal" else "available"] = 1024 * int(rest.split()[0])
    return found


def disk(path: str) -> Dict[str, Any]:
    """The disk that holds `path`, or would hold it: bytes and inodes that there are, and that users may still take."""
    place = os.path.abspath(os.path.expanduser(path))
    while not os.path.isdir(place) and place != os.path.dirname(place):
        place = os.path.dirname(place)
    info = os.statvfs(place)
    found = {"path": os.fsencode(place).decode("utf-8", "replace"), "device": os.stat(place).st_dev}
    found.update(total=info.f_blocks * info.f_frsize, free=info.f_bavail * info.f_frsize)
    if info.f_files:  # some file systems have no fixed number of them
        found.update(inodes=info.f_files, inodes_free=info.f_favail)
    return found


class Processes:
    """The processes of jobs, as environments and heartbeats tell; how much of a CPU each took since the look before."""

    def __init__(self, root: str) -> None:
        self._known: List[str] = []
        self._beats = Part(lambda: named(root, self._known))  # the disk that they lie on may hang
        self._before: Dict[Tuple[int, int], Tuple[float, int]] = {}
        self._ticks = os.sysconf("SC_CLK_TCK")
        self._page = os.sysconf("SC_PAGE_SIZE")

    def look(self) -> List[Dict[str, Any]]:
        """Those that we may look at: a user's own. What a rank has started itself is left out."""
        found = {one["pid"]: one for one in self._all()}
        outer = {pid: one for pid, one in found.items() if not _inner(one, found.get(one["parent"]))}
        outer.update(self._named(found))
        self._before = {one["seen"]: one["ticks"] for one in itertools.chain(found.values(), outer.values())}
        names = ("job", "rank", "pid", "cpu", "rss", "state")
        return [{name: one[name] for name in names} for one in sorted(outer.values(), key=_order)[:MAX_TOLD]]

    def _named(self, found: Dict[int, Dict[str, Any]]) -> Dict[int, Dict[str, Any]]:
        """Those that a heartbeat names: a script may have chosen the job's id itself."""
        told = {}
        self._known = [one["job"] for one in found.values()]
        self._beats.begin(0.0)
        self._beats.wait(BEATS_SECONDS)
        for (pid, start), (job, rank) in (self._beats.told()["value"] or {}).items():
            try:
                one = found.get(pid) or self._one(pid, job, rank)
            except (OSError, ValueError, IndexError, OverflowError):
                continue  # it has ended
            if one["seen"] == (pid, start):
                told[pid] = dict(one, job=job, rank=rank)
        return told

    def _all(self) -> Iterator[Dict[str, Any]]:
        mine = os.getpid()
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()][:MAX_PIDS]
        for pid in pids:
            try:
                identity = None if pid == mine else _identity(pid)
                if identity is not None:
                    yield self._one(pid, *identity)
            except (OSError, ValueError, IndexError):
                continue  # it has ended, or is not ours to look at

    def _one(self, pid: int, job: str, rank: Optional[int]) -> Dict[str, Any]:
        with open("/proc/%d/stat" % pid, "rb") as stream:
            words = stream.read().rpartition(b")")[2].split()
        with open("/proc/uptime", "rb") as stream:
            now = float(stream.read().split()[0])
        ticks, start = int(words[11]) + int(words[12]), int(words[19])
        then, before = self._before.get((pid, start), (start / self._ticks, 0))
        spent = (ticks - before) / self._ticks / (now - then) if now > then else 0.0
        return {
            "job": job, "rank": rank, "pid": pid, "parent": int(words[1]), "state": words[0].decode("ascii"),
            "cpu": round(100 * spent, 1), "rss": int(words[21]) * self._page, "seen": (pid, start),
            "ticks": (now, ticks),
        }  # fmt: skip


def named(root: str, known: List[str]) -> Dict[Tuple[int, int], Tuple[str, int]]:
    """By pid and start: job and rank of processes of this machine, as the heartbeats of jobs tell that are not `known`.

    It is not looked whether they live.
    """
    with open("/proc/sys/kernel/random/boot_id") as stream:
        here = [stream.read().strip(), str(os.stat("/proc/self/ns/pid").st_ino)]
    found = {}
    for job, rank, path in itertools.islice(_beats(os.path.expanduser(root), known), MAX_BEATS):
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                beat = json.loads(os.read(handle, 1 << 13).decode())
            finally:
                os.close(handle)
            if [beat["boot_id"], beat["pid_ns"]] == here:
                found[int(beat["pid"]), int(beat["pid_start"])] = (job, rank)
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            continue  # it is none
    return found


def _beats(root: str, known: List[str]) -> Iterator[Tuple[str, int, str]]:
    """Job, rank and path of the heartbeats of jobs that have changed lately."""
    for job in itertools.islice(os.scandir(root), MAX_JOBS):
        if job.name in known or not _JOB.fullmatch(job.name) or not job.is_dir(follow_symlinks=False):
            continue
        try:
            late = abs(time.time() - job.stat().st_mtime) > LATELY
            names = [] if late else [one.name for one in itertools.islice(os.scandir(job.path), MAX_NAMES)]
        except OSError:
            continue  # another user's, or gone
        for name in filter(None, map(_BEAT.fullmatch, names)):
            yield job.name, int(name[1]), os.path.join(job.path, name[0])


def _inner(one: Dict[str, Any], parent: Optional[Dict[str, Any]]) -> bool:
    """Whether it was started by a process of the same rank: a data loader's worker has its environment too."""
    return parent is not None and (parent["job"], parent["rank"]) == (one["job"], one["rank"])


def _order(one: Dict[str, Any]) -> Tuple[str, int, int]:
    return (one["job"], -1 if one["rank"] is None else one["rank"], one["pid"])


def _identity(pid: int) -> Optional[Tuple[str, Optional[int]]]:
    """The job and the rank of a process, by the variables that the emitter goes by too."""
    with open("/proc/%d/environ" % pid, "rb") as stream:
        text = stream.read(MAX_ENVIRONMENT)
    if b"UGRO_JOB_ID=" not in text and b"TORCHELASTIC_RUN_ID=" not in text:
        return None
    pairs = [entry.partition("=") for entry in text.decode("utf-8", "replace").split("\0")]
    values = {name: value for name, _, value in pairs}
    if "UGRO_JOB_ID" not in values and "TORCHELASTIC_RUN_ID" not in values:
        return None
    elastic = values.get("TORCHELASTIC_RUN_ID", "")
    job = values.get("UGRO_JOB_ID") or values.get("SLURM_JOB_ID") or ("" if elastic == "none" else elastic)
    rank = values.get("RANK") or values.get("SLURM_PROCID") or ""
    return (job, int(rank) if rank.isdigit() else None) if job else None
