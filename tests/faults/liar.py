"""A helper that lies, for `ForceCommand`: honest answers about real files, bent as the file named first says.

`liar.py MODE_FILE`: the file holds the name of a lie, and is read before each answer.
"""

from __future__ import annotations

import json
import os
import re
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ugro_tui.core.layout import node_layout
from ugro_tui.nodes import helper, helper_frame
from ugro_tui.nodes.helper_files import Shelves

Header = dict[str, Any]
EVIL = "\x1b]0;owned\x07\x1b[2J[/b][@click=app.quit]x[/]\u202e\x9b31m"
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
SECONDS_A_BYTE = 1.0


def _chunk(job: str, path: str, offset: int = 0, length: int = 4, size: int = 4) -> list[Any]:
    return [job, path, size, 0.0, "stamp", offset, length, False, ""]


def _bring(job: str, path: str) -> Callable[[Header, list[bytes]], None]:
    def bend(header: Header, data: list[bytes]) -> None:
        header["chunks"].append(_chunk(job, path))
        data.append(b"evil")

    return bend


def _offset(by: int) -> Callable[[Header, list[bytes]], None]:
    def bend(header: Header, data: list[bytes]) -> None:
        header["chunks"][:] = [_chunk("run", "metrics.jsonl", by)]
        data[:] = [b"evil"]

    return bend


def _length(header: Header, data: list[bytes]) -> None:
    header["chunks"].append(_chunk("run", "logs/rank_7.log", 0, 1 << 40))
    data.append(b"evil")


def _words(header: Header, _data: list[bytes]) -> None:
    header["denied"] += [["run", f"{EVIL}: denied"], [EVIL, EVIL], ["../up", EVIL]]
    header["jobs"] += [[EVIL, 1.0], ["../../evil", 1.0], ["/tmp/evil", 1.0], [".", 0.0], ["..", 0.0]]
    header["older"] = [EVIL, "../evil"]
    header["listed"] = EVIL


def _error(header: Header, data: list[bytes]) -> None:
    header.clear()
    data.clear()
    header.update(error="PermissionError", text=EVIL, root=f"/{EVIL}")


def _without_end(header: Header, data: list[bytes]) -> None:
    header["chunks"].clear()
    data.clear()
    header["more"] = True


def _many_jobs(header: Header, _data: list[bytes]) -> None:
    header["jobs"] += [[f"job{number}", 0.0] for number in range(100_000)]


def _no_time(header: Header, _data: list[bytes]) -> None:
    header["time"] = 1e400


LIES: dict[str, Callable[[Header, list[bytes]], None]] = {
    "up": _bring("run", "../../../evil"),
    "absolute": _bring("run", "/tmp/evil"),
    "up in a folder": _bring("run", "tensorboard/rank_0/../../../../evil"),
    "another job": _bring("evil", "metrics.jsonl"),
    "job id up": _bring("../evil", "metrics.jsonl"),
    "offset behind": _offset(1),
    "offset far": _offset(1 << 61),
    "length": _length,
    "words": _words,
    "error": _error,
    "without end": _without_end,
    "many jobs": _many_jobs,
    "no time": _no_time,
}


def main() -> None:
    """Serve as `helper_frame.serve` does."""
    mode = Path(sys.argv[1])
    asked = os.environ["SSH_ORIGINAL_COMMAND"]
    mark = _found(r"\" ([0-9a-f]{16});", asked).encode()
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    source.read(int(_found(r"read\((\d+)\)", asked)))
    shelves = Shelves(node_layout())
    text = json.dumps({"version": helper_frame.VERSION, "python": EVIL}).encode()
    context, request, parts = b"", b"", list[bytes]()
    while True:
        _send(sink, mode.read_text(), mark, helper_frame.pack(text, context), parts)
        size = struct.unpack(">I", source.read(4))[0]
        if size:
            request = helper_frame.unpack(source.read(size), context + text, 1 << 24)
        context = text + request
        header, parts = helper.answer(shelves, json.loads(request))
        if bend := LIES.get(mode.read_text()):
            bend(header, parts)
        text = json.dumps(header).encode()


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found is not None
    return found.group(1)


def _send(sink: BinaryIO, lie: str, mark: bytes, packed: bytes, parts: list[bytes]) -> None:
    whole = helper_frame.frame(mark, packed, parts)
    match lie:
        case "garbage":
            while True:
                sink.write(EVIL.encode() * 1000)
        case "drip":
            for place in range(len(whole)):
                sink.write(whole[place : place + 1])
                sink.flush()
                threading.Event().wait(SECONDS_A_BYTE)
        case "huge":
            whole = mark + struct.pack(">III", 0xFFFFFFFF, 0xFFFFFFFF, 0) + b"x" * 100_000
        case "bomb":
            whole = helper_frame.frame(mark, helper_frame.pack(b" " * (1 << 28), b""), [])
        case "no json":
            whole = helper_frame.frame(mark, helper_frame.pack(b"[" * 100_000, b""), [])
        case "checksum":
            whole = whole[:-1] + bytes([whole[-1] ^ 1])
    sink.write(whole)
    sink.flush()


if __name__ == "__main__":
    main()
