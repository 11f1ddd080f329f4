"""The command line: help, options, and how it refuses."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.support import REPOSITORY, Call
from tests.writing import Clock, as_ordinary_user, clean_environment, finished_job
from ugro_tui import __version__, cli, cli_screens, front
from ugro_tui.core.errors import BadInput
from ugro_tui.opening import hoisted, opened
from ugro_tui.output import called


def test_help_imports_nothing_heavy(home: Path) -> None:
    code = (
        "import sys\nsys.argv = ['ugro-tui', '--help']\n"
        "try:\n    import ugro_tui.__main__\nexcept SystemExit as end:\n    assert not end.code\n"
        "print('HEAVY', [m for m in ('textual', 'plotext', 'rich', 'numpy', 'torch', 'msgspec') if m in sys.modules])"
    )
    env = clean_environment(home, PYTHONPATH=str(REPOSITORY))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.rstrip().endswith("HEAVY []")
    for command in ("watch", "monitor", "status", "summary", "demo", "--config", "--metrics-dir", "130 interrupted"):
        assert command in " ".join(done.stdout.split())


@pytest.mark.parametrize("option", ["-h", "--help"])
@pytest.mark.parametrize("command", ["watch", "monitor", "status", "summary", "demo"])
def test_every_command_has_help(call: Call, command: str, option: str) -> None:
    code, out, _ = call(command, option)
    assert code == 0
    assert f"ugro-tui {command}" in out


def test_a_person_is_told_a_command_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / ".venv" / "bin" / "ugro-tui"
    program.parent.mkdir(parents=True)
    program.touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [str(program)])
    assert called() == ".venv/bin/ugro-tui"
    monkeypatch.setattr(sys, "argv", ["/x/ugro_tui/__main__.py"])
    assert called() == f"{sys.executable} -m ugro_tui"
    monkeypatch.setenv("PATH", str(program.parent))
    assert called() == "ugro-tui"


def test_the_version(call: Call) -> None:
    assert call("--version") == (0, f"ugro-tui {__version__}\n", "")


@pytest.mark.parametrize(
    ("argv", "moved"),
    [
        (["status", "--metrics-dir", "x"], ["--metrics-dir", "x", "status"]),
        (["--config=c", "status", "--json"], ["--config=c", "status", "--json"]),
        (
            ["summary", "--metrics-dir=x", "job", "--config", "c"],
            ["--metrics-dir=x", "--config", "c", "summary", "job"],
        ),
        (["demo", "--", "--metrics-dir", "x"], ["demo", "--", "--metrics-dir", "x"]),
        (["summary", "--metrics-dir", "x", "--", "--config"], ["--metrics-dir", "x", "summary", "--", "--config"]),
        ([], []),
    ],
)
def test_global_options_may_stand_anywhere(argv: list[str], moved: list[str]) -> None:
    assert hoisted(argv) == moved


@pytest.mark.parametrize("argv", [["--config"], ["status", "--metrics-dir"], ["summary", "--config", "--", "x"]])
def test_a_global_option_without_its_value_is_refused(argv: list[str]) -> None:
    with pytest.raises(BadInput, match=r"needs a value: --(config FILE|metrics-dir DIR)"):
        hoisted(argv)


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["watch", "job"],
        ["watch", "job", "-r", "3"],
        ["watch", "--refresh", "0.5", "job", "--metrics-dir", "x", "--metrics-dir=y"],
        ["--config=c.toml", "--ascii", "--theme", "light", "--nodes", "a,b"],
    ],
)
def test_the_front_door_opens_the_screens_as_typer_would(argv: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []
    monkeypatch.setattr(cli_screens, "show", lambda *given: asked.append(given))
    for module in (front, cli):
        monkeypatch.setattr(module, "configured", lambda flags, file, refresh=None: (_given(flags), file, refresh))
    front.main(argv)
    with pytest.raises(SystemExit):
        cli.app(hoisted(argv), standalone_mode=True)
    assert opened(hoisted(argv)) is not None
    assert asked[0] == asked[1]


def _given(flags: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in flags.items() if value is not None}


@pytest.mark.parametrize(
    "argv",
    [["watch"], ["watch", "-h"], ["watch", "a", "b"], ["watch", "a", "-r", "soon"], ["--ascii=1"], ["status"], ["-h"]],
)
def test_whatever_is_not_plain_is_read_by_typer(argv: list[str]) -> None:
    assert opened(argv) is None


def test_where_jobs_are_looked_for(call: Call, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("flag", "environ", "file"):
        finished_job(tmp_path / name / f"of-{name}", clock)
    (tmp_path / "c.toml").write_text(f'metrics_dir = "{tmp_path}/file"')
    monkeypatch.setenv("UGRO_CONFIG", str(tmp_path / "c.toml"))
    assert "of-file finished" in " ".join(call("status")[1].split())
    monkeypatch.setenv("UGRO_METRICS_DIR", str(tmp_path / "environ"))
    assert "of-environ" in call("status")[1]
    assert "of-flag" in call("status", "--metrics-dir", str(tmp_path / "flag"))[1]
    assert "of-flag" in call("--metrics-dir", str(tmp_path / "flag"), "status")[1]
    monkeypatch.delenv("UGRO_METRICS_DIR")
    assert "of-file" in call("status", f"--config={tmp_path}/c.toml")[1]


def test_a_bad_settings_file_ends_with_usage(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.toml").write_text("refresh = 0")
    code, out, err = call("status", "--config", str(tmp_path / "c.toml"))
    assert (code, out) == (2, "")
    assert err == f"ugro-tui: {tmp_path}/c.toml: refresh: 0 is not a time in seconds between 0.2 and 3600\n"
    monkeypatch.setenv("UGRO_REFRESH", "never")
    code, _, err = call("status")
    assert (code, err.startswith("ugro-tui: environment: UGRO_REFRESH: 'never' is not a time")) == (2, True)
    assert call("monitor", "job", "--refresh", "0")[0] == 2


def test_a_directory_without_jobs_says_what_to_do(call: Call, root: Path) -> None:
    code, out, err = call("status")
    assert (code, err) == (0, "")
    assert out.startswith(f"no jobs in {root} yet: start one with `ugro-tui demo`")
    told = json.loads(call("status", "--json")[1])
    assert [node["name"] for node in told.pop("nodes")] == ["local"]
    assert told == {"jobs": [], "alerts": [], "listed": [], "notices": [], "reading": ""}


@pytest.mark.parametrize("argv", [("status",), ("status", "--json"), ("summary", "job"), ("monitor", "job")])
def test_a_metrics_directory_that_cannot_be_read_is_code_3(call: Call, tmp_path: Path, argv: tuple[str, ...]) -> None:
    where = ("--metrics-dir", str(tmp_path / "none"))
    (tmp_path / "none").touch()
    assert "none is not a directory" in call(*argv, *where)[2]
    (tmp_path / "none").unlink()
    (tmp_path / "none").mkdir(mode=0)
    with as_ordinary_user():
        code, _, err = call(*argv, *where)
    assert (code, "none may not be read: allow it (chmod u+rx)" in err) == (3, True)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("status",), 0), (("status", "--json"), 0), (("alerts",), 0), (("health",), 0), (("doctor",), 0),
        (("summary", "job"), 2), (("monitor", "job"), 2), (("rank", "job", "0"), 2), (("logs", "job"), 2),
    ],
)  # fmt: skip
def test_a_machine_that_nobody_has_trained_on_yet_is_well_and_has_no_jobs(
    call: Call, tmp_path: Path, argv: tuple[str, ...], expected: int
) -> None:
    code, out, err = call(*argv, "--metrics-dir", str(tmp_path / "none"))
    assert code == expected
    assert "none does not exist yet" in out + err or argv == ("health",)


def test_this_machine_is_told_of_by_its_own_name_and_understood_by_both(call: Call) -> None:
    here = socket.gethostname()
    for name in (here, "local"):
        code, out, _ = call("health", name)
        assert (code, out.splitlines()[0].split(maxsplit=1)) == (0, ["node", f"{here} (local)"])


@pytest.mark.parametrize("command", ["summary", "monitor"])
def test_an_unknown_job_is_refused_with_those_there_are(call: Call, root: Path, clock: Clock, command: str) -> None:
    finished_job(root / "known", clock)
    code, out, err = call(command, "nope")
    assert (code, out) == (2, "")
    assert err == (
        f"ugro-tui: no job nope in {root} (jobs there: known): choose one of them, or another directory "
        "with --metrics-dir\n"
    )


@pytest.mark.parametrize("job", ["a/b", "..", "../known", "-x", "", "x" * 65, "\x1b[2J"])
@pytest.mark.parametrize("command", ["summary", "monitor"])
def test_what_is_no_job_id_is_refused(call: Call, root: Path, clock: Clock, command: str, job: str) -> None:
    finished_job(root / "known", clock)
    code, out, err = call(command, "--", job)
    assert (code, out) == (2, "")
    assert "is not a job id: use 1 to 64 letters, digits, '.', '_' or '-'" in err
    assert "\x1b" not in err


def test_wrong_usage_is_code_2(call: Call) -> None:
    for argv in (["bogus"], ["summary"], ["summary", "-x"], ["status", "--bogus"], ["monitor", "job", "-r", "soon"]):
        code, out, err = call(*argv)
        assert (code, out) == (2, "")
        assert "Error" in err


@pytest.mark.parametrize("argv", [("summary", "t1#2"), ("rank", "t1#2", "0"), ("logs", "t1#2"), ("metrics", "t1#2")])
def test_an_attempt_is_told_apart_by_compare_alone_and_that_is_said(call: Call, argv: tuple[str, ...]) -> None:
    code, out, err = call(*argv)
    assert (code, out) == (2, "")
    assert "'t1#2' names an attempt, which only compare tells apart (compare t1#1 t1#2)" in err
    assert err.rstrip().endswith("for the newest attempt write t1")
