"""What reads a metrics directory: here in this process, on a node as a program that is sent over the connection.

It imports nothing of ours, runs on any Python >= 3.6 with its standard library alone, and writes nothing on the node.
It keeps nothing of what it saw between two requests: what is already known comes with the request, all that is new
goes back. (Only the texts of the last exchange are kept, for compression: what is said again costs next to nothing.)
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
import zlib
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

MAX_DENIED = 100
"""Files and folders of one job whose trouble is told in one reply."""

MAX_OPEN = 64
"""Folders held open at a time: some systems allow 256 files in all, and a job may have a folder for each rank."""

SPARSE_SIZE, SPARSE_RATIO = 1 << 30, 256
"""A file of this size with so little on the disk is a hole, not a log: it is refused, not transferred."""

CONTEXT = 1 << 15
"""Bytes of the last exchange that compression looks back at."""

# Neither follow a link out of the job nor hang in a FIFO's open: what lies there is not ours to trust.
READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_FOLDER = READ | getattr(os, "O_DIRECTORY", 0)
_JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)

Layout = List[Dict[str, Any]]
"""Where which files lie. Each entry: `folder` on the disk (below the job's), `sub` (a pattern for one folder more, or
null), `path` (what stands before the name in the path that is reported), `name` (a pattern), `kind`, `whole`, `first`
(what has the lower number is read first)."""


def place_digest(head: bytes, before: bytes) -> str:
    """The digest of a file's first `WINDOW` bytes and of those before the place of reading."""
    # SHA-256, for it is there on machines that allow approved algorithms only (FIPS), where BLAKE2 is not.
    return hashlib.sha256(head[:WINDOW] + before[-WINDOW:]).hexdigest()[:16]


def stamp(info: os.stat_result) -> str:
    """What tells that a file is as it was. The time is that of any change: the other one can be set back."""
    return "%x.%x.%x" % (info.st_size, info.st_ctime_ns, info.st_ino)


def poll(root: str, layout: Layout, request: Dict[str, Any], now: float) -> Tuple[Dict[str, Any], List[bytes]]:
    """One look: which jobs there are, and all that is new in those that are asked for.

    `request`: `recent` (s), `listed` (stamp of the older jobs' list), `cap` (bytes), `kinds`, and `jobs`: for each job
    and path `[offset, place, stamp]`. `now`: Unix seconds by this machine. Back come a header and its data.
    """
    header: Dict[str, Any] = {"time": round(now, 3), "chunks": [], "denied": [], "more": False}
    _list(root, layout, request, now, header)
    reader = _Reader(root, layout, set(request["kinds"]), now, header)
    try:
        for job, known in request["jobs"].items():
            if _JOB_ID.fullmatch(job):
                reader.look(job, known)
        reader.read(request["cap"])
    finally:
        reader.close()
    return header, reader.data


def _list(root: str, layout: Layout, request: Dict[str, Any], now: float, header: Dict[str, Any]) -> None:
    entries = sorted(_jobs(root, layout, now), key=lambda entry: entry[1])[:MAX_JOB_ENTRIES]
    young = [entry for entry in entries if entry[1] < request["recent"] or entry[0] in request["jobs"]]
    older = sorted(entry[0] for entry in entries if entry[1] >= request["recent"] and entry[0] not in request["jobs"])
    listed = hashlib.sha256("\n".join(older).encode()).hexdigest()[:16]
    header["jobs"] = young
    header["listed"] = listed
    header["older"] = None if listed == request["listed"] else older


def _jobs(root: str, layout: Layout, now: float) -> List[List[Any]]:
    """The jobs with their ages: heartbeats are renamed into a folder, a writer without them appends to a file."""
    folders = {spec["folder"] for spec in layout if spec["kind"] in ("metrics", "heartbeat")}
    files = {os.path.join(spec["folder"], "metrics.jsonl") for spec in layout if spec["kind"] == "metrics"}
    signs = ["/" + sign for sign in sorted({""} | folders | files) if sign] + [""]
    found = []
    with os.scandir(root) as entries:
        for place, entry in enumerate(entries):
            if place >= MAX_ENTRIES:
                break
            if _JOB_ID.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                newest = max([_modified(entry.path + sign) for sign in signs])
                found.append([entry.name, round(max(0.0, now - newest), 3)])
    return found


def _modified(path: str) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0


class _Folders:
    """The folders of jobs, a few of them open. No link is followed below the metrics directory."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._open: Dict[Tuple[str, str], int] = {}

    def handle(self, job: str, folder: str) -> int:
        """An open folder; it stays open until another one is asked for."""
        found = self._open.get((job, folder))
        if found is None:
            above, _, name = folder.rpartition("/")
            place = self.handle(job, above) if folder else None
            found = os.open(name if folder else os.path.join(self._root, job), _FOLDER, dir_fd=place)
            if len(self._open) >= MAX_OPEN:
                self.close()
            self._open[job, folder] = found
        return found

    def close(self) -> None:
        """Let go of all."""
        while self._open:
            os.close(self._open.popitem()[1])


class _News:
    """A file that is not as it was: `size` bytes seem to be new, `was` is what was known of it."""

    def __init__(self, spec: Dict[str, Any], place: Tuple[str, str], name: str, path: str, was: List[Any]) -> None:
        self.spec, self.place, self.name, self.path, self.was = spec, place, name, path, was
        self.size = 0

    @property
    def since(self) -> int:
        """When what is known of it was learned, as far as the stamp tells: who waited longest goes first."""
        parts = self.was[2].split(".")
        return int(parts[1], 16) if len(parts) > 1 else 0


class _Reader:
    """Finds what is new in the jobs asked for, then reads it within the cap."""

    def __init__(self, root: str, layout: Layout, kinds: "set[str]", now: float, header: Dict[str, Any]) -> None:
        self.data: List[bytes] = []
        self._groups = _groups([spec for spec in layout if spec["kind"] in kinds])
        self._now = now
        self._header = header
        self._folders = _Folders(root)
        self._news: List[_News] = []
        self._denied: Dict[str, int] = {}

    def close(self) -> None:
        """Let go of the folders."""
        self._folders.close()

    def look(self, job: str, known: Dict[str, List[Any]]) -> None:
        """Note every file of `job` that is not as it was."""
        try:
            self._folders.handle(job, "")
        except FileNotFoundError:
            return
        except OSError as error:
            self._deny(job, "its directory", error)
            return
        for folder, sub, specs, names in self._groups:
            try:
                if sub is None:
                    self._match(job, folder, "", specs, names, known)
                    continue
                below = [name for name in self._entries(job, folder) if sub.fullmatch(name)]
            except FileNotFoundError:
                continue
            except OSError as error:
                self._deny(job, folder or "its directory", error)
                continue
            for name in sorted(below):
                self._below(job, folder, name, specs, names, known)

    def _below(self, job: str, folder: str, name: str, specs: Layout, names: Any, known: Dict[str, List[Any]]) -> None:
        try:
            self._match(job, folder + "/" + name if folder else name, name + "/", specs, names, known)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._deny(job, specs[0]["path"] + name, error)

    def _match(
        self, job: str, folder: str, prefix: str, specs: Layout, names: Any, known: Dict[str, List[Any]]
    ) -> None:
        handle = self._folders.handle(job, folder)
        for entry in self._entries(job, folder):
            found = names.fullmatch(entry)
            if not found:
                continue
            spec = specs[int(found.lastgroup[1:])]
            path = spec["path"] + prefix + entry
            try:
                info = os.stat(entry, dir_fd=handle, follow_symlinks=False)
                was = known.get(path)
                if was is not None and was[2] == stamp(info) and (spec["whole"] or was[0] >= info.st_size):
                    continue
                _refuse(info)
            except FileNotFoundError:
                continue  # gone since it was listed
            except OSError as error:
                self._deny(job, path, error)
                continue
            news = _News(spec, (job, folder), entry, path, was or [0, "", ""])
            # A file that is shorter than what is known of it is another one.
            gone = spec["whole"] or info.st_size < news.was[0]
            news.size = info.st_size if gone else info.st_size - news.was[0]
            self._news.append(news)

    def _entries(self, job: str, folder: str) -> Iterator[str]:
        for place, name in enumerate(_entries(self._folders.handle(job, folder))):
            if place >= MAX_ENTRIES:
                what = "more than {:,} entries, the rest is not read".format(MAX_ENTRIES)
                self._header["denied"].append([job, "%s: %s" % (folder or "its directory", what)])
                break
            yield name

    def read(self, cap: int) -> None:
        """Read the news: documents first, for they are small; then each kind in turn, fairly between its files."""
        documents = [news for news in self._news if news.spec["whole"]]
        left = max(cap - self._documents(documents, cap // 2), cap // 4)
        for first in sorted({news.spec["first"] for news in self._news if not news.spec["whole"]}):
            files = [news for news in self._news if not news.spec["whole"] and news.spec["first"] == first]
            shares = allot([(news.size, news.since) for news in files], left)
            spare = max(0, left - sum(shares.values()) - OVERHEAD * len(shares))
            # In the order of their names, for a reply is then the same each time.
            for place in sorted(shares, key=lambda place: (files[place].place, files[place].path)):
                used = self._one(files[place], shares[place], spare)
                spare -= max(0, used - shares[place] - OVERHEAD)
                left -= used
            self._header["more"] |= len(shares) < len(files)

    def _documents(self, documents: List[_News], cap: int) -> int:
        used = 0
        for news in sorted(documents, key=lambda news: (news.since, news.size, news.place, news.path)):
            if used and used + min(news.size, MAX_DOCUMENT) + OVERHEAD > cap:
                self._header["more"] = True
                break
            used += self._one(news, MAX_DOCUMENT)
        return used

    def _one(self, news: _News, share: int, spare: int = 0) -> int:
        """Read one file; `spare` may be taken besides, if more of it turns out to be new."""
        try:
            handle = os.open(news.name, READ, dir_fd=self._folders.handle(*news.place))
            try:
                return self._chunk(news, handle, share, spare)
            finally:
                os.close(handle)
        except FileNotFoundError:
            return 0
        except OSError as error:
            self._deny(news.place[0], news.path, error)
            return 0

    def _chunk(self, news: _News, handle: int, share: int, spare: int) -> int:
        info = os.fstat(handle)
        _refuse(info)
        offset = 0 if news.spec["whole"] else news.was[0]
        data = _behind(handle, offset, news.was[1], share)
        if data is not None:
            return self._tell(news, info, stamp(info), offset, data)
        other, data = self._renamed(news, share + spare)
        if data is not None:
            return self._tell(news, other, "", offset, data, old=True)
        return self._tell(news, info, stamp(info), 0, os.pread(handle, share + spare, 0))

    def _tell(self, news: _News, info: os.stat_result, mark: str, offset: int, data: bytes, old: bool = False) -> int:
        age = round(max(0.0, self._now - info.st_mtime), 3)
        words = [news.place[0], news.path, info.st_size, age, mark, offset, len(data), old]
        self._header["chunks"].append(words)
        self._header["more"] |= old or (not news.spec["whole"] and offset + len(data) < info.st_size)
        self.data.append(data)
        return len(data) + OVERHEAD

    def _renamed(self, news: _News, share: int) -> Tuple[Any, Optional[bytes]]:
        """The file that was known under this name, and what is new in it, if it was renamed away."""
        folder, offset = self._folders.handle(*news.place), news.was[0]
        starts = (news.name + ".", news.name + "-")
        others = [entry for entry in self._entries(*news.place) if entry.startswith(starts)]
        for entry in sorted(others)[:MAX_ROTATED]:
            try:
                other = os.open(entry, READ, dir_fd=folder)
            except OSError:
                continue
            try:
                info = os.fstat(other)
                if stat.S_ISREG(info.st_mode) and info.st_size > offset:
                    data = _behind(other, offset, news.was[1], share)
                    if data is not None:
                        return info, data
            finally:
                os.close(other)
        return None, None

    def _deny(self, job: str, path: str, error: OSError) -> None:
        count = self._denied[job] = self._denied.get(job, 0) + 1
        if count < MAX_DENIED:
            reason = "a link, which is not followed" if error.errno == errno.ELOOP else error.strerror
            self._header["denied"].append([job, "%s: %s" % (path, reason or type(error).__name__)])
        elif count == MAX_DENIED:
            self._header["denied"].append([job, "more that cannot be read, not named here"])


def allot(files: List[Tuple[int, int]], left: int) -> Dict[int, int]:
    """How many bytes to read of which files, given (new bytes, waiting since); all together at most `left`.

    What few bytes leave goes to those with more. Where not every file can have a place in the reply, those that have
    waited longest have.
    """
    places = list(range(len(files)))
    most = max(0, left) // (2 * OVERHEAD)
    if len(places) > most:
        places = sorted(places, key=lambda place: files[place][1])[: max(most, 1 if left > OVERHEAD else 0)]
    shares = {}
    for count, place in enumerate(sorted(places, key=lambda place: files[place])):
        fair = left // (len(places) - count) - OVERHEAD
        shares[place] = max(0, min(files[place][0], fair))
        left -= shares[place] + OVERHEAD
    return shares


def _groups(layout: Layout) -> List[Tuple[str, Any, Layout, Any]]:
    """The files of a layout by folder: the folder, a pattern of folders in it, and one pattern for all their names."""
    found: Dict[Tuple[str, Optional[str]], Layout] = {}
    for spec in layout:
        found.setdefault((spec["folder"], spec["sub"]), []).append(spec)
    groups = []
    for (folder, sub), specs in found.items():
        names = "|".join("(?P<n%d>%s)" % (place, spec["name"]) for place, spec in enumerate(specs))
        below = None if sub is None else re.compile(sub, re.ASCII)
        groups.append((folder, below, specs, re.compile(names, re.ASCII)))
    return groups


def _refuse(info: os.stat_result) -> None:
    if stat.S_ISLNK(info.st_mode):
        raise OSError(errno.ELOOP, "a link")
    if not stat.S_ISREG(info.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    if info.st_size > SPARSE_SIZE and getattr(info, "st_blocks", info.st_size) * 512 < info.st_size // SPARSE_RATIO:
        raise OSError(errno.EFBIG, "a hole of {:,} bytes with next to nothing in it, not read".format(info.st_size))


def _behind(handle: int, offset: int, place: str, share: int) -> Optional[bytes]:
    """At most `share` bytes behind `offset`, or None where what lies before it is not what was known.

    The place is looked at after the data was read, or together with it: a file that is replaced meanwhile is seen.
    """
    known = min(offset, WINDOW)
    data = os.pread(handle, known + share, offset - known)
    if not offset:
        return data
    head = data if offset == known else os.pread(handle, known, 0)
    if len(data) < known or place_digest(head[:known], data[:known]) != place:
        return None
    return data[known:]


def _entries(handle: int) -> Iterator[str]:
    """The names in a folder, without taking a whole huge one into memory where Python allows it."""
    if sys.version_info >= (3, 7):
        with os.scandir(handle) as entries:
            for entry in entries:
                yield entry.name
    else:
        yield from os.listdir(handle)


def probe(root: str, now: float) -> Dict[str, Any]:
    """What this machine says of itself and of the metrics directory."""
    found: Dict[str, Any] = {"time": now, "python": sys.version.split()[0], "root": _text(root)}
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
    if disk.f_files:
        found.update(inodes_free=disk.f_favail, inodes=disk.f_files)
    return found


def answer(layout: Layout, request: Dict[str, Any]) -> Tuple[Dict[str, Any], List[bytes]]:
    """The reply to one request; what goes wrong with the metrics directory itself is part of it."""
    # Bytes, for where the locale is C an old Python takes no other letters than ASCII in a name.
    root = os.path.abspath(os.path.expanduser(os.fsdecode(request["root"].encode())))
    try:
        if request["op"] == "probe":
            return probe(root, time.time()), []
        return poll(root, layout, request, time.time())
    except OSError as error:
        return {"error": type(error).__name__, "text": error.strerror or "", "root": _text(root)}, []


def _text(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "replace")


def pack(text: bytes, context: bytes) -> bytes:
    """`text` compressed by what the other side knows already."""
    context = context[-CONTEXT:]
    # An ordinary exchange fits a window of 8 KiB, which is made ready in a fifth of the time.
    window, memory = (-13, 5) if len(text) + len(context) <= 1 << 13 else (-15, 8)
    packer = zlib.compressobj(1, zlib.DEFLATED, window, memory, zlib.Z_DEFAULT_STRATEGY, context)
    return packer.compress(text) + packer.flush()


def unpack(packed: bytes, context: bytes, most: int) -> bytes:
    """What was packed.

    Raises:
        ValueError: it is nothing of the kind, or more than `most` bytes.
    """
    unpacker = zlib.decompressobj(-15, context[-CONTEXT:])
    try:
        text = unpacker.decompress(packed, most)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("cut, or too long")
    return text


FRAME = struct.Struct(">III")
"""Behind the mark of a reply: bytes of its packed header, bytes of its data, CRC-32 of both."""


def frame(mark: bytes, header: bytes, data: List[bytes]) -> bytes:
    """A reply as it travels. `mark` stands before each, and a checksum in it: what else writes there is found."""
    body = b"".join([header] + data)
    return mark + FRAME.pack(len(header), len(body) - len(header), zlib.crc32(body)) + body


def serve(layout: Layout, mark: bytes) -> None:
    """Answer requests from standard input until it ends."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    reply: Dict[str, Any] = {"version": VERSION, "python": sys.version.split()[0]}
    parts: List[bytes] = []
    context = b""
    while True:
        header = json.dumps(reply).encode()
        sink.write(frame(mark, pack(header, context), parts))
        sink.flush()
        size = source.read(4)
        packed = source.read(struct.unpack(">I", size)[0]) if len(size) == 4 else b""
        if not packed:
            return
        request = unpack(packed, context + header, sys.maxsize)
        context = header + request
        reply, parts = answer(layout, json.loads(request.decode()))
