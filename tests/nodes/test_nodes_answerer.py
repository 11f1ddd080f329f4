"""A program that answers one question after another in one session, and what happens when it does not."""

from __future__ import annotations

import json
import os
import subprocess
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.writing import now_clock
from ugro_tui.nodes import answerer
from ugro_tui.nodes.answerer import MAX_ANSWER, MAX_NOISE, Answerer
from ugro_tui.nodes.base import NodeError, NodeLied, NodeSilent, NodeUnfit
from ugro_tui.nodes.bootstrap import argv_of, launch_program
from ugro_tui.nodes.carriers import Stream
from ugro_tui.nodes.local import LocalNode
from ugro_tui.nodes.processes import ProcessStream

ECHO = """
import os, sys
for line in iter(sys.stdin.buffer.readline, b""):
    if line == b"end\\n":
        os._exit(0)
    answer = b"%d %s" % (os.getpid(), line.strip())
    sys.stdout.buffer.write(sys.argv[1].encode() + b"%d\\n" % len(answer) + answer)
    sys.stdout.buffer.flush()
"""


class Here(LocalNode):
    """This machine, with a line that a login prints before."""

    def __init__(self, *argv: str) -> None:
        super().__init__(Path("nowhere"), now_clock().time, "n7")
        self.argv = argv
        self.opened = 0

    def open(self, argv: Sequence[str], *, seconds: float = 30.0) -> Stream:
        self.opened += 1
        noisy = ("sh", "-c", 'echo Welcome; exec "$@"', "sh", *argv)
        return super().open(self.argv or noisy, seconds=seconds)


def packed(program: str) -> bytes:
    return zlib.compress(program.encode())


def test_one_session_answers_all_questions_and_is_begun_anew_where_it_has_ended() -> None:
    node = Here()
    asked = Answerer(node, lambda: packed(ECHO))
    first, word = asked.ask(b"one\n", 30.0).split()
    again, other = asked.ask(b"two\n", 30.0).split()
    assert (first, word, other, node.opened) == (again, b"one", b"two", 1)
    with pytest.raises(NodeError, match="n7: it runs no Python"):  # it is asked anew, and ends anew
        asked.ask(b"end\n", 30.0)
    assert node.opened == 2
    fresh, word = asked.ask(b"three\n", 30.0).split()
    assert (fresh != first, word, node.opened) == (True, b"three", 3)
    asked.close()
    asked.close()


@pytest.mark.parametrize(
    ("script", "kind", "said"),
    [
        ("echo {mark}no python", NodeUnfit, "n7: it runs no Python >= 3.6"),
        ("true", NodeUnfit, "n7: it runs no Python >= 3.6"),
        (f"head -c {2 * MAX_NOISE} /dev/zero; cat", NodeLied, "n7: it prints without end"),
        (f"echo {{mark}}{MAX_ANSWER + 1}; cat", NodeLied, "n7: it announces an answer of"),
        ("cat >/dev/null", NodeSilent, "n7: no answer in time"),
    ],
)
def test_what_does_not_answer_is_told(
    script: str, kind: type[NodeError], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("secrets.token_hex", lambda _: "f" * 16)
    node = Here("sh", "-c", script.replace("{mark}", "f" * 16))
    size = 300_000 if kind is NodeUnfit else 1  # more than what a pipe takes: it ends before it has read all
    with pytest.raises(kind, match=said):
        Answerer(node, lambda: b"x" * size).ask(b"one\n", 0.1 if kind is NodeSilent else 30.0)


def test_a_program_that_ends_takes_no_more_and_one_that_is_closed_says_no_more() -> None:
    stream = ProcessStream(argv_of(packed(ECHO), "f" * 16))
    stream.close()
    with pytest.raises(NodeError, match="has ended"):
        stream.send(b"x", 1e9)
    with pytest.raises(NodeError, match="has ended"):
        stream.receive(1, 1e9)
    with pytest.raises(NodeError, match="n7: /nonexistent cannot be run"):
        Here("/nonexistent").open(())


WORKS = """
import select, sys
for number, line in enumerate(iter(sys.stdin.buffer.readline, b"")):
    for _ in range(8 if number else 0):
        select.select([], [], [], 0.2)
        sys.stdout.buffer.write(line[:-1])
        sys.stdout.buffer.flush()
    sys.stdout.buffer.write(sys.argv[1].encode() + b"2\\nok")
    sys.stdout.buffer.flush()
"""
"""Its second answer takes a while; meanwhile it sends what the question is."""


def test_who_is_silent_is_given_up_before_who_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answerer, "SILENT_SECONDS", 1.0)
    asked = Answerer(Here(), lambda: packed(WORKS))
    assert asked.ask(b"\n", 30.0) == b"ok"
    assert asked.ask(b".\n", 30.0) == b"ok"
    with pytest.raises(NodeSilent, match="n7: no sign of life for 1 s: is it frozen"):
        asked.ask(b"\n", 30.0)
    asked.close()


def test_a_question_that_was_cut_by_who_was_killed_does_nothing(tmp_path: Path) -> None:
    program = launch_program()
    whole = json.dumps({"action": "look", "root": str(tmp_path), "job": "job", "payload": 0}).encode() + b"\n"
    cut = json.dumps({"action": "lend", "root": "", "lent": "x", "payload": 10}).encode() + b"\nabc"
    argv, env = argv_of(program, "f" * 16), {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(argv, input=program + whole + cut, capture_output=True, env=env, check=False)
    assert done.stdout.count(b"f" * 16) == 1
    assert list(tmp_path.iterdir()) == []
