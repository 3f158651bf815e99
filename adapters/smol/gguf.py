"""Reads the tensors of a GGUF file with numpy alone: the types F32, Q8_0 and Q4_1.

Source of the format: the specification in the ggml repository (docs/gguf.md); of the block types, ggml's definition of
their layouts.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from coreheads.errors import UserError

Array = NDArray[np.float32]
Value: TypeAlias = "int | float | str | list[Value]"

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _LIST = 8, 9
_F32, _Q8_0, _Q4_1 = 0, 8, 3
_BLOCK = 32
"""Weights that share a scale."""


@dataclass
class _Cursor:
    """Reads one value after the other."""

    data: memoryview
    at: int = 0

    def scalar(self, form: str) -> int | float:
        (value,) = struct.unpack_from(f"<{form}", self.data, self.at)
        self.at += struct.calcsize(f"<{form}")
        number: int | float = value
        return number

    def count(self, form: str = "Q") -> int:
        return int(self.scalar(form))

    def text(self) -> str:
        length = self.count()
        self.at += length
        return bytes(self.data[self.at - length : self.at]).decode("utf-8")

    def value(self, kind: int) -> Value:
        if kind == _TEXT:
            return self.text()
        if kind == _LIST:
            inner, length = self.count("I"), self.count()
            return [self.value(inner) for _ in range(length)]
        return self.scalar(_SCALARS[kind])


def read_gguf(path: Path) -> tuple[dict[str, Value], dict[str, Array]]:
    """A GGUF file's metadata by name, and its tensors by name as float32 in numpy's order of axes.

    Raises:
        UserError: It is no such file, ends too early, or has tensors of another type.
    """
    data = np.memmap(path, np.uint8, "r")
    if bytes(data[:4]) != b"GGUF":
        raise UserError(f"{path}: is no GGUF file, it begins with {bytes(data[:4])!r}")
    try:
        cursor = _Cursor(memoryview(data), 8)  # after the magic number and the version
        tensors, pairs = cursor.count(), cursor.count()
        metadata = {cursor.text(): cursor.value(cursor.count("I")) for _ in range(pairs)}
        infos = [_info(cursor) for _ in range(tensors)]
        alignment = metadata.get("general.alignment", 32)
        assert isinstance(alignment, int)
        start = -(-cursor.at // alignment) * alignment
        return metadata, {name: _tensor(data, start + offset, shape, kind) for name, shape, kind, offset in infos}
    except (struct.error, KeyError, ValueError, AssertionError) as error:
        raise UserError(f"{path}: cannot be read as GGUF ({error})") from None


def _info(cursor: _Cursor) -> tuple[str, tuple[int, ...], int, int]:
    """(name, shape, type, offset in bytes); the file counts axes from the innermost."""
    name = cursor.text()
    shape = tuple(cursor.count() for _ in range(cursor.count("I")))
    return name, shape[::-1], cursor.count("I"), cursor.count()


def _tensor(data: NDArray[np.uint8], start: int, shape: tuple[int, ...], kind: int) -> Array:
    size = int(np.prod(shape))

    def blocks(width: int) -> NDArray[np.uint8]:
        return data[start : start + size // _BLOCK * width].reshape(-1, width)

    def half(raw: NDArray[np.uint8]) -> Array:
        return np.ascontiguousarray(raw).view("<f2").astype(np.float32)

    if kind == _F32:
        values = np.array(data[start : start + 4 * size]).view("<f4").astype(np.float32)
    elif kind == _Q8_0:  # a scale, 32 signed bytes
        raw = blocks(34)
        values = half(raw[:, :2]) * np.ascontiguousarray(raw[:, 2:]).view(np.int8).astype(np.float32)
    elif kind == _Q4_1:  # a scale, a minimum, 32 half bytes: the low halves are the first sixteen
        raw = blocks(20)
        halves = np.concatenate([raw[:, 4:] & 15, raw[:, 4:] >> 4], axis=1).astype(np.float32)
        values = half(raw[:, :2]) * halves + half(raw[:, 2:4])
    else:
        raise ValueError(f"a tensor of type {kind}, expected F32, Q8_0 or Q4_1")
    return values.reshape(shape)
