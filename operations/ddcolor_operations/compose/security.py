"""Users, roles and API keys of a secured Elasticsearch. Everything can be repeated."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from elastic_transport import TransportError
from elasticsearch import ApiError, Elasticsearch

from ddcolor_operations.compose.roles import OPERATOR, OPERATOR_ROLE, Role
from ddcolor_operations.elastic.setup import SetupError
from ddcolor_operations.secrets.files import write_private

#: The user as whom people look at dashboards and documents.
OPERATOR_USER = "operator"
#: The file with a part's API key, in a folder of the part's own.
KEY_FILE = "api_key"

_KEY_PREFIX = "ddcolor-"


def set_kibana_password(client: Elasticsearch, password: str) -> bool:
    """Give Kibana's own user its password; False if it has it already."""
    if _logs_in(client, "kibana_system", password):
        return False
    with _said("The password of kibana_system cannot be set"):
        client.security.change_password(username="kibana_system", password=password)
    return True


def ensure_operator(client: Elasticsearch, password: str) -> bool:
    """Make the operators' role and user; False if both are there as they should be."""
    with _said(f"The user {OPERATOR_USER} cannot be made"):
        # Neither call says whether it changed anything, so both are looked at first.
        before = client.options(ignore_status=404).security.get_role(name=OPERATOR_ROLE).body
        client.security.put_role(name=OPERATOR_ROLE, body=dict(OPERATOR))
        role_changed: bool = before != client.security.get_role(name=OPERATOR_ROLE).body
        users = client.options(ignore_status=404).security.get_user(username=OPERATOR_USER).body
        roles = users.get(OPERATOR_USER, {}).get("roles")
        if roles == [OPERATOR_ROLE] and _logs_in(client, OPERATOR_USER, password):
            return role_changed
        client.security.put_user(username=OPERATOR_USER, password=password, roles=[OPERATOR_ROLE])
    return True


def ensure_api_key(client: Elasticsearch, name: str, role: Role, folder: Path) -> bool:
    """See to it that ``folder`` holds a working API key with exactly ``role``.

    A key that works is kept, and brought up to date if its role has changed: whoever uses it need
    not start again. Otherwise a new one is made and earlier ones of that name end. The file has
    mode 0600. Return whether anything was changed. Raises SetupError.
    """
    file = folder / KEY_FILE
    name = _KEY_PREFIX + name
    descriptors = {name: dict(role)}
    with _said(f"The API key {name} cannot be made"):
        identity = _identity(client, file, name)
        if identity is not None:
            answer = client.security.update_api_key(id=identity, role_descriptors=descriptors)
            return bool(answer["updated"])
        made = client.security.create_api_key(name=name, role_descriptors=descriptors)
        _write(file, made["encoded"])
        earlier = client.security.get_api_key(name=name, active_only=True)["api_keys"]
        ids = [key["id"] for key in earlier if key["id"] != made["id"]]
        if ids:
            client.security.invalidate_api_key(ids=ids)
    return True


def _identity(client: Elasticsearch, file: Path, name: str) -> str | None:
    """Return the id of the key in ``file`` if it works and is called ``name``."""
    try:
        key = file.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SetupError(f"{file}: {error.strerror}.") from error
    user = _ask(client, api_key=key)
    found = user.get("api_key", {})
    return str(found["id"]) if found.get("name") == name else None


def _logs_in(client: Elasticsearch, username: str, password: str) -> bool:
    return _ask(client, basic_auth=(username, password)).get("username") == username


def _ask(client: Elasticsearch, **credentials: Any) -> dict[str, Any]:
    """Return who Elasticsearch says these credentials are, nothing if they are wrong."""
    answer = client.options(ignore_status=401, **credentials).security.authenticate()
    body: dict[str, Any] = answer.body
    return body if answer.meta.status == 200 else {}


def _write(file: Path, text: str) -> None:
    try:
        write_private(file, text.encode())
    except OSError as error:
        raise SetupError(
            f"{file.parent}: {error.strerror}: user {os.geteuid()} has to be able to write there."
        ) from error


@contextmanager
def _said(what: str) -> Iterator[None]:
    try:
        yield
    except (ApiError, TransportError) as error:
        raise SetupError(f"{what}: {error}") from error
