"""`python -m tests.ui.gallery DIR`: the pictures of the README, drawn from the scenes of the snapshot tests."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.ui.node_scenes import ALL_SCENES
from tests.ui.scenes import FakeFeed, app_of

PICTURES = (
    ("healthy", (120, 40)),
    ("straggler", (120, 40)),
    ("hung", (120, 40)),
    ("non_finite", (120, 40)),
    ("crashed", (120, 40)),
    ("many_jobs", (120, 40)),
    ("restarted", (120, 40)),
    ("node_down", (120, 40)),
    ("lab", (120, 40)),
    ("small", (80, 24)),
    ("large", (200, 60)),
    ("empty", (120, 40)),
)


async def draw(scene: str, size: tuple[int, int]) -> str:
    """The scene as SVG."""
    app = app_of(FakeFeed(ALL_SCENES[scene]()))
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        return app.export_screenshot(title=f"ugro-tui: {scene.replace('_', ' ')}")


def main() -> None:
    """Draw all pictures into the folder named on the command line."""
    os.environ.pop("NO_COLOR", None)
    folder = Path(sys.argv[1])
    folder.mkdir(exist_ok=True)
    for scene, size in PICTURES:
        path = folder / f"{scene.replace('_', '-')}-{size[0]}x{size[1]}.svg"
        path.write_text(asyncio.run(draw(scene, size)), encoding="utf-8")
        sys.stdout.write(f"{path}\n")


if __name__ == "__main__":
    main()
