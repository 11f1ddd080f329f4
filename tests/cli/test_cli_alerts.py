"""The command `alerts`, and `on_alert` run by `monitor`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.support import Begin, Call, ended
from tests.writing import Clock, RankWriter, wait_until, whole_job
from ugro_tui.core.rules.catalogue import RULES

APPEND = "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())"


def broken(root: Path, clock: Clock, name: str = "job") -> RankWriter:
    """A job whose loss is no number any more."""
    (writer,) = whole_job(root / name, clock)
    writer.steps(21, 21, loss="NaN")
    return writer


def settings(home: Path, text: str) -> Path:
    path = home / ".config" / "ugro-tui" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def telling(home: Path, tmp_path: Path) -> Path:
    """Where `on_alert` writes what it is told."""
    settings(home, f"on_alert = {json.dumps([sys.executable, '-c', APPEND, str(tmp_path / 'told')])}\nrefresh = 0.2\n")
    return tmp_path / "told"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_without_alerts_nothing_is_wrong(call: Call, root: Path, clock: Clock) -> None:
    whole_job(root / "job", clock)
    assert call("alerts") == (0, "nothing is wrong, as far as the records tell\n", "")
    assert json.loads(call("alerts", "--json")[1]) == {"firing": []}


def test_what_fires_is_listed_with_whom_and_what_to_do(call: Call, root: Path, clock: Clock) -> None:
    broken(root, clock)
    whole_job(root / "well", clock)
    code, out, err = call("alerts")
    assert (code, err) == (1, "")
    first, what, next_step = out.splitlines()
    assert first.startswith("crit  job  non-finite loss  rank 0 on node0")
    assert what == "      loss not finite since step 21 (loss NaN)"
    assert next_step == f"      → {RULES['non_finite_loss'].next_step}"
    assert call("alerts", "well")[0] == 0
    (entry,) = json.loads(call("alerts", "job", "--json")[1])["firing"]
    assert (entry["job_id"], entry["state"], entry["until"]) == ("job", "firing", None)
    assert (entry["alert"]["rule"], entry["alert"]["where"]) == ("non_finite_loss", "rank 0 on node0")


def test_every_command_tells_the_same_age_which_ends_with_the_job(call: Call, root: Path, clock: Clock) -> None:
    clock.now -= 100
    (writer,) = whole_job(root / "job", clock)
    writer.steps(21, 60, loss="NaN")
    writer.end()
    assert "  rank 0 on node0  for 39s\n" in call("alerts")[1]
    assert "for 39s: loss not finite" in call("status")[1]
    assert "for 39s: loss not finite" in call("summary", "job")[1]


def test_the_exit_codes_of_usage_and_nodes(call: Call, root: Path, clock: Clock) -> None:
    broken(root, clock)
    assert call("alerts", "nosuch")[0] == 2
    assert call("--metrics-dir", "/none", "alerts")[0] == 0  # nobody has trained there yet
    (root / "no directory").touch()
    assert call("--metrics-dir", str(root / "no directory"), "alerts")[0] == 3


def test_a_number_of_the_settings_file_is_what_rules_judge_by(call: Call, root: Path, clock: Clock, home: Path) -> None:
    broken(root, clock)
    settings(home, "[alerts.non_finite_loss]\nenabled = false")
    assert call("alerts")[0] == 0


@pytest.mark.parametrize("name", ["gpu_underused", "GPU under-used", "gpu UNDER-used"])
def test_an_alert_is_explained_with_the_numbers_in_force(call: Call, home: Path, name: str) -> None:
    file = settings(home, "[alerts.gpu_underused]\nthreshold = 70")
    code, out, err = call("alerts", "--explain", name)
    assert (code, err) == (0, "")
    rule = RULES["gpu_underused"]
    for said in (
        rule.title,
        rule.signal,
        rule.fires,
        rule.clears,
        rule.source,
        rule.next_step,
        rule.severity.name.lower(),
    ):
        assert said in out
    assert [line.split() for line in out.splitlines() if "threshold" in line] == [
        ["threshold", "=", "70", "default", "80", "percent", f"{file}:", "alerts"]
    ]
    (told,) = json.loads(call("alerts", "--explain", name, "--json")[1])
    assert {number["name"]: (number["value"], number["default"]) for number in told["numbers"]} == {
        "threshold": (70.0, 80.0), "clear": (85.0, 85.0), "seconds": (60.0, 60.0), "enabled": (1.0, 1.0),
    }  # fmt: skip


def test_a_key_that_is_the_title_is_not_said_twice(call: Call) -> None:
    assert call("alerts", "--explain", "straggler")[1].splitlines()[0] == "straggler"
    assert call("alerts", "--explain", "job_hang")[1].splitlines()[0].endswith(" (job_hang)")


def test_all_alerts_are_explained_in_a_table(call: Call) -> None:
    code, out, _ = call("alerts", "--explain")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[:-1]] == list(RULES)
    assert "(off)" in next(line for line in out.splitlines() if line.startswith("plateau"))
    assert [rule["key"] for rule in json.loads(call("alerts", "--explain", "--json")[1])] == list(RULES)


def test_an_alert_that_there_is_not_is_code_2_with_those_that_there_are(call: Call) -> None:
    code, out, err = call("alerts", "--explain", "gpu\x1bunderused")
    assert (code, out) == (2, "")
    assert "gpu␛underused: no such alert: there are: non_finite_loss" in err


def test_monitor_runs_on_alert_once_for_each_event(
    begin: Begin, call: Call, root: Path, clock: Clock, home: Path, tmp_path: Path
) -> None:
    told = telling(home, tmp_path)
    (writer,) = whole_job(root / "job", clock)
    process = begin("monitor", "job")
    writer.steps(21, 21, loss="NaN")
    wait_until(lambda: len(lines(told)) == 1)
    (event,) = lines(told)
    assert (event["event"], event["job_id"], event["attempt"]) == ("fired", "job", 1)
    assert event["verdict"].startswith("non-finite loss: rank 0 on node0")
    assert (event["alert"]["rule"], event["alert"]["severity"]) == ("non_finite_loss", "crit")
    assert abs(event["time"] - clock.time()) < 600
    writer.end("failed", error={"type": "ValueError", "message": "loss is NaN"})
    assert ended(process)[0] == 1
    assert [event["event"] for event in lines(told)].count("failed") == 1
    count = len(lines(told))
    assert ended(begin("monitor", "job"))[0] == 1
    assert len(lines(told)) == count  # it was all told before
    assert "job  failed" in call("alerts", "--history")[1]
    assert lines(told)[0]["alert"]["rule"] == "non_finite_loss"


def test_commands_that_only_look_run_nothing(call: Call, root: Path, clock: Clock, home: Path, tmp_path: Path) -> None:
    told = telling(home, tmp_path)
    broken(root, clock)
    for argv in (["status"], ["summary", "job"], ["alerts"]):
        assert call(*argv)[0] == 1
    assert not told.exists()


def test_a_command_that_cannot_be_run_is_said_and_monitor_goes_on(
    begin: Begin, root: Path, clock: Clock, home: Path
) -> None:
    settings(home, 'on_alert = ["/none/such"]\nrefresh = 0.2')
    (writer,) = whole_job(root / "job", clock)
    process = begin("monitor", "job")
    writer.steps(21, 21, loss="NaN")
    log = home / ".local" / "state" / "ugro-tui" / "log" / "ugro-tui.log"
    wait_until(lambda: log.exists() and "on_alert: /none/such cannot be run" in log.read_text())
    writer.steps(22, 40)
    writer.end("failed")
    code, out, err = ended(process)
    assert (code, "step 40/100" in out) == (1, True)
    assert err.count("on_alert: /none/such cannot be run: No such file or directory: correct on_alert") == 1


def test_the_history_of_one_job_is_told_from_its_records(call: Call, root: Path, clock: Clock) -> None:
    (writer,) = whole_job(root / "job", clock)
    writer.steps(21, 22, loss="NaN")
    clock.now += 100
    writer.steps(23, 80)
    writer.end()
    assert "non-finite loss" not in call("alerts", "--history")[1]  # nobody watched
    code, out, err = call("alerts", "job", "--history")
    assert (code, err) == (0, "")
    _, _, over = out.partition("\nover:\n")
    assert "  info  job  finished  finished\n" in over
    (line,) = [line for line in over.splitlines() if "non-finite loss" in line]
    assert "  crit  job  non-finite loss  rank 0 on node0: " in line
    history = json.loads(call("alerts", "job", "--history", "--json")[1])["history"]
    (entry,) = [entry for entry in history if entry["alert"]["rule"] == "non_finite_loss"]
    assert entry["state"] == "resolved"
    assert 0 < entry["resolved"] - entry["since"] < 200
