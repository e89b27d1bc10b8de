"""The project's own dashboards as the tests change them."""

from __future__ import annotations

import json
from typing import Any

from ddcolor_operations.dashboards.check_lens import check_fields, check_panels
from ddcolor_operations.dashboards.check_objects import check_objects
from ddcolor_operations.dashboards.saved_objects import BUILT, FOLDER, declared_fields
from ddcolor_operations.dashboards.source import load


class BuiltDashboards:
    """The built objects, with a way into the overview and its panels, and the checks' verdict."""

    def __init__(self) -> None:
        self.objects: list[dict[str, Any]] = [
            json.loads(line) for line in BUILT.read_bytes().splitlines()
        ]
        self.overview = self.object("ddcolor-overview")
        self.panels: list[dict[str, Any]] = json.loads(self.overview["attributes"]["panelsJSON"])

    def object(self, id_: str) -> dict[str, Any]:
        """Return the object with this id."""
        return next(item for item in self.objects if item["id"] == id_)

    def panel(self, title: str) -> dict[str, Any]:
        """Return the overview's panel of this title; what is changed in it is checked."""
        return next(panel for panel in self.panels if panel["title"] == title)

    def state(self, title: str) -> dict[str, Any]:
        """Return the Lens state of the overview's panel of this title."""
        state: dict[str, Any] = self.panel(title)["embeddableConfig"]["attributes"]["state"]
        return state

    def layer(self, title: str) -> dict[str, Any]:
        """Return the only layer of the overview's panel of this title."""
        (layer,) = self.state(title)["datasourceStates"]["formBased"]["layers"].values()
        found: dict[str, Any] = layer
        return found

    def column(self, title: str, operation: str) -> dict[str, Any]:
        """Return the first column with this operation."""
        columns = self.layer(title)["columns"].values()
        found: dict[str, Any] = next(c for c in columns if c["operationType"] == operation)
        return found

    def problems(self) -> list[str]:
        """Return what the offline checks of objects and Lens state say."""
        self._store()
        return [
            problem.text for problem in check_objects(self.objects) + check_panels(self.objects)
        ]

    def field_problems(self) -> list[str]:
        """Return what the offline check of fields says."""
        self._store()
        fields = declared_fields(load(FOLDER))
        return [problem.text for problem in check_fields(self.objects, fields)]

    def _store(self) -> None:
        if "panelsJSON" in self.overview["attributes"] and self.panels:
            self.overview["attributes"]["panelsJSON"] = json.dumps(self.panels)
