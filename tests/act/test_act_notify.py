"""The command `on_alert`, as a real process."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.writing import wait_until
from ugro_tui.act.notify import MOST_WAITING, Notifier

APPEND = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"
Make = Callable[..., Notifier]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Notifier] = []

    def notifier(*argv: str, run_seconds: float = 30.0) -> Notifier:
        made.append(Notifier(argv, run_seconds))
        return made[-1]

    yield notifier
    for one in made:
        one.close(0.0)


def python(code: str, *argv: object) -> list[str]:
    return [sys.executable, "-c", code, *map(str, argv)]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_each_event_is_one_line_of_json_on_standard_input(make: Make, tmp_path: Path) -> None:
    notifier = make(*python(APPEND, tmp_path / "told"))
    events = [{"event": "fired", "what": "Δ 'quoted' $HOME `id`\n"}, {"event": "resolved"}]
    for event in events:
        notifier.tell(event)
    notifier.close()
    assert lines(tmp_path / "told") == events
    assert notifier.trouble == ""


def test_arguments_are_handed_on_as_they_are_and_no_shell_reads_them(make: Make, tmp_path: Path) -> None:
    code = "import json, sys; json.dump(sys.argv[2:], open(sys.argv[1], 'w'))"
    strange = ["a b", "$HOME", "; touch owned", "*", ""]
    notifier = make(*python(code, tmp_path / "argv", *strange))
    notifier.tell({})
    notifier.close()
    assert json.loads((tmp_path / "argv").read_text()) == strange


def test_what_it_prints_does_not_reach_the_screen(make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    notifier = make("sh", "-c", "echo loud; echo louder >&2")
    notifier.tell({})
    notifier.close()
    assert capfd.readouterr() == ("", "")


def test_a_command_that_hangs_is_killed_with_all_it_started_and_the_next_event_is_told(
    make: Make, tmp_path: Path
) -> None:
    code = (
        "import os, subprocess, sys, json\n"
        "event = json.load(sys.stdin)\n"
        "if event['event'] == 'hang':\n"
        "    child = subprocess.Popen(['sleep', '600'])\n"
        "    open(sys.argv[1] + '.pid', 'w').write(str(child.pid))\n"
        "    child.wait()\n"
        "open(sys.argv[1], 'w').write('told')"
    )
    notifier = make(*python(code, tmp_path / "told"), run_seconds=3.0)
    notifier.tell({"event": "hang"})
    wait_until(lambda: notifier.trouble)
    assert "did not end within 3 s and was killed" in notifier.trouble
    pid = int((tmp_path / "told.pid").read_text())
    wait_until(lambda: not alive(pid))
    notifier.tell({"event": "next"})
    wait_until((tmp_path / "told").exists)
    wait_until(lambda: not notifier.trouble)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["false"], "on_alert: false ended with exit code 1"),
        (["/none/such"], "on_alert: /none/such cannot be run: No such file or directory: correct on_alert"),
        (["sh", "-c", "exec <&-; exit 3"], "ended with exit code 3"),  # it does not read what it is told
    ],
)
def test_a_command_that_fails_is_said_once(
    make: Make, argv: list[str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = make(*argv)
    for _ in range(3):
        notifier.tell({"event": "fired", "padding": "x" * 200_000})
    notifier.close(60.0)
    assert said in notifier.trouble
    assert [record.message for record in caplog.records] == [notifier.trouble]


def test_telling_never_waits_and_what_is_too_much_is_dropped(make: Make, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    notifier = make("sh", "-c", f"cat < {gate}")
    for number in range(MOST_WAITING + 50):
        notifier.tell({"number": number})
    assert "events not told, as the command is too slow" in notifier.trouble


def test_the_end_waits_for_a_while_and_then_kills(make: Make, tmp_path: Path) -> None:
    notifier = make("sh", "-c", f"echo $$ > {tmp_path}/pid; sleep 600")
    notifier.tell({})
    wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    notifier.close(0.2)
    wait_until(lambda: not alive(int((tmp_path / "pid").read_text())))
    wait_until(lambda: not any(thread.name == "on-alert" for thread in threading.enumerate()))
