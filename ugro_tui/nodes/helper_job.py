"""A job's part on one node: its directory, and what is started, looked at and ended there. Part of a program that runs
on nodes, on any Python >= 3.6: see `helper_launch`.
"""

import contextlib
import os
import time
from typing import Any, Dict, Iterable, List, Tuple

from ugro_tui.nodes.helper_paths import absolute
from ugro_tui.nodes.helper_proc import boot_id, heartbeat_of, read_text, state_of
from ugro_tui.nodes.helper_processes import end_all, of_launch, rest
from ugro_tui.nodes.helper_records import records_in
from ugro_tui.nodes.helper_supervisor import Supervised, as_bytes, named_in, read_document, write_document

TAIL = 1 << 16
"""Bytes that are told of the end of an agent's output."""

MOST_SAID = 4096
"""The same of a rank's."""

MOST_PIDS = 64
"""Processes of the job that are told by their numbers."""

MOST_SCRIPT = 1 << 20
"""Bytes of a script that are looked at."""

CLAIM_SECONDS, EXIT_SECONDS = 5.0, 3.0
"""How long another start of the same launch, and a supervisor whose agent has ended, may take."""

OVER = ("finished", "failed", "stopped")


class Problem(Exception):
    """Why something was not done, for people."""


class Job:
    """The directory of a job, and what is written there of its launch. `request`: `root`, `job`."""

    def __init__(self, request: Dict[str, Any]) -> None:
        self.request = request
        self.name = request["job"]
        self.folder = os.path.join(absolute(request["root"]), self.name)
        self.manifest = read_document(self._path("job.json"))

    def _path(self, *names: str) -> str:
        return os.path.join(self.folder, *names)

    @property
    def token(self) -> str:
        """What marks the processes of the launch; empty where nobody of ours has launched it."""
        return str(self.manifest.get("token") or "")

    def documents(self, kind: str) -> Dict[str, Dict[str, Any]]:
        """The documents `launch/KIND.N.json` of this launch, by the node's rank."""
        try:
            names = sorted(os.listdir(self._path("launch")))
        except OSError:
            return {}
        parts = [name.split(".") for name in names if name.startswith(kind + ".") and name.endswith(".json")]
        found = {part[1]: read_document(self._path("launch", ".".join(part))) for part in parts if len(part) == 3}
        return {rank: one for rank, one in found.items() if one.get("token") == self.token}

    def supervisors(self) -> Dict[str, Dict[str, Any]]:
        """Those of this machine, in this boot."""
        return {rank: one for rank, one in self.documents("supervisor").items() if one.get("boot_id") == boot_id()}

    def agents(self) -> List[int]:
        """The agents that live."""
        return living_of(self._told("agent"))

    def living(self) -> Dict[int, Tuple[int, int]]:
        """The processes of the job on this machine, but those that watch over them."""
        known = self._told("agent") + list(self._beating())
        return of_launch(self.name, self.token, known, os.path.dirname(self.folder))

    def _told(self, who: str) -> List[Tuple[Any, Any]]:
        """Number and start of each `agent`, or of who watches over it (`pid`), as the supervisors wrote them down."""
        return [(one.get(who), one.get(who + "_start")) for one in self.supervisors().values()]

    def _beating(self) -> Iterable[Tuple[Any, Any]]:
        """The ranks of a job that nobody of ours has launched, by their heartbeats."""
        if self.token or not os.path.isdir(self.folder):
            return
        for name in os.listdir(self.folder):
            if name.startswith("heartbeat.rank-"):
                beat = heartbeat_of(read_text(self._path(name)))
                if beat.get("boot_id") and beat["boot_id"] == boot_id():
                    yield beat.get("pid"), beat.get("pid_start")

    def watched(self) -> List[int]:
        """The supervisors that live."""
        return living_of(self._told("pid"))

    def record(self, **news: Any) -> None:
        """Change job.json."""
        self.manifest = dict(self.manifest, **news)
        write_document(self._path("job.json"), self.manifest)

    def claim(self) -> None:
        """Make the directory ours, unless this launch has done so already. Raises Problem, OSError."""
        manifest = self.request["manifest"]
        if self.token and self.token == self.request["token"]:
            return
        first = manifest["attempt"] == 1
        if not first and self.living():
            raise Problem("an attempt of job %s still runs here (process %d): stop it first" % self._a_process())
        if not first and (self.manifest.get("attempt") or 1) >= manifest["attempt"]:
            raise Problem("somebody else began attempt %d of it meanwhile" % self.manifest["attempt"])
        os.makedirs(os.path.dirname(self.folder), exist_ok=True)
        try:
            os.mkdir(self.folder)
        except FileExistsError:
            if first and not self._shared():
                raise Problem("job %s exists here already: choose another name, or relaunch it" % self.name) from None
        try:
            self.record(**dict(manifest, token=self.request["token"], status="starting"))
        except OSError:  # a directory that does not say whose it is would not be found again
            with contextlib.suppress(OSError):
                os.rmdir(self.folder)
            raise

    def _shared(self) -> bool:
        """Whether the directory was made this moment by the same launch on another node: they share a filesystem."""
        until = time.monotonic() + 1.0
        while time.monotonic() < until and not self.manifest:
            self.manifest = read_document(self._path("job.json"))
            rest(0.02)
        return bool(self.token == self.request["token"])

    def _a_process(self) -> Tuple[str, int]:
        return self.name, min(self.living())

    def start(self, program: bytes) -> Dict[str, Any]:
        """Start the agent of this node; once, however often this launch asks for it. `program`: this one, packed, where
        it is to be in a scope."""
        self.claim()
        for name in ("launch", "logs", "errors"):
            os.makedirs(self._path(name), exist_ok=True)
        rank = str(self.request["node_rank"])
        try:
            mark = "claim.%s.%s" % (rank, self.request["token"])
            os.close(os.open(self._path("launch", mark), os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return self._found(rank)
        for name in os.listdir(self._path("errors")):
            if name in ["rank_%d.json" % one for one in self.request["ranks"]]:
                os.unlink(self._path("errors", name))
        began = time.time()
        supervised = self._supervised()
        said = supervised.detach_in_scope(program, self.request) if program else supervised.detach()
        if said.get("problem"):
            raise Problem("it could not be started: %s" % said["problem"])
        self.record(status="running")
        return {"began": began, "emits": names_emitter(self.request["script"])}

    def supervise(self) -> Dict[str, Any]:
        """Become the supervisor of the agent of this node, which was asked for by another of us. Does not return."""
        self._supervised().alone(os.dup(1))
        os._exit(0)

    def _supervised(self) -> Supervised:
        return Supervised(self.request, self.folder, environment_of(self.request))

    def _found(self, rank: str) -> Dict[str, Any]:
        until = time.monotonic() + CLAIM_SECONDS
        while time.monotonic() < until:
            found = self.supervisors().get(rank)
            if found:
                emits = names_emitter(self.request["script"])
                return {"began": found["started"], "found": True, "emits": emits}
            rest(0.05)
        raise Problem("this launch began here before, and did not come to an end: stop the job, and start it anew")

    def look(self) -> Dict[str, Any]:
        """Where the job stands here. `fresh`: its ranks whose output began since `since`; `brief`: of what lives, only
        the agents are counted."""
        # Who lives first: what ends behind that may be told as alive still, and never as gone without a word.
        alive, watched = sorted(self.agents() if self.request.get("brief") else self.living()), len(self.watched())
        exits, fresh = self.documents("exit"), list(self._fresh(self.request.get("since", 0.0)))
        told = {
            "exists": os.path.isdir(self.folder),
            "manifest": {key: value for key, value in self.manifest.items() if key != "token"},
            "ours": bool(self.token),
            "mine": bool(self.token) and self.token == self.request.get("token"),
            "blank": self.manifest.get("status") == "failed" and not records_in(self.folder),
            "alive": len(alive),
            "pids": alive[:MOST_PIDS],
            "watched": watched,
            "supervisors": sorted(self.documents("supervisor")),
            "exits": exits,
            "fresh": fresh,
            "beating": list(self._since(self.request.get("since", 0.0), "", "heartbeat.rank-", ".json")),
            "talking": [rank for rank in fresh if self._talks(rank)],
            "time": time.time(),
        }
        failed = [rank for rank, one in exits.items() if one.get("code") != 0]
        tails = {rank: self._tail("torchrun.%s.log" % rank) for rank in failed or self.request.get("tails", [])}
        blamed = (named_in(tails.values()) or fresh[:4]) if failed else []
        told["said"] = {rank: self._tail("rank_%d.log" % rank, MOST_SAID) for rank in blamed}
        told["tails"] = tails
        return told

    def _fresh(self, since: float) -> Iterable[int]:
        """Ranks are told by the name of their logs."""
        return self._since(since, "logs", "rank_", ".log")

    def _since(self, since: float, folder: str, before: str, behind: str) -> Iterable[int]:
        """The ranks whose file of such a name was written since then; none where no time is given."""
        if not since or not os.path.isdir(self._path(folder)):
            return
        for name in os.listdir(self._path(folder)):
            number = name[len(before) : -len(behind)]
            named = name == before + number + behind and number.isdigit()
            if named and os.stat(self._path(folder, name)).st_mtime >= since - 1.0:
                yield int(number)

    def _talks(self, rank: int) -> bool:
        """Whether the log of a rank that has begun goes on behind the line that begins it."""
        return (
            not self._tail("rank_%d.log" % rank, MOST_SAID).rstrip("\n").rpartition("\n")[2].startswith("== attempt ")
        )

    def _tail(self, name: str, most: int = TAIL) -> str:
        try:
            with open(self._path("logs", name), "rb") as stream:
                stream.seek(max(0, os.fstat(stream.fileno()).st_size - most))
                return stream.read(most).decode("utf-8", "replace")
        except OSError:
            return ""

    def stop(self) -> Dict[str, Any]:
        """End all processes of the job here, and record it where there were any."""
        were, left = self._end()
        if were and not left and self.manifest and self.manifest.get("status") not in ("finished", "failed"):
            self.record(status="stopped", ended=time.time())
        return self._ended(were, left)

    def _end(self) -> Tuple[int, List[int]]:
        """End all processes of the job here: how many there were, and who outlived it."""
        were, left = end_all(self.living, self.request["grace"])
        until = time.monotonic() + EXIT_SECONDS
        while self.watched() and time.monotonic() < until:
            rest(0.03)
        self.manifest = read_document(self._path("job.json"))  # the supervisors, or another node, wrote to it
        return were, left

    def _ended(self, were: int, left: List[int]) -> Dict[str, Any]:
        """Where the job stands after that: what lives is known."""
        self.request["brief"] = True
        return dict(self.look(), alive=len(left), were=were, left=left)

    def settle(self) -> Dict[str, Any]:
        """Record how the job ended, where that is not known yet and it is the launch that is meant."""
        if self.manifest.get("attempt") == self.request["attempt"] and self.manifest.get("status") not in OVER:
            self.record(**self.request["news"])
        return {}

    def cancel(self) -> Dict[str, Any]:
        """Take back a launch, and no other: end what it began. Its directory goes too, unless `keep`."""
        if not self.token or self.token != self.request["token"]:
            return dict(self.look(), were=0, left=[])
        were, left = self._end()
        told = self._ended(were, left)
        if self.manifest.get("attempt") == 1 and not self.request["keep"]:
            import shutil

            shutil.rmtree(self.folder, ignore_errors=True)
        elif self.manifest and self.manifest.get("status") not in OVER:  # else somebody was quicker, with a stop too
            self.record(status="failed", ended=time.time(), said=self.request["said"])
        return told


def living_of(told: Iterable[Tuple[Any, Any]]) -> List[int]:
    """The numbers of those processes that live: told are numbers with start times, or nonsense."""
    return [pid for pid, start in told if isinstance(pid, int) and start and state_of(pid)[1] == start]


def names_emitter(script: str) -> bool:
    """Whether a training script names the emitter; one that cannot be read may."""
    try:
        with open(script, "rb") as stream:
            return b"ugro_emitter" in stream.read(MOST_SCRIPT)
    except OSError:
        return True


def environment_of(request: Dict[str, Any]) -> Dict[bytes, bytes]:
    """What the agent gets: what a login here gets, without the traces of another torchrun, and what is asked for."""
    foreign = (b"TORCHELASTIC_", b"PET_")
    kept = {name: value for name, value in os.environb.items() if not name.startswith(foreign)}
    kept.update({as_bytes(name): as_bytes(value) for name, value in request["environment"].items()})
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    kept.setdefault(b"OMP_NUM_THREADS", b"%d" % max(1, cores // request["nproc"]))
    return kept
