"""compose/tls.yml: laid over docker-compose.yml, nobody speaks http to Elasticsearch or Kibana."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

from ddcolor_operations.compose.certificates import ensure_certificates
from tests.support.compose import ROOT, load, variables

BASE = load()
OVERLAY = load(ROOT / "compose/tls.yml")


def merged(name: str) -> dict[str, Any]:
    """Return a service with the overlay on it, as Compose merges them."""
    service = dict(BASE["services"][name])
    for key, value in OVERLAY["services"].get(name, {}).items():
        old = service.get(key)
        if key == "command" or old is None:
            service[key] = value
        elif isinstance(old, dict):
            service[key] = old | value
        else:
            service[key] = [*old, *value]
    return service


def test_overlay_is_valid_by_the_specification() -> None:
    """The schema of the Compose specification takes the overlay."""
    schema = json.loads((ROOT / "tests/data/compose/compose-spec.json").read_text())
    schema.pop("$schema")
    jsonschema.Draft7Validator(schema).validate(OVERLAY)


def test_no_part_is_told_an_http_address_of_the_two() -> None:
    """Every address of Elasticsearch and Kibana becomes https, health checks included."""
    for name in BASE["services"]:
        service = merged(name)
        told = json.dumps([service.get(k) for k in ("command", "environment", "healthcheck")])
        for address in ("http://elasticsearch", "http://kibana", "http://127.0.0.1:5601"):
            assert address not in told, name
    for name in ("elasticsearch", "kibana"):
        assert "https://127.0.0.1:" in merged(name)["healthcheck"]["test"][-1]


def test_who_speaks_https_has_the_authority() -> None:
    """Each client of an https address can read the certificate that it has to trust."""
    for name in (
        *("elasticsearch", "setup", "data", "gateway", "elastalert2", "kibana", "dashboards"),
    ):
        assert "tls_ca" in merged(name)["secrets"]
        assert "/run/secrets/tls_ca" in json.dumps(merged(name))


def test_what_the_overlay_names_is_there(tmp_path: Path) -> None:
    """Its secrets are files that `compose certificates` makes; its configs are in the checkout."""
    ensure_certificates(tmp_path)
    for secret in OVERLAY["secrets"].values():
        file = Path(secret["file"])
        assert file.parent == Path(".secrets/tls")
        assert (tmp_path / file.name).is_file()
    for config in OVERLAY["configs"].values():
        assert (ROOT / config["file"]).is_file()
    for kind in ("secrets", "configs"):
        used = {
            entry if isinstance(entry, str) else entry["source"]
            for service in OVERLAY["services"].values()
            for entry in service.get(kind, [])
        }
        assert used == set(OVERLAY[kind])


def test_services_and_variables_are_those_of_the_stack() -> None:
    """The overlay changes services that are there and needs no setting of its own."""
    assert set(OVERLAY["services"]) <= set(BASE["services"])
    assert variables(ROOT / "compose/tls.yml") <= variables()
