"""Pages that are one file: style, scripts, chart library and data are all inside.

The page's policy forbids every request, and every script but those whose digests it names.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from .figures import Figure


def render(
    template: str,
    *,
    styles: tuple[str, ...],
    scripts: tuple[str, ...],
    figures: Mapping[str, Figure],
    filters: Mapping[str, Any],
    **context: Any,
) -> str:
    """Return the page; ``styles`` and ``scripts`` name files of the package's templates folder.

    ``figures`` are drawn into the elements whose ``data-figure`` names them.
    """
    environment = Environment(
        loader=PackageLoader(__package__ or "", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    sources = [_plotly(), *map(_asset, ("charts.js", *scripts))]
    return environment.get_template(template).render(
        style=_trusted("".join(map(_asset, ("base.css", *styles)))),
        scripts=[_trusted(source) for source in sources],
        policy="; ".join(
            (
                "default-src 'none'",
                "img-src data: blob:",  # photos, and a chart saved as a picture
                "style-src 'unsafe-inline'",  # plotly.js sets styles
                f"script-src {' '.join(map(_digest, sources))}",
            )
        ),
        # Nothing in it can end the element that holds it.
        figures=_trusted(json.dumps(figures, ensure_ascii=False).replace("<", "\\u003c")),
        **context,
    )


def _plotly() -> str:
    # Read as a file: importing the package takes a second and is needed for nothing else.
    library = resources.files("plotly") / "package_data" / "plotly.min.js"
    return library.read_text(encoding="utf-8")


def _asset(name: str) -> str:
    return (resources.files(__package__ or "") / "templates" / name).read_text(encoding="utf-8")


def _trusted(text: str) -> Markup:
    return Markup(text)  # noqa: S704 - the package's own files, and JSON without a "<"


def _digest(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
