"""Real processes of the command line: following a job, signals, pipes, terminals, the log."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.support import COMMAND, REPOSITORY, Begin, ended
from tests.writing import Clock, clean_environment, finished_job, wait_until, whole_job


def test_monitor_prints_a_line_for_each_change_and_ends_with_the_job(begin: Begin, root: Path, clock: Clock) -> None:
    (writer,) = whole_job(root / "job", clock)
    process = begin("monitor", "job", "--refresh", "0.2")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("job running  step 20/100  loss 0.5000")
    writer.steps(21, 21, loss="NaN")
    assert "step 21/100" in process.stdout.readline()
    assert process.stdout.readline().startswith("! crit  non-finite loss: rank 0 on node0")
    writer.steps(22, 40)
    writer.end()
    code, out, err = ended(process)
    assert (code, err) == (0, "")
    assert out.splitlines()[-2].startswith("job finished  step 40/100  loss 0.2500")


def test_monitor_speaks_json_lines(begin: Begin, root: Path, clock: Clock) -> None:
    (writer,) = whole_job(root / "job", clock)
    process = begin("monitor", "--json", "job", UGRO_REFRESH="0.2")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["step"] == 20
    writer.steps(21, 21)
    writer.end("failed", error={"type": "E", "message": "m"})
    code, out, _ = ended(process)
    assert code == 1
    assert [json.loads(line)["status"] for line in out.splitlines()][-1] == "failed"


def test_monitor_is_interrupted(begin: Begin, root: Path, clock: Clock) -> None:
    whole_job(root / "job", clock)
    process = begin("monitor", "job")
    assert process.stdout is not None
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert ended(process) == (130, "", "")


def test_a_directory_that_vanishes_while_it_is_monitored_is_said(begin: Begin, root: Path, clock: Clock) -> None:
    (writer,) = whole_job(root / "job", clock)
    process = begin("monitor", "job", "-r", "0.2")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline()
    shutil.move(root / "job", root.parent / "away")
    assert "local: job: its directory is gone" in process.stderr.readline()
    shutil.move(root.parent / "away", root / "job")
    writer.steps(21, 22)
    writer.end()
    code, out, _ = ended(process)
    assert code == 0
    assert out.splitlines()[-1].startswith("job finished  step 22/100")


def test_a_closed_pipe_is_no_error(begin: Begin, root: Path, clock: Clock) -> None:
    (writer,) = whole_job(root / "job", clock)
    for argv in (("status",), ("status", "--json"), ("summary", "job")):
        reading, writing = os.pipe()
        os.close(reading)
        process = begin(*argv, stdout=writing)
        os.close(writing)
        assert ended(process) == (0, "", "")
    process = begin("monitor", "job", "-r", "0.2")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    writer.steps(21, 22)
    assert process.wait(60) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""


def test_output_that_cannot_show_a_character_is_no_error(begin: Begin, root: Path, clock: Clock) -> None:
    writers = whole_job(root / "job", clock)
    writers[0].start(run_id="another", host="nöde")
    code, out, err = ended(begin("summary", "job", PYTHONIOENCODING="ascii"))
    assert (code, err) == (0, "")
    assert "node" in out
    _, out, _ = ended(begin("summary", "job", "--json", PYTHONIOENCODING="ascii"))
    assert json.loads(out)["per_rank_stats"]["0"]["node"] == "nöde"


@pytest.mark.parametrize("argv", [(), ("watch", "job"), ("demo",)])
def test_the_dashboard_refuses_what_is_no_terminal(begin: Begin, root: Path, argv: tuple[str, ...]) -> None:
    code, out, err = ended(begin(*argv))
    assert (code, out) == (2, "")
    assert err == (
        "ugro-tui: the dashboard needs a terminal, and this is a pipe or a file: use `ugro-tui status` or "
        "`ugro-tui monitor JOB`\n"
    )
    assert list(root.iterdir()) == []


def on_a_terminal(home: Path, term: str, *argv: str) -> tuple[int, str]:
    """Run the command line on a pseudo-terminal: exit code and all that appeared on it."""
    main_end, their_end = os.openpty()
    env = clean_environment(home, PYTHONPATH=str(REPOSITORY), TERM=term)
    process = subprocess.Popen([*COMMAND, *argv], stdin=their_end, stdout=their_end, stderr=their_end, env=env)
    os.close(their_end)
    try:
        code = process.wait(60)
    finally:
        process.kill()
    shown = os.read(main_end, 1 << 16).decode()
    os.close(main_end)
    return code, " ".join(shown.split())


@pytest.mark.parametrize("term", ["dumb", ""])
def test_the_dashboard_refuses_a_terminal_that_cannot_draw(home: Path, root: Path, clock: Clock, term: str) -> None:
    finished_job(root / "job", clock)
    code, shown = on_a_terminal(home, term, "watch", "job")
    assert code == 2
    assert f"cannot draw on TERM={term!r}: use `ugro-tui status`" in shown
    assert "set TERM to what your terminal is" in shown


def test_watching_an_unknown_job_is_refused_before_the_screen_changes(home: Path, root: Path) -> None:
    code, shown = on_a_terminal(home, "xterm-256color", "watch", "nope")
    assert (code, shown.startswith(f"ugro-tui: no job nope in {root} (it holds no jobs)")) == (2, True)
    code, shown = on_a_terminal(home, "xterm-256color", "watch", "../x")
    assert (code, "is not a job id" in shown, "\x1b" in shown) == (2, True, False)


LOGGING = """
import sys
from pathlib import Path
from ugro_tui.agent import Agent
from ugro_tui.applog import log_to_file
from ugro_tui.config import Config, log_path
print(log_path())
log_to_file(hang_up=lambda: None)
with Agent(Config(Path(sys.argv[1]))) as agent:
    agent.follow("job")
"""


def logged(home: Path, root: Path) -> tuple[Path, str]:
    env = clean_environment(home, PYTHONPATH=str(REPOSITORY), XDG_STATE_HOME=str(home / "state"))
    argv = [sys.executable, "-c", LOGGING, str(root)]
    done = subprocess.run(argv, capture_output=True, text=True, env=env, check=True)
    return Path(done.stdout.strip()), done.stderr


def test_the_application_log_tells_of_the_collection(home: Path, root: Path, clock: Clock) -> None:
    finished_job(root / "job", clock)
    path, err = logged(home, root)
    assert path.is_relative_to(home)
    text = path.read_text()
    for line in ("Started metrics collection", "Started metrics collection of job job", "Stopped metrics collection"):
        assert f" INFO ugro_tui.collect.collector: {line}\n" in text
    assert err == ""


def test_without_a_place_for_the_log_all_goes_on(home: Path, root: Path, clock: Clock) -> None:
    finished_job(root / "job", clock)
    (home / "state").touch()
    (home / "Library").touch()
    path, err = logged(home, root)
    assert (path.exists(), err) == (False, "")


def test_a_job_that_begins_while_it_is_listed_appears(begin: Begin, root: Path, clock: Clock) -> None:
    """A job directory without records is neither a job nor an error, until its first record."""
    (root / "job").mkdir()
    code, out, err = ended(begin("summary", "job"))
    assert (code, out) == (2, "")
    assert f"job job in {root} has no records yet" in err
    whole_job(root / "job", clock)
    wait_until(lambda: ended(begin("summary", "job"))[0] == 0)
