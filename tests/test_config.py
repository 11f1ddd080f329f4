"""Settings: which source wins, and what is said of bad ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.writing import as_ordinary_user
from ugro_tui.config import Config, load_config
from ugro_tui.core.errors import BadInput
from ugro_tui.core.rules.catalogue import DEFAULTS
from ugro_tui.nodes.inventory import NodeSettings, NodeSpec


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
    config = load_config({}, {})
    assert config == Config()
    assert config.metrics_dir == home / "ugro_data" / "jobs"
    assert config.central == home / "ugro_data" / "central"
    assert (config.refresh, config.remote, config.nodes, config.hostfile) == (2.0, False, (), None)
    assert (config.ssh_config, config.engine, config.node) == (None, "builtin", {})
    assert config.inventory() == (NodeSpec("local", "local"),)
    assert config.place == str(config.metrics_dir)


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
        ('colour = "red"', "colour: no such setting: remove it; there are: metrics_dir, refresh, nodes, .*NAME"),
        ('"\\u001b[31m" = 1', r"␛\[31m: no such setting"),
        ("[table]\nx = 1", "table: no such setting"),
        ('hostfile = "/none/hosts"', "hostfile: /none/hosts: no such file: give another, or leave it out"),
        ("ssh_config = 1", "ssh_config: 1 is not a file name"),
        ("central = []", r"central: \[\] is not a directory name"),
        ('engine = "scp"', "engine: 'scp' is not an engine: choose builtin or rsync"),
        ("engine = []", r"engine: \[\] is not an engine"),
        ('theme = "pink"', "theme: 'pink' is not a theme: choose dark, light, contrast or colour-blind"),
        ("theme = [1]", r"theme: \[1\] is not a theme"),
        ("ascii = 3", "ascii: 3 is neither true nor false"),
        ('ascii = "perhaps"', "ascii: 'perhaps' is neither true nor false"),
        ("nodes = 5", "nodes: 5 names no nodes: give text such as"),
        ('nodes = " "', "nodes: ' ' names no nodes"),
        ('nodes = ["a", 5]', r"nodes: \['a', 5\] names no nodes"),
        ("node = 5", r"node: 5 is not a table: write \[node.NAME\]"),
        ("node.gpu1 = 5", r"node\.gpu1: 5 is not a table: write \[node\.gpu1\] above"),
        ("[node.gpu1]\nhost = 1", r"node\.gpu1\.host: no such setting: remove it; there are: user, port, metrics_dir"),
        ("[node.a.b]\nport = 1", r'node\.a\.b: no such setting: .*written in quotes: \[node\."a\.b"\]'),
        ('[node.a]\nuser = "-l"', r"node\.a\.user: '-l' is not a user's name"),
        ("[node.a]\nuser = 7", r"node\.a\.user: 7 is not a user's name"),
        ('[node.a]\nport = "22"', r"node\.a\.port: '22' is not a port: give a number from 1 to 65535"),
        ("[node.a]\nport = true", r"node\.a\.port: True is not a port"),
        ("[node.a]\nport = 65536", r"node\.a\.port: 65536 is not a port"),
        ("[node.a]\nmetrics_dir = ''", r"node\.a\.metrics_dir: '' is not a directory name: give a path on the node"),
        ('[node.a]\nmetrics_dir = "a\\nb"', r"node\.a\.metrics_dir: .* is not a directory name"),
        ("[node.local]\nport = 1", r"node\.local: this machine is not reached over SSH: .*set metrics_dir itself"),
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


def test_each_new_setting_of_each_source(tmp_path: Path) -> None:
    for name in ("of-file", "of-environ", "of-flags"):
        written(tmp_path / name, "gpu1\n")
    keys = ("hostfile", "ssh_config", "central")
    file = written(tmp_path / "a.toml", "".join(f'{key} = "{tmp_path}/of-file"\n' for key in keys) + 'engine = "rsync"')
    environ = {f"UGRO_{key.upper()}": f"{tmp_path}/of-environ" for key in keys}
    flags = dict.fromkeys(keys, f"{tmp_path}/of-flags")
    for config, name in (
        (load_config({}, {}, file), "of-file"),
        (load_config({}, environ, file), "of-environ"),
        (load_config(flags, environ, file), "of-flags"),
    ):
        assert (config.hostfile, config.ssh_config, config.central) == (tmp_path / name,) * 3
    assert load_config({}, {}, file).engine == "rsync"
    assert load_config({}, {"UGRO_ENGINE": "builtin"}, file).engine == "builtin"
    assert [load_config({}, {"UGRO_ASCII": word}, file).ascii for word in ("1", "no")] == [True, False]
    assert load_config({"theme": "light"}, {"UGRO_THEME": "contrast"}, file).theme == "light"


def test_nodes_are_text_or_a_list(tmp_path: Path) -> None:
    assert load_config({}, {}, written(tmp_path / "a.toml", 'nodes = "a,b"')).nodes == ("a,b",)
    config = load_config({}, {}, written(tmp_path / "b.toml", 'nodes = ["a", "n[1-2]"]'))
    assert [spec.name for spec in config.inventory()] == ["a", "n1", "n2"]
    assert load_config({}, {}, written(tmp_path / "c.toml", "nodes = []")).inventory()[0].name == "local"
    assert load_config({"nodes": "c"}, {"UGRO_NODES": "d"}).nodes == ("c",)


def test_nodes_and_hostfile_are_one_choice(tmp_path: Path) -> None:
    hosts = written(tmp_path / "hosts", "h1\n")
    file = written(tmp_path / "a.toml", f'nodes = "a"\nhostfile = "{hosts}"')

    def names(flags: dict[str, object], environ: dict[str, str]) -> list[str]:
        return [spec.name for spec in load_config(flags, environ, file).inventory()]

    assert names({}, {}) == ["a", "h1"]
    assert names({"nodes": "b"}, {}) == ["b"]
    assert names({}, {"UGRO_HOSTFILE": str(hosts)}) == ["h1"]
    assert names({"nodes": "local"}, {"UGRO_HOSTFILE": str(hosts)}) == ["local"]
    assert load_config({"nodes": "b"}, {}, file).origins["nodes"] == "command line: --nodes"
    assert "hostfile" not in load_config({"nodes": "b"}, {}, file).origins


def test_bad_nodes_are_refused_with_where_they_were_set(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"environment: UGRO_NODES: 'n\[1', position 2"):
        load_config({}, {"UGRO_NODES": "n[1"}).inventory()
    file = written(tmp_path / "a.toml", 'nodes = ["a", "-b"]')
    with pytest.raises(BadInput, match=r"a\.toml: nodes: '-b' is not a node"):
        load_config({}, {}, file).inventory()


def test_over_ssh_it_looks_less_often_unless_told(tmp_path: Path) -> None:
    hosts = str(written(tmp_path / "hosts", "h1\n"))
    assert load_config({"nodes": "local"}, {}).refresh == 2.0
    assert load_config({"nodes": "gpu1"}, {}).refresh == 5.0
    assert load_config({"nodes": "local,gpu1"}, {}).refresh == 5.0
    assert load_config({"hostfile": hosts}, {}).refresh == 5.0
    assert load_config({"nodes": "gpu1", "refresh": 1.0}, {}).refresh == 1.0
    assert load_config({"nodes": "gpu1"}, {"UGRO_REFRESH": "9"}).refresh == 9.0
    assert Config(nodes=("gpu1",)).remote
    assert not Config(nodes=("local", " local ,")).remote


def test_the_home_of_a_node_is_not_ours(home: Path) -> None:
    config = load_config({"metrics_dir": "~/runs", "nodes": "gpu1"}, {})
    assert (config.metrics_dir, config.remote_metrics_dir) == (home / "runs", "~/runs")
    assert config.place == "~/runs on gpu1"
    assert Config().remote_metrics_dir == "~/ugro_data/jobs"


def test_tables_of_nodes(tmp_path: Path) -> None:
    text = 'nodes = "gpu1,10.0.0.2"\n[node.gpu1]\nuser = "me"\nport = 2222\n[node."10.0.0.2"]\nmetrics_dir = "~/m"'
    config = load_config({}, {}, written(tmp_path / "a.toml", text))
    assert config.node == {"gpu1": NodeSettings("me", 2222), "10.0.0.2": NodeSettings(metrics_dir="~/m")}
    assert config.inventory() == (
        NodeSpec("gpu1", "gpu1", "me", 2222),
        NodeSpec("10.0.0.2", "10.0.0.2", metrics_dir="~/m"),
    )


def test_where_each_setting_came_from(tmp_path: Path) -> None:
    file = written(tmp_path / "a.toml", 'refresh = 3\ncentral = "/c"\n[node.gpu1]\nport = 5')
    config = load_config({"nodes": "gpu1", "refresh": None}, {"UGRO_CENTRAL": "/d"}, file)
    assert {key: (value, origin) for key, value, origin in config.in_force()} == {
        "metrics_dir": (str(config.metrics_dir), "default"),
        "remote_metrics_dir": ("~/ugro_data/jobs", "default"),
        "refresh": (3.0, f"{file}: refresh"),
        "nodes": (["gpu1"], "command line: --nodes"),
        "hostfile": (None, "default"),
        "ssh_config": (None, "default"),
        "central": ("/d", "environment: UGRO_CENTRAL"),
        "engine": ("builtin", "default"),
        "theme": ("", "default"),
        "ascii": (None, "default"),
        "launch_script": ("", "default"),
        "launch_python": ("", "default"),
        "read_only": (False, "default"),
        "node.gpu1.port": (5, f"{file}: node"),
        "on_alert": ([], "default"),
        "bell": (True, "default"),
    }


def test_alerts_are_judged_by_the_numbers_of_the_file(tmp_path: Path) -> None:
    text = (
        'on_alert = ["notify-send", "-u", "critical", ""]\nbell = false\n'
        "[alerts.gpu_underused]\nthreshold = 70\n[alerts.plateau]\nenabled = true\nshare = 0.1"
    )
    file = written(tmp_path / "a.toml", text)
    config = load_config({}, {}, file)
    assert (config.on_alert, config.bell) == (("notify-send", "-u", "critical", ""), False)
    assert config.thresholds["gpu_underused"] == {"threshold": 70.0, "clear": 85.0, "seconds": 60.0, "enabled": 1.0}
    assert (config.thresholds.enabled("plateau"), DEFAULTS.enabled("plateau")) == (True, False)
    found = {key: (value, origin) for key, value, origin in config.in_force()}
    assert found["on_alert"] == (["notify-send", "-u", "critical", ""], f"{file}: on_alert")
    assert found["bell"] == (False, f"{file}: bell")
    assert {key: told for key, told in found.items() if key.startswith("alerts.")} == {
        "alerts.gpu_underused.threshold": (70.0, f"{file}: alerts"),
        "alerts.plateau.enabled": (1.0, f"{file}: alerts"),
        "alerts.plateau.share": (0.1, f"{file}: alerts"),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[alerts.gpu_undrused]\nthreshold = 70",
            "a.toml: alerts: gpu_undrused: no such alert: there are: auth_refused",
        ),
        (
            "[alerts.gpu_underused]\ntreshold = 7",
            "a.toml: alerts: gpu_underused.treshold: no such setting of this alert",
        ),
        (
            "[alerts.gpu_underused]\nthreshold = -7",
            "a.toml: alerts: gpu_underused.threshold: -7 is not a number from 0 to 100",
        ),
        ("[alerts.gpu_underused]\nthreshold = nan", "a.toml: alerts: gpu_underused.threshold: nan is not a number"),
        (
            '[alerts.gpu_underused]\nthreshold = "7"',
            "a.toml: alerts.gpu_underused.threshold: '7' is not a number: write",
        ),
        (
            "[alerts.gpu_underused]\nthreshold = true",
            "a.toml: alerts.gpu_underused.threshold: True is not a number: write",
        ),
        ("[alerts.gpu_underused]\nthreshold = [7]", "a.toml: alerts: gpu_underused.threshold: [7] is not a number"),
        ("[alerts.gpu_underused]\nenabled = 0", "a.toml: alerts.gpu_underused.enabled: 0 is neither true nor false"),
        ("[alerts]\ngpu_underused = 70", "a.toml: alerts.gpu_underused: 70 is not a table: write [alerts.NAME]"),
        ("alerts = 3", "a.toml: alerts: 3 is not a table: write [alerts.NAME]"),
        ('on_alert = "notify-send"', "a.toml: on_alert: 'notify-send' is no command: give a list"),
        ("on_alert = []", "a.toml: on_alert: [] is no command"),
        ('on_alert = ["", "a"]', "a.toml: on_alert: ['', 'a'] is no command"),
        ('on_alert = ["a", 3]', "a.toml: on_alert: ['a', 3] is no command"),
        ('on_alert = ["a\\u0000"]', "is no command"),
        ('bell = "no"', "a.toml: bell: 'no' is neither true nor false"),
    ],
)
def test_bad_settings_of_alerts_name_file_key_and_reason(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadInput) as error:
        load_config({}, {}, written(tmp_path / "a.toml", text))
    assert said in str(error.value)


def test_what_the_command_line_said_of_where_to_look_is_to_be_typed_again(tmp_path: Path) -> None:
    (tmp_path / "ssh").touch()
    flags = {"nodes": "n1,n 2", "ssh_config": tmp_path / "ssh", "theme": "light"}
    config = load_config(flags, {"UGRO_CENTRAL": str(tmp_path)}, None)
    assert config.retyped == f" --nodes 'n1,n 2' --ssh-config {tmp_path}/ssh"
    assert Config().retyped == ""
