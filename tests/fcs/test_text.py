"""Splitting TEXT into keywords, and the numbers in them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytomrd.errors import FcsError
from cytomrd.fcs.findings import FindingLog
from cytomrd.fcs.text import parse_text, printable, read_number, read_whole_number


def parsed(raw: bytes, **options):
    log = FindingLog(**options)
    return parse_text(raw, 100, log), log


@pytest.mark.parametrize(
    ("raw", "values"),
    [
        (b"|$A|1|$B|2|", {"$A": "1", "$B": "2"}),
        (b"|note|a||b|$B|2|", {"NOTE": "a|b", "$B": "2"}),
        (b"|note|a|||$B|2|", {"NOTE": "a|", "$B": "2"}),
        (b"|note|a||||b|", {"NOTE": "a||b"}),
        (b"|$OP||$SPILLOVER|2,x|", {"$OP": "", "$SPILLOVER": "2,x"}),
        (b"|$OP||$SRC||$COM||$CYT|x|", {"$OP": "", "$SRC": "", "$COM": "", "$CYT": "x"}),
        (b"|OPERATOR||SAMPLE ID|x|$CYT|y|", {"OPERATOR": "", "SAMPLE ID": "x", "$CYT": "y"}),
        (b"|$CYT|x|$OP||", {"$CYT": "x", "$OP": ""}),
        (b"|$CYT|AriaX", {"$CYT": "AriaX"}),
        (b"|$CYT|AriaX| \r\n\0 ", {"$CYT": "AriaX"}),
        (b"|$CYT|AriaX||", {"$CYT": "AriaX"}),
        (b"|$CYT|x|ORPHAN|", {"$CYT": "x"}),
        (b"|  $cyt |x|", {"$CYT": "x"}),
        (b"|$CYT|a\0b|", {"$CYT": "a\0b"}),
        (b"\x0c$CYT\x0cx\x0c", {"$CYT": "x"}),
        (b" $CYT x  y ", {"$CYT": "x y"}),
        (b"|$SRC|\xce\xb3|", {"$SRC": "\u03b3"}),
        (b"|$SRC|\xb5m|", {"$SRC": "\u00b5m"}),
        (b"|$A|1|$a|1|", {"$A": "1"}),
        (b"|note|first|NOTE|second|", {"NOTE": "first"}),
        (b"|NOTE|cost $5|", {"NOTE": "cost $5"}),
    ],
)
def test_keywords(raw, values):
    assert parsed(raw)[0].values == values


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"|",
        b"$$A$1$",
        b"\0$A\x001\0",
        b"|$TOT|40|$tot|7|",
        b"|SPILL|a|SPILL|b|",
        b"|$P1G|$P1N|FITC|$P1B|32|",
        b"|$OP|x||$SPILLOVER|2,x|",
        b"|$CYT|x|$TIMESTEP|",
        b"|$CYT|x|SPILL|",
        b"| |1|",
        b"|K|||v|",
    ],
)
def test_what_cannot_be_split_in_one_way_is_refused(raw):
    with pytest.raises(FcsError) as caught:
        parsed(raw)
    assert caught.value.keyword
    assert caught.value.byte_offset >= 100


def test_offsets_point_at_the_keyword_in_the_file():
    raw = b"|$A|1||2|$OP||$B|x|"
    keywords, log = parsed(raw)
    assert {k: raw[at - 100 :].startswith(k.encode()) for k, at in keywords.offsets.items()} == {
        "$A": True,
        "$OP": True,
        "$B": True,
    }
    assert [(f.grade, f.keyword) for f in log.findings] == [("repaired", "$OP")]


def test_strict_mode_refuses_a_repair():
    with pytest.raises(FcsError, match="strict mode"):
        parsed(b"|$OP||$B|x|", strict=True)


def test_complaints_do_not_fill_the_memory():
    keywords, log = parsed(b"|" + b"".join(b"$K%d||" % i for i in range(5000)) + b"$CYT|x|")
    assert keywords.values["$CYT"] == "x"
    assert len(keywords.values) == 5001
    assert len(log.findings) == 1000


words = st.text(st.characters(codec="utf-8", exclude_characters="\0 \r\n\t"), min_size=1, max_size=8)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(words.map(str.upper), words, min_size=1, max_size=6), st.sampled_from("|/\\!^,;\x0c\x1e"))
def test_what_a_correct_writer_wrote_is_read_back(pairs, delimiter):
    pairs = {
        k: v
        for k, v in pairs.items()
        if delimiter not in k and k == k.upper() and not v.startswith((delimiter, "$")) and delimiter + "$" not in v
    }
    text = delimiter + "".join(
        f"{k}{delimiter}{v.replace(delimiter, delimiter * 2)}{delimiter}" for k, v in pairs.items()
    )
    if pairs:
        assert parsed(text.encode())[0].values == pairs


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([b"$A", b"$B", b"$b", b"k", b"1", b"v", b"", b" ", b"\0", b"$TOT", b"\xe9"]), max_size=8),
    st.sampled_from([b"|", b"k", b"\xe9", b" "]),
    st.sampled_from([b"", b" "]),
)
def test_the_short_way_through_a_plain_segment_finds_what_the_long_one_does(tokens, delimiter, padding):
    raw = delimiter + delimiter.join(tokens) + delimiter + padding

    def outcome():
        try:
            keywords, log = parsed(raw)
        except FcsError as error:
            return str(error)
        return keywords.values, keywords.offsets, log.findings

    short = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cytomrd.fcs.text._plain_keywords", lambda *_: None)
        assert outcome() == short


@pytest.mark.parametrize("text", ["40", " 40 ", "0040", "40\r\n"])
def test_whole_numbers(text):
    assert read_whole_number(text) == 40


@pytest.mark.parametrize("text", ["", "40.0", "-5", "+5", "4_0", "4e1", "0x28", "٤٠", "4 0", "nan"])
def test_what_is_no_whole_number(text):
    assert read_whole_number(text) is None


def test_numbers():
    assert [read_number(t) for t in ("1.5", " -2e3 ", ".5", "3.")] == [1.5, -2000.0, 0.5, 3.0]
    assert [read_number(t) for t in ("", "inf", "nan", "1e999", "1_0", "1,5", "x")] == [None] * 7


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("CD19 γδ µ", "CD19 γδ µ"),
        ("\x1b]0;owned\x07\x1b[2J", "\\x1b]0;owned\\x07\\x1b[2J"),
        ("CD3\u202e91DC", "CD3\\u202e91DC"),
        ("CD\u200b10\ufeff", "CD\\u200b10\\ufeff"),
        ("a\r\nb\u2028c", "a\\x0d\\x0ab\\u2028c"),
        ("\x9b1m", "\\x9b1m"),
        ("\ud800", "\\ud800"),
    ],
)
def test_text_is_safe_to_print(text, shown):
    assert printable(text) == shown


def test_long_text_is_cut():
    assert printable("x" * 100, max_length=10) == "xxxxxxx..."
