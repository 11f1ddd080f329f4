"""The heatmap of phases and the list of metrics."""

from __future__ import annotations

import math

import pytest
from textual.app import App, ComposeResult

from tests.ui.alert_scenes import straggler
from tests.ui.scenes import large
from tests.ui.test_charts import seen
from ugro_tui.core.phase_heat import phase_heat
from ugro_tui.core.snapshot import RankColumns
from ugro_tui.ui.heatmap import PhaseHeatmap, digits, heat_lines, shade_of
from ugro_tui.ui.metric_picker import MOST_SHOWN, MetricPicker, matching

NAMES = ["loss", "lr", "grad_norm", "metrics.val_loss", "metrics.[red]acc[/]", *(f"layer.{n}.norm" for n in range(500))]


@pytest.mark.parametrize(
    ("times", "glyph"), [(0.1, " "), (1.2, " "), (1.5, "░"), (2.0, "▒"), (4.0, "▓"), (90.0, "█"), (math.nan, "·")]
)
def test_the_more_it_takes_the_darker_it_is(times: float, glyph: str) -> None:
    assert shade_of(times)[0] == glyph


def test_a_line_a_rank_and_the_worst_below() -> None:
    heat = phase_heat(straggler().jobs[0].ranks, 20)
    lines = heat_lines(heat, 80, 22).plain.splitlines()
    assert len(lines) == 18
    assert lines[0].split() == ["data", "forward", "backward", "sync_wait", "optimizer"]
    assert lines[12].startswith("rank 11 ███   412 ms")
    assert lines[3].startswith("rank 2          4 ms")
    assert lines[-1] == "rank 11 data 412 ms, median 4 ms"


def test_with_less_room_the_milliseconds_stand_without_their_unit() -> None:
    heat = phase_heat(straggler().jobs[0].ranks, 20)
    lines = heat_lines(heat, 38, 22).plain.splitlines()
    assert lines[0].rstrip().endswith("data  forw  back  wait   opt")
    assert lines[12].startswith("rank 11 █ 412")
    assert lines[3].startswith("rank 2    4.0  70.0")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.00014, "0.14"), (0.0041, "4.1"), (0.0999, "99.9"), (0.412, "412"), (9.9, "9900"), (12.3, "12s"), (9e9, ">16m"),
     (math.nan, "·")],
)  # fmt: skip
def test_milliseconds_in_four_cells(seconds: float, text: str) -> None:
    assert digits(seconds) == text


@pytest.mark.parametrize(("width", "height"), [(20, 6), (8, 3), (120, 40), (1, 1)])
def test_it_fits_whatever_room_there_is(width: int, height: int) -> None:
    heat = phase_heat(large().jobs[0].ranks, max(1, height - 2))
    assert len(heat_lines(heat, width, height).plain.splitlines()) <= height
    assert heat.groups[0] != (0, 0)


class Shown(App[None]):
    """A heatmap; over it, a list of metrics."""

    def __init__(self, ranks: RankColumns | None) -> None:
        super().__init__()
        self.ranks, self.answers = ranks, list[str | None]()

    def compose(self) -> ComposeResult:
        """The heatmap alone."""
        yield PhaseHeatmap()

    def ask(self, names: list[str], current: str = "") -> None:
        """Open the list."""
        self.push_screen(MetricPicker(names, current), self.answers.append)


async def test_a_heatmap_on_the_screen() -> None:
    app = Shown(None)
    async with app.run_test(size=(80, 24)) as pilot:
        assert "no phases recorded" in seen(app)
        app.query_one(PhaseHeatmap).show(large().jobs[0].ranks)
        await pilot.pause()
        assert "ranks 0-23" in seen(app)
        assert "stands out" in seen(app)


def test_names_are_narrowed_by_every_word_and_those_that_begin_so_come_first() -> None:
    assert matching(NAMES, "Loss") == ["loss", "metrics.val_loss"]
    assert matching(NAMES, "norm grad") == ["grad_norm"]
    assert matching(["a.lr", "lr"], "lr") == ["lr", "a.lr"]
    assert len(matching(NAMES, " ")) == len(NAMES)


async def test_a_metric_is_chosen_by_typing_by_arrows_and_by_the_mouse() -> None:
    app = Shown(None)
    async with app.run_test(size=(80, 24)) as pilot:
        for keys, answer in (
            (("v", "a", "l", "enter"), "metrics.val_loss"),
            (("down", "up", "down", "enter"), "grad_norm"),
            (("escape",), None),
        ):
            app.ask(NAMES, "lr")
            await pilot.pause()
            await pilot.press(*keys)
            await pilot.pause()
            assert app.answers[-1] == answer
        app.ask(NAMES)
        await pilot.pause()
        assert "metrics.[red]acc[/]" in seen(app)
        assert f"{len(NAMES)} of {len(NAMES)}, the first {MOST_SHOWN} are shown" in seen(app)
        await pilot.click("OptionList", offset=(3, 2))
        await pilot.pause()
        assert app.answers[-1] == "grad_norm"
        app.ask(NAMES)
        await pilot.pause()
        await pilot.press(*"zzz", "enter")
        assert "no name has all of these words" in seen(app)
        assert len(app.answers) == 4
