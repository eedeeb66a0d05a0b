"""Runs of packets of several files put into one order, in array code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from forensics.capture.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

NO_TIME: Final = int(np.iinfo(np.int64).min)
"""Key of a packet without a time that comes before all others of its file."""
_FILLING: Final = {"direction": 0, "uid": -1}
"""What optional columns hold where nothing is said."""


def place(key: int, index: int) -> tuple[int, int]:
    """Sorts packets of different files: by key, then as ``mergecap`` breaks ties.

    Of equally early packets that of the file named last comes first; of packets without a time that of the first.
    """
    return key, index if key == NO_TIME else -index


@dataclass(frozen=True)
class Part:
    """The rows ``begin`` to ``end`` of a batch of the ``index``-th file; ``key`` has the rows' keys, never falling."""

    index: int
    batch: Batch
    begin: int
    end: int
    key: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return self.end - self.begin


def cut(batch: Batch, begin: int, end: int) -> Batch:
    """Rows ``begin`` to ``end``; nothing is copied."""
    if begin == 0 and end == len(batch):
        return batch
    rows = slice(begin, end)
    return replace(
        batch,
        first_frame=batch.first_frame + begin,
        offset=batch.offset[rows],
        caplen=batch.caplen[rows],
        wirelen=batch.wirelen[rows],
        time=batch.time[rows],
        linktype=batch.linktype[rows],
        interface=batch.interface[rows],
        direction=None if batch.direction is None else batch.direction[rows],
        uid=None if batch.uid is None else batch.uid[rows],
    )


def merged(parts: Sequence[Part]) -> tuple[Batch, npt.NDArray[np.int64]]:
    """All rows in order, and for each its row number in the parts, one behind the other.

    The bytes between a part's first and last packet are copied as they are; only the columns are put into order.
    """
    order = _order(parts)
    pieces, offsets, base = [], [], 0
    for part in parts:
        offset = part.batch.offset[part.begin : part.end]
        start = int(offset[0])
        stop = int(offset[-1] + part.batch.caplen[part.end - 1])
        pieces.append(part.batch.data[start:stop])
        offsets.append(offset + (base - start))
        base += stop - start

    def column(name: str) -> npt.NDArray[np.int64]:
        columns = [getattr(part.batch, name)[part.begin : part.end] for part in parts]
        together: npt.NDArray[np.int64] = np.concatenate(columns)[order]
        return together

    def optional(name: str) -> npt.NDArray[np.int64] | None:
        said = [getattr(part.batch, name) for part in parts]
        kind = next((column.dtype for column in said if column is not None), None)
        if kind is None:
            return None
        columns = [
            np.full(len(part), _FILLING[name], kind) if column is None else column[part.begin : part.end]
            for part, column in zip(parts, said, strict=True)
        ]
        together: npt.NDArray[np.int64] = np.concatenate(columns)[order]
        return together

    batch = Batch(
        data=np.concatenate(pieces),
        first_frame=1,
        offset=np.concatenate(offsets)[order],
        caplen=column("caplen"),
        wirelen=column("wirelen"),
        time=column("time"),
        linktype=column("linktype"),  # type: ignore[arg-type] # the dtype of the parts
        interface=column("interface"),  # type: ignore[arg-type]
        direction=optional("direction"),  # type: ignore[arg-type]
        uid=optional("uid"),  # type: ignore[arg-type]
    )
    return batch, order


def _order(parts: Sequence[Part]) -> npt.NDArray[np.int64]:
    keys = [part.key[part.begin : part.end] for part in parts]
    ties = [np.where(key == NO_TIME, part.index, -part.index) for part, key in zip(parts, keys, strict=True)]
    # Both sorts are stable, and rows of one file stand in their order: so they stay.
    order: npt.NDArray[np.int64] = np.lexsort((np.concatenate(ties), np.concatenate(keys)))
    return order
