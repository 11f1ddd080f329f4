"""Glyphs and colours of states: a glyph stands beside every colour, so that no meaning hangs on colour alone."""

from __future__ import annotations

from typing import Final

from ugro_tui.core.alerts import Severity
from ugro_tui.core.log_level import Level
from ugro_tui.core.states import HUNG, STALLED, JobStatus, NodeState, RankState

RANK_GLYPHS: Final = {
    RankState.UNKNOWN: "?",
    RankState.RUNNING: "●",
    RankState.SLOW: "◐",
    RankState.STALLED: "‖",
    RankState.HUNG: "‖",
    RankState.DEAD: "✖",
    RankState.UNREACHABLE: "⌁",
    RankState.FINISHED: "✔",
    RankState.STOPPED: "■",
}

RANK_TONES: Final = {
    RankState.UNKNOWN: "quiet",
    RankState.RUNNING: "good",
    RankState.SLOW: "warn",
    RankState.STALLED: "bad",
    RankState.HUNG: "bad",
    RankState.DEAD: "bad",
    RankState.UNREACHABLE: "warn",
    RankState.FINISHED: "quiet",
    RankState.STOPPED: "quiet",
}

RANK_STYLES: Final = {
    state: {"good": "$success", "warn": "$warning", "bad": "$error", "quiet": "$text-muted"}[tone]
    for state, tone in RANK_TONES.items()
}

JOB_GLYPHS: Final = {
    JobStatus.PENDING.value: "○",
    JobStatus.STARTING.value: "◌",
    JobStatus.RUNNING.value: "●",
    JobStatus.FINISHED.value: "✔",
    JobStatus.FAILED.value: "✖",
    JobStatus.STOPPED.value: "■",
    JobStatus.UNKNOWN.value: "?",
    STALLED: RANK_GLYPHS[RankState.STALLED],
    HUNG: RANK_GLYPHS[RankState.HUNG],
}
"""By the word for the state."""

JOB_STYLES: Final = {
    JobStatus.PENDING.value: "$text-muted",
    JobStatus.STARTING.value: "$accent",
    JobStatus.RUNNING.value: "$success",
    JobStatus.FINISHED.value: "$success",
    JobStatus.FAILED.value: "$error",
    JobStatus.STOPPED.value: "$warning",
    JobStatus.UNKNOWN.value: "$text-muted",
    STALLED: RANK_STYLES[RankState.STALLED],
    HUNG: RANK_STYLES[RankState.HUNG],
}

SEVERITY_GLYPHS: Final = {Severity.INFO: "i", Severity.WARN: "⚠", Severity.CRIT: "✖"}
SEVERITY_STYLES: Final = {Severity.INFO: "$accent", Severity.WARN: "$warning", Severity.CRIT: "$error"}

LEVEL_GLYPHS: Final = {Level.WARNING: "⚠", Level.ERROR: "✖", Level.CRITICAL: "✖"}
LEVEL_TONES: Final = {Level.DEBUG: "quiet", Level.WARNING: "warn", Level.ERROR: "bad", Level.CRITICAL: "bad"}

NODE_GLYPHS: Final = {
    NodeState.CONNECTING: "◌",
    NodeState.OK: "⚠",
    NodeState.SILENT: "⌁",
    NodeState.WAITING: "✖",
    NodeState.PERSON: "✖",
}
"""Of nodes that are not well; `OK` with an error is one that answers, but not what it was asked."""

NODE_STYLES: Final = {
    NodeState.CONNECTING: "$accent",
    NodeState.OK: "$warning",
    NodeState.SILENT: "$warning",
    NodeState.WAITING: "$error",
    NodeState.PERSON: "$error",
}

RISING: Final = "▲"
FALLING: Final = "▼"
"""Behind the title of the column that a table is sorted by: the least, or the greatest first."""

MARK: Final = "◆"
"""Before a marked line."""

LESS: Final = "‹"
"""Before names on a line: there are more of them on the left."""

MORE: Final = "›"
"""At the end of the titles: there are more columns on the right."""
