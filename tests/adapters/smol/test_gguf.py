"""The GGUF reader on files that are written here, block by block; and on what is no such file."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coreheads.adapters.smol.gguf import read_gguf
from coreheads.errors import UserError

BLOCK = 32


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def q8_0(values: np.ndarray) -> tuple[bytes, np.ndarray]:
    """Blocks as the format packs them, and the values that they stand for."""
    raw, meant = b"", []
    for block in values.reshape(-1, BLOCK):
        scale = np.float16(max(np.abs(block).max() / 127, 1e-4))
        whole = np.clip(np.round(block / np.float32(scale)), -127, 127).astype(np.int8)
        raw += scale.tobytes() + whole.tobytes()
        meant.append(np.float32(scale) * whole.astype(np.float32))
    return raw, np.concatenate(meant).reshape(values.shape)


def q4_1(values: np.ndarray) -> tuple[bytes, np.ndarray]:
    raw, meant = b"", []
    for block in values.reshape(-1, BLOCK):
        low = np.float16(block.min())
        scale = np.float16(max((block.max() - block.min()) / 15, 1e-4))
        whole = np.clip(np.round((block - np.float32(low)) / np.float32(scale)), 0, 15).astype(np.uint8)
        pairs = bytes(int(first | (second << 4)) for first, second in zip(whole[:16], whole[16:], strict=True))
        raw += scale.tobytes() + low.tobytes() + pairs
        meant.append(np.float32(scale) * whole.astype(np.float32) + np.float32(low))
    return raw, np.concatenate(meant).reshape(values.shape)


KINDS = {0: lambda values: (values.tobytes(), values), 8: q8_0, 3: q4_1}


def gguf(path: Path, tensors: dict[str, tuple[int, np.ndarray]], alignment: int = 32) -> dict[str, np.ndarray]:
    """Write a file; the values that its tensors stand for."""
    pairs = [
        text("general.alignment") + struct.pack("<II", 4, alignment),
        text("a.text") + struct.pack("<I", 8) + text("hé"),
        text("a.list") + struct.pack("<IIQ", 9, 5, 3) + struct.pack("<iii", -1, 0, 7),
        text("a.flag") + struct.pack("<I?", 7, True),
    ]
    infos, data, meant = b"", b"", {}
    for name, (kind, values) in tensors.items():
        packed, meant[name] = KINDS[kind](values)
        shape = values.shape[::-1]
        infos += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, len(data))
        data += packed + bytes(-len(packed) % alignment)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs) + infos
    path.write_bytes(head + bytes(-len(head) % alignment) + data)
    return meant


@given(
    st.lists(st.tuples(st.sampled_from(sorted(KINDS)), st.integers(1, 4), st.integers(1, 3)), min_size=1, max_size=5),
    st.sampled_from([32, 64]),
    st.integers(0, 9),
)
def test_every_type_is_read_as_it_was_packed(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[int, int, int]], alignment: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    tensors = {
        f"t{number}": (kind, rng.normal(size=(rows, BLOCK * columns)).astype(np.float32))
        for number, (kind, rows, columns) in enumerate(made)
    }
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    meant = gguf(path, tensors, alignment)
    metadata, read = read_gguf(path)
    assert metadata == {"general.alignment": alignment, "a.text": "hé", "a.list": [-1, 0, 7], "a.flag": True}
    assert read.keys() == meant.keys()
    for name, values in meant.items():
        assert read[name].dtype == np.float32
        np.testing.assert_array_equal(read[name], values)


def test_what_is_no_such_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    gguf(path, {"t": (0, np.ones((2, 32), np.float32))})
    whole = path.read_bytes()
    for damaged in (b"no such file", whole[:20], whole[:-200], whole.replace(text("t"), text("t"))[:90]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"model\.gguf: (is no GGUF file|cannot be read as GGUF)") as raised:
            read_gguf(path)
        assert "\n" not in str(raised.value)


def test_a_tensor_of_another_type_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    gguf(path, {"t": (0, np.ones((1, 32), np.float32))})
    head = text("t") + struct.pack("<IQQ", 2, 32, 1)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(head + struct.pack("<I", 0), head + struct.pack("<I", 12)))
    with pytest.raises(UserError, match="type 12, expected F32, Q8_0 or Q4_1"):
        read_gguf(path)
