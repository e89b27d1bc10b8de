"""What the demo prints: progress while it runs, then tables, messages and a waterfall."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from comfyui_telemetry.catalogue import Text
from ddcolor_operations.report.facts import Expected, Fault, Run
from ddcolor_operations.report.names import CHANNELS, SCENARIOS, say
from ddcolor_operations.report.render import Trace
from ddcolor_operations.report.spans import total_s
from ddcolor_operations.report.terminal import waterfall_table
from ddcolor_operations.report.units import seconds

_FRAME_CELLS = 4
_LEVEL_STYLE = {1: "dim", 2: "yellow", 3: "bold red"}


class Display:
    """Prints in one language; while it is open, a line at the bottom says what happens now."""

    def __init__(self, console: Console, language: str) -> None:
        self._console = console
        self._language = language
        self._status = console.status("")

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._status.stop()

    def say(self, text: Text) -> str:
        """Return ``text`` in the display's language, with nothing in it taken for markup."""
        return escape(str(getattr(text, self._language)))

    def doing(self, text: Text) -> None:
        """Show what is being done now."""
        self._status.update(self.say(text))

    def done(self, text: Text, *, good: bool = True) -> None:
        """Print what was done."""
        mark = "[green]✓[/]" if good else "[red]✗[/]"
        self._console.print(f" {mark} {self.say(text)}", highlight=False)

    def line(self, text: str) -> None:
        """Print a line as it is."""
        self._console.print(escape(text), highlight=False)

    def photos(self, run: Run) -> None:
        """Print where the restored photos lie."""
        heads = (Text("场景", "Scenario"), Text("用时", "Took"), Text("结果", "Output"))
        table = Table(title=self.say(Text("照片", "Photos")))
        for head in heads:
            table.add_column(self.say(head), overflow="fold")
        for photo in run.photos:
            scenario = say(SCENARIOS, photo.scenario, self._language)
            table.add_row(scenario, seconds(photo.seconds), escape(str(photo.output)))
        self._console.print(table)

    def faults(self, run: Run) -> None:
        """Print the table fault → alert, a row for each expected alert."""
        heads = (
            Text("故障", "Fault"),
            Text("告警", "Alert"),
            Text("故障到消息", "From fault to message"),
            Text("恢复", "Recovered"),
        )
        title = self.say(Text("故障与告警", "Faults and alerts"))
        table = Table(title=title)
        for head, whole in zip(heads, (False, True, True, True), strict=True):
            # On a narrow terminal the fault's title gives way, not a number.
            table.add_column(self.say(head), no_wrap=whole, overflow="fold")
        for fault in run.faults:
            for index, expected in enumerate(fault.expected):
                again = "" if fault.recovered_s is None else seconds(fault.recovered_s)
                last = index == len(fault.expected) - 1
                table.add_row(
                    "" if index else self.say(fault.title),
                    _level(expected),
                    self._channels(fault, expected, last=last),
                    "" if index else again,
                    end_section=last,
                )
        self._console.print(table)

    def messages(self, run: Run) -> None:
        """Print one message of each chat as its receiver got it, links cut short."""
        for message in run.messages:
            name = say(CHANNELS, message.channel, self._language)
            self._console.print(Panel(escape(message.shown), title=name, title_align="left"))

    def trace(self, trace: Trace) -> None:
        """Print a trace as a waterfall, as wide as the terminal allows."""
        title = f"{self.say(trace.title)} · {trace.trace_id} · {seconds(total_s(trace.rows))}"
        rows = waterfall_table(trace.rows, self._console.width - _FRAME_CELLS)
        self._console.print(Panel(rows, title=title, title_align="left"))

    def documents(self, run: Run) -> None:
        """Print the documents of each data stream, and the versions."""
        title = self.say(Text("数据流中的文档", "Documents per data stream"))
        table = Table(title=title, show_header=False)
        for stream, count in run.documents.items():
            table.add_row(stream, f"{count:,}")
        if run.documents:
            self._console.print(table)
        versions = "  ".join(f"{name} {version}" for name, version in run.versions.items())
        self._console.print(escape(versions), style="dim", highlight=False)

    def verdict(self, run: Run, report: Path, logs: Path) -> None:
        """Print where the report lies, and whether everything was as expected."""
        self.line(f"{self.say(Text('报告', 'Report'))}: {report}")
        problems = run.all_problems
        if not problems:
            text = Text(
                "每个预期的告警都到达了每个预期的渠道，没有多余的消息。",
                "Every expected alert arrived on every expected channel; nothing unexpected did.",
            )
            self._console.print(f"[bold green]{self.say(text)}[/]")
            return
        head = Text("告警与预期不符：", "Alerts did not go as expected:")
        self._console.print(f"[bold red]{self.say(head)}[/]")
        for problem in problems:
            self._console.print(f"  [red]✗[/] {self.say(problem)}", highlight=False)
        self.line(f"{self.say(Text('各部件日志', 'Logs of the parts'))}: {logs}")

    def _channels(self, fault: Fault, expected: Expected, *, last: bool) -> str:
        parts = []
        for channel in expected.channels:
            found = fault.delivery(expected, channel)
            name = say(CHANNELS, channel, self._language)
            parts.append(f"{name} {seconds(found.seconds)}" if found else f"[red]{name} ✗[/]")
        lines = ["  ".join(parts[at : at + 2]) for at in range(0, len(parts), 2)]
        if last and fault.held_back:
            held = Text(
                f"另合并 {fault.held_back} 条相同告警", f"{fault.held_back} of the same held back"
            )
            lines.append(f"[dim]{self.say(held)}[/]")
        return "\n".join(lines)


def _level(expected: Expected) -> str:
    style = _LEVEL_STYLE[expected.level]
    return f"[{style}]L{expected.level}[/] {expected.kind}"
