"""Take personal data and secrets out of text before it leaves the process.

What goes: absolute paths (Unix, Windows, UNC, ``~``), IPv4 and IPv6 addresses, keys, tokens,
passwords and signatures (``key=``, ``access_token=``, ``Bearer``, well-known prefixes, webhook
URLs), e-mail addresses, phone numbers and Chinese ID numbers. Names of picture files become
``file-<hash>.png``: the same file stays recognisable, its name does not. Of a path only the name of
a code or model file stays, because a traceback without it is of no use.

What stays: trace ids, uuids, version numbers, timestamps, plain numbers, HTTP routes.

Every pattern has bounded repetition and starts only where a token starts, so time grows linearly
with the input whatever it holds. Redacting twice changes nothing.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import secrets

_HASH_KEY = (os.environ.get("COMFYUI_TELEMETRY_HASH_KEY") or secrets.token_hex(16)).encode()[:64]

_PICTURES = (
    "avif|bmp|gif|heic|heif|ico|jfif|jpeg|jpg|jxl|mov|mp4|pdf|png|psd|tif|tiff|webm|webp|zip"
)
_KEPT_NAME = re.compile(
    r"\.(?:bin|c|ckpt|cpp|cu|gguf|h|onnx|pt|pth|py|pyc|pyx|safetensors|so|toml|yaml|yml)$"
)
# Below one of these folders the rest of a path names code, not a person.
_CODE_FOLDERS = ("/site-packages/", "/dist-packages/", "/custom_nodes/")
# HTTP routes of ComfyUI, this project and Elasticsearch look like paths and are none.
_ROUTE = re.compile(
    r"/(?:_bulk|_cluster|_doc|_search|admin|alerts|api|cgi-bin|extensions|free|healthz?|history"
    r"|interrupt|livez|metrics|object_info|prompt|queue|readyz|robot|system_stats|telemetry|upload"
    r"|v1|view|ws)(?:/|$)"
)

# One search decides whether the patterns below need to run at all; most texts are free of these.
_SUSPICIOUS = re.compile(
    r"[/\\@=]|:[^\n]{0,40}:|\d[\d .\-()]{5,}\d"
    r"|\.(?:" + _PICTURES + r")"
    r"|(?i:token|secret|passw|pwd|credential|authori|cookie|api.?key|bearer|basic )"
    r"|sk-|pk-|hf_|gh[pousr]_|glpat-|xox|AKIA|ASIA|AIza|LTAI|SEC[0-9a-f]|eyJ|-----BEGIN",
    re.IGNORECASE,
)

_PEM = re.compile(r"-----BEGIN [A-Z ]{1,40}-----[^-]*(?:-----END [A-Z ]{1,40}-----)?")
_USERINFO = re.compile(r"(?<![\w+.\-])([A-Za-z][A-Za-z0-9+.\-]{1,20}://)[^\s/@]{1,256}@")
_AUTHORIZATION = re.compile(
    r"(?i)(?<![a-z])((?:proxy-)?authorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?)"
    r"(?!<secret>)[^\s\"',;]+(?:[ \t]{1,4}[^\s\"',;]+)?"
)
_COOKIE = re.compile(r"(?i)(?<![a-z])((?:set-)?cookie[\"']?\s{0,4}[:=]\s{0,4})[^\r\n]+")
_BEARER = re.compile(
    r"(?<![A-Za-z])((?i:bearer|basic)[ \t]{1,4})"
    r"(?=[a-z._~+/\-]{0,256}[A-Z0-9=])[A-Za-z0-9._~+/=\-]{6,}"
)
_STRONG = re.compile(
    r"(?i)(?<![a-z0-9])((?:[a-z0-9]{1,24}[_\-]){0,3}"
    r"(?:access_?token|auth_?token|api[_\-]?key|secret|password|passwd|passwort|pwd|token"
    r"|credentials?|private_?key|access_?key|secret_?key)"
    r"[\"']?\s{0,4}[=:]\s{0,4}[\"']?)"
    r"(?!<secret>|None\b|null\b|True\b|False\b|str\b|int\b)[^\s\"'&,;)}\]]+"
)
_WEAK = re.compile(
    r"(?i)(?<![a-z0-9])((?:key|sign|sig|signature|session|ticket|auth|code)=[\"']?)"
    r"(?!<secret>)[^\s\"'&,;)}\]]{6,}"
)
_KNOWN_TOKENS = re.compile(
    r"(?<![A-Za-z0-9_\-])(?:"
    r"(?:sk-|pk-|rk-|hf_|gh[pousr]_|github_pat_|glpat-|xox[abeoprs]-|AKIA|ASIA|AIza|LTAI)"
    r"[A-Za-z0-9_\-]{12,}"
    r"|SEC[0-9a-f]{48,}"
    r"|eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}(?:\.[A-Za-z0-9_\-]*)?)"
)
_HOOK_PATH = re.compile(r"(/(?:hooks?|services|webhooks?)/)[A-Za-z0-9/_\-]{16,}")

_SEG = r"[^\s/\\\"'<>|:*?,;()\[\]{}=]{1,255}"
_SPACED = rf"{_SEG}(?: (?=[A-Z0-9(\u0080-\U0010ffff]){_SEG}){{0,3}}"
_PICTURE_END = "(?:" + "|".join(rf"(?<=\.{suffix})" for suffix in _PICTURES.split("|")) + ")"
_LAST = rf"(?:[^\s/\\\"'<>|:*?,;()\[\]{{}}=.]{{1,255}}(?: {_SEG}){{1,3}}{_PICTURE_END}|{_SEG})"
_QUOTED_PATH = re.compile(
    r"(?P<quote>[\"'])(?P<path>(?:file://)?(?:~[\w.\-]{0,32})?/[^\"'\n\r]{1,1024}"
    r"|[A-Za-z]:[\\/][^\"'\n\r]{1,1024}|\\\\[^\"'\n\r]{1,1024})(?P=quote)"
)
# As many folders as the longest path of Linux can have: what lies beyond the bound would be shown.
_UNIX_PATH = re.compile(
    rf"(?<![A-Za-z0-9_/.<>\])}}~\-])(?:file://)?(?P<path>(?:~[\w.\-]{{0,32}})?/"
    rf"(?:{_SPACED}/{{1,3}}){{1,4096}}(?:{_LAST})?|~[\w.\-]{{0,32}}/{_LAST})"
)
_WINDOWS_PATH = re.compile(
    rf"(?<![A-Za-z0-9])(?P<path>(?:[A-Za-z]:|\\\\{{1,3}}[\w.\-]{{1,64}})[\\/]{{1,4}}"
    rf"(?:{_SPACED}[\\/]{{1,4}}){{0,4096}}(?:{_LAST})?)"
)
_QUOTED_PICTURE = re.compile(
    rf"(?P<quote>[\"'])(?P<name>[^\"'\n\r/\\<>]{{1,255}}\.(?i:{_PICTURES}))(?P=quote)"
)
_PICTURE = re.compile(
    r"(?<![^\s/\\\"'<>|:*?,;()\[\]{}=])"
    rf"(?P<name>[^\s/\\\"'<>|:*?,;()\[\]{{}}=]{{1,255}}?(?: \(\d{{1,4}}\))?\.(?i:{_PICTURES}))"
    r"(?![A-Za-z0-9])"
)
_HASHED_NAME = re.compile(r"file-[0-9a-f]{8}\.[a-z0-9]{2,5}")

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+\-])[A-Za-z0-9._%+\-]{1,64}@(?:[A-Za-z0-9\-]{1,63}\.){1,8}[A-Za-z]{2,24}"
)
_ID_NUMBER = re.compile(
    r"(?<![A-Za-z0-9])[1-9]\d{5}(?:18|19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dXx]"
    r"(?![A-Za-z0-9])"
)
_PHONE = re.compile(
    r"(?<![A-Za-z0-9.+\-])(?:"
    # Chinese mobile numbers; a count of bytes of the same length is left alone.
    r"(?:(?:\+|00)?86[ \-]?)?1[3-9]\d[ \-]?\d{4}[ \-]?\d{4}(?![\w.]|-\d| ?(?:[Bb]ytes|字节|B\b))"
    r"|0\d{2,3}-\d{7,8}(?![\w\-])"
    r"|\+\d{1,3}[ \-]?\(?\d{1,4}\)?(?:[ \-]?\d{2,4}){2,4}(?![\w])"
    r")",
    re.ASCII,
)
_IPV4 = re.compile(
    r"(?<![\w.\-=])(?<![Vv]ersion )(?<![Nn]ode )(?<!v)"
    r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w]|\.\d|-\w)",
    re.ASCII,
)
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{1,45}(?![\w:])")


def redact(text: str) -> str:
    """Return ``text`` without personal data and secrets; see the module for what goes and stays."""
    if _SUSPICIOUS.search(text) is None:
        return text
    if "-----BEGIN" in text:
        text = _PEM.sub("<secret>", text)
    text = _redact_secrets(text)
    text = _redact_files(text)
    if "@" in text:
        text = _EMAIL.sub("<email>", text)
    text = _ID_NUMBER.sub("<id-number>", text)
    text = _PHONE.sub("<phone>", text)
    if "." in text:
        text = _IPV4.sub("<ip>", text)
    if ":" in text:
        text = _IPV6.sub(_ipv6, text)
    return text


def _redact_secrets(text: str) -> str:
    if "://" in text:
        text = _USERINFO.sub(r"\1<secret>@", text)
        text = _HOOK_PATH.sub(r"\1<secret>", text)
    if "=" in text or ":" in text:
        text = _AUTHORIZATION.sub(r"\1<secret>", text)
        text = _COOKIE.sub(r"\1<secret>", text)
        text = _STRONG.sub(r"\1<secret>", text)
        text = _WEAK.sub(r"\1<secret>", text)
    text = _BEARER.sub(r"\1<secret>", text)
    return _KNOWN_TOKENS.sub("<secret>", text)


def _redact_files(text: str) -> str:
    if "/" in text or "\\" in text:
        text = _QUOTED_PATH.sub(_quoted_path, text)
        text = _WINDOWS_PATH.sub(_path, text)
        text = _UNIX_PATH.sub(_path, text)
    if "." in text:
        text = _QUOTED_PICTURE.sub(_quoted_picture, text)
        text = _PICTURE.sub(_picture, text)
    return text


def _quoted_path(match: re.Match[str]) -> str:
    return f"{match['quote']}{_short_path(match['path'])}{match['quote']}"


def _path(match: re.Match[str]) -> str:
    return _short_path(match["path"])


def _short_path(path: str) -> str:
    plain = path.replace("\\", "/")
    parts = [part for part in plain.split("/") if part]
    if len(parts) < 2 or _ROUTE.match(plain):
        return path
    if not parts[0].isascii():
        # "人物/建筑/风景" is a list of words, not a path.
        return path
    for folder in _CODE_FOLDERS:
        _, found, after = plain.rpartition(folder)
        if found and after.endswith(".py"):
            return f"<path>{folder}{after}"
    if _KEPT_NAME.search(parts[-1]):
        return f"<path>/{parts[-1]}"
    if parts[-1].rpartition(".")[2].lower() in _PICTURE_SUFFIXES:
        return f"<path>/{_hashed(parts[-1])}"
    return "<path>"


_PICTURE_SUFFIXES = frozenset(_PICTURES.split("|"))


def _hashed(name: str) -> str:
    if _HASHED_NAME.fullmatch(name):
        return name
    digest = hashlib.blake2s(
        name.encode("utf-8", "surrogatepass"), digest_size=4, key=_HASH_KEY[:32]
    ).hexdigest()
    return f"file-{digest}.{name.rpartition('.')[2].lower()}"


def _quoted_picture(match: re.Match[str]) -> str:
    return f"{match['quote']}{_hashed(match['name'])}{match['quote']}"


def _picture(match: re.Match[str]) -> str:
    return _hashed(match["name"])


def _ipv6(match: re.Match[str]) -> str:
    candidate = match[0].rstrip(".:") if not match[0].endswith("::") else match[0]
    if candidate.count(":") < 2:
        return match[0]
    try:
        ipaddress.IPv6Address(candidate)
    except ValueError:
        return match[0]
    return "<ip>" + match[0][len(candidate) :]
