"""`--model-name` on tiny random models saved to disk by transformers itself (skipped where it is not installed)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.train.conftest import Workshop

transformers = pytest.importorskip("transformers", reason="--model-name needs the extra `hf` (transformers)")


def save_tiny_model(folder: Path, vocabulary: int) -> str:
    """A random GPT-2 of one layer, without a tokenizer."""
    config = transformers.GPT2Config(
        vocab_size=vocabulary, n_positions=32, n_embd=16, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return str(folder)


@pytest.mark.torchrun
def test_a_folder_without_a_tokenizer_is_trained_on_bytes(workshop: Workshop) -> None:
    name = save_tiny_model(workshop.folder / "model", vocabulary=256)
    run = workshop.run("--steps=10", "--emit-every=1", "--lr=1e-2", f"--model-name={name}", ranks=2)
    assert run.code == 0, run.output
    losses = [record["loss"] for record in run.steps()]
    assert losses[0] == pytest.approx(5.545, abs=0.1), "an even guess among 256 bytes"
    assert losses[-1] < losses[0] - 0.2


def test_a_models_own_tokenizer_is_used(workshop: Workshop) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    folder = workshop.folder / "model"
    save_tiny_model(folder, vocabulary=300)
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet)
    tokenizer.train_from_iterator([workshop.text.read_text()], trainer)
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    run = workshop.run("--steps=2", "--emit-every=1", f"--model-name={folder}")
    assert run.code == 0, run.output
    tokens = len(tokenizer.encode(workshop.text.read_text()).ids)
    assert tokens < workshop.text.stat().st_size / 2
    assert f"{tokens:,} tokens of text" in run.output


def test_a_model_that_cannot_take_the_text_is_refused(workshop: Workshop) -> None:
    name = save_tiny_model(workshop.folder / "model", vocabulary=100)
    run = workshop.run("--steps=2", f"--model-name={name}")
    assert run.code == 1
    assert "knows 100 tokens, but the text holds token" in run.output
    run = workshop.run("--steps=2", f"--model-name={name}", "--context=64")
    assert run.code == 1
    assert f"--context 64 is too long for {name}, which takes 32 tokens" in run.output
