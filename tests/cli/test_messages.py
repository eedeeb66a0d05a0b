from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.cli.messages import complain
from tests.report.made import HOSTILE


def said(capsys, *args, **options):
    complain(*args, **options)
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_who_speaks_and_how_bad_it_is(capsys):
    assert said(capsys, "error", "x.pcap: no capture") == "forensics: error: x.pcap: no capture\n"


@pytest.mark.parametrize("text", [HOSTILE, "a\nb\r\nc\x85d\u2028e", "\x1b[2J", "", "\ud800"])
@pytest.mark.parametrize("indent", [False, True])
def test_a_message_is_one_printable_line(capsys, text, indent):
    line = said(capsys, "warning", text, indent=indent)
    assert line.startswith("forensics: warning: ")
    assert line.endswith("\n")
    assert line[:-1].isprintable()


def test_only_the_lines_of_a_traceback_keep_their_indentation(capsys):
    assert said(capsys, "error", "  two\n   words ") == "forensics: error: two words\n"
    assert said(capsys, "debug", "    return x", indent=True) == "forensics: debug:     return x\n"


@given(st.text(st.characters()))
def test_no_text_makes_a_second_line(text):
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("click.echo", lambda line, err: lines.append((line, err)))
        complain("error", text)
    ((line, err),) = lines
    assert err
    assert line.isprintable()
