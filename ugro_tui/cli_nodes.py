"""Commands about nodes and the central directory: sync, tensorboard, doctor."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from ugro_tui.core.text import visible
from ugro_tui.output import print_json, print_lines

if TYPE_CHECKING:
    from ugro_tui.agent import Agent
    from ugro_tui.collect.doctor import Diagnosis
    from ugro_tui.config import Config
    from ugro_tui.core.snapshot import SyncView

EXIT_UNWELL, EXIT_NONE_REACHED, EXIT_PARTIAL = 1, 3, 4

PROGRESS_SECONDS = 0.5
"""How often the progress of a sync is written to a terminal."""

OptionalJob = Annotated[str | None, typer.Argument(metavar="[JOB]", help="The job's id; all recent jobs without it.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_to(app: typer.Typer, configured: Callable[[typer.Context], Config]) -> None:
    """Add the commands; `configured` gives the settings in force."""

    @app.command()
    def sync(
        context: typer.Context,
        job: OptionalJob = None,
        prune: Annotated[bool, typer.Option("--prune", help="Remove old copies instead; shows them first.")] = False,
        older_than: Annotated[
            float, typer.Option("--older-than", metavar="DAYS", min=0, help="With --prune: what did not change since.")
        ] = 30.0,
        yes: Annotated[bool, typer.Option("--yes", "-y", help="With --prune: do not ask.")] = False,
        as_json: Json = False,
    ) -> None:
        """Bring logs and TensorBoard files of all nodes to the central directory now."""
        config = configured(context)
        if prune:
            _prune(config, older_than, yes=yes, as_json=as_json)
        else:
            _sync(config, job, as_json=as_json)

    @app.command()
    def tensorboard(context: typer.Context, job: OptionalJob = None) -> None:
        """Run TensorBoard on what all ranks of all nodes wrote, until Ctrl-C; keeps syncing meanwhile."""
        _tensorboard(configured(context), job)

    @app.command()
    def doctor(context: typer.Context, as_json: Json = False) -> None:
        """Check every node: settings, reach, host key, login, metrics directory, clock, disk; say what to do."""
        _doctor(configured(context), as_json=as_json)


def _sync(config: Config, job: str | None, *, as_json: bool) -> None:
    from ugro_tui.agent import Agent
    from ugro_tui.core.jsonable import jsonable

    with Agent(config, only=job) as agent:
        stop = threading.Event()
        shown = threading.Thread(target=_progress, args=(agent, stop), daemon=True)
        if sys.stderr.isatty() and not as_json:
            shown.start()
        try:
            done = agent.sync(job)
        finally:
            stop.set()
            if shown.is_alive():
                shown.join()
    if as_json:
        print_json(jsonable(done), pretty=True)
    else:
        print_lines(sync_lines(done, str(config.central)))
    failed = sum(bool(node.error) for node in done.nodes)
    if failed:
        raise typer.Exit(EXIT_NONE_REACHED if failed == len(done.nodes) else EXIT_PARTIAL)


def _progress(agent: Agent, stop: threading.Event) -> None:
    while not stop.wait(PROGRESS_SECONDS):
        view = agent.syncing()
        if view is not None:
            done = sum(node.done for node in view.nodes)
            size = sum(node.bytes for node in view.nodes)
            print(f"\r{done}/{len(view.nodes)} nodes, {sized(size)} \x1b[K", end="", file=sys.stderr, flush=True)
    print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def sync_lines(view: SyncView, central: str) -> Iterator[str]:
    """What a sync brought from each node, and what it could not."""
    width = max((len(node.node) for node in view.nodes), default=0)
    for node in view.nodes:
        files = f"{node.files:,} file{'' if node.files == 1 else 's'}, {sized(node.bytes)}"
        yield f"{node.node:<{width}}  {files}" + (f"  failed: {node.error}" if node.error else "")
        yield from (f"{'':<{width}}  not read: {what}" for what in node.denied)
    yield f"copied to {central}; see it with `ugro-tui tensorboard`"


def sized(size: float) -> str:
    """Bytes for people: `12 B`, `3.4 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _prune(config: Config, days: float, *, yes: bool, as_json: bool) -> None:
    import time

    from ugro_tui.collect.prune import find, remove
    from ugro_tui.core.jsonable import jsonable

    found = find(config.central, days, time.time())
    total = sum(artifact.bytes for artifact in found)
    if as_json:
        gone = remove(config.central, found) if yes else ()
        rows = [{**jsonable(one), "path": str(one.path), "removed": one in gone} for one in found]
        print_json({"artifacts": rows, "bytes": total}, pretty=True)
        return
    print_lines([f"{sized(one.bytes):>10}  {visible(str(one.path))}  ({one.why})" for one in found])
    print_lines([f"{len(found)} to remove, {sized(total)}" if found else f"nothing in {config.central} is that old"])
    if not found:
        return
    if not yes and not sys.stdin.isatty():
        print_lines(["nothing was removed: give --yes to remove them"])
        return
    if not yes:
        typer.confirm("Remove them for good?", abort=True)
    print_lines([f"{len(remove(config.central, found))} removed"])


def _tensorboard(config: Config, job: str | None) -> None:
    from ugro_tui.act.tensorboard import TensorBoard
    from ugro_tui.agent import Agent
    from ugro_tui.core.jobid import checked_job_id

    with Agent(config, keep=True) as agent:
        folder = agent.event_files
        if job is not None:
            folder = folder / checked_job_id(job) / "tensorboard"
            if not agent.copies:
                agent.follow(job)
        board = TensorBoard(folder)
        try:
            print_lines([f"TensorBoard on {folder}: {board.open()}", "Ctrl-C ends it"])
            threading.Event().wait()
        finally:
            board.stop()


def _doctor(config: Config, *, as_json: bool) -> None:
    from ugro_tui.agent import Agent
    from ugro_tui.collect.doctor import Grade, examine
    from ugro_tui.core.jsonable import jsonable

    agent = Agent(config)
    try:
        found = examine(agent.nodes, agent.clock)
    finally:
        agent.close()
    if as_json:
        print_json({"nodes": [{**jsonable(one), "grade": one.grade.value} for one in found]}, pretty=True)
    else:
        print_lines(doctor_lines(found))
    failed = [one for one in found if one.grade is Grade.FAIL]
    if failed:
        none = not any(one.reached for one in found)
        raise typer.Exit(EXIT_NONE_REACHED if none else EXIT_PARTIAL if len(failed) < len(found) else EXIT_UNWELL)


def doctor_lines(found: Sequence[Diagnosis]) -> Iterator[str]:
    """Each node with its steps; what is to be done stands below the step that wants it."""
    marks = {"ok": "✔", "warn": "▲", "fail": "✖"}
    for one in found:
        yield f"{marks[one.grade.value]} {one.node}"
        for check in one.checks:
            yield f"  {marks[check.grade.value]} {check.name:<12} {check.found}"
            if check.remedy:
                yield f"    → {check.remedy}"
    words = [one.grade.value for one in found]
    yield f"{words.count('ok')} of {len(words)} nodes are well" + (
        f", {words.count('warn')} want attention" if "warn" in words else ""
    )
