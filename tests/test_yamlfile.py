from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.errors import RuleError
from forensics.yamlfile import MAX_BYTES, MAX_TEXT, parse_yaml, read_yaml


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


def test_a_word_is_found_where_it_stands():
    text = """\ufeffwhen: >\r
  é syn_count > 1 AND syn > 3\r
one: {a: "x syn", b: 1}
yes: true
"""
    top = parse_yaml(text, "t.yaml").mapping()
    assert top["when"].expression() == "é syn_count > 1 AND syn > 3"
    assert str(top["when"].place_of("syn")) == "t.yaml:2:23"
    assert str(top["when"].place_of("syn_count")) == "t.yaml:2:5"
    assert top["when"].place_of("count") == top["when"].place
    assert str(top["one"].mapping()["a"].place_of("syn")) == "t.yaml:3:13"
    assert (top["one"].mapping()["b"].expression(), top["yes"].expression()) == ("1", "true")
    with pytest.raises(RuleError, match=r"t\.yaml:3:6: expected an expression, found a mapping"):
        top["one"].expression()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('"\\x1b[31m"', "control characters"),
        ("{}", "found a mapping$"),
        ("3", "put it in quotes"),
        ('" "', "found an empty one"),
        ("x" * (MAX_TEXT + 1), "longer than"),
    ],
)
def test_what_is_no_text(text, message):
    with pytest.raises(RuleError, match=message) as caught:
        parse_yaml(f"a: {text}", "t.yaml").mapping()["a"].text()
    assert str(caught.value).startswith("t.yaml:1:4: ")
    assert str(caught.value).isprintable()


def test_a_forbidden_character_is_named_with_its_place():
    with pytest.raises(RuleError, match=r"^t\.yaml:2:4: "):
        parse_yaml("a: 1\nb: \x07\n", "t.yaml")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(RuleError, match="cannot be read"):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "big.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(RuleError, match="longer than"):
        read_yaml(tmp_path / "big.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(RuleError, match=r"latin\.yaml:2:4: is not UTF-8"):
        read_yaml(tmp_path / "latin.yaml")
