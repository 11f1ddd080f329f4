"""The command `alerts`: what fires, what fired, and what each alert means."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ugro_tui import exits
from ugro_tui.core.errors import BadInput
from ugro_tui.core.numbers import UNKNOWN, duration
from ugro_tui.core.text import visible
from ugro_tui.output import print_json, print_lines

if TYPE_CHECKING:
    from ugro_tui.agent import Agent
    from ugro_tui.config import Config
    from ugro_tui.core.entries import Entry
    from ugro_tui.core.rules.rule import Rule
    from ugro_tui.core.snapshot import Snapshot


def add_to(app: typer.Typer, configured: Callable[[typer.Context], Config]) -> None:
    """Add the command; `configured` gives the settings in force."""

    @app.command()
    def alerts(
        context: typer.Context,
        name: Annotated[
            str | None,
            typer.Argument(metavar="[JOB]", help="The job's id; all recent jobs and nodes without it."),
        ] = None,
        history: Annotated[
            bool, typer.Option("--history", help="Also what is over; of one job also from its records.")
        ] = False,
        explain: Annotated[
            bool, typer.Option("--explain", help="Say what an alert means: --explain NAME; all of them without.")
        ] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """What is wrong now, with whom, since when, and what to do; acknowledged alerts are marked.

        Exit code 1 where a critical alert fires. Beside an open dashboard it shows what that one knows; alone it has
        had one look, and alerts that need to last (60 s of a GPU, say) do not fire yet.
        """
        config = configured(context)
        if explain:
            _explain(config, name, as_json=as_json)
        else:
            _alerts(config, name, history=history, as_json=as_json)


def _alerts(config: Config, job: str | None, *, history: bool, as_json: bool) -> None:
    from ugro_tui.headless import complain, headless
    from ugro_tui.report import trouble_lines

    with headless(config, only=job) as agent:
        snapshot = agent.look() if job is None else agent.open(job)
        now = agent.clock.time()
    firing = [entry for entry in snapshot.book.firing if job in (None, entry.job_id) and _stands(entry, snapshot)]
    over = _over(config, agent, snapshot, job) if history else ()
    if as_json:
        told = {"firing": [entry_dict(entry) for entry in firing]}
        print_json(told | ({"history": [entry_dict(entry) for entry in over]} if history else {}), pretty=True)
    else:
        print_lines(firing_lines(firing, now))
        print_lines(history_lines(over) if history else ())
    complain(trouble_lines(snapshot))
    raise typer.Exit(exits.of_alerts([entry.alert for entry in firing], snapshot))


def _stands(entry: Entry, snapshot: Snapshot) -> bool:
    """Whether it can still fire: of a job that is over, only what is found of it now."""
    view = snapshot.job(entry.job_id)
    if view is None or not view.summary.status.over:
        return True
    return entry.alert.subject in {alert.subject for alert in view.summary.alerts}


def _over(config: Config, agent: Agent, snapshot: Snapshot, job: str | None) -> tuple[Entry, ...]:
    """What is over: all that the book remembers; of one job also what its records tell."""
    if job is None:
        return snapshot.book.history
    from ugro_tui.alerting import past_alerts
    from ugro_tui.core.pasts import merged

    over = [entry for entry in snapshot.book.history if entry.job_id == job]
    return merged(job, over, snapshot.book.of(job), past_alerts(config, agent.clock, job))


def entry_dict(entry: Entry) -> dict[str, Any]:
    """An entry of the book as JSON can hold it; times in Unix seconds, null where there is none."""
    from ugro_tui.core.jsonable import jsonable

    found: dict[str, Any] = jsonable(entry)
    found["alert"]["where"] = entry.alert.where
    return found


def firing_lines(firing: Sequence[Entry], now: float) -> Iterator[str]:
    """What fires: three lines each, the worst first. `now`: Unix seconds."""
    if not firing:
        yield "nothing is wrong, as far as the records tell"
    for entry in firing:
        alert = entry.alert
        since = replace(alert, age=entry.lasted(now)).since
        parts = (entry.job_id or "nodes", alert.name, alert.where, since, _said(entry, now))
        yield f"{alert.severity.name.lower():<4}  {'  '.join(part for part in parts if part)}"
        yield f"      {alert.what}"
        if alert.next_step:
            yield f"      → {alert.next_step}"


def _said(entry: Entry, now: float) -> str:
    """What a person said to it, and how often it came back."""
    said = {"acknowledged": "acknowledged", "snoozed": f"snoozed for {duration(entry.until - now)}"}
    words = [said.get(entry.state.value, ""), f"{entry.times} times" if entry.times > 1 else ""]
    shown = ", ".join(word for word in words if word)
    return f"({shown})" if shown else ""


def history_lines(over: Sequence[Entry]) -> Iterator[str]:
    """What is over: a line each, the newest first, in this machine's time."""
    yield ""
    yield "over:" if over else "over: nothing that is remembered"
    for entry in over:
        alert = entry.alert
        where = f"{alert.where}: " if alert.where else ""
        times = f"  ({entry.times} times)" if entry.times > 1 else ""
        who = f"{entry.job_id or 'nodes'}  {alert.name}"
        yield f"{_span(entry):<33}  {alert.severity.name.lower():<4}  {who}  {where}{alert.what}{times}"


def _span(entry: Entry) -> str:
    """When it fired, and for how long; an event has no length."""
    seconds = entry.resolved - entry.since
    length = " to the end" if math.isnan(seconds) else f" for {duration(seconds)}" if seconds else ""
    return f"{_local(entry.since)}{length}"


def _local(at: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    except (ValueError, OverflowError):
        return UNKNOWN


def _explain(config: Config, name: str | None, *, as_json: bool) -> None:
    from ugro_tui.core.rules.catalogue import RULES

    rules = list(RULES.values()) if name is None else [_named(name, RULES)]
    if as_json:
        print_json([rule_dict(rule, config) for rule in rules], pretty=True)
    elif name is None:
        print_lines(catalogue_lines(rules, config))
    else:
        print_lines(rule_lines(rules[0], config))


def _named(name: str, rules: dict[str, Rule]) -> Rule:
    """The rule of that key or title.

    Raises:
        BadInput: there is none; says which there are.
    """
    found = [rule for rule in rules.values() if name.lower() in (rule.key, rule.title.lower())]
    if not found:
        raise BadInput(f"{visible(name, 80)}: no such alert: there are: {', '.join(rules)}")
    return found[0]


def catalogue_lines(rules: Sequence[Rule], config: Config) -> Iterator[str]:
    """All alerts, one line each."""
    for rule in rules:
        off = "" if config.thresholds.enabled(rule.key) else "  (off)"
        yield f"{rule.key:<19} {rule.severity.name.lower():<4}  {rule.fires}{off}"
    yield "more of one: ugro-tui alerts --explain NAME"


def rule_lines(rule: Rule, config: Config) -> Iterator[str]:
    """One alert in full, with its numbers as they are in force."""
    facts = (
        ("looks at", rule.signal),
        ("fires", rule.fires),
        ("clears", rule.clears),
        ("severity", rule.severity.name.lower()),
        ("source", rule.source),
        ("do first", rule.next_step),
        *((("once over", rule.afterwards),) if rule.afterwards else ()),
    )
    yield rule.title if rule.title == rule.key else f"{rule.title} ({rule.key})"
    yield from (f"  {name:<9} {value}" for name, value in facts)
    yield f"  [alerts.{rule.key}] in config.toml:"
    rows = [
        (f"{number['name']} = {_typed(number)}", f"default {_typed(number, 'default')}", number["means"], number["set"])
        for number in _numbers(rule, config)
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, (*widths, 0), strict=True))
        yield f"    {'  '.join(cells).rstrip()}"


def _typed(number: dict[str, Any], which: str = "value") -> str:
    """A number as it is written in the settings file."""
    value = number[which]
    return str(bool(value)).lower() if number["name"] == "enabled" else f"{value:g}"


def _numbers(rule: Rule, config: Config) -> Iterator[dict[str, Any]]:
    from ugro_tui.core.rules.rule import settings

    own = config.thresholds.own.get(rule.key, {})
    for number, value in settings(config.thresholds, rule.key, rule):
        place = visible(config.origins.get("alerts", "set")) if number.name in own else ""
        yield {
            "name": number.name, "value": value, "default": number.default, "means": number.means, "set": place,
        }  # fmt: skip


def rule_dict(rule: Rule, config: Config) -> dict[str, Any]:
    """A rule as JSON can hold it."""
    from ugro_tui.core.jsonable import jsonable

    found: dict[str, Any] = jsonable(rule)
    return {key: value for key, value in found.items() if key != "on"} | {"numbers": [*_numbers(rule, config)]}
