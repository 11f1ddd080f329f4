"""TensorBoard as our child: a real one on real event files, and stand-ins for what goes wrong."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from ugro_emitter import MetricsEmitter

from tests.writing import wait_until
from ugro_tui.act import tensorboard
from ugro_tui.act.errors import LaunchError
from ugro_tui.act.tensorboard import TensorBoard, without_events
from ugro_tui.doors import TensorBoardDoor
from ugro_tui.ui.strip import port

Board: TypeAlias = Callable[..., TensorBoard]
StandIn: TypeAlias = Callable[[str], str]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")


@pytest.fixture
def board() -> Iterator[Board]:
    """Make a TensorBoard that is stopped at the end of the test."""
    made: list[TensorBoard] = []

    def make(*args: Any, **options: Any) -> TensorBoard:
        made.append(TensorBoard(*args, **options))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def stand_in(tmp_path: Path) -> StandIn:
    """A Python that runs the given code instead of TensorBoard, and everything else as it is."""

    def make(code: str) -> str:
        (tmp_path / "instead.py").write_text(code)
        script = tmp_path / "python"
        script.write_text(
            f'#!/bin/sh\ncase "$2" in tensorboard.main) exec {sys.executable} {tmp_path}/instead.py "$@";; esac\n'
            f'exec {sys.executable} "$@"\n'
        )
        script.chmod(0o755)
        return str(script)

    return make


def running(mark: Path | str) -> set[int]:
    """The living processes that have this in their command line."""
    found = set()
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and str(mark).encode() in (folder / "cmdline").read_bytes():
                found.add(int(folder.name))
        except OSError:
            continue
    return found - {os.getpid()}


def asked(url: str, path: str) -> Any:
    parts = urllib.parse.urlsplit(url)
    assert parts.hostname == "127.0.0.1"
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status == 200
        return json.loads(answer.read())
    finally:
        connection.close()


def event_files(jobs: Path) -> None:
    """What two ranks on two nodes wrote, where their copies lie in a central directory."""
    for rank, node in enumerate(("n1", "n2")):
        with MetricsEmitter("job", jobs.parent / "written", rank) as emitter:
            writer = emitter.get_tensorboard_writer()
            for step in range(5):
                writer.add_scalar("loss", 1.0 / (step + 1), step)
        folder = jobs / "job" / "tensorboard" / node
        folder.mkdir(parents=True)
        (jobs.parent / "written" / "job" / "tensorboard" / f"rank_{rank}").rename(folder / f"rank_{rank}")


def test_a_folder_without_event_files_is_said_to_show_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "job" / "tensorboard" / "rank_0"
    said = f"no event files yet in {tmp_path}: TensorBoard will show nothing until some are written"
    assert without_events(tmp_path / "none").startswith("no event files yet in ")
    folder.mkdir(parents=True)
    (folder / "other").touch()
    assert without_events(tmp_path) == said
    (folder / "events.out.tfevents.17.host.1.0").touch()
    assert without_events(tmp_path) == ""


def test_the_key_says_so_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "http://127.0.0.1:6006/"
    monkeypatch.setattr(TensorBoard, "open", lambda _: url)
    door = TensorBoardDoor(tmp_path)
    assert door.open() == f"{url} ({without_events(tmp_path)})"
    assert port(door.open()) == ":6006"
    event_files(tmp_path / "jobs")
    assert door.open() == url


def test_both_ranks_are_shown_and_nothing_is_left_behind(
    tmp_path: Path, board: Board, capfd: pytest.CaptureFixture[str]
) -> None:
    jobs = tmp_path / "jobs"
    event_files(jobs)
    one = board(jobs)
    assert one.url == ""
    url = one.open()
    assert one.open() == one.url == url
    runs = ["job/tensorboard/n1/rank_0", "job/tensorboard/n2/rank_1"]
    wait_until(lambda: sorted(asked(url, "/data/runs")) == runs)
    wait_until(lambda: set(asked(url, "/data/plugin/scalars/tags")) == set(runs))
    tags = asked(url, "/data/plugin/scalars/tags")
    assert {run: list(tags[run]) for run in runs} == {run: ["loss"] for run in runs}
    assert len({os.getsid(pid) for pid in running(jobs)} - {os.getsid(0)}) == 1
    one.stop()
    assert running(jobs) == set()
    assert one.url == ""
    one.stop()
    assert capfd.readouterr() == ("", "")


def test_it_ends_with_an_application_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, threading\nfrom pathlib import Path\nfrom ugro_tui.act.tensorboard import TensorBoard\n"
        "board = TensorBoard(Path(sys.argv[1]))\n"
        "thread = threading.Thread(target=board.open)\nthread.start()\nthread.join()\n"
        "print(board.url, flush=True)\nthreading.Event().wait()\n"
    )
    logdir = tmp_path / "of-the-killed"
    argv = [sys.executable, "-c", code, str(logdir)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as application:
        assert application.stdout is not None
        url = application.stdout.readline()
        assert url.startswith("http://127.0.0.1:")  # it lived on when the thread that started it had ended
        assert len(running(logdir)) >= 3  # the application, the watcher and TensorBoard
        application.send_signal(signal.SIGKILL)
    wait_until(lambda: not running(logdir))


def test_a_port_that_is_taken_in_between_is_replaced(
    tmp_path: Path, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        assert not tensorboard.is_free(taken)
        monkeypatch.setattr(tensorboard, "USUAL_PORT", taken)
        monkeypatch.setattr(tensorboard, "is_free", bool)
        assert urllib.parse.urlsplit(board(tmp_path).open()).port != taken


SERVING = """
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *args):
        pass
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[-1])), Handler)
print(f"TensorBoard 0.0.0 at http://127.0.0.1:{server.server_port}/ (Press CTRL+C to quit)", file=sys.stderr)
server.serve_forever()
"""


def test_the_usual_port_is_taken_when_it_is_free(
    tmp_path: Path, board: Board, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorboard, "USUAL_PORT", tensorboard.free_port())
    python = stand_in(SERVING)
    first, second = (urllib.parse.urlsplit(board(tmp_path, python).open()).port for _ in range(2))
    assert first == tensorboard.USUAL_PORT
    assert second != first


def test_one_that_died_is_started_again(tmp_path: Path, board: Board, stand_in: StandIn) -> None:
    logdir = tmp_path / "of-the-dead"
    one = board(logdir, stand_in(SERVING))
    one.open()
    before = running(logdir)
    for pid in running(tmp_path / "instead.py"):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not one.url)
    assert asked_status(one.open()) == 200
    assert not before & running(logdir)


def asked_status(url: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", urllib.parse.urlsplit(url).port, timeout=30)
    connection.request("GET", "/")
    status = connection.getresponse().status
    connection.close()
    return status


STUBBORN = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if "child" not in sys.argv:
    subprocess.Popen([sys.executable, *sys.argv, "child"])
while True:
    signal.pause()
"""


def test_those_who_ignore_sigterm_are_killed_with_their_children(
    tmp_path: Path, board: Board, stand_in: StandIn
) -> None:
    one = board(tmp_path, stand_in(STUBBORN))
    failures: list[str] = []

    def open_it() -> None:
        try:
            one.open()
        except LaunchError as error:
            failures.append(str(error))

    opening = threading.Thread(target=open_it)
    opening.start()
    wait_until(lambda: len(running(tmp_path)) == 3)  # watcher, process and child
    one.stop()
    assert running(tmp_path) == set()
    opening.join(60)
    assert failures == ["TensorBoard was stopped while it started"]


def test_one_that_does_not_answer_in_time_is_ended(tmp_path: Path, board: Board, stand_in: StandIn) -> None:
    python = stand_in("import signal\nprint('thinking \\x1b[2J', flush=True)\nsignal.pause()\n")
    with pytest.raises(LaunchError, match=r"did not answer within 1\.5 s: try again .*\(thinking ␛\[2J\)"):
        board(tmp_path, python, seconds=1.5).open()
    assert running(tmp_path / "instead.py") == set()


def test_one_that_dies_is_quoted(tmp_path: Path, board: Board, stand_in: StandIn) -> None:
    python = stand_in("import sys\nprint('one')\nsys.exit('no \\x1b[31mpkg_resources')\n")
    with pytest.raises(LaunchError, match=r"ended at once: (one \| )?no ␛\[31mpkg_resources.*--help` works") as caught:
        board(tmp_path, python).open()
    assert "\x1b" not in str(caught.value)


def test_without_tensorboard_it_says_what_to_install(tmp_path: Path, board: Board) -> None:
    bare = tmp_path / "bare"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(LaunchError, match=r"not installed for .*bare: install it with `.*bare -m pip install tensorb"):
        board(tmp_path, str(bare)).open()


def test_a_python_that_is_not_there_is_named(tmp_path: Path, board: Board) -> None:
    with pytest.raises(LaunchError, match=r"cannot be started: .*/none: No such file or directory"):
        board(tmp_path, str(tmp_path / "none")).open()
