"""What the app, owner and pool files say, ready for questions about names, addresses and first bytes."""

from __future__ import annotations

import difflib
import functools
import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_FAMILY_BITS: Final = {4: 32, 6: 128}
_ALIKE: Final = 0.8
"""Two words this similar (difflib ratio) may be one word and a typing error of it."""


@dataclass(frozen=True)
class Block:
    """Addresses that agree with ``value`` in the bits of ``mask``; a CIDR range or a pattern."""

    version: int
    value: int
    mask: int

    def holds(self, version: int, address: int) -> bool:
        """Whether the address, given as an integer, is one of them."""
        return version == self.version and address & self.mask == self.value


@dataclass(frozen=True)
class Owner:
    """Who runs services under some names and in some address space."""

    id: str
    title: str
    exclusive: bool
    suffixes: tuple[str, ...]
    blocks: tuple[Block, ...]
    brands: tuple[str, ...]
    tenants: tuple[str, ...]


@dataclass(frozen=True)
class Endpoint:
    """Addresses and ports that alone tell the feature."""

    transport: str
    ports: tuple[tuple[int, int], ...]
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class FirstBytes:
    """Half-bytes in hex with which a side's stream starts; ``?`` stands for any."""

    direction: str
    transport: str
    hex: str

    def starts(self, stream: str) -> bool:
        """Whether the stream, in lower-case hex, starts so."""
        return len(stream) >= len(self.hex) and all(
            want in ("?", got) for want, got in zip(self.hex, stream, strict=False)
        )


@dataclass(frozen=True)
class Feature:
    """One thing that an app does, and how to know it on the wire."""

    app: str
    id: str
    names: tuple[str, ...]
    suffixes: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    first_bytes: tuple[FirstBytes, ...]


@dataclass(frozen=True)
class App:
    """One app of the catalogue."""

    id: str
    title: str
    owner: str
    features: tuple[Feature, ...]


@dataclass(frozen=True)
class Pool:
    """Addresses that forged DNS answers were seen to hold."""

    id: str
    title: str
    precision: str
    """``exact``: a list of addresses that were seen; ``range``: the space they come from, which is weaker."""
    source: str
    entries: tuple[tuple[Block, str | None], ...]
    """Addresses and the owner of that space."""


class NameMap:
    """Exact names and suffixes → values. A suffix matches on label boundaries only; the longest one wins."""

    def __init__(self) -> None:
        self._names: dict[str, tuple[str, str]] = {}
        self._suffixes: dict[str, tuple[str, str]] = {}

    def add_name(self, name: str, value: tuple[str, str]) -> tuple[str, str] | None:
        """Enter an exact name; returns what already stood there, if anything."""
        return _enter(self._names, name, value)

    def add_suffix(self, suffix: str, value: tuple[str, str]) -> tuple[str, str] | None:
        """Enter a suffix; returns what already stood there, if anything."""
        return _enter(self._suffixes, suffix, value)

    def find(self, name: str) -> tuple[str, str] | None:
        """The value of a name in lower case, with or without its final dot."""
        name = name.removesuffix(".")
        if name in self._names:
            return self._names[name]
        rest = name
        while rest:
            if rest in self._suffixes:
                return self._suffixes[rest]
            rest = rest.partition(".")[2]
        return None


class BlockMap:
    """Address blocks → values; blocks of one mask are one dictionary, so a look-up costs a few of them."""

    def __init__(self, entries: Iterable[tuple[Block, str | None]] = ()) -> None:
        self._by_mask: dict[tuple[int, int], dict[int, str | None]] = {}
        for block, value in entries:
            self._by_mask.setdefault((block.version, block.mask), {}).setdefault(block.value, value)
        # The narrowest block decides.
        self._order = sorted(self._by_mask, key=lambda key: (key[0], -key[1].bit_count(), key[1]))

    def find(self, address: str) -> tuple[bool, str | None]:
        """Whether any block holds the address (given as text), and the value of the narrowest that does."""
        parsed = parse_address(address)
        if parsed is None:
            return False, None
        version, number = parsed
        for key in self._order:
            if key[0] == version:
                found = self._by_mask[key]
                if number & key[1] in found:
                    return True, found[number & key[1]]
        return False, None


@functools.lru_cache(maxsize=1 << 14)  # each address is looked up in every pool
def parse_address(text: str) -> tuple[int, int] | None:
    """Version and integer value of an address; None when the text is no address."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return address.version, int(address)


def parse_block(text: str) -> Block:
    """An address, a CIDR range, or ``value/mask`` with the mask written as an address.

    Raises ValueError with a sentence.
    """
    value_text, slash, mask_text = text.partition("/")
    value = parse_address(value_text)
    if value is None:
        raise ValueError("expected an address, a range such as 192.0.2.0/24, or value/mask")
    version, number = value
    bits = _FAMILY_BITS[version]
    full = (1 << bits) - 1
    if not slash:
        mask = full
    elif mask_text.isascii() and mask_text.isdigit() and len(mask_text) <= 3 and int(mask_text) <= bits:  # noqa: PLR2004 - "128"
        mask = full ^ (full >> int(mask_text))
    else:
        parsed = parse_address(mask_text)
        if parsed is None or parsed[0] != version:
            raise ValueError(
                f"expected a prefix length of 0 to {bits} or a mask of the same family after the slash"
            )
        mask = parsed[1]
    if number & ~mask:
        raise ValueError("has bits outside its mask; set them to zero")
    if mask.bit_count() < 8:  # noqa: PLR2004 - a /8 is the widest range anybody owns
        raise ValueError("holds too many addresses: its mask has fewer than 8 bits")
    return Block(version, number, mask)


def resembles(name: str, brands: Iterable[str]) -> bool:
    """Whether a label of the name holds one of the brand words, or a typing error of it."""
    labels = [label[:63] for label in name.split(".")[-6:]]
    for brand in brands:
        for label in labels:
            if brand in label:
                return True
            # quick_ratio is an upper bound of ratio, and much cheaper.
            matcher = difflib.SequenceMatcher(None, label, brand, autojunk=False)
            if matcher.quick_ratio() >= _ALIKE and matcher.ratio() >= _ALIKE:
                return True
    return False


def _enter(table: dict[str, tuple[str, str]], key: str, value: tuple[str, str]) -> tuple[str, str] | None:
    if key in table:
        return table[key]
    table[key] = value
    return None
