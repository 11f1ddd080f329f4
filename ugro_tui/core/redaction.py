"""Secrets taken out of commands before anybody sees or keeps them: by the names of options and variables, by shape."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

HIDDEN: Final = "***"
"""What stands where a secret was."""

# Whole words of a name: `--max-tokens` and `--tokenizer` are none, `HF_TOKEN` and `--wandb-api-key` are.
_SECRET_NAME: Final = re.compile(
    r"(?:^|[-_.])(?:token|secrets?|pass(?:word|wd|phrase|code)|pwd|credentials?|authorization|"
    r"(?:api|access|private|secret|auth)[-_]?key|apikey)(?:[-_.]|$)",
    re.IGNORECASE,
)
_NAMED: Final = re.compile(r"-{0,2}[A-Za-z_][\w.-]*(?==)", re.ASCII)
_VALUE: Final = r"(?:\"[^\"]*\"|'[^']*'|(?:bearer\s+|basic\s+)?[^\s\"';&|]+)"
_ASSIGNED: Final = re.compile(rf"(-{{0,2}}[A-Za-z_][\w.-]*)(\s*[=:]\s*){_VALUE}", re.ASCII | re.IGNORECASE)
_OPTION: Final = re.compile(rf"(--?[A-Za-z_][\w.-]*)(\s+){_VALUE}", re.ASCII | re.IGNORECASE)
_LOGIN: Final = re.compile(r"(://[^/\s:@]*):[^/\s@]+@")
_SHAPES: Final = re.compile(
    r"\b(?:hf_\w{8,}|gh[pousr]_\w{8,}|github_pat_\w{8,}|sk-[\w-]{16,}|xox[abp]-[\w-]{8,}|AKIA[0-9A-Z]{12,})", re.ASCII
)


def is_secret_name(name: str) -> bool:
    """Whether a variable or an option of that name holds a secret."""
    return _SECRET_NAME.search(name) is not None


def without_secrets(text: str) -> str:
    """A line of text, such as a command of a shell, with `HIDDEN` where secrets stood."""
    text = _OPTION.sub(_hidden, _ASSIGNED.sub(_hidden, text))
    return _SHAPES.sub(HIDDEN, _LOGIN.sub(rf"\1:{HIDDEN}@", text))


def words_without_secrets(words: Sequence[str]) -> tuple[str, ...]:
    """The same for the words of a command: what follows an option such as `--token` is taken out too."""
    shown: list[str] = []
    secret = False
    for word in words:
        shown.append(HIDDEN if secret else _word(word))
        secret = not secret and word.startswith("-") and "=" not in word and is_secret_name(word)
    return tuple(shown)


def _word(word: str) -> str:
    named = _NAMED.match(word)
    if named is not None and is_secret_name(named.group()):
        return f"{named.group()}={HIDDEN}"
    return without_secrets(word)


def _hidden(match: re.Match[str]) -> str:
    name, between = match.groups()
    return f"{name}{between}{HIDDEN}" if is_secret_name(name) else match.group()
