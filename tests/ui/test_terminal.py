"""The application in a real terminal (tmux): what arrives there, and what is left behind."""

from __future__ import annotations

import base64
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from tests.ui.scenes import CRASH, Run, ended, records
from tests.ui.terminals import DEADLINE, Sent, Terminal, at_prompt, processes

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed (apt-get install tmux)")


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Makes terminals, and ends them."""
    made: list[Terminal] = []

    def make(width: int = 120, height: int = 40, **environment: str) -> Terminal:
        folder = tmp_path / f"terminal{len(made)}"
        folder.mkdir()
        made.append(Terminal(folder, width, height, **environment))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def app(tmp_path: Path) -> str:
    """The command line of the application on a directory with two jobs."""
    write(tmp_path / "jobs", Run("calm", ranks=4, steps=50, total=50, ends=ended(4, status="completed")))
    evil = CRASH | {"error": {"type": "\x1b[2JBoom", "message": "\x1b]0;owned\x07[/b] \x9b31m"}}
    hosts = "\x1b[5mnode\u202e"
    write(tmp_path / "jobs", Run("loud", ranks=2, steps=50, total=80, ends={1: evil}, hosts=lambda _: hosts))
    (tmp_path / "jobs" / "loud" / "logs").mkdir()
    (tmp_path / "jobs" / "loud" / "logs" / "rank_0.log").write_bytes(
        b"\x1b]52;c;b3duZWQ=\x07\x1b[5mnode\x1b]0;owned\x07\n"
    )
    own = f"env XDG_STATE_HOME={shlex.quote(str(tmp_path / 'state'))}"
    return f"{own} {shlex.quote(sys.executable)} -m ugro_tui --metrics-dir {shlex.quote(str(tmp_path / 'jobs'))}"


def write(root: Path, run: Run) -> None:
    """The files of a run, as its ranks would write them."""
    folder = root / run.job_id
    folder.mkdir(parents=True)
    for rank in range(run.ranks):
        name = f"metrics.rank-{rank}.jsonl" if rank else "metrics.jsonl"
        (folder / name).write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records(run, rank)))


def test_start_type_click_resize_suspend_and_quit(terminal: Callable[..., Terminal], app: str, tmp_path: Path) -> None:
    tty = terminal()
    tty.run(f"{app} watch calm")
    tty.wait(lambda screen: "FINISHED" in screen and "Loss" in screen and "┤" in screen and "/2 " in screen)
    tty.type("]")
    tty.wait(lambda screen: "FAILED" in screen)
    tty.type("[")
    tty.wait(lambda screen: "FINISHED" in screen)
    tty.type("C-z")
    tty.wait(lambda screen: "Stopped" in screen)
    tty.assert_sane("stopped")
    tty.run("fg")
    tty.wait(lambda screen: "FINISHED" in screen and "┤" in screen)
    tty.click("? help")
    tty.wait(lambda screen: "training goes on when you quit" in screen)
    tty.type("Escape")
    tty.wait(lambda screen: "training goes on" not in screen)
    tty.type("1")
    tty.wait(lambda screen: "loud" in screen and "Jobs" in screen)
    tty.click("loud", times=2)
    tty.wait(lambda screen: "FAILED" in screen and "Boom" in screen and "Jobs" not in screen)
    tty.type("[")
    tty.wait(lambda screen: "FINISHED" in screen)
    tty.resize(80, 24)
    tty.wait(lambda screen: "tab: loss" in screen)
    tty.resize(20, 5)
    tty.wait(lambda screen: "calm" in screen and "tab: loss" not in screen)
    tty.resize(200, 60)
    tty.wait(lambda screen: "Alerts 0" in screen)
    tty.type("q")
    screen = tty.wait(at_prompt)
    assert "FINISHED" not in screen
    assert "┤" not in screen
    tty.assert_sane("left")
    kept = orjson.loads((tmp_path / "state" / "ugro-tui" / "screens.json").read_bytes())
    assert kept["job"] == "calm"


def test_signals_restore_the_terminal(terminal: Callable[..., Terminal], app: str) -> None:
    tty = terminal()
    for signal in ("TERM", "HUP", "QUIT", "INT"):
        tty.run(f"clear; {app} watch calm")
        tty.wait(lambda screen: "FINISHED" in screen)
        for pid in processes(f"{app.split()[-1]} watch calm"):
            subprocess.run(["kill", f"-{signal}", str(pid)], check=False)
        tty.assert_sane(signal)
        assert "Traceback" not in tty.screen()


def test_an_error_of_its_own_restores_the_terminal_and_says_where_it_is_told(
    terminal: Callable[..., Terminal], app: str
) -> None:
    tty = terminal()
    broken = "import ugro_tui.ui.app as a; a.UgroApp.action_help = lambda self: 1 / 0; import ugro_tui.__main__"
    tty.run(app.replace("-m ugro_tui", f"-c {shlex.quote(broken)}") + " watch calm; echo code-$?")
    tty.wait(lambda screen: "FINISHED" in screen)
    tty.type("?")
    screen = tty.wait(lambda screen: "code-1" in screen).replace("\n", "")
    assert "ugro-tui: ended by an error of its own; training goes on: " in screen
    assert "Traceback" not in screen
    tty.assert_sane("broken")
    log = Path(screen.split("goes on: ")[1].split(" tells what it was")[0])
    assert "ZeroDivisionError" in log.read_text()


def test_a_terminal_that_is_closed_ends_the_application(terminal: Callable[..., Terminal], app: str) -> None:
    tty = terminal()
    tty.run(f"{app} watch calm")
    tty.wait(lambda screen: "FINISHED" in screen)
    pattern = f"{app.split()[-1]} watch calm"
    assert processes(pattern)
    tty.close()
    pause, deadline = threading.Event(), time.monotonic() + DEADLINE
    while processes(pattern):
        assert time.monotonic() < deadline, "the application goes on without a terminal"
        pause.wait(0.1)


def test_no_byte_of_a_node_moves_the_terminal(terminal: Callable[..., Terminal], app: str) -> None:
    tty = terminal()
    tty.run(f"{app} watch loud")
    screen = tty.wait(lambda screen: "FAILED" in screen and "Boom" in screen)
    assert "␛[2JBoom" in screen
    for key, title in (("1", "Jobs "), ("3", "Logs "), ("5", "Nodes "), ("4", "Alerts ")):  # quick: once it is painted
        tty.type(key)
        tty.wait(lambda screen, title=title: title in screen.splitlines()[0])  # type: ignore[misc]
    assert b"\x1b]52;" not in tty.bytes.read_bytes()
    tty.type("Y")
    tty.wait(lambda screen: "sent to the clipboard: " in screen)
    tty.type("q")
    tty.wait(at_prompt)
    data = tty.bytes.read_bytes()
    for chosen in (b"\x1b[2JBoom", b"owned\x07", b"\x1b[5mnode", "\x9b31m".encode(), "\u202e".encode()):
        assert chosen not in data
    # What the application wrote: the shell's line editor moves the cursor too.
    sent = Sent(data[data.index(b"\x1b[?1049h") : data.rindex(b"\x1b[?1049l")])
    ours = (b"9;ugro-tui: ", b"52;c;", b"22;default", b"22;pointer", b"22;text")  # notification, copy, mouse pointer
    assert [text for text in sent.osc if not text.startswith(ours)] == []
    (copied,) = (text for text in sent.osc if text.startswith(b"52;"))
    assert b"\t" in base64.b64decode(copied[5:])
    assert sent.strings == []
    assert set(sent.other) <= {b"=", b">"}, "not even the keypad is a node's to set"
    assert {text[-1:] for text in sent.csi} <= {bytes([sign]) for sign in b"hlmHJKup"}


def test_the_end_of_a_job_is_heard_once(terminal: Callable[..., Terminal], app: str) -> None:
    tty = terminal()
    for _ in range(2):  # the second run of the application has nothing new to tell
        tty.run(f"{app} watch loud")
        tty.wait(lambda screen: "FAILED" in screen and "Boom" in screen)
        tty.wait(lambda _: b"\x07\x1b]9;ugro-tui: loud failed: " in tty.bytes.read_bytes())
        tty.type("q")
        tty.wait(at_prompt)
    assert tty.bytes.read_bytes().count(b"\x07\x1b]9;ugro-tui: loud failed: ") == 1
    assert b"\x1b]0;owned" not in tty.bytes.read_bytes()


def test_without_colour_and_without_utf8(terminal: Callable[..., Terminal], app: str) -> None:
    tty = terminal(NO_COLOR="1")
    tty.run(f"{app} watch loud")
    tty.wait(lambda screen: "✖ FAILED" in screen)
    tty.type("q")
    tty.wait(at_prompt)
    assert Sent(tty.bytes.read_bytes()).colours == []
    tty.run(f"clear; LC_ALL=C {app} watch loud")
    begin = len(tty.bytes.read_bytes())
    tty.wait(lambda screen: "x FAILED" in screen and "drawn in ASCII: your locale has no UTF-8" in screen)
    tty.type("?")
    tty.wait(lambda screen: "training goes on when you quit" in screen)
    tty.type("q", "q")
    tty.wait(at_prompt)
    tty.run(f"clear; {app} --ascii status")
    tty.wait(lambda screen: "calm" in screen and at_prompt(screen))
    assert [byte for byte in tty.bytes.read_bytes()[begin:] if byte >= 0x80] == []


def test_refusals_are_readable(terminal: Callable[..., Terminal], app: str) -> None:
    tty = terminal()
    for number, (command, said) in enumerate(
        (
            (f"TERM=dumb {app}", "cannot draw on TERM='dumb'"),
            (f"{app} watch calm < /dev/null", "needs a terminal"),
            (f"{app} watch nosuch", "nosuch"),
            (f"{app} --theme pink", "'pink' is not a theme: choose dark, light, contrast or colour-blind"),
        )
    ):
        tty.run(f"clear; {command}; echo code-{number}-$?")
        screen = tty.wait(lambda screen, end=f"code-{number}-2": end in screen)  # type: ignore[misc]
        assert said in screen.replace("\n", "")
        assert "Traceback" not in screen
