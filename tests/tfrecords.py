"""TFRecords as TensorBoard's writers frame them, and event files of real writers."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from google_crc32c import value as crc32c


def masked(data: bytes) -> bytes:
    """The masked crc32c of `data`, as it is written."""
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def header(length: int) -> bytes:
    """The header of a record that says that its data has this length."""
    told = struct.pack("<Q", length)
    return told + masked(told)


def framed(data: bytes) -> bytes:
    """One record."""
    return header(len(data)) + data + masked(data)


def scalar_event(tag: str, step: int, value: float, wall: float = 1.7e9) -> bytes:
    """The data of an event with one scalar, as torch writes it."""
    name = tag.encode()
    told = b"\x0a" + varint(len(name)) + name + b"\x15" + struct.pack("<f", value)
    summary = b"\x0a" + varint(len(told)) + told
    return event(summary, step, wall)


def event(summary: bytes, step: int, wall: float = 1.7e9) -> bytes:
    """The data of an event."""
    told = b"\x10" + varint(step) if step else b""
    return b"\x09" + struct.pack("<d", wall) + told + b"\x2a" + varint(len(summary)) + summary


def varint(number: int) -> bytes:
    """A number as protocol buffers write it."""
    number &= (1 << 64) - 1
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])


def event_file(tags: Iterable[str], steps: Iterable[int]) -> bytes:
    """The bytes of an event file: for each step and tag a scalar, whose value is the step."""
    names = list(tags)
    return b"".join(framed(scalar_event(tag, step, float(step))) for step in steps for tag in names)
