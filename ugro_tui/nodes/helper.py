"""What reads a metrics directory: here in this process, on a node as a program that is sent over the connection.

With `helper_files` and `helper_frame` it is the whole program: it imports nothing else of ours, runs on any Python >=
3.6 with its standard library alone, and writes nothing on the node. It keeps nothing of what it saw between two
requests: what is already known comes with the request, all that is new goes back.
"""

import errno
import os
import stat
import sys
import time
from typing import Any, Dict, Iterator, List, Optional, Tuple

from ugro_tui.nodes.helper_files import (
    JOB_ID,
    MAX_ENTRIES,
    READ,
    Folders,
    Layout,
    behind,
    grouped,
    list_jobs,
    names_in,
    refuse,
    stamp,
)
from ugro_tui.nodes.helper_files import WINDOW as WINDOW
from ugro_tui.nodes.helper_files import place_digest as place_digest

MAX_DOCUMENT = 1 << 18
"""Bytes read of a file that is replaced whole: a heartbeat is 500 bytes, an error file some kilobytes."""

OVERHEAD = 128
"""Bytes that a file's description takes in a reply, so that many empty files stay below the cap too."""

MAX_ROTATED = 16
"""Other names that are tried for the rest of a file that was renamed away."""

MAX_DENIED = 100
"""Files and folders of one job whose trouble is told in one reply."""


def poll(root: str, layout: Layout, request: Dict[str, Any], now: float) -> Tuple[Dict[str, Any], List[bytes]]:
    """One look: which jobs there are, and all that is new in those that are asked for.

    `request`: `recent` (s), `listed` (stamp of the older jobs' list), `cap` (bytes), `kinds`, and `jobs`: for each job
    and path `[offset, place, stamp]`. `now`: Unix seconds by this machine. Back come a header and its data.
    """
    header: Dict[str, Any] = {"time": round(now, 3), "chunks": [], "denied": [], "more": False}
    list_jobs(root, layout, request, now, header)
    reader = _Reader(root, layout, set(request["kinds"]), now, header)
    try:
        for job, known in request["jobs"].items():
            if JOB_ID.fullmatch(job):
                reader.look(job, known)
        reader.read(request["cap"])
    finally:
        reader.close()
    return header, reader.data


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
        self._groups = grouped([spec for spec in layout if spec["kind"] in kinds])
        self._now = now
        self._header = header
        self._folders = Folders(root)
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
                refuse(info)
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
        for place, name in enumerate(names_in(self._folders.handle(job, folder))):
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
        refuse(info)
        offset = 0 if news.spec["whole"] else news.was[0]
        data = behind(handle, offset, news.was[1], share)
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
                    data = behind(other, offset, news.was[1], share)
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
