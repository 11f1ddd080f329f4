"""What reads a metrics directory: here in this process, on a node as a program that is sent over the connection.

It imports nothing of ours, runs on any Python >= 3.6 with its standard library alone, keeps nothing between two
requests and writes nothing on the node: what is already known comes with the request, all that is new goes back.
"""

import errno
import hashlib
import json
import os
import re
import stat
import struct
import sys
import time
from typing import Any, Dict, Iterator, List, Optional, Tuple

VERSION = 1
WINDOW = 512
"""Bytes at a file's beginning, and again before the place of reading, by which it is known again."""

MAX_ENTRIES = 100_000
"""Entries looked at in one directory: a job of 8,192 ranks has 16,384."""

MAX_DOCUMENT = 1 << 18
"""Bytes read of a file that is replaced whole: a heartbeat is 500 bytes, an error file some kilobytes."""

OVERHEAD = 128
"""Bytes that a file's description takes in a reply, so that many empty files stay below the cap too."""

MAX_ROTATED = 16
"""Other names that are tried for the rest of a file that was renamed away."""

MAX_JOB_ENTRIES = 20_000
"""Jobs that one reply names."""

SPARSE_SIZE, SPARSE_RATIO = 1 << 30, 256
"""A file of this size with so little on the disk is a hole, not a log: it is refused, not transferred."""

# Neither follow a link out of the job nor hang in a FIFO's open: what lies there is not ours to trust.
READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_FOLDER = READ | getattr(os, "O_DIRECTORY", 0)
_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)

Layout = List[Dict[str, Any]]
"""Where which files lie. Each entry: `folder` on the disk (below the job's), `sub` (a pattern for one folder more, or
null), `path` (what stands before the name in the path that is reported), `name` (a pattern), `kind`, `whole`, `first`
(what has the lower number is read first)."""

News = Tuple[Dict[str, Any], str, str, int, str, int, List[Any]]
"""Its place in the layout, the job, the path, an open folder, the name in it, the new bytes, what was known."""


def place_digest(head: bytes, before: bytes) -> str:
    """The digest of a file's first `WINDOW` bytes and of those before the place of reading."""
    digest = hashlib.blake2b(head[:WINDOW], digest_size=8)
    digest.update(before[-WINDOW:])
    return digest.hexdigest()


def poll(root: str, layout: Layout, request: Dict[str, Any], now: float) -> Tuple[Dict[str, Any], List[bytes]]:
    """One look: which jobs there are, and all that is new in those that are asked for.

    `request`: `recent` (s), `listed` (stamp of the older jobs' list), `cap` (bytes), `kinds`, and `jobs`: for each job
    and path `[offset, place, stamp]`. `now`: Unix seconds by this machine. Back come a header and its data.
    """
    header: Dict[str, Any] = {"time": now, "chunks": [], "denied": [], "more": False}
    _list(root, request, now, header)
    reader = _Reader(layout, set(request["kinds"]), now, header)
    try:
        for job, known in request["jobs"].items():
            if _JOB_ID.fullmatch(job):
                reader.look(root, job, known)
        reader.read(request["cap"])
    finally:
        reader.close()
    return header, reader.data


def _list(root: str, request: Dict[str, Any], now: float, header: Dict[str, Any]) -> None:
    entries = sorted(_jobs(root, now), key=lambda entry: entry[1])[:MAX_JOB_ENTRIES]
    young = [entry for entry in entries if entry[1] < request["recent"] or entry[0] in request["jobs"]]
    older = sorted(entry[0] for entry in entries if entry[1] >= request["recent"] and entry[0] not in request["jobs"])
    listed = hashlib.blake2b("\n".join(older).encode(), digest_size=8).hexdigest()
    header["jobs"] = young
    header["listed"] = listed
    header["older"] = None if listed == request["listed"] else older


def _jobs(root: str, now: float) -> List[List[Any]]:
    """The jobs with their ages: heartbeats are renamed into the folder, a writer without them appends to a file."""
    found = []
    with os.scandir(root) as entries:
        for place, entry in enumerate(entries):
            if place >= MAX_ENTRIES:
                break
            if _JOB_ID.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                newest = max(_modified(entry.path), _modified(os.path.join(entry.path, "metrics.jsonl")))
                found.append([entry.name, max(0.0, now - newest)])
    return found


def _modified(path: str) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0


class _Reader:
    """Finds what is new in the jobs asked for, then reads it within the cap."""

    def __init__(self, layout: Layout, kinds: "set[str]", now: float, header: Dict[str, Any]) -> None:
        self.data: List[bytes] = []
        self._layout = [(spec, re.compile(spec["name"], re.ASCII)) for spec in layout if spec["kind"] in kinds]
        self._now = now
        self._header = header
        self._handles: List[int] = []
        self._news: List[News] = []

    def close(self) -> None:
        """Let go of the folders."""
        for handle in self._handles:
            os.close(handle)

    def look(self, root: str, job: str, known: Dict[str, List[Any]]) -> None:
        """Note every file of `job` that is not as it was."""
        try:
            place = self._open(os.path.join(root, job), None)
        except FileNotFoundError:
            return
        except OSError as error:
            self._deny(job, "its directory", error)
            return
        folders: Dict[str, List[Tuple[str, int, List[str]]]] = {}
        for spec, name in self._layout:
            key = "%s|%s" % (spec["folder"], spec["sub"])
            if key not in folders:
                folders[key] = list(self._folders(job, place, spec))
            for prefix, handle, names in folders[key]:
                self._match(job, spec, name, prefix, handle, names, known)

    def _match(
        self,
        job: str,
        spec: Dict[str, Any],
        name: Any,
        prefix: str,
        handle: int,
        names: List[str],
        known: Dict[str, List[Any]],
    ) -> None:
        for entry in names:
            if not name.fullmatch(entry):
                continue
            path = spec["path"] + prefix + entry
            try:
                info = os.stat(entry, dir_fd=handle, follow_symlinks=False)
            except OSError:
                continue  # gone since it was listed
            was = known.get(path) or [0, "", ""]
            if was[2] != stamp(info) or (not spec["whole"] and was[0] < info.st_size):
                news = info.st_size if spec["whole"] else max(0, info.st_size - was[0])
                self._news.append((spec, job, path, handle, entry, news, was))

    def _folders(self, job: str, place: int, spec: Dict[str, Any]) -> Iterator[Tuple[str, int, List[str]]]:
        handle = place
        try:
            for part in spec["folder"].split("/") if spec["folder"] else ():
                handle = self._open(part, handle)
            names = self._names(job, spec["folder"], handle)
        except FileNotFoundError:
            return
        except OSError as error:
            self._deny(job, spec["folder"] or "its directory", error)
            return
        if spec["sub"] is None:
            yield "", handle, names
            return
        for name in names:
            if re.fullmatch(spec["sub"], name, re.ASCII):
                try:
                    below = self._open(name, handle)
                    yield name + "/", below, self._names(job, name, below)
                except OSError as error:
                    self._deny(job, spec["path"] + name, error)

    def _open(self, path: str, place: Optional[int]) -> int:
        handle = os.open(path, _FOLDER, dir_fd=place)
        self._handles.append(handle)
        return handle

    def _names(self, job: str, folder: str, handle: int) -> List[str]:
        names: List[str] = []
        for name in _entries(handle):
            if len(names) >= MAX_ENTRIES:
                what = "more than {:,} entries, the rest is not read".format(MAX_ENTRIES)
                self._header["denied"].append([job, "%s: %s" % (folder or "its directory", what)])
                break
            names.append(name)
        return sorted(names)

    def read(self, cap: int) -> None:
        """Read the news: documents first, for they are small; then each kind in turn, fairly between its files."""
        documents = [news for news in self._news if news[0]["whole"]]
        left = cap - self._documents(documents, cap // 2)
        for first in sorted({news[0]["first"] for news in self._news if not news[0]["whole"]}):
            files = [news for news in self._news if not news[0]["whole"] and news[0]["first"] == first]
            files.sort(key=lambda news: news[5])
            for place, news in enumerate(files):
                share = max(0, left - OVERHEAD) // (len(files) - place)
                if share <= 0 and (news[5] or left <= 0):
                    self._header["more"] = True
                    break
                left -= self._one(news, share)

    def _documents(self, documents: List[News], cap: int) -> int:
        used = 0
        # Whoever was passed over longest comes first: what was never read has no stamp.
        for news in sorted(documents, key=lambda news: (news[6][2] != "", news[5])):
            if used and used + min(news[5], MAX_DOCUMENT) + OVERHEAD > cap:
                self._header["more"] = True
                break
            used += self._one(news, MAX_DOCUMENT)
        return used

    def _one(self, news: News, share: int) -> int:
        _, job, path, _, _, _, _ = news
        try:
            return self._chunk(news, share)
        except FileNotFoundError:
            return 0
        except OSError as error:
            self._deny(job, path, error)
            return 0

    def _chunk(self, news: News, share: int) -> int:
        spec, job, path, folder, name, _, was = news
        handle = os.open(name, READ, dir_fd=folder)
        try:
            info = os.fstat(handle)
            _refuse(info)
            offset, old = (0, None) if spec["whole"] else self._where(handle, info, folder, name, was)
            source = handle if old is None else old
            try:
                data = os.pread(source, share, offset)
                size = info.st_size if old is None else os.fstat(old).st_size
                # Read while it was being replaced: what came may belong to either file, so let it come again.
                if offset and not _same(source, offset, was[1]):
                    self._header["more"] = True
                    return 0
            finally:
                if old is not None:
                    os.close(old)
        finally:
            os.close(handle)
        age = max(0.0, self._now - info.st_mtime)
        mark = stamp(info) if old is None else ""
        self._header["chunks"].append([job, path, size, age, mark, offset, len(data), old is not None])
        self._header["more"] |= old is not None or (not spec["whole"] and offset + len(data) < size)
        self.data.append(data)
        return len(data) + OVERHEAD

    def _where(
        self, handle: int, info: os.stat_result, folder: int, name: str, was: List[Any]
    ) -> Tuple[int, Optional[int]]:
        """Where to read on, and in which other file, if the known one was renamed away before all of it was read."""
        offset = was[0]
        if not offset or (offset <= info.st_size and _same(handle, offset, was[1])):
            return offset, None
        others = [entry for entry in _entries(folder) if entry.startswith(name + ".") or entry.startswith(name + "-")]
        for entry in sorted(others)[:MAX_ROTATED]:
            try:
                other = os.open(entry, READ, dir_fd=folder)
            except OSError:
                continue
            there = os.fstat(other)
            if stat.S_ISREG(there.st_mode) and there.st_size > offset and _same(other, offset, was[1]):
                return offset, other
            os.close(other)
        return 0, None

    def _deny(self, job: str, path: str, error: OSError) -> None:
        reason = "a link, which is not followed" if error.errno == errno.ELOOP else error.strerror
        self._header["denied"].append([job, "%s: %s" % (path, reason)])


def stamp(info: os.stat_result) -> str:
    """What tells that a file is as it was: another size, time or inode makes another stamp."""
    return "%x.%x.%x" % (info.st_size, info.st_mtime_ns, info.st_ino)


def _refuse(info: os.stat_result) -> None:
    if not stat.S_ISREG(info.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    if info.st_size > SPARSE_SIZE and getattr(info, "st_blocks", info.st_size) * 512 < info.st_size // SPARSE_RATIO:
        raise OSError(errno.EFBIG, "a hole of {:,} bytes with next to nothing in it, not read".format(info.st_size))


def _same(handle: int, offset: int, place: str) -> bool:
    known = min(offset, WINDOW)
    return place_digest(os.pread(handle, known, 0), os.pread(handle, known, offset - known)) == place


def _entries(handle: int) -> Iterator[str]:
    """The names in a folder that are text, without taking a whole huge folder into memory where Python allows it."""
    if sys.version_info >= (3, 7):
        with os.scandir(handle) as entries:
            yield from (entry.name for entry in entries if _is_text(entry.name))
    else:
        yield from (name for name in os.listdir(handle) if _is_text(name))


def _is_text(name: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def probe(root: str, now: float) -> Dict[str, Any]:
    """What this machine says of itself and of the metrics directory."""
    found: Dict[str, Any] = {"time": now, "python": sys.version.split()[0], "root": root}
    found["exists"] = os.path.isdir(root)
    found["readable"] = found["exists"] and os.access(root, os.R_OK | os.X_OK)
    place = root
    while place != os.path.dirname(place) and not os.path.isdir(place):
        place = os.path.dirname(place)
    try:
        disk = os.statvfs(place)
    except OSError:
        return found
    found.update(free=disk.f_bavail * disk.f_frsize, total=disk.f_blocks * disk.f_frsize)
    found.update(inodes_free=disk.f_favail, inodes=disk.f_files)
    return found


def answer(layout: Layout, request: Dict[str, Any]) -> Tuple[Dict[str, Any], List[bytes]]:
    """The reply to one request; what goes wrong with the metrics directory itself is part of it."""
    root = os.path.abspath(os.path.expanduser(request["root"]))
    try:
        if request["op"] == "probe":
            return probe(root, time.time()), []
        return poll(root, layout, request, time.time())
    except OSError as error:
        return {"error": type(error).__name__, "text": error.strerror, "root": root}, []


def serve(layout: Layout, mark: bytes) -> None:
    """Answer requests from standard input until it ends. `mark` stands before each reply: shells may print too."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    hello: Dict[str, Any] = {"version": VERSION, "python": sys.version.split()[0]}
    parts: List[bytes] = []
    while True:
        head = json.dumps(hello).encode()
        sink.write(mark + struct.pack(">II", len(head), sum(map(len, parts))) + head)
        for part in parts:
            sink.write(part)
        sink.flush()
        size = source.read(4)
        if len(size) < 4:
            return
        hello, parts = answer(layout, json.loads(source.read(struct.unpack(">I", size)[0]).decode()))
