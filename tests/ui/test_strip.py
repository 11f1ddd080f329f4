"""The strip at the bottom, word by word, and what stands of nodes elsewhere."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.content import Content

from tests.ui.node_scenes import ALL_SCENES, CHANGED, REFUSED, SILENT, on_three
from ugro_tui.core.rank_stats import RankStats
from ugro_tui.core.snapshot import STALE_SYNC_SECONDS, NodeSync, NodeView, Snapshot, SyncView
from ugro_tui.core.states import NodeState
from ugro_tui.ui import nodes
from ugro_tui.ui.panels import alert_lines, header, verdict
from ugro_tui.ui.strip import KEYS, Errands, port, strip

WELL = NodeView("gpu0", 1.0)


def said(snapshot: Snapshot, width: int = 120, elapsed: float = 0.0, errands: Errands | None = None) -> str:
    view = snapshot.jobs[0] if snapshot.jobs else None
    return strip(snapshot, view, errands or Errands(), width, elapsed).plain.rstrip()


@pytest.mark.parametrize(
    ("scene", "width", "expected"),
    [
        ("healthy", 120, " local 0s   ? help  : jump"),
        ("node_down", 120, " gpu-master 1s · gpu1 2s · gpu2 ✖ unreachable 47s, retry 8s" + KEYS[0]),
        ("node_down", 80, " gpu-master 1s · gpu1 2s · gpu2 ✖ unreachable 47s, retry 8s   ? help  : jump"),
        ("node_down", 60, " gpu-master 1s · gpu1 2s · gpu2 ✖ retry 8s   ? help  : jump"),
        ("node_down", 45, " gpu2 ✖ retry 8s · 2 ok, oldest 2s   ? help"),
        ("node_silent", 80, " gpu-master 1s · gpu1 2s · gpu2 ⌁ no answer 12s   ? help  : jump"),
        ("host_key", 80, " gpu-master 1s · gpu1 2s · gpu2 ✖ host key changed: r tries again   ? help"),
        ("syncing", 100, " gpu-master 1s · gpu1 2s · gpu2 3s (sftp) │ syncing 12 files 3.4 MB · 2/3 nodes" + KEYS[0]),
        ("syncing", 80, " 3 ok, oldest 3s │ syncing 12 files 3.4 MB · 2/3   ? help  : jump"),
        ("synced", 100, " gpu-master 1s · gpu1 2s · gpu2 3s (sftp) │ ⚠ synced 3s ago, failed: gpu2   ? help  : jump"),
        ("lab", 80, " n17 ✖ retry 41s · n40 ⌁ no answer 12s · 62 ok, oldest 4s   ? help  : jump"),
        ("lab", 60, " n17 ✖ retry 41s · +1 ✖ · 62 ok, oldest 4s   ? help  : jump"),
        ("lab", 30, " 2 ✖ · 62 ok, oldest 4s"),
    ],
)  # fmt: skip
def test_the_strip_says(scene: str, width: int, expected: str) -> None:
    assert said(ALL_SCENES[scene](), width) == expected


def test_ages_and_countdowns_go_on_between_snapshots() -> None:
    snapshot = on_three(REFUSED)
    assert said(snapshot, elapsed=3.0).startswith(" gpu-master 4s · gpu1 5s · gpu2 ✖ unreachable 50s, retry 5s")
    assert "gpu2 ✖ unreachable 57s, retry now" in said(snapshot, elapsed=10.0)


def test_the_only_node_stands_still_while_it_is_well_and_counts_while_it_is_not() -> None:
    assert said(Snapshot(nodes=(WELL,)), elapsed=5.0).startswith(" gpu0 1s ")
    assert said(Snapshot(nodes=(SILENT,)), elapsed=5.0).startswith(" gpu2 ⌁ no answer 17s ")


def test_many_nodes_that_are_being_connected_to_are_a_number() -> None:
    new = [NodeView(f"n{number}", math.nan, state=NodeState.CONNECTING) for number in range(64)]
    assert said(Snapshot(nodes=tuple(new)), 80) == " 64 ◌ connecting   ? help  : jump"


def test_a_node_that_answers_but_cannot_be_read_says_why() -> None:
    missing = NodeView("gpu1", 1.0, "gpu1: ~/ugro_data/jobs does not exist yet", brief="no metrics dir")
    assert said(Snapshot(nodes=(WELL, missing)), 80).startswith(" gpu0 1s · gpu1 ⚠ no metrics dir ")


def test_tensorboard_and_a_sync_that_was_asked_for() -> None:
    well = on_three(NodeView("gpu2", 3.0))
    line = said(well, errands=Errands(syncing=True, board=":6006"))
    assert " │ sync asked for … │ TensorBoard :6006 " in line
    done = SyncView("logs", 3.0, (NodeSync("gpu0", done=True),))
    assert " │ synced 3s ago │ TB :6006 " in said(replace(well, sync=done), 80, errands=Errands(board=":6006"))


def test_of_a_sync_that_failed_everywhere_it_is_not_said_that_it_was_done() -> None:
    parts = tuple(NodeSync(f"n{number}", done=True, error="lost") for number in range(5))
    line = said(Snapshot(nodes=(WELL,), sync=SyncView("logs", 3.0, parts)))
    assert "✖ sync failed: n0, n1, n2 +2" in line
    assert "synced" not in line


def test_of_a_sync_that_failed_a_while_ago_nothing_is_said_any_more() -> None:
    shown = ALL_SCENES["synced"]()
    assert shown.sync is not None
    old = replace(shown, sync=replace(shown.sync, age=STALE_SYNC_SECONDS))
    assert "failed" not in said(old)
    assert "sync of gpu2" not in lines(old)


def two_of_three_down() -> Snapshot:
    """As a user met it: two of three nodes down, a sync done, TensorBoard open, many records lost."""
    shown = on_three(REFUSED)
    job = shown.jobs[0]
    ranks = RankStats.of(replace(rank, lost=2_319) for rank in job.summary.per_rank_stats)
    found = (shown.nodes[0], replace(REFUSED, name="gpu1", error="gpu1: no route to host", retry=11.0), REFUSED)
    sync = SyncView("logs", 66.0, tuple(NodeSync(node.name, done=True) for node in found))
    return replace(
        shown, jobs=(replace(job, summary=replace(job.summary, per_rank_stats=ranks)),), nodes=found, sync=sync
    )


@pytest.mark.parametrize(
    ("width", "beside"),
    [
        (160, " │ synced 66s ago │ TensorBoard :6006 │ 13,914 records lost or unreadable"),
        (120, " │ synced 66s ago │ TB :6006 │ 13,914 lost"),
        (80, " │ synced 66s ago"),
        (65, ""),
    ],
)
def test_nodes_in_trouble_are_named_before_anything_else_is_said(width: int, beside: str) -> None:
    line = said(two_of_three_down(), width, errands=Errands(board=":6006"))
    hint = "" if width < 100 else "  : jump"
    assert line == f" gpu-master 1s · gpu1 ✖ retry 11s · gpu2 ✖ retry 8s{beside}   ? help{hint}"


@pytest.mark.parametrize("count", [6, 30])
def test_of_many_nodes_in_trouble_three_are_named(count: int) -> None:
    found = tuple(replace(REFUSED, name=f"n{number}") for number in range(count))
    line = said(replace(two_of_three_down(), nodes=(WELL, *found)), 100, errands=Errands(board=":6006"))
    assert line.startswith(f" n0 ✖ retry 8s · n1 ✖ retry 8s · n2 ✖ retry 8s · +{count - 3} ✖ · 1 ok, oldest 1s")


def test_a_sync_under_way_is_told_beside_nodes_in_trouble() -> None:
    begun = replace(two_of_three_down(), sync=SyncView("logs", 1.0, (NodeSync("gpu-master", 3, 2_000),)))
    assert "│ syncing 3 files 2.0 kB" in said(begun, 80)


@pytest.mark.parametrize(
    ("url", "expected"), [("http://127.0.0.1:6006/", ":6006"), ("http://127.0.0.1:6007", ":6007"), ("", "open")]
)
def test_port_of_a_url(url: str, expected: str) -> None:
    assert port(url) == expected


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 200),
    st.lists(st.sampled_from([WELL, REFUSED, SILENT, CHANGED, replace(WELL, error="x" * 90)]), max_size=70),
)
def test_several_nodes_never_push_the_help_off_the_line(width: int, found: list[NodeView]) -> None:
    line = strip(Snapshot(nodes=tuple(found)), None, Errands(board=":6006"), width, 0.0)
    if len(found) != 1 and width >= 40:
        assert line.cell_length <= width
        assert "? help" in line.plain


def test_drawing_the_strip_looks_no_further_than_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []
    part = nodes._part

    def counted(node: NodeView, elapsed: float, *, short: bool) -> Content:
        drawn.append(node.name)
        return part(node, elapsed, short=short)

    monkeypatch.setattr(nodes, "_part", counted)
    snapshot = Snapshot(nodes=tuple(replace(WELL, name=f"n{number}") for number in range(4096)))
    assert "4096 ok, oldest 1s" in said(snapshot, 80)
    assert len(drawn) < 40


def lines(snapshot: Snapshot) -> str:
    return alert_lines(snapshot.jobs[0], snapshot, 20, 0.0).plain


def test_the_sentence_of_a_node_is_in_the_alerts_in_full() -> None:
    assert f"✖ node gpu2  {REFUSED.error[6:]}  last answer 47s ago  → retry 8s" in lines(on_three(REFUSED))
    assert "  → nothing is tried until you press r" in lines(on_three(CHANGED))
    assert "nothing is wrong" not in lines(on_three(SILENT, sure=False))


def test_the_reasons_of_nodes_stand_before_alerts_that_may_be_long() -> None:
    first, second, third, *_ = lines(two_of_three_down()).splitlines()
    assert [first.split("  ")[0], second.split("  ")[0]] == ["✖ node gpu1", "✖ node gpu2"]
    assert "no route to host" in first
    assert third.startswith("✖ node unreachable")


def test_many_nodes_in_trouble_are_counted() -> None:
    bad = tuple(replace(SILENT, name=f"n{number}") for number in range(64))
    assert lines(replace(on_three(SILENT), nodes=bad)).endswith("… and 45 more")


def test_what_a_sync_did_not_bring_is_in_the_alerts() -> None:
    seen = lines(ALL_SCENES["synced"]())
    assert "⚠ sync of gpu2  the connection was lost" in seen
    assert "⚠ sync of gpu2  may not be read: gpt2-xl: logs/rank_2.log" in seen


def test_a_sync_does_not_repeat_what_is_said_of_the_node() -> None:
    part = NodeSync("gpu2", done=True, error=REFUSED.error)
    assert lines(on_three(REFUSED, sync=SyncView("logs", 3.0, (part,)))).count("refused") == 1


def test_the_verdict_names_a_node_where_nothing_worse_is_known() -> None:
    silent = on_three(SILENT, sure=False)
    assert verdict(silent.jobs[0], silent).plain.startswith(" ⌁ node gpu2: no answer; 4 of 6 ranks")
    elsewhere = on_three(replace(SILENT, name="gpu9"), sure=False, ranks=2)
    assert "gpu9" not in verdict(elsewhere.jobs[0], elsewhere).plain


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (160, "ranks  ⊘ reading only: another ugro-tui (pid 4711) writes"),
        (130, "ranks  ⊘ reading only: another…"),
        (80, "ranks  ⊘ reading only"),
        (60, " RUNNING  ⊘ reading only  step 300"),
    ],
)
def test_that_it_only_reads_is_said_at_every_width(width: int, expected: str) -> None:
    snapshot = ALL_SCENES["reading_only"]()
    assert expected in header(snapshot.jobs[0], snapshot.reading, width).plain[:width]


@pytest.mark.parametrize("width", [62, 80, 100, 106, 120, 160])
def test_what_matters_less_goes_before_the_ranks_where_the_header_has_no_room(width: int) -> None:
    view = ALL_SCENES["healthy"]().jobs[0]
    told = replace(view, phase="eval", summary=replace(view.summary, attempt=2, restarts=12, job_id="a" * 40))
    for job in (view, told):
        line = header(job, "", width).plain
        assert len(line) <= width
        assert " step 300" in line
        assert line.rstrip().endswith("16/16 ranks")


def test_text_of_nodes_is_content_not_markup() -> None:
    evil = replace(REFUSED, error="gpu2: [red]no[/] [/b] [@click=app.quit]x", brief="[red]no[/]")
    assert "[/b] [@click=app.quit]x" in lines(on_three(evil))
    assert "[red]no[/]" in said(on_three(evil))
