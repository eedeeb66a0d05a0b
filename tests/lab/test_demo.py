"""What the demonstration says around the reports; the scenario itself is staged by ``make lab``."""

from __future__ import annotations

import pytest

from tests.lab import demo, network
from tests.lab.scenario import Conversation


def said(label: str, begun: float, *, ok: bool, name: str = "") -> Conversation:
    return Conversation(
        label, "tcp", "192.168.43.17", 40_000, "203.0.113.10", 443, name, ok, "a reason", begun=begun
    )


def test_how_each_kind_of_conversation_fared_in_order_of_time() -> None:
    ledger = [
        said("photo", 3.0, ok=False, name="photo.example"),
        said("chat", 1.0, ok=True),
        said("photo", 2.0, ok=True, name="photo.example"),
    ]
    assert demo.fared(ledger).splitlines() == [
        "  chat      1 of 1 seemed well; the last with 203.0.113.10, port 443: a reason",
        "  photo     1 of 2 seemed well; the last with photo.example at 203.0.113.10, port 443: a reason",
    ]


def test_one_line_says_why_it_cannot_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(network.os, "geteuid", lambda: 1000)
    assert demo.main([]) == 2
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "demo: network namespaces need root: run 'sudo make demo'\n")
