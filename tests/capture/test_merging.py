from __future__ import annotations

import numpy as np
import pytest

from forensics.capture.batch import Batch
from forensics.capture.merging import NO_TIME, Part, cut, merged, place


def batch(data, times, **more):
    """Packets of two bytes each, with a byte between them that belongs to none."""
    count = len(times)
    return Batch(
        data=np.frombuffer(data, np.uint8),
        first_frame=11,
        offset=np.arange(count) * 3 + 1,
        caplen=np.full(count, 2),
        wirelen=np.arange(count) + 100,
        time=np.array(times, np.int64),
        linktype=np.full(count, len(data), np.int32),
        interface=np.zeros(count, np.int32),
        **more,
    )


def packets(made):
    return [bytes(made.data[at : at + 2]) for at in made.offset.tolist()]


A = batch(b".a0.a1.a2", [1, 5, 5])
B = batch(b"-b0-b1-b2", [2, 5, 6], uid=np.array([7, 8, 9], np.int32), direction=np.array([1, 2, 0], np.int8))


def test_ties_go_to_the_file_named_last_and_without_times_to_the_first():
    assert sorted([place(5, 0), place(5, 1), place(4, 0)]) == [place(4, 0), place(5, 1), place(5, 0)]
    assert place(NO_TIME, 0) < place(NO_TIME, 1) < place(0, 9)


def test_rows_in_order_with_their_bytes_and_columns():
    made, order = merged([Part(0, A, 0, 3, A.time), Part(1, B, 0, 3, B.time)])
    assert packets(made) == [b"a0", b"b0", b"b1", b"a1", b"a2", b"b2"]
    assert order.tolist() == [0, 3, 4, 1, 2, 5]
    assert made.time.tolist() == [1, 2, 5, 5, 5, 6]
    assert made.wirelen.tolist() == [100, 100, 101, 101, 102, 102]
    assert made.uid.tolist() == [-1, 7, 8, -1, -1, 9]
    assert made.direction.tolist() == [0, 1, 2, 0, 0, 0]
    assert (made.uid.dtype, made.direction.dtype, made.linktype.dtype) == (np.int32, np.int8, np.int32)
    assert {column.dtype for column in (made.offset, made.caplen, made.wirelen, made.time)} == {
        np.dtype("i8")
    }


def test_only_the_bytes_of_the_rows_are_copied():
    made, _ = merged([Part(0, A, 1, 2, A.time), Part(1, B, 2, 3, B.time)])
    assert made.data.tobytes() == b"a1b2"
    assert packets(made) == [b"a1", b"b2"]
    assert merged([Part(0, A, 0, 1, A.time), Part(2, A, 1, 2, A.time)])[0].uid is None


def test_keys_decide_and_not_times():
    key = np.array([NO_TIME, 5, 5])
    made, _ = merged([Part(0, A, 0, 3, np.array([3, 5, 5])), Part(1, A, 0, 1, key), Part(2, A, 0, 1, key)])
    assert made.wirelen.tolist() == [100, 100, 100, 101, 102]
    assert np.shares_memory(A.data, cut(A, 0, 3).data)


@pytest.mark.parametrize(("begin", "end"), [(0, 3), (1, 2), (0, 1), (2, 3)])
def test_a_cut_copies_nothing_and_keeps_frame_numbers(begin, end):
    some = cut(B, begin, end)
    assert len(some) == end - begin
    assert some.first_frame == 11 + begin
    assert some.data is B.data
    assert packets(some) == [b"b0", b"b1", b"b2"][begin:end]
    assert some.uid.tolist() == [7, 8, 9][begin:end]
    assert (cut(A, begin, end).uid, cut(A, begin, end).direction) == (None, None)
