"""Prints what the installed ElastAlert2 knows: options with their types, rule types, alerters.

Each rule type comes with the options that it needs.

The rule linter runs without ElastAlert2, from a committed copy of this list; ElastAlert2 itself
accepts any misspelt option in silence. ``python -m ddcolor_alerts.options > FILE`` renews the copy.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import elastalert
from elastalert import enhancements
from elastalert.loaders import RulesLoader, load_rule_schema

# Many options stand in no schema: they are what the code asks a rule for.
_ASKED = re.compile(r"""\b(?:rule|rules|new_rule|conf)(?:\.get\(|\.setdefault\(|\[)['"](\w+)['"]""")
# What the loader and the main loop keep in a rule for themselves.
_INTERNAL = re.compile(
    r"agg_matches|aggregate_alert_time|current_aggregate_id|processed_hits|starttime|endtime"
    r"|has_run_once|scroll|hits|_source_enabled|dt_to_ts|ts_to_dt|rule_file|compound_|_timedelta"
    r"|bucket_offset_delta|jinja_template$|__"
)


def known_options() -> dict[str, Any]:
    """Return the lists; types are JSON schema's, ``timedelta`` or ``any``."""
    schema = load_rule_schema().schema
    options = {name: _type(spec) for name, spec in schema["properties"].items()}
    for kind in schema["oneOf"]:
        options |= {name: _type(spec) for name, spec in kind["properties"].items()}
    options["type"] = "string"
    folder = Path(elastalert.__file__).parent
    for source in sorted(folder.rglob("*.py")):
        for name in _ASKED.findall(source.read_text(encoding="utf-8")):
            if not _INTERNAL.search(name):
                options.setdefault(name, "any")
    return {
        "elastalert2": version("elastalert2"),
        "options": dict(sorted(options.items())),
        "types": {
            # The loader makes the compound form of what a person writes.
            name: sorted(option.removeprefix("compound_") for option in item.required_options)
            for name, item in sorted(RulesLoader.rules_mapping.items())
        },
        "alerters": sorted(RulesLoader.alerts_mapping),
        "enhancements": sorted(
            name
            for name, item in vars(enhancements).items()
            if isinstance(item, type) and issubclass(item, enhancements.BaseEnhancement)
        ),
    }


def _type(spec: dict[str, Any]) -> str:
    if spec.get("type") == "object" and "milliseconds" in spec.get("properties", {}):
        return "timedelta"
    found = spec.get("type", "any")
    return found if isinstance(found, str) else "|".join(found)


if __name__ == "__main__":
    json.dump(known_options(), sys.stdout, indent=1)
    sys.stdout.write("\n")
