"""The rank that is explained: the way there and back, what it says, and its sizes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import orjson
import pytest
from textual.content import Content
from textual.pilot import Pilot
from textual.widgets import Static

from tests.ui.alert_scenes import SLOW, straggling
from tests.ui.rank_scenes import RankFeed, crashed, files, rank_app
from tests.ui.scenes import NOW, FakeArchive, Record, Run, job, records, snapshot
from ugro_tui.core.archive import Finding, Lines, MetricLines, MetricNames
from ugro_tui.core.commands import OpenRank
from ugro_tui.core.decode import decode
from ugro_tui.core.job import JobState
from ugro_tui.core.log_inquiry import LogText
from ugro_tui.core.snapshot import Snapshot
from ugro_tui.core.states import RankState
from ugro_tui.ui.app import UgroApp
from ugro_tui.ui.rank_curves import RankCurves
from ugro_tui.ui.rank_text import head

SMALL, MIDDLE, TINY = (80, 24), (120, 40), (50, 12)


class Bench:
    """The screen of a rank, and what is seen on it."""

    def __init__(self, app: UgroApp, feed: RankFeed, pilot: Pilot[Any]) -> None:
        self.app = app
        self.feed = feed
        self.pilot = pilot

    def said(self, part: str) -> str:
        return str(self.app.front.query_one(f"#{part}", Static).content)

    @property
    def parts(self) -> list[str]:
        """Those that are seen."""
        return [name for name in ("top", "loss", "trouble") if self.app.front.query_one(f"#{name}").size.height]

    def title(self, part: str) -> str:
        return Content.from_markup(str(self.app.front.query_one(f"#{part}").border_title)).plain

    async def press(self, *keys: str) -> None:
        """Press them, and take what the feed has new."""
        await self.pilot.press(*keys)
        await self.pilot.pause()
        self.app.look()
        await self.pilot.pause()

    async def go(self, rank: int) -> None:
        """Show this rank."""
        self.app.desk.rank = rank
        self.app.go("rank")
        await self.press()


@asynccontextmanager
async def bench_of(
    state: JobState, picture: Snapshot | None = None, size: tuple[int, int] = MIDDLE
) -> AsyncIterator[Bench]:
    app, feed = rank_app(state, picture)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield Bench(app, feed, pilot)


async def test_enter_explains_a_rank_and_the_ways_from_there() -> None:
    async with bench_of(crashed()) as bench:
        await bench.press("j", "enter")
        assert bench.app.front.NAME == "rank"
        assert bench.feed.asked == [OpenRank("gpt2-small", 1)]
        assert bench.said("head").split("  ")[1:] == [
            "rank 1/4 on node0", "✖ dead", "OutOfMemoryError: CUDA out of memory: tried to allocate 2.5 GiB",
        ]  # fmt: skip
        assert "pid 101, run run-1, attempt 1" in bench.said("facts-text")
        trouble = bench.said("trouble-text")
        assert trouble.startswith("✖ rank error  OutOfMemoryError")
        assert '  File "train.py", line 212, in main\n    loss.backward()\ntorch.OutOfMemoryError: CUDA' in trouble
        assert "end of its log" in trouble
        for key in ("l", "3"):
            await bench.press(key)
            assert bench.app.front.NAME == "logs"
            assert bench.said("log-title").strip().startswith("Logs of gpt2-small · rank 1")
            await bench.press("full_stop")
            assert bench.said("log-title").strip().startswith("Logs of gpt2-small · rank 2")
            await bench.press("escape", "escape")
            assert bench.app.front.NAME == "rank"
        seen = []
        for key in ("comma", "comma", "full_stop"):
            await bench.press(key)
            seen.append(bench.said("head").split("  ")[1])
        assert seen == ["rank 0/4 on node0", "rank 3/4 on node0", "rank 0/4 on node0"]
        assert "pid 100" in bench.said("facts-text")
        await bench.press("escape")
        assert bench.app.front.NAME == "job"


async def test_a_slow_rank_says_which_phase_and_beside_whom_at_every_size() -> None:
    async with bench_of(*straggling()) as bench:
        await bench.go(SLOW)
        assert "◐ slow  data 412 ms against a median of 4 ms" in bench.said("head")
        lines = bench.said("beside-text").splitlines()
        assert lines[0] == "⚠ data 412 ms, others 4.00 ms: 103 times as long"
        assert lines[2].rstrip() == f"data               412 ms  4.00 ms  │{'█' * 18}"
        assert lines[5].split()[:5] == ["sync_wait", "18.0", "ms", "424", "ms"]
        assert "→ look at its dataloader" in bench.said("trouble-text")
        assert "A all 16 ranks last 2.526 (mean)  min 2.402 (rank 1)  B rank 11 last 2.563  min" in bench.title("loss")
        assert isinstance(bench.app.desk.archive, FakeArchive)
        bench.app.desk.archive.findings[MetricNames("gpt2-xl")] = Finding(("loss", "lr"))
        await bench.press("m", "l", "r", "enter")
        assert bench.title("loss").startswith("lr  ")
        await bench.press("escape")
        assert bench.title("loss").startswith("Loss  ")
        assert bench.parts == ["top", "loss", "trouble"]
        await bench.press("tab", "shift+tab")
        assert bench.parts == ["top", "loss", "trouble"]
        for size in (SMALL, TINY):
            await bench.pilot.resize_terminal(*size)
            await bench.pilot.pause()
            assert bench.parts == ["loss"]
            assert re.search(r"A (all 16 ranks )?2.526", bench.said("pane-title"))
            await bench.press("tab")
            assert bench.parts == ["trouble"]
            await bench.press("tab")
            assert bench.parts == ["top"]
            assert "◐ slow" in bench.said("head")
            await bench.press("tab")


@pytest.mark.parametrize(("metric", "last"), [("loss", 300), ("lr", 300), ("train/samples", 310)])
def test_a_chart_tells_no_record_that_the_numbers_beside_it_do_not_know_yet(metric: str, last: int) -> None:
    """Files are read more often than nodes are asked; event files count steps as they like."""
    ahead, picture = job(Run(steps=310)), snapshot(job(Run(steps=300))).jobs[0]
    archive = files(ahead)
    found: Any = archive.findings[MetricLines(ahead.job_id, "loss", 0)].content
    lines: Lines = replace(found, metric=metric)
    for rank in (0, None):
        archive.findings[MetricLines(ahead.job_id, metric, rank)] = Finding(lines)
    curves = RankCurves(archive)
    curves.metric = metric
    traces = curves.traces(picture, 0)[0]
    own = traces[-1]
    assert {trace.curve.steps[-1] for trace in traces} == {last}
    every = ["all 4 ranks"] if metric == "loss" else []
    assert [trace.name for trace in traces] == [*every, "rank 0"], "where one alone has told it, it is drawn once"
    assert own.ends.last == lines.lines[0].value[last - 1]
    assert curves.traces(picture, 0)[0][-1].curve is own.curve, "the same is not made anew"
    newest = snapshot(ahead).jobs[0]
    assert curves.traces(newest, 0)[0][-1].curve.steps[-1] == 310


def test_the_head_has_the_state_beside_the_rank_whatever_the_names() -> None:
    job, node, why = "a-job-" * 12, "gpu-node.example.org" * 4, "NCCL timeout"
    for width in (80, 60, 46):
        line = head(job, 1, 4, node, RankState.DEAD, why, width).plain
        assert line.endswith(f"  ✖ dead  {why}")
        assert len(line.removesuffix(f"  {why}")) <= width
        assert re.match(r" a-\S+…\S+-job-  rank 1/4 on gpu\S*…\S+.org  ✖", line)
    assert head(job, 1, 4, node, RankState.DEAD, why, 20).plain == " rank 1/4  ✖ dead  NCCL timeout"
    assert head("gpt2", 1, 4, "n1", RankState.DEAD, "", 40).plain == " gpt2  rank 1/4 on n1  ✖ dead"


END: Record = {"status": "failed", "error": {"type": "[red]Boom[/]", "message": "\x1b[2J[@click=app.quit]x"}}


async def test_ranks_of_which_little_is_known() -> None:
    run = Run(ranks=2, steps=20, ends={0: END}, hosts=lambda _: "[bold]e\x1bvil")
    state = JobState(run.job_id)
    state.apply(0, decode(b"".join(orjson.dumps(record) + b"\n" for record in records(run, 0))), NOW, "local")
    async with bench_of(state) as bench:
        await bench.go(0)
        assert "[red]Boom[/]: ␛[2J[@click=app.quit]x" in bench.said("head")  # said, and never obeyed
        assert "[bold]e␛vil" in bench.said("facts-text")
        await bench.go(1)
        assert "? unknown  it has recorded nothing before its job failed: rank error: rank 0" in bench.said("head")
        assert "look at what its launcher printed" in bench.said("facts-text")
        await bench.go(7)
        assert bench.said("empty").startswith("gpt2-small has no rank 7: they are 0 to 1")
        bench.feed.state = None  # what the keeper does not explain at once
        archive = bench.app.desk.archive
        assert isinstance(archive, FakeArchive)
        archive.findings[LogText("gpt2-small", 0)] = Finding(problem="no log of rank 0")
        archive.findings[MetricLines("gpt2-small", "loss", 0)] = Finding(problem="its disk is gone")
        await bench.press("full_stop")
        assert "rank 0/2" in bench.said("head")
        assert bench.said("facts-text") == "reading rank 0 …"
        assert "no log of rank 0" in bench.said("trouble-text")
        assert "its disk is gone" in bench.title("loss")


@pytest.fixture
def _colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")


def scene(name: str) -> tuple[JobState, Snapshot]:
    """The job of a picture."""
    state = crashed() if name == "crashed" else job(Run(ranks=16))
    return straggling() if name == "slow" else (state, snapshot(state))


@pytest.mark.usefixtures("_colours")
@pytest.mark.parametrize(
    ("name", "rank", "size"), [("healthy", 3, MIDDLE), ("crashed", 1, MIDDLE), ("slow", SLOW, SMALL)], ids=str
)
def test_picture(name: str, rank: int, size: tuple[int, int], snap_compare: Callable[..., bool]) -> None:
    app, feed = rank_app(*scene(name))

    async def go(pilot: Pilot[Any]) -> None:
        await Bench(app, feed, pilot).go(rank)

    assert snap_compare(app, run_before=go, terminal_size=size)
