"""The readers of logs: the newest part of all files, what is new in them, and the first error of all."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.writing import Clock, as_ordinary_user
from ugro_tui.collect import log_search, logs
from ugro_tui.collect.archive import FileArchive
from ugro_tui.collect.logs import log_readers
from ugro_tui.core.archive import Finding
from ugro_tui.core.errors import UgroError
from ugro_tui.core.log_inquiry import LogError, LogErrors, LogFirstError, LogPage, LogPlace, LogText


def write(root: Path, rank: int, text: str | bytes, node: str = "", mode: str = "ab") -> Path:
    path = root / "job" / "logs" / node / f"rank_{rank}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open(mode) as stream:
        stream.write(text.encode() if isinstance(text, str) else text)
    return path


def reading(root: Path, ask: LogText, *, copied: bool = False) -> Callable[[], LogPage]:
    """Looks until there is something."""
    reader = log_readers(root, copied=copied)[LogText](ask)

    def read() -> LogPage:
        while (found := reader.read()).loading:
            pass
        assert not found.problem
        assert isinstance(found.content, LogPage)
        return found.content

    return read


def told(page: LogPage) -> list[tuple[tuple[int, ...], str]]:
    return [(line.ranks, line.message) for line in page.lines]


def first_error(root: Path, rank: int | None = None) -> LogErrors:
    reader = log_readers(root, copied=False)[LogFirstError](LogFirstError("job", rank))
    while (found := reader.read()).loading:
        pass
    assert isinstance(found.content, LogErrors)
    return found.content


def test_logs_are_read_once_and_then_what_is_new(tmp_path: Path) -> None:
    for rank in (0, 1):
        write(tmp_path, rank, f"hello\nmine {rank}\n")
    read = reading(tmp_path, LogText("job"))
    page = read()
    assert told(page) == [((0, 1), "hello"), ((0,), "mine 0"), ((1,), "mine 1")]
    assert page.ranks == (0, 1)
    assert read() is page
    write(tmp_path, 1, "half")
    assert told(read())[-1] == ((1,), "half")
    write(tmp_path, 1, " no more\n")
    write(tmp_path, 2, "late\n")
    page = read()
    assert {text for _, text in told(page)} == {"hello", "mine 0", "mine 1", "half no more", "late"}
    assert page.ranks == (0, 1, 2)


def test_one_rank_is_read_alone(tmp_path: Path) -> None:
    for rank in (0, 11):
        write(tmp_path, rank, f"r{rank}\n")
    assert told(reading(tmp_path, LogText("job", 11))()) == [((11,), "r11")]
    with pytest.raises(UgroError, match="no log of rank 5: there are those of ranks 0, 11"):
        log_readers(tmp_path, copied=False)[LogText](LogText("job", 5)).read()


def test_copies_of_all_nodes_are_read(tmp_path: Path) -> None:
    write(tmp_path, 0, "a\n", "node0")
    write(tmp_path, 1, "a\nb\n", "node1")
    assert told(reading(tmp_path, LogText("job"), copied=True)()) == [((0, 1), "a"), ((1,), "b")]


def test_of_long_logs_the_newest_part_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "BUDGET", 2_000)
    monkeypatch.setattr(logs, "LEAST", 500)
    monkeypatch.setattr(logs, "AT_ONCE", 600)
    sizes = [os.path.getsize(write(tmp_path, rank, "".join(f"line {n}\n" for n in range(900)))) for rank in range(6)]
    page = reading(tmp_path, LogText("job"))()
    assert {line.ranks for line in page.lines} == {tuple(range(6))}
    assert page.lines[-1].message == "line 899"
    assert page.skipped + 6 * sum(len(line.text) + 1 for line in page.lines) == sum(sizes)
    assert 6 * 400 < sum(sizes) - page.skipped <= 6 * 500


def test_a_burst_is_passed_over_to_its_newest_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "BUDGET", 1_000)
    monkeypatch.setattr(logs, "LEAST", 1_000)
    write(tmp_path, 0, "first\nha")
    read = reading(tmp_path, LogText("job"))
    read()
    write(tmp_path, 0, "lf\n" + "".join(f"line {n}\n" for n in range(900)))
    page = read()
    texts = [text for _, text in told(page)]
    assert (texts[0], texts[-1]) == ("first", "line 899")
    assert texts[1].startswith("line 7")
    assert page.skipped > 5_000


@pytest.mark.parametrize("way", ["cut", "rotated", "written over"])
def test_another_file_under_the_name_is_read_from_its_beginning(tmp_path: Path, way: str) -> None:
    path = write(tmp_path, 0, "old 1\nold 2\nhalf of it")
    read = reading(tmp_path, LogText("job"))
    read()
    if way == "rotated":
        path.rename(path.with_name("rank_0.log.1"))
    longer = "new 1\n" * (1 if way == "cut" else 20)
    write(tmp_path, 0, longer, mode="wb" if way != "rotated" else "ab")
    assert [text for _, text in told(read())] == ["old 1", "old 2", *longer.split("\n")[:-1]]


def test_a_job_without_logs_is_told_what_would_make_them(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    for copied in (False, True):
        with pytest.raises(UgroError, match="no logs: write stdout and stderr of each rank N to logs/rank_N"):
            log_readers(tmp_path, copied=copied)[LogText](LogText("job")).read()


def test_a_log_that_may_not_be_read_is_said_beside_the_others(tmp_path: Path) -> None:
    write(tmp_path, 0, "well\n")
    write(tmp_path, 1, "Error: no\n").chmod(0)
    (tmp_path / "job" / "logs" / "rank_2.log").symlink_to("/etc/passwd")
    reader = log_readers(tmp_path, copied=False)[LogText](LogText("job"))
    search = log_readers(tmp_path, copied=False)[LogFirstError](LogFirstError("job"))
    with as_ordinary_user():
        found: Finding[LogPage] = reader.read()
        errors: Finding[LogErrors] = search.read()
    assert found.content is not None
    assert told(found.content) == [((0,), "well")]
    assert (
        found.problem
        == errors.problem
        == "rank_1.log cannot be read: Permission denied: look at its rights and its disk"
    )
    assert errors.content == LogErrors(None, 5)


TRACE = "Traceback (most recent call last):\n  File x\nRuntimeError: CUDA error: device-side assert\n"


def test_the_first_error_is_found_in_the_whole_logs_and_what_is_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_search, "PART", 10_000)
    monkeypatch.setattr(logs, "AT_ONCE", 25_000)
    filler = "".join(f"2026-05-16 09:{n // 60:02}:{n % 60:02} [INFO] step {n} error=0.1\n" for n in range(3_000))
    write(tmp_path, 0, filler + "2026-05-16 10:00:01 [ERROR] NCCL timeout\n")
    write(tmp_path, 1, filler + TRACE + "after\n" + filler)
    found = first_error(tmp_path)
    assert found.first is not None
    assert (found.first.place.rank, found.first.what) == (1, "RuntimeError: CUDA error: device-side assert")
    assert found.first.place == LogPlace(1, "", len(filler))
    assert found.searched >= 2 * len(filler)
    alone = first_error(tmp_path, 0).first
    assert alone is not None
    assert alone.what == "[ERROR] NCCL timeout"
    page = reading(tmp_path, LogText("job", 1, found.first.place))()
    assert [line.message for line in page.lines[page.at : page.at + 4]] == [*TRACE.splitlines(), "after"]
    assert page.lines[page.at - 1].message == "[INFO] step 2999 error=0.1"


def begins(attempt: int, rank: int) -> str:
    """The line with which an attempt begins."""
    return f"== attempt {attempt}: rank {rank} of 2 on n1, pid 7, 2026-05-16T09:00:00Z ==\n"


def test_of_several_attempts_the_first_error_is_that_of_the_newest_that_has_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_search, "PART", 200)  # attempts begin in parts of their own
    filler = "step\n" * 100
    old = f"{begins(1, 0)}KeyError: 'old'\n{filler}{begins(2, 0)}{filler}"
    write(tmp_path, 0, old)
    write(tmp_path, 1, begins(1, 1))
    reader = log_readers(tmp_path, copied=False)[LogFirstError](LogFirstError("job"))
    assert told_first(reader.read()) == (1, "KeyError: 'old'", len(begins(1, 0)))
    write(tmp_path, 0, "ValueError: of two\nValueError: later\n")
    assert told_first(reader.read()) == (2, "ValueError: later", len(old))
    write(tmp_path, 1, f"TypeError: long ago\n{begins(2, 1)}{filler}{begins(3, 1)}KeyboardInterrupt\n")
    found = reader.read()
    assert told_first(found)[:2] == (3, "KeyboardInterrupt")
    assert found.content is not None
    assert found.content.first is not None
    assert found.content.first.place.rank == 1


def told_first(found: Finding[LogErrors]) -> tuple[int, str, int]:
    """Attempt, words and place of the first error."""
    assert found.content is not None
    assert found.content.first is not None
    return found.content.first.attempt, found.content.first.what, found.content.first.place.offset


def test_an_error_that_comes_later_is_found_too(tmp_path: Path) -> None:
    path = write(tmp_path, 0, "well\nand a half")
    reader = log_readers(tmp_path, copied=False)[LogFirstError](LogFirstError("job"))
    nothing = reader.read().content
    assert nothing == LogErrors(None, 5)
    assert reader.read().content is nothing
    write(tmp_path, 0, " line\nValueError: x\n")
    assert reader.read().content == LogErrors(LogError(LogPlace(0, "", 21), "ValueError: x", math.nan), 35)
    path.write_text("anew\n")
    assert reader.read().content == LogErrors(None, 5)


def test_the_archive_reads_logs(tmp_path: Path) -> None:
    write(tmp_path, 0, "hello\n")
    archive = FileArchive(log_readers(tmp_path, copied=False), Clock())
    try:
        page = archive.wait(LogText("job"), 60.0).content
        assert page is not None
        assert told(page) == [((0,), "hello")]
        assert archive.wait(LogText("none"), 60.0).problem.startswith("no logs")
        assert "job id" in archive.wait(LogText("../job"), 60.0).problem
    finally:
        archive.close()
