"""The helper: what it reconstructs whatever happens to the files, how it is packed, and that any Python runs it."""

from __future__ import annotations

import ast
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.nodes.following import Follower
from ugro_tui.nodes import helper_files, helper_frame
from ugro_tui.nodes.bootstrap import command, program
from ugro_tui.nodes.local import LocalNode

PYTHONS = [name for name in ("python3", *(f"python3.{minor}" for minor in range(6, 15))) if shutil.which(name)]
MARK = "0123456789abcdef"


@dataclass
class Rough:
    """A metrics file with which everything is done that happens to files, and all it ever was."""

    path: Path
    rng: random.Random
    content: bytes = b""
    was: list[bytes] = field(default_factory=list)
    whole: list[bytes] = field(default_factory=list)
    """What must be seen to its end, for it was renamed away or copied after some of it was seen."""
    rotated: int = 0

    def do(self, op: str, size: int, follower: Follower) -> None:
        """One of the operations below."""
        getattr(self, op)(size, follower.generations.get(self.path.name, [b""])[-1])
        self.was.append(self.content)

    def append(self, size: int, _seen: bytes) -> None:
        with self.path.open("ab") as stream:
            stream.write(self._some(size))
        self.content = self.path.read_bytes()

    def truncate(self, size: int, _seen: bytes) -> None:
        # Less than 16 bytes could be those of any other content, too.
        self._now(self.content[: size if 16 <= size <= len(self.content) else 0])

    def regrow(self, size: int, _seen: bytes) -> None:
        self._now(self._some(len(self.content) + size))

    def replace(self, size: int, _seen: bytes) -> None:
        beside = self.path.with_name("beside")
        self.content = self._some(size)
        beside.write_bytes(self.content)
        beside.replace(self.path)

    def rotate(self, size: int, seen: bytes) -> None:
        if self.path.exists():
            self._must_be_seen(seen)
            self.path.rename(self._other())
        self._now(self._some(size))

    def copy_and_truncate(self, _size: int, seen: bytes) -> None:
        if self.path.exists():
            self._must_be_seen(seen)
            shutil.copy(self.path, self._other())
        self._now(b"")

    def delete(self, _size: int, _seen: bytes) -> None:
        self.path.unlink(missing_ok=True)
        self.content = b""

    def _now(self, content: bytes) -> None:
        self.content = content
        self.path.write_bytes(content)

    def _other(self) -> Path:
        self.rotated += 1
        return self.path.with_name(f"{self.path.name}.{self.rotated}")

    def _must_be_seen(self, seen: bytes) -> None:
        if seen and self.content.startswith(seen):
            self.whole.append(self.content)

    def _some(self, size: int) -> bytes:
        return self.rng.randbytes(max(16, size))


OPERATIONS = ("append", "append", "truncate", "regrow", "replace", "rotate", "copy_and_truncate", "delete")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 3000)),
        st.tuples(st.just("look"), st.sampled_from([1024, 1500, 4096, 1 << 20])),
    ),
    max_size=14,
)


@settings(max_examples=300, deadline=None)
@given(steps=STEPS, seed=st.integers(0, 1 << 30))
def test_whatever_happens_to_a_file_its_bytes_are_those_that_it_had(steps: list[tuple[str, int]], seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        job = Path(folder) / "job"
        job.mkdir()
        follower = Follower(LocalNode(Path(folder), lambda: 1e9))
        rough = Rough(job / "metrics.jsonl", random.Random(seed))
        for step, size in steps:
            if step == "look":
                follower.look(size)
            else:
                rough.do(step, size, follower)
        rough.do("append", 100, follower)
        follower.drain(1500)
        generations = follower.generations["metrics.jsonl"]
    assert generations[-1] == rough.content
    assert all(any(was.startswith(seen) for was in rough.was) for seen in generations)
    assert set(rough.whole) <= set(generations)


@given(st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 50)), max_size=60), st.integers(0, 200_000))
def test_shares_are_within_the_cap_and_someone_always_gets_something(files: list[tuple[int, int]], left: int) -> None:
    shares = helper_files.allot([size for size, _ in files], left, [since for _, since in files])
    assert sum(shares.values()) + helper_files.OVERHEAD * len(shares) <= left
    assert sum(share < min(files[place][0], helper_files.LEAST) for place, share in shares.items()) <= (len(shares) < 2)
    assert all(0 <= share <= files[place][0] for place, share in shares.items())
    assert all(share or not files[place][0] for place, share in shares.items())
    if files and left > helper_files.OVERHEAD:
        assert min(range(len(files)), key=lambda place: files[place][1]) in shares


@given(st.lists(st.binary(max_size=3000), max_size=5), st.binary(max_size=20_000))
def test_what_was_packed_is_unpacked_with_the_same_context(texts: list[bytes], context: bytes) -> None:
    for text in texts:
        assert helper_frame.unpack(helper_frame.pack(text, context), context, len(text) + 1) == text
        context += text


def test_what_is_said_again_costs_next_to_nothing() -> None:
    text = json.dumps({f"metrics.rank-{rank}.jsonl": [rank, "x", "y"] for rank in range(100)}).encode()
    assert len(helper_frame.pack(text, text)) < len(text) / 20 < len(helper_frame.pack(text, b""))


@pytest.mark.parametrize(
    "packed", [b"", b"nonsense", helper_frame.pack(b"x" * 101, b""), helper_frame.pack(b"x", b"") + b"more"]
)
def test_what_is_cut_too_long_or_no_packing_at_all_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut, or too long|Error -3"):
        helper_frame.unpack(packed, b"", 100)


def test_a_bomb_is_not_unpacked() -> None:
    bomb = helper_frame.pack(bytes(50 << 20), b"")
    assert len(bomb) < 1 << 20
    with pytest.raises(ValueError, match="too long"):
        helper_frame.unpack(bomb, b"", 1000)


def test_the_program_is_small_and_python_3_6() -> None:
    text = zlib.decompress(program()).decode()
    ast.parse(text, feature_version=(3, 6))
    assert len(program()) < 7000
    assert '"""' not in text
    assert "typing" not in text


def test_the_command_suits_every_shell() -> None:
    line = command(MARK)
    assert line.startswith("exec sh -c '")
    assert line.count("'") == 2
    assert line.endswith("'")
    assert not set("!\\\n") & set(line)
    assert len(line) < 1000


def exchanged(python: list[str], root: Path, env: dict[str, str] | None = None) -> tuple[dict[str, object], bytes]:
    """The hello's version is checked; the header and data of the answer to one question."""
    request = {"op": "poll", "root": str(root), "recent": 10, "listed": "", "cap": 1000, "kinds": ["metrics"]}
    text = json.dumps({**request, "jobs": {"job": {}}}).encode()
    process = subprocess.Popen(
        [*python, "-ISuc", f"import sys,zlib;exec(zlib.decompress(sys.stdin.buffer.read({len(program())})))", MARK],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env,
    )  # fmt: skip
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(program())
        process.stdin.flush()

        def take(context: bytes) -> tuple[bytes, bytes]:
            assert process.stdout is not None
            assert process.stdout.read(len(MARK)) == MARK.encode()
            size, data, _ = helper_frame.FRAME.unpack(process.stdout.read(helper_frame.FRAME.size))
            return helper_frame.unpack(process.stdout.read(size), context, 10_000), process.stdout.read(data)

        header, _ = take(b"")
        assert json.loads(header)["version"] == helper_frame.VERSION
        packed = helper_frame.pack(text, header)
        process.stdin.write(struct.pack(">I", len(packed)) + packed)
        process.stdin.flush()
        answer, data = take(header + text)
        process.stdin.close()
        assert process.wait(20) == 0
    return json.loads(answer), data


@pytest.mark.parametrize("name", [sys.executable, *PYTHONS])
def test_a_python_of_the_system_runs_it(name: str, tmp_path: Path) -> None:
    version = subprocess.run([name, "-V"], capture_output=True, check=False)
    if version.returncode:
        pytest.skip(f"{name} does not run")
    root = tmp_path / "metrics ü"
    (root / "job").mkdir(parents=True)
    (root / "job" / "metrics.jsonl").write_bytes(b"line\n")
    os.mkdir(os.fsencode(root / "job") + b"/\xff")
    for env in (None, {"LC_ALL": "C", "PATH": os.environ["PATH"]}):
        header, data = exchanged([name], root, env)
        assert [data, header["more"], header["denied"]] == [b"line\n", False, []]
        gone, _ = exchanged([name], root / "gone", env)
        assert (gone["error"], gone["root"]) == ("FileNotFoundError", str(root / "gone"))
