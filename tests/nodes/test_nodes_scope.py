"""Whether a job can be put into a scope, and whether it would be ended without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from ugro_tui.nodes import helper_scope


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(helper_scope, "SETTINGS", str(tmp_path))
    monkeypatch.setattr(helper_scope, "LINGERING", str(tmp_path / "linger"))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    return tmp_path


def test_what_logind_is_told_last_holds(settings: Path) -> None:
    assert not helper_scope.kills()
    (settings / "logind.conf").write_text("[Login]\n#KillUserProcesses=no\nKillUserProcesses = yes\n")
    assert helper_scope.kills()
    (settings / "logind.conf.d").mkdir()
    (settings / "logind.conf.d" / "10-keep.conf").write_text("[Login]\nKillUserProcesses=no\n")
    assert not helper_scope.kills()


def test_root_is_spared(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (settings / "logind.conf").write_text("KillUserProcesses=1\n")
    assert helper_scope.kills()
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert not helper_scope.kills()


def test_what_lacks_for_a_scope_is_named(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(settings / "run"))
    monkeypatch.setenv("PATH", str(settings / "nothing"))
    assert helper_scope.scope()["problem"] == "there is no systemd-run"
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/systemd-run")
    assert helper_scope.scope()["problem"] == f"no systemd of the user runs ({settings}/run/systemd)"
    (settings / "run" / "systemd" / "private").mkdir(parents=True)
    assert helper_scope.scope() == {"problem": "", "lingers": False, "kills": False}
    (settings / "linger" / helper_scope.user()).mkdir(parents=True)
    assert helper_scope.scope()["lingers"]
