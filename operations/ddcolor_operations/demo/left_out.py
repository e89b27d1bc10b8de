"""What the embedded stack does without, and how to have it."""

from __future__ import annotations

from comfyui_telemetry.catalogue import Text
from ddcolor_operations.doctor import missing


def left_out() -> tuple[Text, ...]:
    """Return what did not run, in a sentence each; the last one says what to install for it."""
    tools = missing("whole stack")
    names = "、".join(tool.tool for tool in tools), ", ".join(tool.tool for tool in tools)
    commands = "; ".join(tool.install for tool in tools)
    how = (
        Text(
            f"补充方法：安装 {names[0]}（{commands}），再运行一次。",
            f"To have them, install {names[1]} ({commands}), then run it again.",
        )
        if tools
        else Text(
            "补充方法：去掉 --embedded 再运行一次。", "To have them, run it without --embedded."
        )
    )
    return (
        Text(
            "Elasticsearch：日志只在文件中，没有搜索和统计",
            "Elasticsearch: logs lie in files only, with no search and no figures over time",
        ),
        Text(
            "追踪与指标：没有采集器接收，日志中仍有 trace_id",
            "traces and metrics: no collector takes them; log lines still carry trace ids",
        ),
        Text("Kibana：没有看板，消息中没有链接", "Kibana: no dashboards, and no links in messages"),
        how,
    )
