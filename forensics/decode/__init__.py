"""Packets in, columns out: link, network and transport headers of a whole batch at once."""

from __future__ import annotations

from forensics.decode.addresses import AddressBook
from forensics.decode.columns import PACKET_COLUMNS, Decoded, PacketTable
from forensics.decode.counts import DecodeCounts
from forensics.decode.packets import Decoder

__all__ = ["PACKET_COLUMNS", "AddressBook", "DecodeCounts", "Decoded", "Decoder", "PacketTable"]
