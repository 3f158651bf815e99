"""Vision features kept between runs on the same pixels: no patch changes the vision tower, so they are the same.

A patch may read what goes on in the tower. Then what it reads is remembered with the features, and apart from those of
runs that did not read it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from typing import Any

from torch import Tensor, nn

from coreheads.adapters.generation.structure import replaced

MAX_BYTES = 1 << 30
READER = "_coreheads_reader"
"""On a vision module that is read, the reader, whose ``parts`` are tensors of the module's last call."""


class VisionCache:
    """Outputs of vision modules by the identity of their input tensors, which are held so that it stays theirs.

    Those are the tensors of a prompt on its own. A batch joins the pixels of several prompts anew each time, and is
    not remembered. When the outputs have ``max_bytes`` it takes no more.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self._outputs: dict[Any, tuple[list[Tensor], Any, list[Any]]] = {}

    def clear(self) -> None:
        """Forget all features."""
        self._outputs.clear()
        self.bytes = 0

    @contextmanager
    def active(self, modules: list[nn.Module]) -> Iterator[None]:
        """Have these modules answer from memory inside the block; afterwards they are as before."""
        with ExitStack() as changed:
            for number, module in enumerate(modules):
                changed.enter_context(replaced(module, "forward", self._remembering(number, module)))
            yield

    def _remembering(self, number: int, module: nn.Module) -> Callable[..., Any]:
        forward = module.forward

        def remembered(*args: Any, **kwargs: Any) -> Any:
            inputs = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
            if any(value.is_inference() for value in inputs):
                return forward(*args, **kwargs)  # put together for this very call: will not be seen again
            reader = getattr(module, READER, None)
            seen = tuple((value.data_ptr(), tuple(value.shape), value._version) for value in inputs)
            key = (number, reader is not None, seen)
            if key not in self._outputs:
                output = forward(*args, **kwargs)
                read = [] if reader is None else reader.parts
                size = sum(tensor.nbytes for tensor in _tensors([output, read]))
                if self.bytes + size > self.max_bytes:
                    return output
                self.bytes += size
                self._outputs[key] = (inputs, output, read)
            _, output, read = self._outputs[key]
            if reader is not None:
                reader.parts = read
            # the caller may put other things into the fields of what it gets
            return copy(output)

        return remembered


def _tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, dict | list | tuple):
        for value in output.values() if isinstance(output, dict) else output:
            yield from _tensors(value)
