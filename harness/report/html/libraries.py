"""The JavaScript that the page carries with it, as shipped by its Python packages: nothing is fetched.

Compressed, because text that is packed and encoded takes a third of its size, and because a library that holds
``<script>`` in its own text must not meet the HTML parser. Browsers unpack it with ``DecompressionStream``.
"""

from __future__ import annotations

import base64
import gzip
from functools import cache
from importlib.resources import files


@cache
def charts() -> str:
    """Vega, Vega-Lite and Vega-Embed: sets ``window.vegaEmbed``."""
    import vl_convert

    return _packed(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


@cache
def tables() -> str:
    """DataTables with its RowGroup extension and jQuery, an ES module whose default export is ``DataTable``."""
    return _packed((files("itables") / "html" / "dt_bundle.js").read_text(encoding="utf-8"))


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode("ascii")
