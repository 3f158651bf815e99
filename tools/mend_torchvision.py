"""Mend a CUDA build of torchvision that stands beside a CPU build of torch, in this virtual environment.

The package index has no CPU build of torchvision. Beside a CPU torch its compiled operators cannot load, and its
Python part then fails on import with ``operator torchvision::nms does not exist``, and with it transformers and
lmms-eval. Run once, with the interpreter of the virtual environment:

    python tools/mend_torchvision.py

It installs a hook into site-packages that acts only when ``torchvision.extension`` is imported and finds its
operators missing; it then declares the two operators that the rest of torchvision refers to. Where torch and
torchvision match, it does nothing. Resizing and the video processors work; ``nms`` itself stays unusable.
"""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

HOOK = "_torchvision_mend"
CODE = '''"""Installed by tools/mend_torchvision.py: declares torchvision's operators where they could not be loaded."""

import sys
from importlib.machinery import PathFinder

OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library = None  # torch forgets the declarations when this object dies


def _declare():
    global _library
    import torch

    _library = torch.library.Library("torchvision", "DEF")
    for operator in OPERATORS:
        _library.define(operator)


class _Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "torchvision.extension":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return spec
        run = spec.loader.exec_module

        def exec_module(module):
            run(module)
            if not module._has_ops() and _library is None:
                _declare()

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, _Finder)
'''


def main() -> None:
    if sys.prefix == sys.base_prefix:
        sys.exit("mend_torchvision: run this with the interpreter of a virtual environment, not the system's")
    site = Path(sysconfig.get_paths()["purelib"])
    (site / f"{HOOK}.py").write_text(CODE, encoding="utf-8")
    (site / f"{HOOK}.pth").write_text(f"import {HOOK}\n", encoding="utf-8")
    print(f"torchvision hook installed in {site}")


if __name__ == "__main__":
    main()
