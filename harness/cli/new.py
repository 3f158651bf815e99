"""``coreheads new``: a patch, a head score or a task of one's own, to begin with."""

from __future__ import annotations

from pathlib import Path

import typer


def command(
    kind: str = typer.Argument(help="patch, score or task."),
    name: str = typer.Argument(help="Of the file and of what is in it: a Python name in small letters."),
    out: Path = typer.Option(Path("."), help="The folder to write to."),
) -> None:
    """Write a patch, a head score or a task that works: its file, its test, and a configuration that runs it.

    They are yours to change, and need no entry in this package: they are named by module:name or found by include.

    Example: coreheads new patch quiet --out mine
    """
    import re
    from importlib.util import find_spec
    from keyword import iskeyword
    from string import Template

    from coreheads.cli.output import say
    from coreheads.errors import UserError, expected_one_of
    from coreheads.files import write_errors, write_text

    kinds = ("patch", "score", "task")
    if kind not in kinds:
        raise UserError(f"new: kind is {kind!r}, {expected_one_of(kind, kinds)}")
    if not re.fullmatch("[a-z][a-z0-9_]{0,49}", name) or iskeyword(name) or name.startswith("test"):
        raise UserError(f"new: name is {name!r}, expected a Python name in small letters such as my_{kind}")
    folder = Path(__file__).parent / "templates" / kind
    files = sorted(folder.rglob("*.txt"))
    named = [out / str(path.relative_to(folder)).replace("NAME", name).removesuffix(".txt") for path in files]
    places = {place.name: place for place in named}
    if name in _known(kind) or (find_spec(name) is not None and not places[f"{name}.py"].exists()):
        raise UserError(f"new: name is {name!r}, which is there already, expected another one such as my_{name}")
    words = {"name": name, "Class": "".join(part.capitalize() for part in name.split("_"))}
    texts = {}
    for path, place in zip(files, named, strict=True):
        if place.exists() or place.is_symlink():
            raise UserError(f"new: {place} is there already, expected another name or --out")
        texts[place] = Template(path.read_text(encoding="utf-8")).substitute(words)
    with write_errors(out):
        for place, text in texts.items():
            write_text(place, text)
    say(*(f"Written: {place}" for place in texts))
    there = "" if out.resolve() == Path.cwd() else f"cd {out} && "
    test = places[f"test_{name}.py"].relative_to(out)
    say(f"Its test: {there}python -m pytest {test}", f"Its run: {there}coreheads run run_{name}.yaml")


def _known(kind: str) -> tuple[str, ...]:
    """Names that are taken."""
    if kind == "task":
        from coreheads.tasks import registry

        return tuple(registry.names())
    if kind == "score":
        from coreheads.retrieval.head_scores import score_names

        return score_names()
    from coreheads.adapters.patches.registry import patch_kinds

    return patch_kinds()
