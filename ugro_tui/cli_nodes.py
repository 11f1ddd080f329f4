"""Commands about nodes and the central directory: sync, tensorboard, doctor."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ugro_tui import exits
from ugro_tui.core.errors import UgroError
from ugro_tui.core.numbers import counted
from ugro_tui.core.text import visible
from ugro_tui.output import print_json, print_lines

if TYPE_CHECKING:
    from ugro_tui.agent import Agent
    from ugro_tui.collect.doctor import Diagnosis
    from ugro_tui.config import Config
    from ugro_tui.core.snapshot import SyncView

PROGRESS_SECONDS = 0.5
"""How often the progress of a sync is written to a terminal."""

MOST_NAMED = 3
"""Nodes that a progress line names at most."""

WATCH_SECONDS = 1.0

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
        """Bring logs and TensorBoard files of all nodes to the central directory now; what came from which node.

        Exit code 4 (3: no node at all) where a node failed, or something may not be read there.
        """
        config = configured(context)
        if prune:
            _prune(config, older_than, yes=yes, as_json=as_json)
        else:
            _sync(config, job, as_json=as_json)

    @app.command()
    def tensorboard(context: typer.Context, job: OptionalJob = None) -> None:
        """Run TensorBoard on what all ranks of all nodes wrote, until Ctrl-C.

        Syncs once a minute meanwhile; nodes that cannot be read are named on standard error.
        """
        _tensorboard(configured(context), job)

    @app.command()
    def doctor(context: typer.Context, as_json: Json = False) -> None:
        """Check every node step by step, and the central directory; say what to do.

        Exit code 1 where something is wrong everywhere or with the central directory, 3: no login on any node,
        4: something is wrong with some nodes.
        """
        _doctor(configured(context), as_json=as_json)


def _sync(config: Config, job: str | None, *, as_json: bool) -> None:
    from ugro_tui.headless import headless

    agent = headless(config, only=job)  # not started yet: the first look is to be the sync's own
    stop = threading.Event()
    shown = threading.Thread(target=_progress, args=(agent, stop), daemon=True)
    if sys.stderr.isatty() and not as_json:
        shown.start()
    try:
        done = agent.sync(job)
        snapshot = agent.feed.snapshot()
    finally:
        stop.set()
        if shown.is_alive():
            shown.join()
        agent.close()
    if as_json:
        print_json(sync_dict(done, str(config.central)), pretty=True)
    else:
        print_lines(sync_lines(done, str(config.central)))
    raise typer.Exit(exits.of_sync(done, snapshot))


def _progress(agent: Agent, stop: threading.Event) -> None:
    while not stop.wait(PROGRESS_SECONDS):
        view = agent.syncing()
        if view is not None and not view.done:
            print(f"\r{progress_line(view)}\x1b[K", end="", file=sys.stderr, flush=True)
    print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def progress_line(view: SyncView) -> str:
    """How far a sync is; whom it waits for, where those are few."""
    waited = [node.node for node in view.nodes if not node.done]
    size = sum(node.bytes for node in view.nodes)
    names = f", waiting for {', '.join(waited)}" if len(waited) <= MOST_NAMED else ""
    return f"{len(view.nodes) - len(waited)}/{len(view.nodes)} nodes, {sized(size)}{names}"


def sync_dict(view: SyncView, central: str) -> dict[str, Any]:
    """A sync as JSON can hold it."""
    from ugro_tui.core.jsonable import jsonable

    nodes = [{key: value for key, value in jsonable(node).items() if key != "done"} for node in view.nodes]
    return {"job_id": view.job_id, "what": view.what, "central": central, "seconds": view.age, "nodes": nodes}


def sync_lines(view: SyncView, central: str) -> Iterator[str]:
    """What a sync brought from each node, and what it could not."""
    width = max((len(node.node) for node in view.nodes), default=0)
    for node in view.nodes:
        brought = f"{counted(node.files, 'file')}, {sized(node.bytes)}"
        error = node.error.removeprefix(f"{node.node}: ")
        if error:
            brought = f"failed: {error}" if not node.bytes else f"{brought}; then failed: {error}"
        yield f"{node.node:<{width}}  {brought if error or node.bytes else 'nothing new'}"
        yield from (f"{'':<{width}}  not read: {what}" for what in node.denied)
    if any(node.bytes for node in view.nodes):
        yield f"copied to {visible(central)}; see it with `ugro-tui tensorboard`"


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
    from ugro_tui.act.tensorboard import TensorBoard, without_events
    from ugro_tui.headless import Trouble, complain, headless

    with headless(config, keep=True) as agent:
        folder = agent.prepare_event_files(job)
        if sys.stderr.isatty():
            print("Starting TensorBoard …", file=sys.stderr, flush=True)
        board = TensorBoard(folder)
        trouble = Trouble()
        try:
            url = board.open()
            complain(filter(None, [without_events(folder)]))
            print_lines([f"TensorBoard on {visible(str(folder))}: {url}", "Ctrl-C ends it"])
            snapshot = agent.feed.snapshot()
            while board.url:
                trouble.say(snapshot)
                snapshot = agent.collector.wait_newer(snapshot.version, WATCH_SECONDS)
        finally:
            board.stop()
    raise UgroError("TensorBoard has ended by itself: start it again")


def _doctor(config: Config, *, as_json: bool) -> None:
    from ugro_tui.headless import headless

    agent = headless(config)
    try:
        nodes, central = agent.examine()
    finally:
        agent.close()
    if as_json:
        told = [_diagnosis_dict(one) for one in nodes]
        print_json({"nodes": told, "central": central and _diagnosis_dict(central)}, pretty=True)
    else:
        print_lines(doctor_lines(nodes, central))
    raise typer.Exit(exits.of_doctor(nodes, central))


def _diagnosis_dict(one: Diagnosis) -> dict[str, Any]:
    from ugro_tui.core.jsonable import jsonable

    found: dict[str, Any] = jsonable(one)
    return {"name": found["node"], "grade": one.grade.value, "reached": one.reached, "checks": found["checks"]}


def doctor_lines(nodes: Sequence[Diagnosis], central: Diagnosis | None) -> Iterator[str]:
    """Each node with its steps; what is to be done stands below the step that wants it."""
    marks = {"ok": "✔", "warn": "▲", "fail": "✖"}
    for one in (*nodes, *([] if central is None else [central])):
        yield f"{marks[one.grade.value]} {one.node}"
        for check in one.checks:
            yield f"  {marks[check.grade.value]} {check.name:<12} {check.found}"
            if check.remedy:
                yield f"    → {check.remedy}"
    words = [one.grade.value for one in nodes]
    counts = [f"{words.count(word)} {said}" for word, said in _COUNTED.items() if word in words]
    yield f"{counted(len(words), 'node')}: {', '.join(counts)}"


_COUNTED = {"ok": "well", "warn": "to look at", "fail": "in trouble"}
