"""Reading a metrics directory over SFTP, where a node runs no helper: the same answers, in a few more round trips.

Less is known than the helper knows: a file's time in whole seconds and no inode, so that a file which was written just
now is looked at again; what is left of a file that was renamed away is not read (`Chunk.old` is never set); and SFTP
cannot open a file without following links, so they are refused by what is said of them before.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ugro_tui.core.health import NodeHealth
from ugro_tui.core.jobid import is_job_id
from ugro_tui.core.text import visible
from ugro_tui.nodes.asking import ANSWER_SECONDS, Clocks
from ugro_tui.nodes.base import Ask, Chunk, Denied, JobEntry, Known, NodeSilent, Probe, Reply
from ugro_tui.nodes.carriers import Sftp, SftpStat
from ugro_tui.nodes.helper import MAX_DOCUMENT
from ugro_tui.nodes.helper_files import (
    MAX_ENTRIES,
    MAX_JOB_ENTRIES,
    OVERHEAD,
    SPARSE_SIZE,
    WINDOW,
    allot,
    place_digest,
)
from ugro_tui.nodes.pace import Pace
from ugro_tui.nodes.sftp_clock import SftpClock
from ugro_tui.nodes.sftp_files import JobFolders, JobPath, reason, stamp
from ugro_tui.nodes.sftp_health import health_over

LIST_SECONDS = 15.0
"""How often folders are listed unasked; what was found there before is looked at each time."""

_FRESH = 2.5
"""Seconds within which a file may change again without its time showing it."""


@dataclass(slots=True)
class _News:
    file: JobPath
    info: SftpStat
    known: Known
    share: int = 0

    @property
    def size(self) -> int:
        """Bytes that seem to be new."""
        gone = self.file.whole or self.info.size < self.known.offset
        return self.info.size if gone else self.info.size - self.known.offset

    @property
    def offset(self) -> int:
        """Where to read on."""
        return 0 if self.file.whole else self.known.offset

    @property
    def since(self) -> int:
        """When what is known of it was learned."""
        return int(self.known.stamp.partition(".")[2] or "0", 16)


class SftpLink:
    """Reads over SFTP. One thread at a time calls it."""

    via = "sftp"

    def __init__(self, root: str, sftp: Sftp, pace: Pace, clocks: Clocks) -> None:
        self.over = False
        self._root = root
        self._sftp = sftp
        self._pace = pace
        self._clocks = clocks
        self._clock = SftpClock(clocks)
        self._jobs: dict[str, float] = {}
        self._listed = -LIST_SECONDS
        self._files: dict[tuple[str, frozenset[str]], tuple[float, list[JobPath], list[Denied]]] = {}
        self._holes: set[tuple[str, str]] = set()

    def poll(self, ask: Ask) -> Reply:
        """What is new; see `Node.poll`.

        Raises:
            OSError: the metrics directory cannot be read.
            NodeError: as `Node.poll`.
        """
        began = self._clocks.monotonic()
        deadline = began + ANSWER_SECONDS
        try:
            reply = self._poll(ask, deadline)
        except NodeSilent as error:
            self.over = True  # answers to what was asked may still come: nothing else can be asked here
            self._pace.missed()
            raise NodeSilent(f"no answer within {ANSWER_SECONDS:.0f} s over SFTP") from error
        self._clocks.round_trip = self._clocks.monotonic() - began
        self._pace.took(sum(len(chunk.data) for chunk in reply.chunks), self._clocks.round_trip)
        return reply

    def probe(self) -> Probe:
        """How the node is, as far as SFTP tells."""
        deadline = self._clocks.monotonic() + ANSWER_SECONDS
        readable = exists = False
        try:
            (info,) = self._sftp.stat_many([self._root], deadline)
            exists = info is not None
            self._sftp.listdir(self._root, deadline)
            readable = True
        except OSError:
            readable = False
        return Probe(self._clock.now(), "", visible(self._root), exists, readable)

    def health(self, name: str) -> NodeHealth:
        """How the machine is, as far as SFTP tells."""
        try:
            return health_over(name, self._sftp, self._root, self._clocks)
        except NodeSilent:
            self.over = True
            raise

    def _poll(self, ask: Ask, deadline: float) -> Reply:
        began = self._clocks.monotonic()
        if ask.anew:
            self._files.clear()
        if ask.anew or began - self._listed >= LIST_SECONDS:
            self._list(deadline)
        files, denied = self._known_files(ask, deadline)
        signs = [(job, f"{self._root}/{job}{sign}") for job in ask.jobs for sign in ("", "/metrics.jsonl")]
        told = self._sftp.stat_many([full for _, full in signs] + [file.full for file in files], deadline)
        for (job, _), info in zip(signs, told, strict=False):
            if info is not None and job in self._jobs:
                self._jobs[job] = max(self._jobs[job], info.mtime)
        self._clock.learn(began, zip((file.full for file in files), told[len(signs) :], strict=True))
        news = list(self._news(ask, files, told[len(signs) :], denied))
        chunks, more = _Reading(self._sftp, self._clock.now(), deadline, denied, self._holes).read(news, self._cap(ask))
        return self._reply(ask, chunks, denied, more)

    def _cap(self, ask: Ask) -> int:
        return self._pace.cap if ask.cap is None else min(ask.cap, self._pace.cap)

    def _reply(self, ask: Ask, chunks: Sequence[Chunk], denied: list[Denied], more: bool) -> Reply:
        now = self._clock.now()
        aged = sorted((max(0.0, now - newest), job) for job, newest in self._jobs.items())[:MAX_JOB_ENTRIES]
        young = tuple(JobEntry(job, age) for age, job in aged if age < ask.recent or job in ask.jobs)
        older = sorted(job for age, job in aged if age >= ask.recent and job not in ask.jobs)
        listed = hashlib.sha256("\n".join(older).encode()).hexdigest()[:16]
        names = None if listed == ask.listed else tuple(older)
        return Reply(now, young, names, listed, tuple(chunks), tuple(denied), more)

    def _list(self, deadline: float) -> None:
        (info,) = self._sftp.stat_many([self._root], deadline)
        if info is not None and not stat.S_ISDIR(info.mode) and not stat.S_ISLNK(info.mode):
            raise NotADirectoryError(20, "Not a directory", self._root)
        names = self._sftp.listdir(self._root, deadline)[:MAX_ENTRIES]
        jobs = {name: float(info.mtime) for name, info in names if is_job_id(name) and stat.S_ISDIR(info.mode)}
        written = self._sftp.stat_many([f"{self._root}/{job}/metrics.jsonl" for job in jobs], deadline)
        for (job, newest), file in zip(list(jobs.items()), written, strict=True):
            jobs[job] = max(newest, file.mtime if file is not None else 0.0)
        self._jobs = jobs
        self._listed = self._clocks.monotonic()

    def _known_files(self, ask: Ask, deadline: float) -> tuple[list[JobPath], list[Denied]]:
        """The files of the jobs asked for, as they were found when their folders were listed last."""
        kinds = frozenset(kind.value for kind in ask.kinds)
        now = self._clocks.monotonic()
        kept = {}
        for job in ask.jobs:
            if not is_job_id(job):
                continue
            found = self._files.get((job, kinds))
            if found is None or now - found[0] >= LIST_SECONDS:
                found = (now, *JobFolders(self._sftp, self._root, job, deadline).files(kinds))
            kept[job, kinds] = found
        others = {key: found for key, found in self._files.items() if now - found[0] < LIST_SECONDS}
        self._files = {**others, **kept}
        files = [file for _, found, _ in kept.values() for file in found]
        return files, [line for _, _, denied in kept.values() for line in denied]

    def _news(
        self, ask: Ask, files: list[JobPath], told: Sequence[SftpStat | None], denied: list[Denied]
    ) -> Iterator[_News]:
        for file, info in zip(files, told, strict=True):
            known = ask.jobs[file.job].get(file.path, Known())
            if info is None:
                continue
            if not stat.S_ISREG(info.mode):
                what = "a link, which is not followed" if stat.S_ISLNK(info.mode) else "not a regular file"
                denied.append(Denied(file.job, f"{file.path}: {what}"))
            elif (file.full, stamp(info)) in self._holes:  # it must not take the place of others again and again
                denied.append(_hole(file, info))
            elif known.stamp != stamp(info) or (not file.whole and known.offset < info.size):
                yield _News(file, info, known)


class _Reading:
    """Reads news within a cap: all at once, and again from the beginning where another file was found."""

    def __init__(
        self, sftp: Sftp, now: float, deadline: float, denied: list[Denied], holes: set[tuple[str, str]]
    ) -> None:
        self._sftp = sftp
        self._holes = holes
        self._now = now
        self._deadline = deadline
        self._denied = denied
        self._chunks: list[Chunk] = []
        self._more = False

    def read(self, news: list[_News], cap: int) -> tuple[list[Chunk], bool]:
        """The chunks, and whether the cap left anything out."""
        chosen = _chosen(news, cap)
        replaced = self._take(chosen)
        if replaced:
            self._take([_News(one.file, one.info, Known(), one.share) for one in replaced])
        return self._chunks, self._more or len(chosen) < len(news)

    def _take(self, news: list[_News]) -> list[_News]:
        """Read all of it; what turned out to be another file than the known one comes back."""
        wanted = [part for one in news for part in _wanted(one)]
        found = iter(self._sftp.read_many(wanted, self._deadline) if wanted else ())
        return [one for one in news if not self._chunk(one, [next(found) for _ in _wanted(one)])]

    def _chunk(self, news: _News, parts: list[bytes | OSError]) -> bool:
        file, info, offset = news.file, news.info, news.offset
        data = parts[0]
        for part in parts:
            if isinstance(part, OSError):
                if not isinstance(part, FileNotFoundError):
                    self._denied.append(Denied(file.job, f"{file.path}: {reason(part)}"))
                return True
        head = parts[-1]
        if not isinstance(data, bytes) or not isinstance(head, bytes):
            return True
        known = min(offset, WINDOW)
        if offset and (len(data) < known or place_digest(head[:known], data[:known]) != news.known.place):
            return False
        mark = "" if abs(self._now - info.mtime) < _FRESH else stamp(info)
        age = max(0.0, self._now - info.mtime)
        place = "" if file.whole else place_digest(head, data)
        data = data[known:]
        if info.size > SPARSE_SIZE and not data.strip(b"\0"):  # SFTP does not tell what is on the disk
            self._holes.add((file.full, stamp(info)))
            self._denied.append(_hole(file, info))
            return True
        self._chunks.append(Chunk(file.job, file.path, info.size, age, mark, offset, data, place=place))
        self._more |= not file.whole and offset + len(data) < info.size
        return True


def _hole(file: JobPath, info: SftpStat) -> Denied:
    return Denied(file.job, f"{file.path}: a hole in a file of {info.size:,} bytes, not read")


def _wanted(news: _News) -> list[tuple[str, int, int]]:
    if news.file.whole:
        return [(news.file.full, 0, MAX_DOCUMENT)]
    known = min(news.offset, WINDOW)
    here = (news.file.full, news.offset - known, known + news.share)
    return [here] if news.offset == known else [here, (news.file.full, 0, WINDOW)]


def _chosen(news: list[_News], cap: int) -> list[_News]:
    """What has a place in the reply, in the helper's order and with its shares (`helper_files.allot`)."""
    chosen: list[_News] = []
    used = 0
    for one in sorted((one for one in news if one.file.whole), key=lambda one: (one.since, one.size)):
        size = min(one.size, MAX_DOCUMENT) + OVERHEAD
        if chosen and used + size > cap // 2:
            break
        chosen.append(one)
        used += size
    left = max(cap - used, cap // 4)
    for first in sorted({one.file.first for one in news if not one.file.whole}):
        files = [one for one in news if not one.file.whole and one.file.first == first]
        sizes, waiting = [one.size for one in files], [one.since for one in files]
        for place, share in allot(sizes, left, waiting).items():
            files[place].share = share
            left -= share + OVERHEAD
            chosen.append(files[place])
    return chosen
