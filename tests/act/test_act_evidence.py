"""What the program finds that a diagnosis runs on a node: bounded, links not followed, and tools that hang given up."""

from __future__ import annotations

import json
import os
import random
import time
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.act.diagnosing import write_log
from ugro_tui.nodes.bootstrap import argv_of, evidence_program
from ugro_tui.nodes.helper_evidence import MOST, Evidence, answer, last_lines, packed
from ugro_tui.nodes.local import LocalNode


def request(root: Path, *ranks: int, **changed: Any) -> dict[str, Any]:
    found = {"root": str(root), "job": "job", "ranks": list(ranks), "suspects": [], "lines": 3, "seconds": 20.0}
    return {**found, **changed}


def tool(folder: Path, name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of this name, alone in PATH."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def test_the_ends_of_logs_and_whole_documents(tmp_path: Path) -> None:
    write_log(tmp_path, 0, "".join(f"line {number}\n" for number in range(100_000)))
    (tmp_path / "job" / "heartbeat.rank-0.json").write_text("{}")
    found = Evidence(request(tmp_path, 0, 1)).gather()
    assert found["ranks"]["0"] == {"log": "line 99997\nline 99998\nline 99999", "heartbeat": "{}", "error": None}
    assert found["ranks"]["1"] == {"log": None, "heartbeat": None, "error": None}
    assert found["job"] == ""
    assert "MemTotal" in found["processes"]


def test_no_link_and_no_pipe_is_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    logs, errors = tmp_path / "job" / "logs", tmp_path / "job" / "errors"
    logs.mkdir(parents=True)
    (logs / "rank_0.log").symlink_to(secret)
    os.mkfifo(logs / "rank_1.log")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "rank_0.json").write_text("secret")
    errors.symlink_to(tmp_path / "other")
    found = Evidence(request(tmp_path, 0, 1)).gather()
    assert "secret" not in json.dumps(found["ranks"])
    assert [found["ranks"][rank]["log"] for rank in "01"] == [None, None]


def test_a_job_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert Evidence(request(tmp_path, 0)).gather()["job"] == "No such file or directory"


def test_gpus_and_the_kernels_complaints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "job").mkdir()
    tools = tmp_path / "tools"
    tool(tools, "nvidia-smi", "echo 8 GPUs", monkeypatch)
    tool(tools, "dmesg", "echo '[1.0] usb: hello'; echo '[2.0] Out of memory: Killed process 1 (python)'", monkeypatch)
    found = Evidence(request(tmp_path)).gather()
    assert found["gpu"] == "8 GPUs\n"
    assert found["kernel"] == "[2.0] Out of memory: Killed process 1 (python)"
    tool(tools, "dmesg", "echo 'read kernel buffer failed: Operation not permitted' >&2; exit 1", monkeypatch)
    (tools / "nvidia-smi").unlink()
    found = Evidence(request(tmp_path)).gather()
    assert found["gpu"] == "(nvidia-smi is not installed)"
    assert found["kernel"] == "(dmesg: read kernel buffer failed: Operation not permitted)"


def test_a_tool_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "job").mkdir()
    monkeypatch.setattr("ugro_tui.nodes.helper_evidence.TOOL_SECONDS", 0.2)
    tool(tmp_path / "tools", "nvidia-smi", "exec /bin/sleep 60", monkeypatch)
    assert Evidence(request(tmp_path)).gather()["gpu"] == "(nvidia-smi: no answer within 0 s)"


def test_when_the_time_is_over_nothing_more_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "job").mkdir()
    tool(tmp_path / "tools", "nvidia-smi", "echo 8 GPUs", monkeypatch)
    assert Evidence(request(tmp_path, seconds=-1.0)).gather()["gpu"] == "(no time was left for nvidia-smi)"


def test_what_goes_wrong_is_an_answer() -> None:
    assert "JSONDecodeError" in json.loads(zlib.decompress(answer(b"nonsense")))["job"]
    assert "KeyError" in json.loads(zlib.decompress(answer(b"{}")))["job"]


def test_an_answer_that_is_too_long_has_fewer_lines() -> None:
    noise = random.Random(1)
    lines = ["".join(chr(noise.randrange(33, 126)) for _ in range(600)) for _ in range(200)]
    found: dict[str, Any] = {"ranks": {str(rank): {"log": "\n".join(lines[rank:])} for rank in range(16)}}
    found["ranks"]["99"] = {"log": None}
    lines[0] = "first"
    for rank in range(16):
        noise.shuffle(lines)
        found["ranks"][str(rank)]["log"] = "\n".join(f"{rank}{noise.random()}{line}" for line in lines)
    before = len(zlib.compress(json.dumps(found).encode(), 6))
    data = packed(found)
    assert len(data) <= MOST < before
    logs = json.loads(zlib.decompress(data))["ranks"]
    assert {len(logs[str(rank)]["log"].split("\n")) for rank in range(16)} <= {100, 50, 25}
    assert logs["99"]["log"] is None


def test_progress_bars_are_one_line() -> None:
    assert last_lines("a\nb 1\rb 2\rb 3\nc\n", 2) == "b 1\rb 2\rb 3\nc"


def test_the_packed_program_does_the_same(tmp_path: Path) -> None:
    write_log(tmp_path, 0, "printed\n")
    node, program = LocalNode(tmp_path, time.time), evidence_program()
    ran = node.run(argv_of(program, "mark"), stdin=program + json.dumps(request(tmp_path, 0)).encode())
    assert ran.out.startswith(b"mark")
    assert json.loads(zlib.decompress(ran.out[4:]))["ranks"]["0"]["log"] == "printed"
