"""FlashAttention of torch and of the packages, called as each release has it."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import pytest
import torch
from flash_reference import reference
from patches_oracle import states

from coreheads.adapters.kernels import flash


def test_varlen_is_called_as_each_torch_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 2.12 it has no enable_gqa; before 2.11 no window, and is not offered."""
    calls: list[dict[str, Any]] = []

    def varlen_attn(query: Any, key: Any, value: Any, *rest: Any, **options: Any) -> Any:
        calls.append({"shapes": (query.shape, key.shape), "rest": rest, **options})
        whole = (tensor.transpose(0, 1)[None] for tensor in (query, key, value))
        output, lse = reference(*whole, options["scale"], options["window_size"])
        return output[0], lse[0].transpose(0, 1)

    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", varlen_attn)
    query, key, value = states(2, 2, 3, 20, 31)
    for known, gqa in ((("window_size", "enable_gqa"), True), (("window_size",), None)):
        monkeypatch.setattr(flash, "_varlen_parameters", lambda known=known: known)
        output, lse = flash.varlen(query, key, value, 0.3, (4, 0))
        expected = reference(query, key, value, 0.3, (4, 0))
        torch.testing.assert_close((output, lse), expected, atol=1e-12, rtol=0)
        assert calls[-1].get("enable_gqa") is gqa
        assert calls[-1]["shapes"] == ((20, 6, 8), (31, 2, 8))
        assert [part.tolist() if isinstance(part, torch.Tensor) else part for part in calls[-1]["rest"]] == [
            [0, 20], [0, 31], 20, 31,
        ]  # fmt: skip
    flash.kernels.cache_clear()
    monkeypatch.setattr(flash, "_varlen_parameters", lambda: ("is_causal", "return_aux"))
    assert "varlen" not in flash.kernels()
    flash.kernels.cache_clear()


@pytest.mark.parametrize(("name", "module"), flash.PACKAGES.items())
@pytest.mark.parametrize("asks", [True, False])
def test_installed_packages_are_offered_and_called_as_they_are(
    name: str, module: str, asks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both packages take tokens before heads; early releases of the second know no ``return_attn_probs``."""

    def attention(query: Any, key: Any, value: Any, scale: float, causal: bool, window: tuple[int, int]) -> Any:
        assert causal is (window[1] == 0)
        whole = (tensor.transpose(1, 2) for tensor in (query, key, value))
        output, lse = reference(*whole, scale, window)
        return output, lse.transpose(1, 2), None

    def asked(
        q: Any, k: Any, v: Any, softmax_scale: Any, causal: Any, window_size: Any, return_attn_probs: Any = False
    ) -> Any:
        found = attention(q, k, v, softmax_scale, causal, window_size)
        return found if return_attn_probs else found[0]

    def unasked(q: Any, k: Any, v: Any, softmax_scale: Any, causal: Any, window_size: Any) -> Any:
        return attention(q, k, v, softmax_scale, causal, window_size)[:2]

    package = ModuleType(module)
    package.__spec__ = ModuleSpec(module, None)
    package.flash_attn_func = asked if asks else unasked  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module, package)
    flash.kernels.cache_clear()
    try:
        kernel = flash.kernels()[name]
    finally:
        flash.kernels.cache_clear()
    query, key, value = states(2, 2, 3, 20, 31)
    for pattern in ((4, 0), (-1, 0), (-1, -1)):
        expected = reference(query, key, value, 0.3, pattern)
        torch.testing.assert_close(kernel(query, key, value, 0.3, pattern), expected, atol=1e-12, rtol=0)
