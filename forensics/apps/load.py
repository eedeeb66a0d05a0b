"""Reading the app, owner and pool files; every mistake is a RuleError with file, line and column."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from forensics.apps.catalogue import App, Block, Endpoint, Feature, FirstBytes, Owner, Pool, parse_block
from forensics.errors import RuleError
from forensics.yamlfile import Item, quote, read_yaml

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

OWNERS_FILE: Final = "owners.yaml"
_ID: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_HEX: Final = re.compile(r"[0-9a-f?]{4,32}")
_MIN_HALF_BYTES: Final = 6
"""Fewer known half-bytes would match other protocols by chance."""


def load_owners(root: Path) -> dict[str, Owner]:
    """Owners by id, from ``apps/owners.yaml``."""
    path = root / "apps" / OWNERS_FILE
    top = read_yaml(path, _name(path)).fields(["owners"])
    entries = top["owners"].mapping()
    owners = {}
    for owner_id, item in entries.items():
        _check_id(owner_id, item)
        given = item.fields(["title"], ["exclusive", "brands", "suffixes", "addresses", "tenants"])
        owners[owner_id] = Owner(
            owner_id,
            given["title"].text(),
            given["exclusive"].boolean() if "exclusive" in given else False,
            _names(given.get("suffixes")),
            _blocks(given.get("addresses")),
            tuple(given["brands"].texts()) if "brands" in given else (),
            tuple(child.word(entries) for child in given["tenants"].items()) if "tenants" in given else (),
        )
    return owners


def load_apps(root: Path, owners: dict[str, Owner]) -> dict[str, App]:
    """Apps by id, from all other files in ``apps/``."""
    apps = {}
    for path in _files(root / "apps"):
        if path.name == OWNERS_FILE:
            continue
        item = read_yaml(path, _name(path))
        given = item.fields(["id", "title", "owner", "features"])
        app_id = _own_id(given["id"], path)
        features = []
        for feature_id, child in given["features"].mapping().items():
            _check_id(feature_id, child)
            features.append(_feature(app_id, feature_id, child, owners))
        owner = given["owner"].word(owners)
        apps[app_id] = App(app_id, given["title"].text(), owner, tuple(features))
    return apps


def load_pools(root: Path, owners: Collection[str]) -> dict[str, Pool]:
    """Pools by id, from the files in ``pools/``."""
    pools = {}
    for path in _files(root / "pools"):
        given = read_yaml(path, _name(path)).fields(["id", "title", "precision", "source", "entries"])
        pool_id = _own_id(given["id"], path)
        entries: list[tuple[Block, str | None]] = []
        for item in given["entries"].items():
            entry = item.fields(["addresses"], ["owner", "source"])
            owner = entry["owner"].word(owners) if "owner" in entry else None
            entries.extend((block, owner) for block in _blocks(entry["addresses"]))
        precision = given["precision"].word(("exact", "range"))
        pools[pool_id] = Pool(
            pool_id, given["title"].text(), precision, given["source"].text(), tuple(entries)
        )
    return pools


def _feature(app_id: str, feature_id: str, item: Item, owners: dict[str, Owner]) -> Feature:
    given = item.fields([], ["names", "suffixes", "endpoints", "first_bytes"])
    if not given:
        raise RuleError(item.place, "the feature has no names, suffixes, endpoints or first_bytes; add one")
    endpoints = given["endpoints"].items() if "endpoints" in given else []
    patterns = given["first_bytes"].items() if "first_bytes" in given else []
    return Feature(
        app_id,
        feature_id,
        _names(given.get("names")),
        _names(given.get("suffixes")),
        tuple(_endpoint(child, owners) for child in endpoints),
        tuple(_first_bytes(child) for child in patterns),
    )


def _endpoint(item: Item, owners: dict[str, Owner]) -> Endpoint:
    given = item.fields(["transport", "ports"], ["addresses", "owner_space"])
    blocks = list(_blocks(given.get("addresses")))
    if "owner_space" in given:
        owner = owners[given["owner_space"].word(owners)]
        if not owner.blocks:
            raise RuleError(
                given["owner_space"].place, f"the owner {owner.id} has no addresses; list them there"
            )
        blocks.extend(owner.blocks)
    if not blocks:
        raise RuleError(item.place, "a port alone tells no app; add addresses or owner_space")
    ports = tuple(_ports(child) for child in given["ports"].items())
    return Endpoint(given["transport"].word(("tcp", "udp")), ports, tuple(blocks))


def _ports(item: Item) -> tuple[int, int]:
    if not isinstance(item.value, str):
        port = item.integer(1, 65535)
        return port, port
    match = re.fullmatch(r"([0-9]{1,5})-([0-9]{1,5})", item.value)
    if match is None or not 1 <= int(match[1]) <= int(match[2]) <= 65535:  # noqa: PLR2004 - 16 bits
        raise RuleError(item.place, f"expected a port or a range such as 500-600, found {quote(item.value)}")
    return int(match[1]), int(match[2])


def _first_bytes(item: Item) -> FirstBytes:
    given = item.fields(["direction", "transport", "hex"])
    pattern = given["hex"].text()
    if not _HEX.fullmatch(pattern) or len(pattern) - pattern.count("?") < _MIN_HALF_BYTES:
        raise RuleError(
            given["hex"].place,
            f"expected 4 to 32 lower-case hex digits or ?, at least {_MIN_HALF_BYTES} of them digits",
        )
    direction = given["direction"].word(("client", "server"))
    return FirstBytes(direction, given["transport"].word(("tcp", "udp")), pattern)


def _names(item: Item | None) -> tuple[str, ...]:
    names = []
    for child in item.items() if item is not None else []:
        name = child.text()
        labels = name.split(".")
        if len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):  # noqa: PLR2004 - not a whole TLD
            raise RuleError(child.place, f"{quote(name)} is no lower-case host name of two or more labels")
        names.append(name)
    return tuple(names)


def _blocks(item: Item | None) -> tuple[Block, ...]:
    blocks = []
    for child in item.items() if item is not None else []:
        text = child.text()
        try:
            blocks.append(parse_block(text))
        except ValueError as error:
            raise RuleError(child.place, f"{quote(text)} {error}") from error
    return tuple(blocks)


def _own_id(item: Item, path: Path) -> str:
    found = item.text()
    _check_id(found, item)
    if found != path.stem:
        raise RuleError(item.place, f"the id must be the file's name, {quote(path.stem)}")
    return found


def _check_id(text: str, item: Item) -> None:
    if not _ID.fullmatch(text):
        raise RuleError(item.place, f"{quote(text)} is no id: use lower-case words joined by -")


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.yaml"), key=lambda path: path.name)


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
