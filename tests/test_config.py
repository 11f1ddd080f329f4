"""Settings: which source wins, and what is said of bad ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.writing import as_ordinary_user
from ugro_tui.config import Config, load_config
from ugro_tui.core.errors import BadInput


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without settings."""
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_defaults(home: Path) -> None:
    assert load_config({}, {}) == Config(home / "ugro_data" / "jobs", 2.0)


def test_flags_win_over_the_environment_which_wins_over_the_file(tmp_path: Path) -> None:
    file = written(tmp_path / "a.toml", 'metrics_dir = "/of/file"\nrefresh = 5\n')
    environ = {"UGRO_METRICS_DIR": "/of/environ", "UGRO_REFRESH": "6.5"}
    flags = {"metrics_dir": "/of/flags", "refresh": 7.0}
    none = dict.fromkeys(flags)
    assert load_config(none, {}, file) == Config(Path("/of/file"), 5.0)
    assert load_config(none, environ, file) == Config(Path("/of/environ"), 6.5)
    assert load_config(flags, environ, file) == Config(Path("/of/flags"), 7.0)
    assert load_config(none, {"UGRO_METRICS_DIR": "", "UGRO_REFRESH": ""}, file) == Config(Path("/of/file"), 5.0)


def test_which_file_is_read(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ugro_tui.config.platformdirs.user_config_path", lambda name: home / ".config" / name)
    written(home / ".config" / "ugro-tui" / "config.toml", "refresh = 11")
    assert load_config({}, {}).refresh == 11
    of_environ = written(tmp_path / "b.toml", "refresh = 12")
    assert load_config({}, {"UGRO_CONFIG": str(of_environ)}).refresh == 12
    of_flag = written(home / "c.toml", "refresh = 13")
    assert load_config({}, {"UGRO_CONFIG": str(of_environ)}, of_flag).refresh == 13
    assert load_config({}, {}, Path("~/c.toml")).refresh == 13


def test_directories_are_made_absolute(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config({"metrics_dir": "here"}, {}).metrics_dir == tmp_path / "here"
    assert load_config({"metrics_dir": "~/there"}, {}).metrics_dir == home / "there"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\nrefresh = \n", r"not valid TOML: .*line 2"),
        ("refresh = 1\nrefresh = 2", "not valid TOML"),
        ("x = " + "[" * 5000, "not valid TOML"),
        ('colour = "red"', "colour: no such setting: remove it; there are: metrics_dir, refresh"),
        ('"\\u001b[31m" = 1', r"␛\[31m: no such setting"),
        ("[table]\nx = 1", "table: no such setting"),
        ("metrics_dir = 5", "metrics_dir: 5 is not a directory name"),
        ('metrics_dir = ""', "metrics_dir: '' is not a directory name"),
        ('metrics_dir = "a\\u0000b"', "metrics_dir: .* is not a directory name"),
        ('metrics_dir = "~nobody-of-that-name/x"', "metrics_dir: ~nobody-of-that-name/x: .*give the whole path"),
        ('refresh = "soon"', r"refresh: 'soon' is not a time in seconds between 0\.2 and 3600"),
        ("refresh = 0.1", r"refresh: 0\.1 is not a time"),
        ("refresh = nan", "refresh: nan is not a time"),
        ("refresh = inf", "refresh: inf is not a time"),
        ("refresh = true", "refresh: True is not a time"),
        ("refresh = [1]", r"refresh: \[1\] is not a time"),
        ("refresh = 1" + "0" * 400, "refresh: 10{78}… is not a time"),
        ("refresh = 1" + "0" * 5000, "not valid TOML"),
    ],
)
def test_an_error_names_file_key_and_reason(tmp_path: Path, text: str, said: str) -> None:
    file = written(tmp_path / "bad.toml", text)
    with pytest.raises(BadInput, match=rf"bad\.toml: {said}") as caught:
        load_config({}, {}, file)
    assert "\x1b" not in str(caught.value)


def test_bytes_that_are_no_text_are_not_valid(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_bytes(b"refresh = \xff")
    with pytest.raises(BadInput, match=r"bad\.toml: not valid TOML"):
        load_config({}, {}, tmp_path / "bad.toml")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.toml: no such file: give another with --config, or leave it out"):
        load_config({}, {"UGRO_CONFIG": str(tmp_path / "none.toml")})
    with pytest.raises(BadInput, match="cannot be read: Is a directory"):
        load_config({}, {}, tmp_path)
    with pytest.raises(BadInput, match=r"~nobody-of-that-name/x: .*give the whole path"):
        load_config({}, {}, Path("~nobody-of-that-name/x"))
    file = written(tmp_path / "closed.toml", "")
    file.chmod(0)
    with as_ordinary_user(), pytest.raises(BadInput, match=r"closed\.toml: cannot be read: Permission denied: allow"):
        load_config({}, {}, file)


def test_bad_values_of_environment_and_command_line_name_their_place() -> None:
    with pytest.raises(BadInput, match="environment: UGRO_REFRESH: 'x' is not a time"):
        load_config({}, {"UGRO_REFRESH": "x"})
    with pytest.raises(BadInput, match=r"command line: --refresh: 0\.0 is not a time"):
        load_config({"refresh": 0.0}, {})
    with pytest.raises(BadInput, match="command line: --metrics-dir: '' is not a directory name"):
        load_config({"metrics_dir": ""}, {})
