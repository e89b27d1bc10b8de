"""A small SVG writer for charts that stay readable on a phone.

Charts have no viewBox: horizontal positions are percentages and text is in pixels, so a chart
fills any width and its text never shrinks. Colours come from the page's CSS classes, so that the
light and the dark scheme share one chart.
"""

from __future__ import annotations

from markupsafe import Markup, escape


def percent(fraction: float) -> str:
    """Return ``0..1`` as an SVG length; what lies outside is clamped."""
    return f"{min(max(fraction, 0.0), 1.0) * 100:.3f}%"


class Svg:
    """Collects elements; :meth:`render` gives the markup with everything escaped."""

    def __init__(self, height: float, label: str) -> None:
        self._height = height
        self._label = label
        self._elements: list[Markup] = []

    def add(
        self, tag: str, content: str = "", *, title: str = "", **attributes: str | float
    ) -> None:
        """Add an element; ``_`` in an attribute's name stands for ``-``, ``class_`` for ``class``.

        ``title`` is what a pointer that rests on the element shows.
        """
        names = {key: key.rstrip("_").replace("_", "-") for key in attributes}
        written = Markup("").join(
            Markup(' {}="{}"').format(
                names[key], f"{value:g}" if isinstance(value, float) else str(value)
            )
            for key, value in attributes.items()
        )
        inner = Markup("<title>{}</title>").format(title) if title else Markup("")
        self._elements.append(
            Markup("<{0}{1}>{2}{3}</{0}>").format(Markup(tag), written, inner, escape(content))  # noqa: S704 - tags are literals of this package
        )

    def text(self, x: str, y: float, content: str, class_: str = "", anchor: str = "start") -> None:
        """Write ``content`` with its baseline at ``y``."""
        self.add("text", content, x=x, y=float(y), class_=class_, text_anchor=anchor)

    def line(self, x1: str, y1: float, x2: str, y2: float, class_: str) -> None:
        """Draw a straight line."""
        self.add("line", x1=x1, y1=float(y1), x2=x2, y2=float(y2), class_=class_)

    def bar(
        self, x: float, y: float, width: float, height: float, class_: str, title: str = ""
    ) -> None:
        """Draw a bar; ``x`` and ``width`` are fractions of the chart.

        The stroke in the bar's own colour keeps one of no length visible.
        """
        self.add(
            "rect",
            title=title,
            x=percent(x),
            y=float(y),
            width=percent(min(width, 1.0 - x)),
            height=float(height),
            class_=class_,
        )

    def dot(self, x: float, y: float, radius: float, class_: str, title: str) -> None:
        """Draw a dot; ``x`` is a fraction of the chart."""
        self.add("circle", title=title, cx=percent(x), cy=float(y), r=float(radius), class_=class_)

    def render(self) -> Markup:
        """Return the finished ``<svg>``."""
        return Markup('<svg width="100%" height="{}" role="img" aria-label="{}">{}</svg>').format(
            f"{self._height:g}", self._label, Markup("").join(self._elements)
        )
