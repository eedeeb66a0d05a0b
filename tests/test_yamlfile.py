from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.errors import RuleError
from forensics.yamlfile import MAX_BYTES, parse_yaml, read_yaml


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(), st.text(alphabet="{}[]:,-&*!|>'\"#? \n\tab01.~")))
def test_any_text_is_read_or_refused_in_one_line(text):
    message = ""
    try:
        parse_yaml(text, "any.yaml")
    except RuleError as error:
        message = str(error)
    assert message == "" or message.startswith("any.yaml:")
    assert message.isprintable()


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("a: &x 1\nb: *x\n", "t.yaml:1:4", "anchors"),
        ("a: !!python/name:os.system x\n", "t.yaml:1:4", "tags"),
        ("a: 1\na: 2\n", "t.yaml:2:1", "twice"),
        ("a: 1\n---\nb: 2\n", "t.yaml:2:1", "second document"),
        ("a:\n  - {b: 1, ? [c] : 2}\n", "t.yaml:2:14", "key must be a word"),
    ],
)
def test_tricks_are_refused_where_they_stand(text, place, what):
    with pytest.raises(RuleError) as caught:
        parse_yaml(text, "t.yaml")
    assert str(caught.value).startswith(f"{place}: ")
    assert what in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(RuleError, match="cannot be read"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "big.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(RuleError, match="longer than"):
        read_yaml(tmp_path / "big.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(RuleError, match=r"latin\.yaml:2:1: is not UTF-8"):
        read_yaml(tmp_path / "latin.yaml")
