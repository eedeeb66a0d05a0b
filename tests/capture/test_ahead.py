from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.capture.ahead import DEPTH, ReadAhead

SOON = 10.0
"""Seconds that no passing test ever waits."""


def running():
    return [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(), max_size=20))
def test_the_same_items_in_the_same_order(items):
    with ReadAhead(items) as drawn:
        assert list(drawn) == items


def test_items_are_drawn_before_anybody_asks():
    ready = threading.Event()

    def items():
        yield 1
        ready.set()
        yield 2

    with ReadAhead(items()) as drawn:
        assert ready.wait(SOON)
        assert list(drawn) == [1, 2]


def test_no_more_are_held_than_promised():
    started = []
    more = threading.Event()

    def items():
        for number in range(100):
            started.append(number)
            if number > DEPTH:
                more.set()
            yield number

    with ReadAhead(items()) as drawn:
        first = iter(drawn)
        assert next(first) == 0
        # one with the consumer, DEPTH in the line, one waiting for room in it
        assert more.wait(SOON)
        assert len(started) <= DEPTH + 2


def test_an_error_comes_after_the_items_before_it():
    def items():
        yield 1
        yield 2
        raise ZeroDivisionError("three")

    seen = []
    with pytest.raises(ZeroDivisionError, match="three"), ReadAhead(items()) as drawn:
        seen.extend(drawn)
    assert seen == [1, 2]
    assert running() == []


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_leaving_early_ends_the_thread_with_the_item_it_is_at(taken):
    started = []

    def items():
        for number in range(1000):
            started.append(number)
            yield number

    with ReadAhead(items()) as drawn:
        for _ in zip(range(taken), drawn, strict=False):
            pass
    assert running() == []
    assert len(started) < 1000


def test_an_error_of_the_consumer_is_not_hidden_by_one_of_the_items():
    def items():
        yield 1
        raise ZeroDivisionError

    def consume():
        with ReadAhead(items()) as drawn:
            next(iter(drawn))
            raise KeyError

    with pytest.raises(KeyError):
        consume()
    assert running() == []
