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
from typing import Any, Dict, List, Optional, Tuple

from ugro_tui.nodes.helper_files import (
    JOB_ID,
    MAX_ENTRIES,
    READ,
    Folders,
    Group,
    Layout,
    News,
    Shelves,
    allot,
    behind,
    list_jobs,
    names_in,
    refuse,
    stamp,
)
from ugro_tui.nodes.helper_files import OVERHEAD as OVERHEAD
from ugro_tui.nodes.helper_files import WINDOW as WINDOW
from ugro_tui.nodes.helper_files import place_digest as place_digest
from ugro_tui.nodes.helper_vitals import as_known, examine, is_silent

MAX_DOCUMENT = 1 << 18
"""Bytes read of a file that is replaced whole: a heartbeat is 500 bytes, an error file some kilobytes."""

MAX_ROTATED = 16
"""Other names that are tried for the rest of a file that was renamed away."""

MAX_DENIED = 100
"""Files and folders of one job whose trouble is told in one reply."""


def poll(root: str, shelves: Shelves, request: Dict[str, Any], now: float) -> Tuple[Dict[str, Any], List[bytes]]:
    """One look: which jobs there are, and all that is new in those that are asked for.

    `request`: `recent` (s), `listed` (stamp of the older jobs' list), `cap` (bytes), `kinds`, and `jobs`: for each job
    and path `[offset, place, stamp]`. `now`: Unix seconds by this machine. Back come a header and its data.
    """
    header: Dict[str, Any] = {"time": round(now, 3), "chunks": [], "denied": [], "vitals": [], "more": False}
    list_jobs(root, shelves, request, now, header)
    reader = _Reader(root, shelves.groups(request["kinds"]), now, header)
    try:
        for job, known in request["jobs"].items():
            if JOB_ID.fullmatch(job):
                reader.look(job, known)
        reader.read(request["cap"])
    finally:
        reader.close()
    return header, reader.data


NOTHING = (0, "", "")
Known = Dict[str, Any]
"""What is known of a job's files, by path: `[offset, place, stamp]`."""


class _Reader:
    """Finds what is new in the jobs asked for, then reads it within the cap."""

    def __init__(self, root: str, groups: List[Group], now: float, header: Dict[str, Any]) -> None:
        self.data: List[bytes] = []
        self._groups = groups
        self._now = now
        self._header = header
        self._folders = Folders(root)
        self._news: List[News] = []
        self._silent: List[News] = []
        self._denied: Dict[str, int] = {}

    def close(self) -> None:
        """Let go of the folders."""
        self._folders.close()

    def look(self, job: str, known: Known) -> None:
        """Note every file of `job` that is not as it was."""
        try:
            top = self._entries(job, "")
        except FileNotFoundError:
            return
        except OSError as error:
            self._deny(job, "its directory", error)
            return
        for folder, sub, specs, names in self._groups:
            if folder and folder.partition("/")[0] not in top:
                continue
            try:
                if sub is None:
                    entries = self._entries(job, folder) if folder else top
                    self._match(job, folder, "", entries, specs, names, known)
                    continue
                below = [name for name in self._entries(job, folder) if sub.fullmatch(name)]
            except FileNotFoundError:
                continue
            except OSError as error:
                self._deny(job, folder or "its directory", error)
                continue
            for name in sorted(below):
                self._below(job, folder, name, specs, names, known)

    def _below(self, job: str, folder: str, name: str, specs: Layout, names: Any, known: Known) -> None:
        place = folder + "/" + name if folder else name
        try:
            self._match(job, place, name + "/", self._entries(job, place), specs, names, known)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._deny(job, specs[0]["path"] + name, error)

    def _match(
        self, job: str, folder: str, prefix: str, entries: List[str], specs: Layout, names: Any, known: Known
    ) -> None:
        handle = self._folders.handle(job, folder)
        place, base = (job, folder), specs[0]["path"] + prefix
        for entry in entries:
            path = base + entry
            was = known.get(path)
            found = names.fullmatch(entry) if was is None else None
            if was is None and not found:
                continue
            try:
                info = os.stat(entry, dir_fd=handle, follow_symlinks=False)
                mark = stamp(info)
                if was is None or was[2] != mark or was[0] < info.st_size:
                    found = found or names.fullmatch(entry)
                    if found:  # else it is known, but nobody asks for its kind now
                        news = News(place, entry, path, was or NOTHING, specs[int(found.lastgroup[1:])])
                        self._note(news, info, mark)
            except FileNotFoundError:
                continue  # gone since it was listed
            except OSError as error:
                self._deny(job, path, error)

    def _note(self, news: News, info: os.stat_result, mark: str) -> None:
        news.told, news.mark = (info.st_size, info.st_mtime), mark
        if news.spec["vital"] and is_silent(news, self._now):
            self._silent.append(news)
        if news.spec["whole"] and as_known(news):
            return
        refuse(info)
        # A file that is shorter than what is known of it is another one.
        gone = news.spec["whole"] or info.st_size < news.was[0]
        news.size = info.st_size if gone else info.st_size - news.was[0]
        self._news.append(news)

    def _entries(self, job: str, folder: str) -> List[str]:
        names = names_in(self._folders.handle(job, folder), MAX_ENTRIES + 1)
        if len(names) > MAX_ENTRIES:
            what = "more than {:,} entries, the rest is not read".format(MAX_ENTRIES)
            self._header["denied"].append([job, "%s: %s" % (folder or "its directory", what)])
        return names[:MAX_ENTRIES]

    def read(self, cap: int) -> None:
        """Read the news: documents first, for they are small; then each kind in turn, fairly between its files."""
        documents = [news for news in self._news if news.spec["whole"]]
        left = max(cap - self._documents(documents, cap // 2), cap // 4)
        for first in sorted({news.spec["first"] for news in self._news if not news.spec["whole"]}):
            files = [news for news in self._news if not news.spec["whole"] and news.spec["first"] == first]
            shares = allot([news.size for news in files], left, [news.since for news in files])
            spare = max(0, left - sum(shares.values()) - OVERHEAD * len(shares))
            # In the order of their names, for a reply is then the same each time.
            for place in sorted(shares, key=lambda place: (files[place].place, files[place].path)):
                used = self._one(files[place], shares[place], spare)
                spare -= max(0, used - shares[place] - OVERHEAD)
                left -= used
            self._header["more"] |= len(shares) < len(files)
        self._header["vitals"] = examine(self._silent, self._folders)

    def _documents(self, documents: List[News], cap: int) -> int:
        used = 0
        for news in sorted(documents, key=lambda news: (news.since, news.size, news.place, news.path)):
            if used and used + min(news.size, MAX_DOCUMENT) + OVERHEAD > cap:
                self._header["more"] = True
                break
            used += self._one(news, MAX_DOCUMENT)
        return used

    def _one(self, news: News, share: int, spare: int = 0) -> int:
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

    def _chunk(self, news: News, handle: int, share: int, spare: int) -> int:
        # What was said of the file before it was opened is told, so that a change since then is news again.
        told, offset = news.told, news.was[0]
        if news.spec["whole"]:
            return self._tell(news, told, news.mark, 0, (os.pread(handle, share, 0), ""))
        found = behind(handle, offset, news.was[1], share)
        if found is not None:
            return self._tell(news, told, news.mark, offset, found)
        other, found = self._renamed(news, share + spare)
        if found is not None:
            return self._tell(news, other, "", offset, found, old=True)
        return self._tell(news, told, news.mark, 0, behind(handle, 0, "", share + spare) or (b"", ""))

    def _tell(
        self,
        news: News,
        told: Tuple[int, float],
        mark: str,
        offset: int,
        found: Tuple[bytes, str],
        old: bool = False,
    ) -> int:
        (size, written), (data, behind_it) = told, found
        age = round(max(0.0, self._now - written), 3)
        words = [news.place[0], news.path, size, age, mark, offset, len(data), old, behind_it]
        self._header["chunks"].append(words)
        self._header["more"] |= old or (not news.spec["whole"] and offset + len(data) < size)
        self.data.append(data)
        return len(data) + OVERHEAD

    def _renamed(self, news: News, share: int) -> Tuple[Any, Optional[Tuple[bytes, str]]]:
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
                    found = behind(other, offset, news.was[1], share)
                    if found is not None:
                        return (info.st_size, info.st_mtime), found
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


def answer(shelves: Shelves, request: Dict[str, Any]) -> Tuple[Dict[str, Any], List[bytes]]:
    """The reply to one request; what goes wrong with the metrics directory itself is part of it."""
    # Bytes, for where the locale is C an old Python takes no other letters than ASCII in a name.
    root = os.path.abspath(os.path.expanduser(os.fsdecode(request["root"].encode())))
    try:
        if request["op"] == "probe":
            return probe(root, time.time()), []
        return poll(root, shelves, request, time.time())
    except OSError as error:
        return {"error": type(error).__name__, "text": error.strerror or "", "root": _text(root)}, []


def _text(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "replace")
