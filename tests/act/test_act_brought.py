"""Secrets that a person types: known while a launch lasts, whoever asked for them, and never afterwards."""

from __future__ import annotations

import pytest

from ugro_tui.act.brought import asked_for, secrets_of
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
