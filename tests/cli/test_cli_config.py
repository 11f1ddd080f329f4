"""`config show`, and the options that name nodes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.support import Call
from ugro_tui.opening import hoisted


def shown(call: Call, *argv: str) -> dict[str, str]:
    code, out, err = call("config", "show", *argv)
    assert (code, err) == (0, "")
    return {key: value for line in out.splitlines() for key, value in [line.split(maxsplit=1)]}


def test_every_setting_in_force_is_shown(call: Call, home: Path) -> None:
    assert shown(call) == {
        "metrics_dir": f"{home}/ugro_data/jobs",
        "remote_metrics_dir": "~/ugro_data/jobs",
        "refresh": "2",
        "nodes": "not set",
        "hostfile": "not set",
        "ssh_config": "not set",
        "central": f"{home}/ugro_data/central",
        "engine": "builtin",
        "theme": "not set",
        "ascii": "not set",
        "launch_script": "not set",
        "launch_python": "not set",
        "read_only": "false",
        "on_alert": "not set",
        "bell": "true",
    }


def test_where_each_was_set(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, hosts = tmp_path / "c.toml", tmp_path / "hosts"
    hosts.touch()
    file.write_text('engine = "rsync"\n[node.gpu1]\nuser = "me"\n')
    monkeypatch.setenv("UGRO_HOSTFILE", str(hosts))
    found = shown(call, "--origin", "--config", str(file), "--central=/c")
    assert found["engine"].split() == ["rsync", f"{file}:", "engine"]
    assert found["node.gpu1.user"].split() == ["me", f"{file}:", "node"]
    assert found["hostfile"].split() == [str(hosts), "environment:", "UGRO_HOSTFILE"]
    assert found["central"].split() == ["/c", "command", "line:", "--central"]
    assert found["refresh"].split() == ["5", "default"]


def test_numbers_and_switches_are_shown_as_they_are_written(call: Call, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(
        "bell = false\nrefresh = 2.5\n[alerts.plateau]\nenabled = true\n[alerts.gpu_underused]\nthreshold = 70\n"
    )
    found = shown(call, "--config", str(file))
    keys = ("bell", "refresh", "alerts.plateau.enabled", "alerts.gpu_underused.threshold")
    assert [found[key] for key in keys] == ["false", "2.5", "true", "70"]
    assert json.loads(call("config", "show", "--json", "--config", str(file))[1])["alerts.plateau.enabled"] is True


def test_settings_as_json(call: Call) -> None:
    plain = json.loads(call("--nodes", "n[1-2]", "config", "show", "--json")[1])
    assert (plain["nodes"], plain["hostfile"], plain["refresh"]) == (["n[1-2]"], None, 5.0)
    placed = json.loads(call("config", "show", "--origin", "--json", "--nodes=a")[1])
    assert placed["nodes"] == {"value": ["a"], "origin": "command line: --nodes"}
    assert placed["engine"] == {"value": "builtin", "origin": "default"}


def test_control_characters_are_shown_as_glyphs(call: Call) -> None:
    out = call("config", "show", "--origin", "--nodes", "a\x1b[31m")[1]
    assert "\x1b" not in out
    assert "a␛[31m" in out


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--hostfile", "command line: --hostfile: /none: no such file"),
        ("--ssh-config", "command line: --ssh-config: /none: no such file: give another, or leave it out"),
    ],
)
def test_a_file_that_is_not_there_is_refused(call: Call, option: str, said: str) -> None:
    code, out, err = call("config", "show", option, "/none")
    assert (code, out) == (2, "")
    assert said in err


def test_the_options_of_nodes_may_stand_anywhere() -> None:
    options = ["--nodes", "a", "--hostfile=h", "--ssh-config", "s", "--central", "c"]
    assert hoisted(["status", *options, "--json"]) == [*options, "status", "--json"]
    assert hoisted(["status", "--ascii", "--json", "--theme", "light"]) == [
        "--ascii",
        "--theme",
        "light",
        "status",
        "--json",
    ]


def test_config_without_a_command_says_what_there_is(call: Call) -> None:
    code, out, err = call("config")
    assert code == 2
    assert "show" in out + err
