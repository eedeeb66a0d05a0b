"""What a pcapng file says beside its packets: sections, interfaces, statistics, names, secrets, phone apps.

All of it is bounded, and all texts are hostile. A block that Wireshark 4.0 refuses raises DamageError.
"""

from __future__ import annotations

import ipaddress
import struct
from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.capture.batch import InterfaceNotes
from forensics.capture.pcapng_options import DamageError, read_options, text_of
from forensics.capture.times import Clock

if TYPE_CHECKING:
    import numpy.typing as npt

    from forensics.capture.batch import CaptureNotes
    from forensics.capture.pcapng_options import PacketOptions

MAX_INTERFACES: Final = 1 << 16
"""In one section, and in the notes of the whole capture."""
MAX_COMMENTS: Final = 1000
MAX_NAMES: Final = 100_000
MAX_SECRETS: Final = 16 << 20
MAX_PHONE_APPS: Final = 10_000
PCAPDROID: Final = 62652
"""Private enterprise number of PCAPdroid."""

_SECTION_TEXTS: Final = {2: "hardware", 3: "os", 4: "application"}
_INTERFACE_TEXTS: Final = {2: "name", 3: "description", 12: "os", 15: "hardware"}
_INTERFACE_NUMBERS: Final = {(8, 8): ("speed", "Q"), (9, 1): ("resolution", "B"), (14, 8): ("offset_s", "q")}
"""Option code and length, field and form."""
_FILTER: Final = 11
_STATISTICS: Final = {4: "received", 5: "dropped", 7: "os_dropped"}
_ADDRESS_LENGTH: Final = {1: 4, 2: 16}
"""Record type of a name resolution block → bytes of the address that it begins with."""
_LONGEST_NAME: Final = 255
_UNKNOWN_DROPS: Final = 0xFFFF
_UID_MAP: Final = 1
_OPTIONS_OF_SECTION, _OPTIONS_OF_INTERFACE, _OPTIONS_OF_STATISTICS = 24, 16, 20
_VERSIONS: Final = frozenset({(1, 0), (1, 2)})


class BlockNotes:
    """Reads the blocks that are no packets into ``notes``."""

    def __init__(self, notes: CaptureNotes) -> None:
        self._notes = notes
        self._first_interface = 0  # of the present section, in notes.interface_list
        self._interfaces = 0  # of the whole capture
        self._secrets_room = MAX_SECRETS
        self._commented = 0  # packets whose comment is kept

    def section(self, block: memoryview, order: str) -> None:
        """Section header block."""
        if len(block) < _OPTIONS_OF_SECTION + 4:
            raise DamageError(f"section header of {len(block)} bytes, too short,")
        version = struct.unpack_from(order + "HH", block, 12)
        if version not in _VERSIONS:
            raise DamageError(f"section of unknown version {version[0]}.{version[1]}")
        options = read_options(block, order, _OPTIONS_OF_SECTION, len(block) - 4)
        notes = self._notes
        notes.sections += 1
        self._first_interface = self._interfaces
        for code, value in options:
            if (name := _SECTION_TEXTS.get(code)) and not getattr(notes, name):
                setattr(notes, name, text_of(value))

    def interface(self, block: memoryview, order: str) -> tuple[int, int, Clock]:
        """Interface description block: link type, snaplen and clock."""
        if len(block) < _OPTIONS_OF_INTERFACE + 4:
            raise DamageError(f"interface description of {len(block)} bytes, too short,")
        if self._interfaces - self._first_interface >= MAX_INTERFACES:
            raise DamageError(f"interface description beyond the {MAX_INTERFACES}th of its section")
        linktype, snaplen = struct.unpack_from(order + "H2xI", block, 8)
        found = InterfaceNotes(linktype=linktype, snaplen=snaplen)
        for code, value in read_options(block, order, _OPTIONS_OF_INTERFACE, len(block) - 4):
            if (name := _INTERFACE_TEXTS.get(code)) and not getattr(found, name):
                setattr(found, name, text_of(value))
            elif code == _FILTER and not value:
                raise DamageError("interface filter of no bytes")
            elif code == _FILTER and value[0] == 0 and not found.filter:  # else a program for the kernel
                found.filter = text_of(value[1:])
            elif (code, len(value)) in _INTERFACE_NUMBERS:
                name, form = _INTERFACE_NUMBERS[code, len(value)]
                setattr(found, name, struct.unpack(order + form, value)[0])
        notes = self._notes
        self._interfaces += 1
        notes.interfaces += 1
        if snaplen:
            notes.snaplen = min(snaplen, notes.snaplen or snaplen)
        if len(notes.interface_list) < MAX_INTERFACES:
            notes.interface_list.append(found)
        return linktype, snaplen, Clock(found.resolution, found.offset_s)

    def statistics(self, block: memoryview, order: str) -> None:
        """Interface statistics block; of several of one interface the last counts."""
        if len(block) < _OPTIONS_OF_STATISTICS + 4:
            raise DamageError(f"interface statistics of {len(block)} bytes, too short,")
        (number,) = struct.unpack_from(order + "I", block, 8)
        options = read_options(block, order, _OPTIONS_OF_STATISTICS, len(block) - 4)
        place = self._first_interface + number
        if number >= self._interfaces - self._first_interface or place >= len(self._notes.interface_list):
            return
        interface = self._notes.interface_list[place]
        for name in _STATISTICS.values():
            setattr(interface, name, None)
        for code, value in options:
            if (name := _STATISTICS.get(code, "")) and len(value) == 8:  # noqa: PLR2004 - a 64-bit count
                setattr(interface, name, struct.unpack(order + "Q", value)[0])

    def names(self, block: memoryview, order: str) -> None:
        """Name resolution block: records of an address and its names, each with a NUL behind it."""
        position, end = 8, len(block) - 4
        if end - position < 4:  # noqa: PLR2004 - a record header
            raise DamageError("name resolution block of no records")
        while end - position >= 4:  # noqa: PLR2004 - a record header
            kind, length = struct.unpack_from(order + "HH", block, position)
            position += 4
            if length + 3 & ~3 > end - position:
                raise DamageError(f"name record of {length} bytes that does not fit its block")
            if kind == 0:
                break
            if kind in _ADDRESS_LENGTH:
                self._name(bytes(block[position : position + length]), _ADDRESS_LENGTH[kind])
            position += length + 3 & ~3
        read_options(block, order, position, end)

    def _name(self, record: bytes, width: int) -> None:
        if len(record) < width:
            raise DamageError(f"name record of {len(record)} bytes, too short for its address,")
        if len(record) > width and record[-1]:
            raise DamageError("name record without a NUL at its end")
        notes = self._notes
        notes.names_total += record.count(0, width)
        address = str(ipaddress.ip_address(record[:width]))
        name = text_of(record[width:], _LONGEST_NAME)
        if name and len(notes.names) < MAX_NAMES:
            notes.names.setdefault(address, name)

    def secrets(self, block: memoryview, order: str) -> None:
        """Decryption secrets block."""
        if len(block) < 20:  # noqa: PLR2004 - its fixed part
            raise DamageError(f"decryption secrets of {len(block)} bytes, too short,")
        kind, length = struct.unpack_from(order + "II", block, 8)
        if length > len(block) - 20:
            raise DamageError(f"decryption secrets that claim {length} bytes")
        self._notes.secrets += 1
        # A list of the smallest secrets costs some hundred bytes each: these count as well.
        if length + 100 <= self._secrets_room:
            self._secrets_room -= length + 100
            self._notes.secrets_bytes.append((kind, bytes(block[16 : 16 + length])))

    def custom(self, block: memoryview, order: str) -> bool:
        """Custom block; True when it was understood: PCAPdroid's names of the phone's apps.

        Layout (PCAPdroid, pcapdroid.lua): version 1 (16 bits), type 1 (8 bits), padding, UID (32 bits), lengths of
        package and app name (8 bits each), package name, app name.
        """
        if len(block) < 26 or struct.unpack_from(order + "I", block, 8)[0] != PCAPDROID:  # noqa: PLR2004 - fixed part
            return False
        version, kind, uid, package, name = struct.unpack_from(order + "HBxiBB", block, 12)
        if version != 1 or kind != _UID_MAP or 22 + package + name > len(block) - 4:
            return False
        words = bytes(block[22 : 22 + package + name])
        apps = self._notes.phone_apps
        if uid >= 0 and len(apps) < MAX_PHONE_APPS:
            apps.setdefault(uid, text_of(words[package:]) or text_of(words[:package]))
        return True

    def skipped(self, kind: int) -> None:
        """Count a block that is not read."""
        name = f"0x{kind:08x}"
        known = self._notes.skipped_blocks
        # A hostile file may hold four billion types; beyond some hundreds they are counted together.
        if name not in known and len(known) >= 256:  # noqa: PLR2004 - far more than there are block types
            name = "other"
        known[name] = known.get(name, 0) + 1

    def packets(self, options: PacketOptions, frames: npt.NDArray[np.int64]) -> None:
        """Comments and losses of packets with options; ``frames`` holds the frame number of each."""
        notes = self._notes
        sound = slice(0, options.bad)
        notes.comments_total += int(options.commented[sound].sum())
        if self._commented < MAX_COMMENTS:
            found = options.comments(MAX_COMMENTS - self._commented)
            self._commented += len(found)
            notes.comments.update((int(frames[place]), words) for place, words in found.items())
        counted = options.counts_losses[sound]
        if counted.any():
            # 64-bit counts of a hostile file overflow a 64-bit sum.
            lost = options.lost[sound][counted]
            half = np.uint64(32)
            self._lose((int((lost >> half).sum()) << 32) + int((lost & np.uint64(0xFFFF_FFFF)).sum()))

    def old_drops(self, drops: npt.NDArray[np.uint32]) -> None:
        """Drop counts of obsolete packet blocks; 0xFFFF: unknown."""
        known = drops[drops != _UNKNOWN_DROPS]
        if len(known):
            self._lose(int(known.sum()))

    def _lose(self, packets: int) -> None:
        self._notes.lost_between_packets = (self._notes.lost_between_packets or 0) + packets
