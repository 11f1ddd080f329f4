"""Which files a job has, found by listing its folders over SFTP."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ugro_tui.core.layout import node_layout
from ugro_tui.core.text import visible
from ugro_tui.nodes.base import Denied
from ugro_tui.nodes.carriers import Sftp, SftpStat
from ugro_tui.nodes.helper import MAX_DENIED
from ugro_tui.nodes.helper_files import MAX_ENTRIES


@dataclass(frozen=True, slots=True)
class JobPath:
    """A file of a job: `path` as it is reported, `full` as SFTP is asked. `whole` and `first` as in the layout."""

    job: str
    path: str
    full: str
    whole: bool
    first: int


def stamp(info: SftpStat) -> str:
    """What tells that a file is as it was, as far as SFTP tells it."""
    return f"{info.size:x}.{info.mtime:x}"


def reason(error: OSError) -> str:
    """Why something cannot be read."""
    return visible(error.strerror or type(error).__name__, 200)


class JobFolders:
    """Lists the folders of one job."""

    def __init__(self, sftp: Sftp, root: str, job: str, deadline: float) -> None:
        self._sftp = sftp
        self._place = f"{root}/{job}"
        self._job = job
        self._deadline = deadline
        self._names: dict[str, list[str]] = {}
        self._denied: list[Denied] = []

    def files(self, kinds: frozenset[str]) -> tuple[list[JobPath], list[Denied]]:
        """Its files of these kinds, and what could not be listed."""
        found = []
        for spec in node_layout():
            if spec["kind"] in kinds:
                for prefix, folder in self._folders(spec):
                    names = (name for name in self._list(folder) if re.fullmatch(spec["name"], name, re.ASCII))
                    found += [self._file(spec, prefix, folder, name) for name in names]
        return found, self._denied[:MAX_DENIED]

    def _file(self, spec: dict[str, Any], prefix: str, folder: str, name: str) -> JobPath:
        path = f"{spec['path']}{prefix}{name}"
        return JobPath(self._job, path, self._full(folder, name), spec["whole"], spec["first"])

    def _folders(self, spec: dict[str, Any]) -> Iterator[tuple[str, str]]:
        if spec["sub"] is None:
            yield "", spec["folder"]
            return
        for name in self._list(spec["folder"]):
            if re.fullmatch(spec["sub"], name, re.ASCII):
                yield f"{name}/", f"{spec['folder']}/{name}"

    def _full(self, *parts: str) -> str:
        return "/".join((self._place, *(part for part in parts if part)))

    def _list(self, folder: str) -> list[str]:
        if folder not in self._names:
            self._names[folder] = []
            try:
                self._names[folder] = self._entries(folder)
            except FileNotFoundError:
                return []
            except OSError as error:
                self._denied.append(Denied(self._job, f"{folder or 'its directory'}: {reason(error)}"))
        return self._names[folder]

    def _entries(self, folder: str) -> list[str]:
        (info,) = self._sftp.stat_many([self._full(folder)], self._deadline)
        if info is None:
            return []
        if not stat.S_ISDIR(info.mode):
            raise NotADirectoryError(20, "Not a directory")
        names = self._sftp.listdir(self._full(folder), self._deadline)
        if len(names) > MAX_ENTRIES:
            what = f"more than {MAX_ENTRIES:,} entries, the rest is not read"
            self._denied.append(Denied(self._job, f"{folder or 'its directory'}: {what}"))
        return sorted(name for name, _ in names[:MAX_ENTRIES])
