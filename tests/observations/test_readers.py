"""The shapes that readers are made with."""

from __future__ import annotations

import numpy as np

from forensics.flows.reassembly import Wire
from forensics.observations.readers import Heads, Opening
from tests.observations.following import Notes, begins


def test_an_opening_follows_the_segment_of_the_call():
    opening = Opening(3, 1, (1024, 80), 7, 0, b"GET", Wire(64, -1, df=False, window=512, flags=24))
    opening.wire = opening.wire._replace(ttl=51)
    assert Notes(opening).opening.wire.ttl == 51


def test_openers_see_padded_heads():
    head = np.zeros((2, 32), dtype=np.uint8)
    head[0, :4] = list(b"HELO")
    none = np.zeros(2, dtype=np.int64)
    heads = Heads(head, np.array([4, 0]), none, none, none, none, head.ravel())
    assert begins(b"HELO")(heads).tolist() == [True, False]
