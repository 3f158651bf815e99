"""A real Qwen3-VL processor for the embedded model: tokenizer, chat template, image and video processor.

One merged vision token sees 16 x 16 pixels (patch 8, merge 2); videos are sampled at 2 frames a second, two frames
to a temporal patch, as in Qwen3-VL.
"""

from __future__ import annotations

from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3VLProcessor
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

from coreheads.tasks.mini.vocabulary import END, IMAGE, PAD, SPECIAL, VIDEO, VISION_END, VISION_START, WORDS

PATCH, MERGE, TEMPORAL = 8, 2, 2
CELL = PATCH * MERGE
"""Pixels along one side of what a merged vision token sees."""

FPS = 2
MAX_TOKENS = 16384

# An option letter, a time stamp of the video, a box corner, a page stamp, a name or word, a number, one other
# character, blanks: each with the blank before it.
PIECES = (
    r" ?\([A-D]\)| ?<\d+\.\d seconds>| ?\(\d+,| ?\d+\)| ?#\d+"
    r"| ?[\p{L}\p{M}]+(?:-[\p{L}\p{M}]+)*| ?\d+| ?[^\s\p{L}\p{M}\d]|\s+"
)

CHAT_TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message['role'] }}
{% if message['content'] is string %}{{ message['content'] }}{% else -%}
{%- for part in message['content'] -%}
{%- if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>
{%- elif part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>
{%- elif part['type'] == 'text' %}{{ part['text'] }}
{%- endif -%}
{%- endfor -%}
{%- endif %}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif -%}
"""


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word of the vocabulary, the same with or without a blank before it; bytes for all else."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    spell = dict(zip(range(256), _byte_characters(), strict=True))
    tokens = [*SPECIAL, *alphabet, *("".join(spell[byte] for byte in f" {word}".encode()) for word in WORDS)]
    tokens.append("".join(spell[byte] for byte in b" \n"))
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[token for token in SPECIAL if token not in (END, PAD)],
        model_max_length=MAX_TOKENS,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        image_token=IMAGE,
        video_token=VIDEO,
        vision_start_token=VISION_START,
        vision_end_token=VISION_END,
    )


def _byte_characters() -> list[str]:
    """The printable character that byte-level BPE writes for each byte 0..255 (GPT-2's reversible table)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    table = {byte: chr(byte) for byte in plain}
    for byte in range(256):
        if byte not in table:
            table[byte] = chr(256 + len([b for b in range(byte) if b not in plain]))
    return [table[byte] for byte in range(256)]


def build_processor() -> Qwen3VLProcessor:
    """The processor whose saved form lies beside the checkpoint."""
    common: dict[str, Any] = {
        "patch_size": PATCH,
        "merge_size": MERGE,
        "temporal_patch_size": TEMPORAL,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    image = Qwen2VLImageProcessor(size={"shortest_edge": 4 * CELL * CELL, "longest_edge": 4096 * CELL * CELL}, **common)
    video = Qwen3VLVideoProcessor(
        size={"shortest_edge": 4 * CELL * CELL, "longest_edge": 16384 * CELL * CELL},
        fps=FPS,
        min_frames=2,
        max_frames=128,
        cap_pixels_per_frame=False,
        **common,
    )
    return Qwen3VLProcessor(
        image_processor=image, tokenizer=build_tokenizer(), video_processor=video, chat_template=CHAT_TEMPLATE
    )
