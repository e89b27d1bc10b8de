"""What is said when the results of a run cannot be read back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from ddcolor_operations.demo.client import DemoError
from ddcolor_operations.demo.evidence import Seen
from ddcolor_operations.demo.gather import gather
from ddcolor_operations.demo.run import Performed
from ddcolor_operations.stack import RunningStack
from tests.support.runs import START


def test_an_elasticsearch_that_does_not_answer_is_named() -> None:
    """It is one plain sentence with the log to read, as for every other part."""
    config = SimpleNamespace(
        embedded=False, admin_token="token", url=lambda _part: "http://127.0.0.1:9"
    )
    status = SimpleNamespace(parts=(), ready_after_s=1.0)
    stack = cast(RunningStack, SimpleNamespace(config=config, status=lambda: status))
    with pytest.raises(DemoError, match="the log of part elasticsearch"):
        gather(stack, Performed(START, (), (), Seen([], [])), START)
