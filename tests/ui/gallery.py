"""`python -m tests.ui.gallery DIR`: the pictures of the README, drawn from the scenes of the snapshot tests."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from textual.app import App

from tests.ui.alert_scenes import SLOW, straggling
from tests.ui.compare_scenes import compare_app
from tests.ui.log_scenes import crash, log_app, printed, showing
from tests.ui.node_scenes import ALL_SCENES
from tests.ui.rank_scenes import rank_app
from tests.ui.scenes import FakeFeed, app_of
from tests.ui.screen_scenes import booked, fleet
from ugro_tui.ui.app import UgroApp


@dataclass(frozen=True)
class Picture:
    """A screen of this size, of the application that `make` makes, after these keys."""

    name: str
    make: Callable[[], App[str]]
    keys: tuple[str, ...] = ()
    size: tuple[int, int] = (120, 40)


def _scene(name: str, *keys: str, size: tuple[int, int] = (120, 40)) -> Picture:
    def make() -> App[str]:
        snapshot = ALL_SCENES[name]()
        return app_of(FakeFeed(snapshot), archive=printed(snapshot))

    return Picture(name, make, keys, size)


PICTURES = (
    *(_scene(name) for name in ("healthy", "straggler", "hung", "non_finite", "crashed", "many_jobs", "restarted",
                                "node_down", "lab", "empty")),
    _scene("small", size=(80, 24)),
    _scene("large", size=(200, 60)),
    Picture("alerts", lambda: app_of(FakeFeed(booked())), ("4", "j")),
    Picture("nodes", lambda: app_of(FakeFeed(fleet())), ("5", "j", "j")),
    Picture("logs", lambda: log_app(showing(crash())), ("3", "e")),
    Picture("compare", lambda: compare_app(2), ("6",)),
    Picture("rank", lambda: rank_app(*straggling())[0], ("j",) * SLOW + ("enter",)),
    Picture("help", lambda: app_of(FakeFeed(ALL_SCENES["healthy"]())), ("question_mark",)),
)  # fmt: skip


async def draw(picture: Picture) -> str:
    """The picture as SVG."""
    app = picture.make()
    async with app.run_test(size=picture.size) as pilot:
        await pilot.pause()
        for key in picture.keys:
            await pilot.press(key)
            await pilot.pause()
        if isinstance(app, UgroApp):
            app.look()
        await pilot.pause()
        return app.export_screenshot(title=f"ugro-tui: {picture.name.replace('_', ' ')}")


def main() -> None:
    """Draw all pictures into the folder named on the command line."""
    os.environ.pop("NO_COLOR", None)
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    for picture in PICTURES:
        path = folder / f"{picture.name.replace('_', '-')}-{picture.size[0]}x{picture.size[1]}.svg"
        path.write_text(asyncio.run(draw(picture)), encoding="utf-8")
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
