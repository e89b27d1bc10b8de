"""Names of channels, scenarios and outcomes in both languages of the report and the table."""

from __future__ import annotations

from comfyui_telemetry.catalogue import Text

CHANNELS: dict[str, Text] = {
    "wecom": Text("企业微信", "WeCom"),
    "dingtalk": Text("钉钉", "DingTalk"),
    "sms": Text("短信", "SMS"),
    "mail": Text("邮件", "Mail"),
    "record": Text("仅记录", "Record only"),
}
SCENARIOS: dict[str, Text] = {
    "person": Text("人物", "Person"),
    "building": Text("建筑", "Building"),
}
OUTCOMES: dict[str, Text] = {
    "success": Text("成功", "success"),
    "failed": Text("失败", "failed"),
    "interrupted": Text("中断", "interrupted"),
}


def say(names: dict[str, Text], key: str, language: str) -> str:
    """Return the name of ``key`` in ``language``; an unknown key is its own name."""
    text = names.get(key)
    return key if text is None else str(getattr(text, language))
