"""How the helper opens and reads files that it does not trust. Part of the program that runs on nodes: see `helper`."""

import errno
import itertools
import os
import re
import stat
from typing import Any, Dict, List, Optional, Tuple

WINDOW = 512
"""Bytes at a file's beginning, and again before the place of reading, by which it is known again."""

MAX_ENTRIES = 100_000
"""Entries looked at in one directory: a job of 8,192 ranks has 16,384."""

MAX_JOB_ENTRIES = 20_000
"""Jobs that one reply names."""

MAX_OPEN = 64
"""Folders held open at a time: some systems allow 256 files in all, and a job may have a folder for each rank."""

OVERHEAD = 128
"""Bytes that a file's description takes in a reply, so that many empty files stay below the cap too."""

LEAST = 4096
"""Bytes that each file has in a reply before another one has a place there: files in slivers cost a write for each."""

SPARSE_SIZE, SPARSE_RATIO = 1 << 30, 256
"""A file of this size with so little on the disk is a hole, not a log: it is refused, not transferred."""

# Neither follow a link out of the job nor hang in a FIFO's open: what lies there is not ours to trust.
READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_FOLDER = READ | getattr(os, "O_DIRECTORY", 0)
JOB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)

Layout = List[Dict[str, Any]]
"""Where which files lie. Each entry: `folder` on the disk (below the job's), `sub` (a pattern for one folder more, or
null), `path` (what stands before the name in the path that is reported), `name` (a pattern), `kind`, `whole`, `first`
(what has the lower number is read first), `vital` (it tells of a process of the machine on which it lies)."""


def place_digest(head: bytes, before: bytes) -> str:
    """The digest of a file's first `WINDOW` bytes and of those before the place of reading."""
    return _digest(head[:WINDOW] + before[-WINDOW:])


def _digest(data: bytes) -> str:
    # Not needed before something is known; until it has loaded OpenSSL, a program that has just begun waits.
    import hashlib

    # SHA-256, for it is there on machines that allow approved algorithms only (FIPS), where BLAKE2 is not.
    return hashlib.sha256(data).hexdigest()[:16]


def stamp(info: os.stat_result) -> str:
    """What tells that a file is as it was. The time is that of any change: the other one can be set back."""
    return "%x.%x.%x" % (info.st_size, info.st_ctime_ns, info.st_ino)


class Folders:
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


def refuse(info: os.stat_result) -> None:
    if stat.S_ISLNK(info.st_mode):
        raise OSError(errno.ELOOP, "a link")
    if not stat.S_ISREG(info.st_mode):
        raise OSError(errno.EINVAL, "not a regular file")
    if info.st_size > SPARSE_SIZE and getattr(info, "st_blocks", info.st_size) * 512 < info.st_size // SPARSE_RATIO:
        raise OSError(errno.EFBIG, "a hole of {:,} bytes with next to nothing in it, not read".format(info.st_size))


def behind(handle: int, offset: int, place: str, share: int) -> Optional[Tuple[bytes, str]]:
    """At most `share` bytes behind `offset`, and the place behind these; None where `place` is another file's.

    The place is looked at after the data was read, or together with it: a file that is replaced meanwhile is seen.
    """
    known = min(offset, WINDOW)
    data = os.pread(handle, known + share, offset - known)
    head = data if offset == known else os.pread(handle, known, 0)
    if offset and (len(data) < known or place_digest(head[:known], data[:known]) != place):
        return None
    return data[known:], place_digest(head, data)


class News:
    """A file that is not as it was: `size` bytes seem to be new, `was` is what was known of it.

    `told` are its size and when it was written, `mark` its stamp: thousands may wait here, so nothing else is kept.
    """

    __slots__ = ("mark", "name", "path", "place", "size", "spec", "told", "was")

    def __init__(self, place: Tuple[str, str], name: str, path: str, was: Any, spec: Dict[str, Any]) -> None:
        self.place, self.name, self.path, self.was, self.spec = place, name, path, was, spec
        self.told, self.mark = (0, 0.0), ""
        self.size = 0

    @property
    def since(self) -> int:
        """When what is known of it was learned, as far as the stamp tells: who waited longest goes first."""
        parts = self.was[2].split(".") if self.was[2] else []
        return int(parts[1], 16) if len(parts) > 1 else 0


def allot(sizes: List[int], left: int, since: List[int]) -> Dict[int, int]:
    """How many bytes to read of which files, given their new bytes; all together at most `left`.

    What few bytes leave goes to those with more. Where not every file can have a place in the reply, those that have
    waited longest have: `since` says of each since when.
    """
    needs = [(size if size < LEAST else LEAST) + OVERHEAD for size in sizes]
    places = list(range(len(sizes)))
    if sum(needs) > left:
        places = _that_fit(needs, left, sorted(places, key=since.__getitem__))
    shares = {}
    for count, place in enumerate(sorted(places, key=sizes.__getitem__)):
        fair = left // (len(places) - count) - OVERHEAD
        shares[place] = max(0, min(sizes[place], fair))
        left -= shares[place] + OVERHEAD
    return shares


def _that_fit(needs: List[int], left: int, places: List[int]) -> List[int]:
    """The first of `places`, in any case that it can have a byte for, and of the others all whose needs are met."""
    if left <= OVERHEAD:
        return []
    room, chosen = left - min(left, needs[places[0]]), places[:1]
    for place in places[1:]:
        if needs[place] <= room:
            room -= needs[place]
            chosen.append(place)
    return chosen


def names_in(handle: int, most: int) -> List[str]:
    """At most so many names in a folder, without taking a whole huge one into memory where Python allows it."""
    if os.scandir not in os.supports_fd:  # before Python 3.7
        return os.listdir(handle)[:most]
    with os.scandir(handle) as entries:
        return [entry.name for entry in itertools.islice(entries, most)]


def list_jobs(root: str, shelves: "Shelves", request: Dict[str, Any], now: float, header: Dict[str, Any]) -> None:
    """Tell in `header` which jobs there are; of the older ones only if their list is not the one that is known."""
    young, older = [], []
    for job, age in sorted(_jobs(root, shelves.signs, now), key=_age)[:MAX_JOB_ENTRIES]:
        if age < request["recent"] or job in request["jobs"]:
            young.append([job, round(age, 3)])
        else:
            older.append(job)
    older.sort()
    listed = _digest("\n".join(older).encode()) if older else "none"
    header["jobs"] = young
    header["listed"] = listed
    header["older"] = None if listed == request["listed"] else older


def _age(entry: Tuple[str, float]) -> float:
    return entry[1]


def _jobs(root: str, signs: List[str], now: float) -> List[Tuple[str, float]]:
    found = []
    with os.scandir(root) as entries:
        for entry in itertools.islice(entries, MAX_ENTRIES):
            if JOB_ID.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                newest = max([_modified(entry.path + sign) for sign in signs])
                found.append((entry.name, max(0.0, now - newest)))
    return found


def _modified(path: str) -> float:
    try:
        return os.lstat(path).st_mtime
    except OSError:
        return 0.0


class Shelves:
    """A layout, made ready to look into. `signs`: what is below a job's folder whose time tells of news in the job."""

    def __init__(self, layout: Layout) -> None:
        # Heartbeats are renamed into their folder; a writer without them appends to a file.
        folders = {spec["folder"] for spec in layout if spec["kind"] in ("metrics", "heartbeat")}
        files = {os.path.join(spec["folder"], "metrics.jsonl") for spec in layout if spec["kind"] == "metrics"}
        self.signs = ["/" + sign if sign else "" for sign in sorted({""} | folders | files)]
        self._layout = layout
        self._groups: Dict[str, List[Group]] = {}

    def groups(self, kinds: List[str]) -> "List[Group]":
        """The files of these kinds by folder."""
        key = ",".join(kinds)
        if key not in self._groups:
            self._groups[key] = _grouped([spec for spec in self._layout if spec["kind"] in kinds])
        return self._groups[key]


Group = Tuple[str, Any, Layout, Any]
"""A folder, a pattern of folders in it (or None), what lies there, and one pattern for all names of that."""


def _grouped(layout: Layout) -> List[Group]:
    found: Dict[Tuple[str, Optional[str], str], Layout] = {}
    for spec in layout:
        found.setdefault((spec["folder"], spec["sub"], spec["path"]), []).append(spec)
    groups = []
    for (folder, sub, _), specs in found.items():
        names = "|".join("(?P<n%d>%s)" % (place, spec["name"]) for place, spec in enumerate(specs))
        below = None if sub is None else re.compile(sub, re.ASCII)
        groups.append((folder, below, specs, re.compile(names, re.ASCII)))
    return groups
