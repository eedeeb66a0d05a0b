"""All scenarios: every module here that has a ``SCENARIOS`` tuple adds to them."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from tests.lab.scenario import Scenario


@cache
def every() -> dict[str, Scenario]:
    """The scenarios by name, in order of name."""
    found: dict[str, Scenario] = {}
    for module in pkgutil.iter_modules(__path__):
        loaded = importlib.import_module(f"{__name__}.{module.name}")
        for scenario in getattr(loaded, "SCENARIOS", ()):
            if scenario.name in found:
                raise ValueError(f"two scenarios are called {scenario.name}")
            found[scenario.name] = scenario
    return dict(sorted(found.items()))
