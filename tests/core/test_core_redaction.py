"""Secrets in commands: gone wherever they stand; what only looks alike stays."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ugro_tui.core.redaction import HIDDEN, is_secret_name, without_secrets, words_without_secrets

SECRET = "S3cr3tV4lue"


@pytest.mark.parametrize(
    "line",
    [
        f"env HF_TOKEN={SECRET} torchrun train.py",
        f"export WANDB_API_KEY='{SECRET} and more'; torchrun train.py",
        f'DB_PASSWORD="{SECRET}" ./run',
        f"curl -H 'Authorization: Bearer {SECRET}' https://example.org",
        f"train.py --hub-token {SECRET} --steps 5",
        f"train.py --hub_token={SECRET}",
        f"git clone https://me:{SECRET}@example.org/repo",
        f"login hf_{SECRET}",
        f"login ghp_{SECRET}",
        f"aws_secret_access_key = {SECRET}",
    ],
)
def test_a_secret_in_a_line_is_gone(line: str) -> None:
    assert SECRET not in without_secrets(line)
    assert HIDDEN in without_secrets(line)
    words = words_without_secrets(["sh", "-c", line])
    assert SECRET not in " ".join(words)
    assert words[:2] == ("sh", "-c")


@pytest.mark.parametrize(
    "line",
    [
        "train.py --max-tokens 512 --tokenizer gpt2 --tokens=1_000_000",
        "train.py --passes 3 --keys a,b --name secretary",
        "env NCCL_DEBUG=INFO MASTER_PORT=29500 torchrun --nproc-per-node=8",
        "rsync -a gpu1:/data/ /data/",
    ],
)
def test_what_is_no_secret_stays(line: str) -> None:
    assert without_secrets(line) == line
    assert words_without_secrets(shlex.split(line)) == tuple(shlex.split(line))


@settings(max_examples=25)
@given(st.text(st.characters(codec="utf-8", exclude_characters="*"), min_size=6))
def test_whatever_follows_an_option_for_a_secret_is_gone(value: str) -> None:
    assert words_without_secrets(["run", "--api-key", value, "on"]) == ("run", "--api-key", HIDDEN, "on")
    assert words_without_secrets(["run", f"HF_TOKEN={value}"]) == ("run", f"HF_TOKEN={HIDDEN}")


def test_names() -> None:
    assert all(map(is_secret_name, ("HF_TOKEN", "password", "--wandb-api-key", "AWS_SECRET_ACCESS_KEY")))
    assert not any(map(is_secret_name, ("TOKENIZERS_PARALLELISM", "MAX_TOKENS", "KEYS", "PATH")))
