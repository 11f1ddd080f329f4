"""How the helper's questions and answers are framed. Part of the program that runs on nodes: see `helper`.

Both sides keep the texts of the last exchange, and compress by them: what is said again costs next to nothing.
"""

import json
import struct
import sys
import zlib
from typing import Any, Dict, List, Tuple

from ugro_tui.nodes.helper import answer
from ugro_tui.nodes.helper_files import Layout, Shelves

VERSION = 1
CONTEXT = 1 << 15
"""Bytes of the last exchange that compression looks back at."""


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
    size, checksum = 0, zlib.crc32(header)
    for part in data:
        size, checksum = size + len(part), zlib.crc32(part, checksum)
    return b"".join([mark, FRAME.pack(len(header), size, checksum), header] + data)


_parts: Dict[str, Dict[str, Any]] = {}


def answered(shelves: Shelves, question: Dict[str, Any]) -> Tuple[Dict[str, Any], List[bytes]]:
    """The reply to one request: from here, or from a part of the program that is sent with its first question.

    A `part` has a function `answer`, and `close` for the end. What goes wrong in it must not end the rest.
    """
    name = question.get("part")
    if name is None:
        return answer(shelves, question)
    try:
        if "source" in question:
            _parts[name] = {}
            exec(question["source"], _parts[name])
        return _parts[name]["answer"](question), []
    except Exception as error:  # noqa: BLE001
        return {"failed": repr(error)[:300]}, []


def serve(layout: Layout, mark: bytes) -> None:
    """Answer requests from standard input until it ends."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    reply: Dict[str, Any] = {"version": VERSION, "python": sys.version.split()[0]}
    parts: List[bytes] = []
    shelves = Shelves(layout)
    context = request = b""
    question: Dict[str, Any] = {}
    while True:
        header = json.dumps(reply).encode()
        sink.write(frame(mark, pack(header, context), parts))
        sink.flush()
        size = source.read(4)
        if len(size) < 4:
            for part in _parts.values():
                part["close"]()
            return
        if any(size):  # nothing: the same question again
            request = unpack(source.read(struct.unpack(">I", size)[0]), context + header, sys.maxsize)
            question = json.loads(request.decode())
        context = header + request
        reply, parts = answered(shelves, question)
