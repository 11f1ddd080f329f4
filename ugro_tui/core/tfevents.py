"""The framing of TensorBoard's event files: bytes as they arrive, cut anywhere, into whole records.

A record is a TFRecord: its length (u64), the masked crc32c of that, its data, the masked crc32c of those; all numbers
little endian. The crc is google-crc32c's, in C: one in Python would cost fifty times as much as all the rest.
"""

from __future__ import annotations

import re
from struct import Struct
from typing import Final

from google_crc32c import value as _crc32c

MAX_RECORD: Final = 1 << 20
"""Bytes of the longest record that is kept: scalars take a hundred. Longer ones (graphs, images) are passed over."""

MAX_LENGTH: Final = (1 << 31) - 1
"""Protocol buffers are no longer: a record that says so is damage, whatever its crc says."""

_HEADER: Final = 12
_FOOTER: Final = 4
_MAX_HEADERS: Final = 4096
_length_and_crc = Struct("<QI").unpack
_crc_at = Struct("<I").unpack_from

# What may be a header: a length below 2^32, then a crc. Holes that a crashed file system leaves (NULs) are none.
_CANDIDATE: Final = re.compile(rb"(?=.{4}\0{4}(?!\0{4}).{4})", re.DOTALL)


class EventFramer:
    """Feeds on the bytes of one event file and gives back the data of its whole records, those with the right crc.

    The answer does not depend on where the bytes were cut. Damage is passed over up to the next header whose crc is
    right. Memory is bounded by `MAX_RECORD` and what is fed at once.
    """

    def __init__(self) -> None:
        self.skipped = 0
        """Bytes passed over so far because they are damaged."""
        self._rest = b""
        self._unseen = 0
        self._lengths: dict[bytes, int] = {}

    def feed(self, data: bytes) -> list[bytes]:
        """The data of the records that `data` completes, in order."""
        if self._unseen:
            passed = min(self._unseen, len(data))
            self._unseen -= passed
            data = data[passed:]
        data = self._rest + data if self._rest else data
        records: list[bytes] = []
        self._rest = data[self._frame(data, records) :]
        return records

    def _frame(self, data: bytes, records: list[bytes]) -> int:
        """Append to `records` those that are whole; where the first byte is that has to wait for more."""
        at, size, lengths = 0, len(data), self._lengths
        while (begin := at + _HEADER) <= size:
            header = data[at:begin]
            length = lengths.get(header, -1)  # few lengths come again and again
            if length < 0 and (length := self._length(header)) < 0:
                at = self._resync(data, at + 1)
                continue
            end = begin + length
            if length > MAX_RECORD:
                at = self._pass(end + _FOOTER, size)
            elif end + _FOOTER > size:
                break
            else:
                record = data[begin:end]
                crc = _crc32c(record)
                if ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF == _crc_at(data, end)[0]:
                    records.append(record)
                    at = end + _FOOTER
                else:
                    at = self._resync(data, at + 1)
        return at

    def _length(self, header: bytes) -> int:
        """The length that a header tells; -1 where it is none."""
        length, crc = _length_and_crc(header)
        if length > MAX_LENGTH or _masked(_crc32c(header[:8])) != crc:
            return -1
        if len(self._lengths) >= _MAX_HEADERS:
            self._lengths.clear()
        self._lengths[header] = length
        return int(length)

    def _pass(self, end: int, size: int) -> int:
        """Pass over a record that is no scalar, without holding it: where the next one begins."""
        self._unseen = max(0, end - size)
        return min(end, size)

    def _resync(self, data: bytes, start: int) -> int:
        """Where the next header is, or the end of `data` that may be the beginning of one; `start` - 1 is damage."""
        for candidate in _CANDIDATE.finditer(data, start):
            at = candidate.start()
            if self._length(data[at : at + _HEADER]) >= 0:
                break
        else:
            at = max(start, len(data) - _HEADER + 1)
        self.skipped += at - start + 1
        return at


def _masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
