"""All cases by name, and how one becomes its files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from pcaps.generate import (
    addresses,
    calls,
    certificates,
    demonstration,
    drops,
    formats,
    hostile,
    http,
    lookups,
    names,
    phone,
    policing,
    quality,
    quic,
    resets,
)
from pcaps.generate.files import render
from pcaps.generate.world import Flow, Packet, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from pcaps.generate.dns import Query
    from pcaps.generate.lookups import LookUp

CASES: dict[str, Callable[[World], None]] = {
    **addresses.CASES,
    **calls.CASES,
    **certificates.CASES,
    **demonstration.CASES,
    **drops.CASES,
    **formats.CASES,
    **hostile.CASES,
    **http.CASES,
    **lookups.CASES,
    **names.CASES,
    **phone.CASES,
    **policing.CASES,
    **quality.CASES,
    **quic.CASES,
    **resets.CASES,
}


def make(name: str) -> dict[str, bytes]:
    """File name → bytes of one case."""
    world = World(name)
    CASES[name](world)
    world.finish()
    file, data = render(world)
    text = yaml.safe_dump(_expectation(world, file), sort_keys=False, allow_unicode=False, width=110)
    return {file: data, "expect.yaml": text.encode()}


def _subject(flow: Flow) -> dict[str, Any]:
    return {"proto": flow.proto, "stream": flow.stream}


def _frames(packets: list[Packet]) -> list[int]:
    return sorted(packet.frame for packet in packets)


def _expectation(world: World, file: str) -> dict[str, Any]:
    expect = world.expect
    findings = []
    for row in expect.findings:
        frames = [
            {"frame": frame, "role": role}
            for role, packets in row["frames_include"].items()
            for frame in _frames(packets)
        ]
        subjects = sorted((_subject(flow) for flow in row["subjects"]), key=lambda one: one["stream"])
        findings.append({**row, "subjects": subjects, "frames_include": frames})
    names = sorted(
        ({"frame": packet.frame, "stream": _stream(packet), "sni": sni} for packet, sni in expect.hellos),
        key=lambda row: int(str(row["frame"])),
    )
    queries: list[Query | LookUp] = [row["query"] for row in expect.dns]
    dns = [
        {
            "qname": query.qname,
            "qtype": query.qtype,
            "stream": query.stream,
            "query_frames": _frames(query.queries),
            "response_frames": _frames(query.responses),
        }
        for query in sorted(queries, key=lambda one: one.queries[0].frame)
    ]
    out: dict[str, Any] = {
        "description": expect.description,
        "source": "made by pcaps/generate",
        "capture": file,
        "pair": expect.pair,
        "packets": world.packets[-1].frame,
        "findings": findings,
        "verdicts": expect.verdicts,
        "must_not": expect.must_not,
        "sni": names,
        "dns": dns,
    }
    if expect.phone:
        out["phone"] = [
            {**_subject(flow), "uid": flow.uid, "app": world.phone_apps[flow.uid][1]}
            for flow in sorted(expect.phone, key=lambda one: (one.proto, one.stream))
        ]
    for row in expect.notes.get("quic", []):
        spoken = row.pop("flow")
        row["stream"] = spoken.stream
        row["initial_frames"], row["reply_frames"] = _frames(spoken.initials), _frames(spoken.replies)
    for row in expect.notes.get("calls", []):
        spoken = row.pop("flow")
        row.update({"stream": spoken.stream, **spoken.told()})
    for row in expect.notes.get("certificates", []):
        row["stream"] = row.pop("flow").stream
        row["within_frames"] = _frames(row["within_frames"])
    for row in expect.notes.get("http", []):
        row["stream"] = row.pop("flow").stream
        for name in ("request_frames", "response_frames", "other_frames"):
            if name in row:
                row[name] = _frames(row[name])
    _finish_look_ups(expect.notes)
    for row in expect.notes.get("hostile_sni", []):
        row["frame"], row["stream"] = row["frame"].frame, row.pop("flow").stream
    out.update(expect.notes)
    return out


def _finish_look_ups(notes: dict[str, Any]) -> None:
    for row in notes.get("truncated", []):
        asked, again = row.pop("query"), row.pop("retry")
        row["query_frames"], row["retry_frames"] = _frames(asked.queries), _frames(again.queries)
    for row in notes.get("named", []):
        row["stream"], row["frame"] = row.pop("flow").stream, _frames(row.pop("answer").responses)[0]


def _stream(packet: Packet) -> int:
    return -1 if packet.flow is None else packet.flow.stream
