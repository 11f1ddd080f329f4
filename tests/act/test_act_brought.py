"""Secrets that a person types: known while a launch lasts, whoever asked for them, and never afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest

from ugro_tui.act.brought import asked_for, check_code, secrets_of
from ugro_tui.core.commands import Launch
from ugro_tui.core.errors import BadInput
from ugro_tui.core.launching import LaunchRequest
from ugro_tui.core.snapshot import Question
from ugro_tui.nodes.secrets import Secrets

REQUEST = LaunchRequest("job", secrets={"KEY": "", "OTHER": ""})


def test_what_was_typed_before_is_not_asked_for_and_forgotten_at_the_end() -> None:
    known, asked = Secrets(), list[str]()

    def ask(question: Question) -> str:
        asked.append(question.text)
        return "hunter3"

    with asked_for(REQUEST, {"KEY": "hunter2"}, known, ask):
        assert secrets_of(REQUEST, known.get) == {"KEY": "hunter2", "OTHER": "hunter3"}
    assert asked == ["Secret OTHER of job job"]
    with pytest.raises(BadInput, match="nobody can be asked"):
        secrets_of(REQUEST, known.get)
    with pytest.raises(BadInput, match="OTHER: there is no terminal"), asked_for(REQUEST, {"KEY": "x"}, known, None):
        pass
    assert known.get("secret KEY of job job") is None


def test_a_command_shows_nothing_of_what_was_typed() -> None:
    assert "hunter2" not in repr(Launch(REQUEST, {"KEY": "hunter2"}))


@pytest.mark.parametrize(
    ("workdir", "script", "said"),
    [
        ("", "train.py", ""),
        ("sub dir", "train.py", ""),
        (".", "./sub dir/train.py", ""),
        ("sub dir", "", ""),
        ("", "nowhere.py", "there is no training script nowhere.py among what --sync-code copies of .*: give its path"),
        ("", "__pycache__/x.py", "what git ignores is not copied"),
        (
            "/srv/me",
            "train.py",
            "--workdir: /srv/me is not in the copy that --sync-code makes of .*: give its",
        ),
        ("", "/srv/me/train.py", "the training script: /srv/me/train.py is not in the copy"),
        ("..", "train.py", "--workdir: .. is not in the copy"),
        ("away", "", "--workdir: there is no folder away among what --sync-code copies"),
    ],
)
def test_what_runs_is_looked_for_in_the_code_that_is_copied(
    tmp_path: Path, workdir: str, script: str, said: str
) -> None:
    for folder in ("sub dir", "__pycache__"):
        (tmp_path / folder).mkdir()
    for name in ("train.py", "sub dir/train.py", "__pycache__/x.py"):
        (tmp_path / name).touch()
    request = LaunchRequest("job", script=script, workdir=workdir, sync_code=str(tmp_path))
    if not said:
        check_code(request)
        return
    with pytest.raises(BadInput, match=said):
        check_code(request)
