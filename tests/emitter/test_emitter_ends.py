"""How runs end: returning, raising, interrupted, killed, forked; each in a process of its own."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.emitter.support import read_records, run_script, script_environment, wait_until

BEGIN = """
import os, sys
from ugro_emitter import MetricsEmitter
"""


def end_of(tmp_path: Path) -> dict[str, Any]:
    records = read_records(tmp_path / "job")
    ends = [record for record in records if record["kind"] == "end"]
    assert len(ends) == 1
    assert records[-1] == ends[0]
    return ends[0]


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("pass", "completed", None),
        ("raise ValueError('boom')", "failed", {"type": "ValueError", "message": "boom"}),
        ("raise KeyboardInterrupt", "stopped", None),
        ("sys.exit(0)", "completed", None),
        ("sys.exit()", "completed", None),
        ("sys.exit(3)", "failed", {"type": "SystemExit", "message": "3"}),
        ("raise GeneratorExit", "failed", {"type": "GeneratorExit", "message": ""}),
    ],
)
def test_the_end_of_a_with_block(code: str, status: str, error: object, tmp_path: Path) -> None:
    bare = run_script(f"{BEGIN}\nwith open(os.devnull): {code}")
    done = run_script(f"{BEGIN}\nwith MetricsEmitter('job', sys.argv[1]) as emitter: {code}", tmp_path)
    assert (end_of(tmp_path)["status"], end_of(tmp_path)["error"]) == (status, error)
    assert done.returncode == bare.returncode
    assert ("boom" in done.stderr) == ("boom" in bare.stderr)


@pytest.mark.parametrize(
    ("code", "status"),
    [("pass", "completed"), ("raise ValueError('boom')", "failed"), ("raise KeyboardInterrupt", "stopped")],
)
def test_the_end_of_a_script_that_never_closes(code: str, status: str, tmp_path: Path) -> None:
    done = run_script(
        f"{BEGIN}\nemitter = MetricsEmitter('job', sys.argv[1])\nemitter.emit_step(1, loss=1.0)\n{code}", tmp_path
    )
    assert end_of(tmp_path)["status"] == status
    assert [record["kind"] for record in read_records(tmp_path / "job")] == ["start", "step", "end"]
    assert ("ValueError: boom" in done.stderr) == (status == "failed")


def test_an_exception_hook_of_the_scripts_own_is_still_called(tmp_path: Path) -> None:
    code = f"""{BEGIN}
sys.excepthook = lambda *_: print("own hook before")
emitter = MetricsEmitter("job", sys.argv[1])
ours = sys.excepthook
def later(*details):
    print("own hook after")
    ours(*details)
sys.excepthook = later
raise RuntimeError("boom")
"""
    assert run_script(code, tmp_path).stdout.split("\n")[:2] == ["own hook after", "own hook before"]
    assert end_of(tmp_path)["error"] == {"type": "RuntimeError", "message": "boom"}


def test_closing_puts_the_exception_hook_back(tmp_path: Path) -> None:
    code = f"""{BEGIN}
before = sys.excepthook
with MetricsEmitter("a", sys.argv[1]), MetricsEmitter("b", sys.argv[1]):
    assert sys.excepthook != before
assert sys.excepthook == before
"""
    done = run_script(code, tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_crash_leaves_an_error_file_in_torch_elastics_form(tmp_path: Path) -> None:
    run_script(
        f"{BEGIN}\nwith MetricsEmitter('job', sys.argv[1], 2) as emitter: raise OSError('no \\udcff space')", tmp_path
    )
    message = json.loads((tmp_path / "job" / "errors" / "rank_2.json").read_text())["message"]
    assert message["message"] == "OSError: no \udcff space"
    assert "raise OSError" not in message["message"]
    assert message["extraInfo"]["py_callstack"].startswith("Traceback (most recent call last):")
    assert int(message["extraInfo"]["timestamp"]) > 0


def test_no_error_file_where_torch_elastic_writes_its_own(tmp_path: Path) -> None:
    code = f"{BEGIN}\nwith MetricsEmitter('job', sys.argv[1]) as emitter: raise OSError"
    errors = tmp_path / "job" / "errors"
    run_script(code, tmp_path, environ={"TORCHELASTIC_ERROR_FILE": str(errors / "rank_0.json")})
    assert not errors.exists()
    run_script(code, tmp_path, environ={"TORCHELASTIC_ERROR_FILE": str(tmp_path / "elsewhere" / "error.json")})
    assert (errors / "rank_0.json").exists()


def test_an_exception_that_cannot_be_shown_is_reported_all_the_same(tmp_path: Path) -> None:
    code = f"""{BEGIN}
class Odd(Exception):
    def __str__(self): raise RuntimeError
with MetricsEmitter("job", sys.argv[1]): raise Odd
"""
    run_script(code, tmp_path)
    assert end_of(tmp_path)["error"]["type"] == "Odd"


def test_no_signal_handler_is_installed(tmp_path: Path) -> None:
    code = f"""{BEGIN}
import signal
def handlers(): return [signal.getsignal(number) for number in signal.valid_signals()]
before = handlers()
with MetricsEmitter("job", sys.argv[1]) as emitter:
    emitter.emit_step(1)
    assert handlers() == before
"""
    done = run_script(code, tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_signal_handler_may_emit_and_close(tmp_path: Path) -> None:
    code = f"""{BEGIN}
import signal
emitter = MetricsEmitter("job", sys.argv[1])
def stop(*_):
    emitter.emit_step(10**6)
    emitter.close()
    sys.exit(0)
signal.signal(signal.SIGALRM, stop)
signal.setitimer(signal.ITIMER_REAL, 0.3)
for step in range(10**9):
    emitter.emit_step(step)
"""
    assert run_script(code, tmp_path).returncode == 0
    assert end_of(tmp_path)["status"] == "completed"


def test_a_forked_child_is_silent(tmp_path: Path) -> None:
    code = f"""{BEGIN}
emitter = MetricsEmitter("job", sys.argv[1])
emitter.emit_step(1)
child = os.fork()
if child == 0:
    emitter.emit_step(2)
    with emitter.phase("eval"): pass
    emitter.get_tensorboard_writer().add_scalar("loss", 1.0)
    emitter.emit_gpu_stats()
    with emitter: pass
    sys.exit(0)  # runs what is registered for the exit of the interpreter
assert os.waitpid(child, 0)[1] == 0
child = os.fork()
if child == 0:
    raise RuntimeError("in the child")
os.waitpid(child, 0)
emitter.emit_step(3)
"""
    done = run_script(code, tmp_path)
    assert done.returncode == 0, done.stderr
    records = read_records(tmp_path / "job")
    assert [(record["kind"], record.get("step")) for record in records] == [
        ("start", None), ("step", 1), ("step", 3), ("end", None),
    ]  # fmt: skip
    assert end_of(tmp_path)["status"] == "completed"
    assert json.loads((tmp_path / "job" / "heartbeat.rank-0.json").read_text())["pid"] == records[0]["pid"]


def test_dataloader_workers_are_silent(tmp_path: Path) -> None:
    code = f"""{BEGIN}
import torch
emitter = MetricsEmitter("job", sys.argv[1])
class Items(torch.utils.data.Dataset):
    def __len__(self): return 8
    def __getitem__(self, index):
        emitter.emit_step(1000 + index)
        return torch.tensor(float(index))
loader = torch.utils.data.DataLoader(Items(), num_workers=2, multiprocessing_context="fork")
for step, batch in enumerate(loader):
    emitter.emit_step(step, loss=batch.sum())
"""
    done = run_script(code, tmp_path)
    assert done.returncode == 0, done.stderr
    steps = [record["step"] for record in read_records(tmp_path / "job") if record["kind"] == "step"]
    assert steps == list(range(8))


WRITE_FOR_EVER = f"""{BEGIN}
emitter = MetricsEmitter("job", sys.argv[1])
for step in range(10**9):
    emitter.emit_step(step, loss=1.0, a_long_name_to_make_the_line_long=float(step))
    os.sched_yield()
"""


def kill_in_the_middle(tmp_path: Path, size: int) -> bytes:
    """What is in the file after SIGKILL at the moment it reached `size` more bytes."""
    file = tmp_path / "job" / "metrics.jsonl"
    before = file.stat().st_size if file.exists() else 0
    process = subprocess.Popen([sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path)], env=script_environment({}))
    try:
        wait_until(lambda: file.exists() and file.stat().st_size >= before + size, "it writes")
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    return file.read_bytes()


def check_killed(content: bytes, starts: int) -> None:
    """Valid to the last newline, in every attempt, and complete up to there."""
    lines = content[: content.rfind(b"\n")].split(b"\n")
    expected, seen = 0, 0
    for number, line in enumerate(lines):
        if number + 1 < len(lines) and b'"kind":"start"' in lines[number + 1] and not line.endswith(b"}"):
            continue  # half a line, healed by the attempt after it
        record = json.loads(line)
        if record["kind"] == "start":
            expected, seen = 0, seen + 1
        assert record["seq"] == expected
        expected += 1
    assert seen == starts


def test_a_sigkill_leaves_a_file_that_is_valid_to_its_last_newline(tmp_path: Path) -> None:
    check_killed(kill_in_the_middle(tmp_path, 50_000), starts=1)
    check_killed(kill_in_the_middle(tmp_path, 50_000), starts=2)


@pytest.mark.acceptance
@pytest.mark.timeout(1800)
def test_two_hundred_sigkills_leave_files_that_are_valid_to_their_last_newline(tmp_path: Path) -> None:
    moments = random.Random(7)
    for attempt in range(1, 201):
        check_killed(kill_in_the_middle(tmp_path, moments.randrange(400, 20_000)), starts=attempt)


@pytest.mark.parametrize(
    ("environ", "argument", "expected"),
    [
        ({}, None, 4),
        ({"TORCHELASTIC_RESTART_COUNT": "0"}, None, 4),
        ({"TORCHELASTIC_RESTART_COUNT": "5"}, None, 6),
        ({"UGRO_ATTEMPT": "9", "TORCHELASTIC_RESTART_COUNT": "5"}, None, 9),
        ({"UGRO_ATTEMPT": "9"}, 7, 7),
    ],
)
def test_the_attempt(environ: dict[str, str], argument: int | None, expected: int, tmp_path: Path) -> None:
    file = tmp_path / "job" / "metrics.jsonl"
    file.parent.mkdir()
    step = b'{"v":1,"kind":"step","step":1,"metrics":{"start":1}}\n'
    file.write_bytes(
        b'{"v":1,"kind":"start","attempt":1}\n' + step * 40_000 + b'{"kind": "start", "attempt": 3}\n' + step
    )
    code = f"{BEGIN}\nMetricsEmitter('job', sys.argv[1], attempt={argument}).close()"
    assert run_script(code, tmp_path, environ=environ).returncode == 0
    assert [record for record in read_records(tmp_path / "job") if record["kind"] == "start"][-1]["attempt"] == expected


def test_first_attempt_under_torchrun(tmp_path: Path) -> None:
    code = f"{BEGIN}\nMetricsEmitter(metrics_dir=sys.argv[1]).close()"
    environ = {
        "RANK": "1",
        "WORLD_SIZE": "2",
        "LOCAL_RANK": "1",
        "TORCHELASTIC_RUN_ID": "job",
        "TORCHELASTIC_RESTART_COUNT": "0",
    }
    done = run_script(code, tmp_path, environ=environ)
    assert done.returncode == 0, done.stderr
    start = read_records(tmp_path / "job", rank=1)[0]
    assert (start["attempt"], start["rank"], start["world_size"], start["local_rank"]) == (1, 1, 2, 1)


def test_no_threads_to_be_had_leaves_the_training_unwatched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    from ugro_emitter import MetricsEmitter

    def refused(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refused)
        emitter = MetricsEmitter("job", tmp_path)
    emitter.emit_step(1)
    emitter.close()
    assert os.listdir(tmp_path) == []
