"""Address ids: one integer an address, so that tables stay numeric until they are printed."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_V6_BASE = 1 << 32


class AddressBook:
    """Gives IPv4 addresses their own 32-bit value as id, and IPv6 addresses 2³² + a running number.

    No address is hashed or shortened: different addresses never share an id.
    """

    def __init__(self) -> None:
        self._v6: dict[bytes, int] = {}
        self._v6_list: list[bytes] = []

    def intern_v6(self, packed: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        """Ids of an ``(n, 16)`` uint8 array of IPv6 addresses, as int64 of shape ``(n,)``."""
        if len(packed) == 0:
            return np.empty(0, dtype=np.int64)
        flat = np.ascontiguousarray(packed).view("V16").reshape(-1)
        unique, inverse = np.unique(flat, return_inverse=True)
        ids = np.empty(len(unique), dtype=np.int64)
        for i, value in enumerate(unique):
            raw = value.tobytes()
            known = self._v6.get(raw)
            if known is None:
                known = _V6_BASE + len(self._v6_list)
                self._v6[raw] = known
                self._v6_list.append(raw)
            ids[i] = known
        return ids[inverse.reshape(-1)]

    def __len__(self) -> int:
        """IPv6 addresses so far."""
        return len(self._v6_list)

    def since(self, known: int) -> list[bytes]:
        """The IPv6 addresses after the first ``known``, for another book to be extended with."""
        return self._v6_list[known:]

    def extend(self, packed: list[bytes]) -> None:
        """Take in what another book has beyond this one."""
        for raw in packed:
            self._v6[raw] = _V6_BASE + len(self._v6_list)
            self._v6_list.append(raw)

    def text(self, address_id: int) -> str:
        """The address in its usual form (RFC 5952 for IPv6)."""
        if address_id < _V6_BASE:
            a = address_id
            return f"{a >> 24}.{a >> 16 & 255}.{a >> 8 & 255}.{a & 255}"
        return str(ipaddress.IPv6Address(self._v6_list[address_id - _V6_BASE]))

    def find(self, address: str) -> int | None:
        """The id of an address given as text, or None if it never occurred (IPv6) or is no address."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return None
        if isinstance(parsed, ipaddress.IPv4Address):
            return int(parsed)
        return self._v6.get(parsed.packed)
