"""Texts that every redaction of this project must clean, or leave alone.

The telemetry library and the alerting classes cannot share code; they share these.
"""

SECRETS = {
    "a photo's path": "cannot read /srv/photos/anna/wedding.png",
    "a Windows path": r"cannot read C:\Users\anna\wedding.jpg",
    "a webhook's key": "POST https://chat.example/send?key=0f9a8b7c-anna-4d5e",
    "a token": "access_token=anna1234567890",
    "a header": "Authorization: Bearer anna.anna.anna",
    "a signing secret": "SEC" + "0a" * 32,
    "an address": "from ip: 203.0.113.77, more",
    "an IPv6 address": "connect to 2001:db8::1:77 failed",
    "a mail address": "to anna@example.com",
    "a telephone number": "call 13812345678",
    "an identity number": "of 11010519491231002X",
}
KEPT = (
    "Out of memory: node DDColor_Colorize (2): 2.00 GiB wanted, 1.2 GiB free",
    "trace 5b8efff798038103d269b633813fc60c, prompt 8b1f0c6e-2d8e-4c7a-9f0a-1f2e3d4c5b6a",
    "at 2026-01-05T08:00:00.123456Z, version 2.31.0, 12:30:45",
    'File "<path>/runner.py", line 12, key=<secret>',
)

# No part of these may be left of any of the texts above.
NOBODYS_BUSINESS = ("anna", "203.0", "2001", "13812345678", "110105", "0a0a")
