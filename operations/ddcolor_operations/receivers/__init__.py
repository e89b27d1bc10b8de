"""Local servers that behave as the places alerts go to: robots, SMS gateways, mail, a healer.

The demo and the tests deliver to these. They check what the real ones check (keys, signatures,
lengths, rates), answer with the documented codes, and can be told to misbehave::

    robot = WeComRobot(key="secret")
    with serve(robot) as server:
        robot.fail(Failure.status(500), times=2)
        ...  # post to server.url(robot)
        assert robot.received[0].text

``python -m ddcolor_operations.receivers`` runs them all in one process.
"""

from ddcolor_operations.receivers.alertmanager import AlertmanagerDoor
from ddcolor_operations.receivers.base import Failure, Received, Receiver
from ddcolor_operations.receivers.cloud_sms import AliyunGateway, TencentGateway
from ddcolor_operations.receivers.dingtalk import DingTalkRobot
from ddcolor_operations.receivers.mail import MailReceiver
from ddcolor_operations.receivers.server import ReceiverServer, serve
from ddcolor_operations.receivers.sms import SmsGateway
from ddcolor_operations.receivers.webhook import HealerDoor, WebhookDoor
from ddcolor_operations.receivers.wecom import WeComRobot

__all__ = [
    "AlertmanagerDoor",
    "AliyunGateway",
    "DingTalkRobot",
    "Failure",
    "HealerDoor",
    "MailReceiver",
    "Received",
    "Receiver",
    "ReceiverServer",
    "SmsGateway",
    "TencentGateway",
    "WeComRobot",
    "WebhookDoor",
    "serve",
]
