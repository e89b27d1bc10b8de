"""The places that messages go to, and how one is made from its part of the configuration."""

from __future__ import annotations

from collections.abc import Callable

from ddcolor_operations.notifier.channels.alertmanager import Alertmanager
from ddcolor_operations.notifier.channels.apprise import Apprise
from ddcolor_operations.notifier.channels.base import Channel
from ddcolor_operations.notifier.channels.cloud_sms import AliyunSms, TencentSms
from ddcolor_operations.notifier.channels.dingtalk import DingTalk
from ddcolor_operations.notifier.channels.heal import Heal
from ddcolor_operations.notifier.channels.mail import Mail
from ddcolor_operations.notifier.channels.sms import Sms
from ddcolor_operations.notifier.channels.webhook import Webhook
from ddcolor_operations.notifier.channels.wecom import WeCom
from ddcolor_operations.notifier.settings import ConfigError, Section

_TYPES: dict[str, Callable[[Section], Channel]] = {
    "wecom": WeCom.from_section,
    "dingtalk": DingTalk.from_section,
    "mail": Mail.from_section,
    "sms": Sms.from_section,
    "aliyun_sms": AliyunSms.from_section,
    "tencent_sms": TencentSms.from_section,
    "webhook": Webhook.from_section,
    "alertmanager": Alertmanager.from_section,
    "apprise": Apprise.from_section,
    "heal": Heal.from_section,
}


def make_channel(name: str, section: Section) -> Channel:
    """Make the channel ``name``; its type is its ``type``, or its name when that is absent."""
    type_ = section.text("type", name)
    if type_ not in _TYPES:
        raise ConfigError(f"{section.where('type')}: {type_!r} is none of {', '.join(_TYPES)}")
    channel = _TYPES[type_](section)
    section.done()
    return channel
