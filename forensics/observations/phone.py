"""What a capture made on a phone says of it: names of apps, and whether headers are genuine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forensics.capture.batch import CaptureNotes
    from forensics.decode.pcapdroid import PhoneNotes


def add_phone_notes(notes: CaptureNotes, phone: PhoneNotes) -> None:
    """Add to ``notes`` what the packets said; what the file itself says of an app comes first."""
    for uid, name in phone.apps.items():
        notes.phone_apps.setdefault(uid, name)
    notes.proxied = notes.proxied or phone.proxied


def name_phone_apps(flows: pl.DataFrame, apps: Mapping[int, str]) -> pl.DataFrame:
    """The flow table with ``phone_app`` filled from UID → name; a UID without a name has none.

    Only the whole capture knows all names, so this comes after the rules, which must not depend on it.
    """
    if not apps or flows["phone_uid"].null_count() == len(flows):
        return flows
    names = pl.DataFrame({"phone_uid": list(apps), "_name": list(apps.values())}).cast(
        {"phone_uid": pl.Int64}
    )
    named = flows.join(names, on="phone_uid", how="left", maintain_order="left")
    return named.with_columns(phone_app=pl.col("_name")).drop("_name")
