"""Which app and feature a flow serves, whose a name or an address is (reads signatures/apps and signatures/pools)."""

from __future__ import annotations

from forensics.apps.annotate import AppCatalogue

__all__ = ["AppCatalogue"]
