"""``coreheads models``: what can be loaded."""

from __future__ import annotations


def command() -> None:
    """List the model families that are implemented, and what lies on this machine to be loaded.

    A model is named by a hub id, a local folder, or `tiny` (the embedded one).
    """
    from rich.console import Console
    from rich.table import Table

    from coreheads.adapters.registry import FAMILIES
    from coreheads.local_models import found

    console = Console()
    families = Table("model_type in config.json", "adapter", title="Families", title_justify="left", box=None)
    for model_type, place in FAMILIES.items():
        families.add_row(model_type, place)
    console.print(families)
    here = Table("id", "model_type", "layers x heads (KV)", "where", title="\nHere", title_justify="left", box=None)
    for model in found():
        here.add_row(model.id, model.model_type, model.shape, model.place)
    console.print(here)
    console.print("\nAny other checkpoint of these families: its hub id (needs the network) or its folder.")
