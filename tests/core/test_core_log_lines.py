"""What a line of a log tells: its level, its time, its rank; and which line is an error."""

from __future__ import annotations

import math

import pytest

from ugro_tui.core.log_inquiry import LogError, LogPlace, earliest
from ugro_tui.core.log_level import SUSPECT, Level
from ugro_tui.core.log_lines import LineReader, errors


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("ERROR:root:disk is full", Level.ERROR),
        ("2026-05-16 09:12:33,123 - trainer - WARNING - slow", Level.WARNING),
        ("[2023-04-18 01:46:52,554] [INFO] [loss_scaler.py:188] 0 ERROR", Level.INFO),
        ("05/16/2026 09:12:33 - CRITICAL - out of memory", Level.CRITICAL),
        ("E0516 09:12:33.123456 77 torch/distributed/elastic.py:1] failed (exitcode: 1)", Level.ERROR),
        ("[rank3]:[W516 09:12:33.1 ProcessGroupNCCL.cpp:1] Warning: x", Level.WARNING),
        ("[rank3]:[E1116 09:12:33.1 ProcessGroupNCCL.cpp:1] watchdog timeout", Level.ERROR),
        ("W0516 09:12:33.123456 77 run.py:1] master", Level.WARNING),
        ("[rank0]:E0516 09:12:33.1 77 x.py] boom", Level.ERROR),
        ("n1:12:99 [0] NCCL WARN Call to connect failed", Level.WARNING),
        ("n1:12:99 [0] NCCL INFO Bootstrap", Level.INFO),
        ("/x/y.py:3: UserWarning: deprecated", Level.WARNING),
        ("RuntimeError: NCCL error", Level.ERROR),
        ("torch.OutOfMemoryError: CUDA out of memory", Level.ERROR),
        ("KeyboardInterrupt", Level.ERROR),
        ("Segmentation fault (core dumped)", Level.ERROR),
        ("cc: error: no input", Level.NONE),
        ("error: no input", Level.ERROR),
        ("[DEBUG] x", Level.DEBUG),
        ("step 10 error=0.1 loss 2.0", Level.NONE),
        ("mean_absolute_Error 0.3", Level.NONE),
        ("reading /data/ERROR/x.json", Level.NONE),
    ],
)
def test_the_level_of_a_line(line: str, level: Level) -> None:
    (found,) = LineReader(0).read([line])
    assert found.level is level
    if level >= Level.ERROR:
        assert SUSPECT.search(line.encode())


@pytest.mark.parametrize(
    ("line", "seconds", "message"),
    [
        ("2026-05-16 09:12:33,250 hello", 1778922753.25, "hello"),
        ("[2026-05-16T09:12:33Z] [INFO] x", 1778922753.0, "[INFO] x"),
        ("2026-05-16T11:12:33+02:00 x", 1778922753.0, "x"),
        ("[rank12]: 05/16/2026 09:12:33 - INFO - x", 1778922753.0, "INFO - x"),
        ("1778922753.5 x", 1778922753.5, "x"),
        ("2026-13-99 09:12:33 x", math.nan, "x"),
        ("[rank12]:   File x", math.nan, "  File x"),
        ("123456789012 x", math.nan, "123456789012 x"),
        ("1778922753e3", math.nan, "1778922753e3"),
        ("no time", math.nan, "no time"),
    ],
)
def test_the_time_of_a_line_and_what_it_says(line: str, seconds: float, message: str) -> None:
    (found,) = LineReader(0).read([line])
    assert found.time == pytest.approx(seconds, nan_ok=True)
    assert (found.text, found.message) == (line, message)


def test_a_traceback_is_an_error_as_a_whole() -> None:
    lines = """step 1
[rank0]: Traceback (most recent call last):
[rank0]:   File "train.py", line 3, in main
[rank0]:     loss.backward()
[rank0]: RuntimeError: CUDA error: device-side assert
step 2

During handling of the above exception, another exception occurred:
Traceback (most recent call last):
  File "x.py", line 3
my.Odd: no name that says error
bye""".splitlines()
    found = LineReader(0).read(lines)
    assert [lines.index(line.text) for line in errors(found)] == [1, 2, 3, 4, 8, 9, 10]


def test_a_line_without_an_end_does_not_end_a_traceback() -> None:
    reader = LineReader(0)
    reader.read(["Traceback (most recent call last):"])
    assert reader.peek("Odd").level is Level.ERROR
    assert [line.level for line in reader.read(["  File x", "Odd: y", "well"])] == [4, 4, 0]


def test_the_earliest_error_is_known_by_time_where_all_tell_it() -> None:
    def error(rank: int, time: float) -> LogError:
        return LogError(LogPlace(rank, "", 0), "x", time)

    assert earliest([]) is None
    assert earliest([error(0, 9.0), error(3, 5.0), error(1, 7.0)]) == error(3, 5.0)
    assert earliest([error(2, 3.0), error(1, 9.0), error(4, math.nan)]) == error(1, 9.0)


def test_glog_tells_no_year_and_has_that_of_the_line_before() -> None:
    lines = ["W0516 09:00:00.5 x", "2026-05-16 09:00:00 x", "[rank1]:[E516 09:00:01.5 x", "W1345 09:00:00 x"]
    times = [line.time for line in LineReader(0).read(lines)]
    assert times == pytest.approx([math.nan, 1778922000.0, 1778922001.5, math.nan], nan_ok=True)
