"""Imports flow one way between rooms, and without circles between modules, wherever the import stands."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {"coreheads.adapters": "adapters", "coreheads.tasks": "tasks", "coreheads": "harness"}

LAYERS = (
    ("coreheads",),
    ("coreheads.adapters", "coreheads.hashing"),
    ("coreheads.media", "coreheads.heads", "coreheads.stats"),
    ("coreheads.tasks.reading",),
    ("coreheads.tasks.scoring",),
    tuple(f"coreheads.tasks.{name}" for name in ("mmdocir", "mmlongbench", "mlvu", "refcocog", "vidstg")),
    ("coreheads.tasks.mmlongbench_doc",),
    ("coreheads.tasks.mini",),
    ("coreheads.tasks.smol",),
    ("coreheads.tasks",),
    ("coreheads.adapters.prompt",),
    ("coreheads.adapters.generation",),
    ("coreheads.adapters.kernels", "coreheads.adapters.families"),
    ("coreheads.adapters.patches",),
    ("coreheads.adapters.smol",),
    ("coreheads.adapters.checkpoints",),
    ("coreheads.retrieval", "coreheads.config"),
    ("coreheads.store",),
    ("coreheads.report",),
    ("coreheads.timing",),
    ("coreheads.leaderboard",),
    ("coreheads.check", "coreheads.doctor", "coreheads.adapters.lmms_eval", "coreheads.adapters.tiny"),
    ("coreheads.run", "coreheads.bench"),
    ("coreheads.cli",),
)
"""Rooms from low to high; rooms of one layer do not import each other. A package's own name is its root."""

HEIGHT = {room: height for height, layer in enumerate(LAYERS) for room in layer}


def modules() -> dict[str, Path]:
    """Every module of the three packages by its name."""
    found = {}
    for package, folder in FOLDERS.items():
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join([package, *(part for part in parts if part != "__init__")])] = path
    return found


MODULES = modules()


def room(module: str) -> str:
    """The package's part that a module belongs to: its folder below the package, or the package's root."""
    package = next(name for name in FOLDERS if f"{module}.".startswith(f"{name}."))
    inner = module.removeprefix(package).strip(".").partition(".")[0]
    return f"{package}.{inner}" if inner and (ROOT / FOLDERS[package] / inner).is_dir() else package


def imported(code: str, types: bool = False) -> Iterator[str]:
    """Our modules that code imports, at the top or within a function; those imported for types only if ``types``."""
    tree = ast.parse(code)
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    for_types = {id(inner) for block in blocks for inner in ast.walk(block)}
    for node in ast.walk(tree):
        if id(node) in for_types and not types:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from {name if name in MODULES else node.module for name in names}
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def steps_up(module: str, code: str) -> list[str]:
    """What a module imports from a room that is not below its own."""
    here = room(module)
    targets = [target for target in imported(code) if target.split(".")[0] == "coreheads"]
    return [
        f"{module} ({here}) imports {target} ({room(target)})"
        for target in targets
        if room(target) != here and HEIGHT[room(target)] >= HEIGHT[here]
    ]


def circles(imports: dict[str, set[str]]) -> set[frozenset[str]]:
    """Modules that reach themselves by their imports, each with those on its way there and back."""
    reach: dict[str, set[str]] = {}
    for start in imports:
        reached: set[str] = set()
        waiting = [start]
        while waiting:
            waiting += (new := imports[waiting.pop()] - reached)
            reached |= new
        reach[start] = reached
    together = {module: frozenset(other for other in reach[module] if module in reach[other]) for module in imports}
    return {circle for module, circle in together.items() if module in reach[module]}


def test_no_circles_of_modules() -> None:
    # imports for types count too: two modules that name each other's types are read together, or not understood
    ours = {module: path for module, path in MODULES.items() if module not in FOLDERS}
    imports = {
        module: {target for target in imported(path.read_text(), types=True) if target in ours and target != module}
        for module, path in ours.items()
    }
    assert circles(imports) == set()


def test_a_circle_is_noticed() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == {frozenset({"b", "c"})}
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == set()


def test_every_room_has_a_height_and_every_layer_is_a_room() -> None:
    assert {room(module) for module in MODULES} == set(HEIGHT)


def test_imports_flow_from_high_rooms_to_low_ones() -> None:
    # the packages' own names only load lazily what they give
    ours = {module: path for module, path in MODULES.items() if module not in FOLDERS}
    assert [step for module, path in ours.items() for step in steps_up(module, path.read_text())] == []


@pytest.mark.parametrize(
    "code",
    [
        "from coreheads.run.runner import run",
        "def f():\n    from coreheads.run import runner",
        "import coreheads.cli",
        "from coreheads.leaderboard.build import build",
    ],
)
def test_a_step_up_or_sideways_is_noticed(code: str) -> None:
    assert steps_up("coreheads.store.folder", code)
    assert not steps_up("coreheads.store.folder", "from coreheads import files\nfrom coreheads.heads.types import Head")


OPENERS = ("Image.open", "Pillow.open", "av.open", "decord.VideoReader", "pdfium.PdfDocument", "pypdfium2.PdfDocument")
WRITER = "coreheads.tasks.mini.writers.media"
"""Writes the mini benchmarks' videos with PyAV."""


def opened(code: str) -> list[str]:
    """What code calls to open a picture, a video or a document."""
    if not any(call.partition(".")[2] in code for call in OPENERS):
        return []
    calls = (ast.unparse(node.func) for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call))
    return [call for call in calls if call in OPENERS]


def test_only_media_opens_pictures_videos_and_documents() -> None:
    assert all(HEIGHT["coreheads.media"] < HEIGHT[name] for name in HEIGHT if name.startswith("coreheads.tasks"))
    openers = {module: opened(path.read_text()) for module, path in MODULES.items()}
    assert {call for module, calls in openers.items() if room(module) == "coreheads.media" for call in calls} == {
        "Image.open",
        "av.open",
        "pdfium.PdfDocument",
    }
    elsewhere = {name: calls for name, calls in openers.items() if calls and room(name) != "coreheads.media"}
    assert elsewhere == {WRITER: ["av.open"]}
    assert 'av.open(str(path), "w")' in MODULES[WRITER].read_text()


def test_media_libraries_are_imported_where_media_are_opened_or_written() -> None:
    versions = "coreheads.doctor.environment"
    libraries = ("av", "decord", "pypdfium2")
    importers = {
        module
        for module, path in MODULES.items()
        if any(f"import {name}" in path.read_text() for name in libraries)
        for name in imported(path.read_text())
        if name.partition(".")[0] in libraries
    }
    assert {module for module in importers if room(module) != "coreheads.media"} <= {WRITER, versions}
