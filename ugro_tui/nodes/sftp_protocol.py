"""SFTP version 3 over a stream, pipelined: many questions under way at once, files kept open between reads.

paramiko's own SFTP client answers one question after the other, and knows no deadline.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from ugro_tui.nodes.base import NodeLied, NodeLost, NodeSilent
from ugro_tui.nodes.carriers import SftpStat, Stream
from ugro_tui.nodes.sftp_packets import (
    CLOSE,
    EXTENDED,
    FSTAT,
    HANDLE,
    INIT,
    LSTAT,
    OPEN,
    OPENDIR,
    READ,
    READDIR,
    REALPATH,
    VERSION,
    Answer,
    Words,
    attributes_in,
    data_in,
    disk_in,
    handle_in,
    names_in,
    packet,
    raw,
    string,
)

MAX_PACKET = 1 << 20
MAX_NAMES = 200_000
"""Names read of one directory; the others are left out."""
MAX_HANDLES = 128
"""Files kept open on the node."""

_RECEIVE = 1 << 17
_PIECE = 32_768
"""Bytes asked for in one read: what every server gives."""
_UNDER_WAY = 128
"""Questions sent ahead of their answers: 4 MB of data at most."""
_FOR_READING = struct.pack(">II", 1, 0)


@dataclass(slots=True)
class _Read:
    """One wanted piece of a file of which `size` bytes are thought to be there, and what has come of it."""

    path: str
    offset: int
    length: int
    size: int
    parts: list[bytes] = field(default_factory=list)
    got: int = 0
    failure: OSError | None = None
    done: bool = False

    def pieces(self) -> list[tuple[int, int]]:
        """Offsets and lengths still to be asked for: at least one, none far beyond what is there."""
        start = self.offset + self.got
        end = min(self.offset + self.length, max(start, self.size) + _PIECE)
        return [(place, min(_PIECE, end - place)) for place in range(start, end, _PIECE)]

    def take(self, here: Answer, asked: Sequence[tuple[int, int]], answers: Sequence[Answer]) -> None:
        """What came for `asked`; `here` is what the server says of the open file."""
        self.size = 0 if here.missed else Words(here.body).attributes().size
        short = False
        for (_, length), answer in zip(asked, answers, strict=True):
            if answer.missed:
                self.done = True
                self.failure = None if answer.ends else answer.error(self.path)
                return
            data = data_in(answer, length)
            self.parts.append(data)
            self.got += len(data)
            short = len(data) < length
            if short:
                break
        self.done = self.got >= self.length or (short and self.offset + self.got >= self.size) or not self.got

    def again(self) -> None:
        """Begin anew."""
        self.parts, self.got, self.done, self.failure = [], 0, False, None


class SftpSession:
    """The `Sftp` of a stream whose other end is an SFTP server. One thread at a time calls all but `close`.

    A file that was read past its beginning stays open (the `MAX_HANDLES` used last), and is read on through the open
    file as long as the server says the same of it and of what lies under its path: SFTP tells no inode, so that size
    and time in whole seconds have to do, and reads from offset 0 always open the path anew. Who appends what was read
    still has to compare it with what is known, as a file of the same size and second cannot be told apart.
    """

    def __init__(self, stream: Stream, deadline: float) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self._next = 0
        self._handles: OrderedDict[str, bytes] = OrderedDict()
        self._sizes: dict[str, int] = {}
        self._strays: list[bytes] = []
        stream.send(packet(INIT, struct.pack(">I", 3)), deadline)
        kind, _ = self._received(deadline)
        if kind != VERSION:
            raise NodeLied("what answers is no SFTP server")

    def listdir(self, path: str, deadline: float) -> list[tuple[str, SftpStat]]:
        """See `Sftp.listdir`; at most `MAX_NAMES`."""
        (opened,) = self._ask([(OPENDIR, string(raw(path)))], deadline)
        handle = handle_in(opened, path)
        names: list[tuple[str, SftpStat]] = []
        ahead, more = 2, True
        while more and len(names) < MAX_NAMES:
            for answer in self._ask([(READDIR, string(handle))] * ahead, deadline):
                more = more and not answer.missed
                names += names_in(answer)
            ahead = min(16, 2 * ahead)
        self._release([handle], deadline)
        return [(name, info) for name, info in names if name not in (".", "..") and "/" not in name]

    def stat_many(self, paths: Sequence[str], deadline: float) -> list[SftpStat | None]:
        """See `Sftp.stat_many`; None too for what may not be looked at."""
        answers = self._ask([(LSTAT, string(raw(path))) for path in paths], deadline)
        found = [None if answer.missed else attributes_in(answer) for answer in answers]
        self._sizes = {path: info.size for path, info in zip(paths, found, strict=True) if info is not None}
        return list(found)

    def read_many(self, wanted: Sequence[tuple[str, int, int]], deadline: float) -> list[bytes | OSError]:
        """See `Sftp.read_many`; less than was asked for where the file ends."""
        reads = [_Read(path, offset, length, self._sizes.get(path, 0)) for path, offset, length in wanted]
        grown = {read.path for read in reads if read.offset}
        kept = grown & self._handles.keys()
        moved = self._read([read for read in reads if read.path in kept], deadline, compare=True)
        anew = [read for read in reads if read.path not in kept or read.path in moved]
        self._open(anew, deadline)
        self._read([read for read in anew if not read.done], deadline)
        self._trim(grown, {read.path for read in reads} - grown, deadline)
        return [read.failure or b"".join(read.parts) for read in reads]

    def realpath(self, path: str, deadline: float) -> str:
        """See `Sftp.realpath`."""
        (answer,) = self._ask([(REALPATH, string(raw(path)))], deadline)
        if answer.missed:
            raise answer.error(path)
        names = names_in(answer)
        if not names:
            raise NodeLied("no path came back over SFTP")
        return names[0][0]

    def disk_of(self, path: str, deadline: float) -> tuple[int, int, int, int]:
        """See `Sftp.disk_of`."""
        (answer,) = self._ask([(EXTENDED, string(b"statvfs@openssh.com") + string(raw(path)))], deadline)
        return disk_in(answer, path)

    def close(self) -> None:
        """End it."""
        self._stream.close()

    def _open(self, reads: Sequence[_Read], deadline: float) -> None:
        """Open the files of these reads, in place of what is open under their paths."""
        paths = list(dict.fromkeys(read.path for read in reads))
        self._release([self._handles.pop(path) for path in paths if path in self._handles], deadline)
        failures: dict[str, OSError] = {}
        answers = self._ask([(OPEN, string(raw(path)) + _FOR_READING) for path in paths], deadline)
        for path, answer in zip(paths, answers, strict=True):
            try:
                self._handles[path] = handle_in(answer, path)
            except OSError as error:
                failures[path] = error
        for read in reads:
            read.failure = failures.get(read.path)
            read.done = read.failure is not None

    def _read(self, reads: Sequence[_Read], deadline: float, *, compare: bool = False) -> set[str]:
        """Read through open files, and go on where a server gives less than was asked.

        With `compare` the paths whose open file is no longer what lies there; of these nothing is kept.
        """
        moved: set[str] = set()
        while left := [read for read in reads if not read.done and read.path not in moved]:
            asked = [read.pieces() for read in left]
            batches = [self._questions(read, pieces) for read, pieces in zip(left, asked, strict=True)]
            answers = iter(self._ask([one for batch in batches for one in batch], deadline))
            for read, pieces in zip(left, asked, strict=True):
                there, here = next(answers), next(answers)
                data = [next(answers) for _ in pieces]
                if compare and (there.missed or here.missed or attributes_in(there) != attributes_in(here)):
                    moved.add(read.path)
                else:
                    read.take(here, pieces, data)
        for read in reads:
            if read.path in moved:
                read.again()
        return moved

    def _questions(self, read: _Read, pieces: Sequence[tuple[int, int]]) -> list[tuple[int, bytes]]:
        handle = string(self._handles[read.path])
        about = [(LSTAT, string(raw(read.path))), (FSTAT, handle)]
        return about + [(READ, handle + struct.pack(">QI", place, size)) for place, size in pieces]

    def _trim(self, grown: set[str], whole: set[str], deadline: float) -> None:
        """Keep open what was read past its beginning, the last used ones.

        What was read whole is replaced by renaming; to keep it open would only hold its room on the disk.
        """
        for path in grown & self._handles.keys():
            self._handles.move_to_end(path)
        gone = [path for path in self._handles if path in whole]
        gone += [path for path in self._handles if path not in whole][: max(0, len(self._handles) - MAX_HANDLES)]
        self._release([self._handles.pop(path) for path in gone], deadline)

    def _ask(self, questions: Sequence[tuple[int, bytes]], deadline: float) -> list[Answer]:
        """The answers, in the order of the questions; those to what was asked before and given up are skipped."""
        first = self._next
        found: dict[int, Answer] = {}
        while len(found) < len(questions):
            sent = self._next - first
            if sent < len(questions) and sent - len(found) <= _UNDER_WAY // 2:
                self._send(questions[sent : len(found) + _UNDER_WAY], deadline)
            kind, body = self._received(deadline)
            number = Words(body).number()
            if number >= self._next or number in found:
                raise NodeLied("an SFTP answer to what was not asked")
            if number >= first:
                found[number] = Answer(kind, body[4:])
            elif kind == HANDLE:
                self._strays.append(Words(body[4:]).string())
        return [found[first + place] for place in range(len(questions))]

    def _release(self, handles: Sequence[bytes], deadline: float) -> None:
        """Close files without waiting: the answers are skipped when they come."""
        gone, self._strays = [*handles, *self._strays], []
        if gone:
            self._send([(CLOSE, string(handle)) for handle in gone], deadline)

    def _send(self, questions: Sequence[tuple[int, bytes]], deadline: float) -> None:
        packets = []
        for kind, body in questions:
            packets.append(packet(kind, struct.pack(">I", self._next) + body))
            self._next += 1
        try:
            self._stream.send(b"".join(packets), deadline)
        except NodeSilent:
            self._stream.close()  # half a question cannot be taken back
            raise

    def _received(self, deadline: float) -> tuple[int, bytes]:
        """The next packet's type and body. What has come of one is kept when the deadline passes."""
        while (length := self._length()) is None or len(self._buffer) < 4 + length:
            data = self._stream.receive(_RECEIVE, deadline)
            if not data:
                raise NodeLost("the SFTP server has ended")
            self._buffer += data
        found = bytes(self._buffer[4 : 4 + length])
        del self._buffer[: 4 + length]
        return found[0], found[1:]

    def _length(self) -> int | None:
        """How long the next packet is; None before that is known."""
        if len(self._buffer) < 4:
            return None
        length = int.from_bytes(self._buffer[:4], "big")
        if not 5 <= length <= MAX_PACKET:
            raise NodeLied("what answers is no SFTP server, or it announces too long an answer")
        return length
