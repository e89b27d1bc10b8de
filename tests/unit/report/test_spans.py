"""The order of a waterfall."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ddcolor_operations.report.spans import total_s, waterfall
from tests.support.runs import failed_trace, span


def test_parents_come_before_children_and_siblings_by_start() -> None:
    """A waterfall reads from the request down to the nodes in the order they ran."""
    rows = waterfall(failed_trace())

    assert [(row.span.name, row.depth) for row in rows] == [
        ("POST /prompt", 0),
        ("prompt", 1),
        ("node LoadImage", 2),
        ("node DDColor_Colorize", 2),
    ]
    assert rows[3].failed
    assert rows[3].error_kind == "out_of_memory"
    assert total_s(rows) == 2.515


def test_a_span_that_was_sent_twice_is_one_row() -> None:
    """A re-sent span is the same span."""
    assert len(waterfall(failed_trace() * 2)) == 4


def test_a_span_without_its_parent_is_a_root() -> None:
    """An unfinished or foreign parent hides no span."""
    rows = waterfall([span("a", "gone", "first", 0.0, 1.0), span("b", None, "second", 1.0, 1.0)])

    assert [(row.span.name, row.depth) for row in rows] == [("first", 0), ("second", 0)]


def test_an_empty_trace_has_no_rows() -> None:
    """Nothing in Elasticsearch yet is no error."""
    assert waterfall([]) == []
    assert total_s([]) == 0.0


@given(st.lists(st.integers(min_value=0, max_value=30), min_size=1, max_size=30))
def test_every_span_has_one_row_whatever_the_tree(parents: list[int]) -> None:
    """Each span stands in the waterfall once, whatever names which parent."""
    spans = [
        span(f"s{index}", f"s{parent}" if parent < index else None, "x", index, 1.0)
        for index, parent in enumerate(parents)
    ]

    assert sorted(row.span.span_id for row in waterfall(reversed(spans))) == sorted(
        item.span_id for item in spans
    )
