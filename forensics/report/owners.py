"""Which app on the phone owned a connection, for captures that say so."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forensics.analysis import Analysis
    from forensics.signatures.model import Finding


class PhoneApp(NamedTuple):
    """An app by its UID and by the name that the phone gives it; the name is hostile text."""

    uid: int
    name: str | None


def phone_apps(analysis: Analysis) -> dict[tuple[str, int], PhoneApp]:
    """Transport and stream number of each flow whose owner the capture tells → owner."""
    flows = analysis.tables["flow"].columns(["proto", "stream", "phone_uid", "phone_app"])
    known = flows.filter(flows["phone_uid"].is_not_null())
    return {(proto, stream): PhoneApp(uid, name) for proto, stream, uid, name in known.iter_rows()}


def owners_of(finding: Finding, apps: Mapping[tuple[str, int], PhoneApp]) -> list[PhoneApp]:
    """Owners of the finding's connections, each once, in their order."""
    found = (apps.get((subject.proto, subject.stream)) for subject in finding.subjects)
    return list(dict.fromkeys(app for app in found if app is not None))
