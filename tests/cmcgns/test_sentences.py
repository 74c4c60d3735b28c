"""Sentence splitting, ours and the official one; tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmcgns._shared.errors import DataError
from cmcgns.sentences import split_sentences, split_sentences_official
from cmcgns.tokens import HashedWords, tokenize, word_pieces


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ("Stable 2.5 cm nodule. No effusion.", ["Stable 2.5 cm nodule.", "No effusion."]),
        ("1. No effusion. 2. Stable 2.5 cm nodule.", ["1. No effusion.", "2. Stable 2.5 cm nodule."]),
        ("1. No effusion\n2. Clear lungs", ["1. No effusion", "2. Clear lungs"]),
        ("IMPRESSION: 1. No change. 2. Edema.", ["IMPRESSION: 1. No change.", "2. Edema."]),
        ("- no effusion\n- clear lungs", ["- no effusion", "- clear lungs"]),
        ("Lungs are\nclear. Heart is\nnormal.", ["Lungs are clear.", "Heart is normal."]),
        ("no effusion. heart normal.", ["no effusion.", "heart normal."]),
        ("Seen at 3 p.m. on arrival. Then left.", ["Seen at 3 p.m. on arrival.", "Then left."]),
        ("Seen at 3 p.m. The lungs are clear.", ["Seen at 3 p.m.", "The lungs are clear."]),
        ("Dr. Smith was told. Done.", ["Dr. Smith was told.", "Done."]),
        ("Nodule in segment 3. No effusion.", ["Nodule in segment 3.", "No effusion."]),
        ("Compared to ___, improved. ___.", ["Compared to , improved."]),
        ("Sin derrame. Cardiomegalia leve, p.ej. global.", ["Sin derrame.", "Cardiomegalia leve, p.ej. global."]),
        ("FINDINGS\n\nClear lungs", ["FINDINGS", "Clear lungs"]),
        ("Is it edema? Yes! (Probably.) Follow up.", ["Is it edema?", "Yes!", "(Probably.)", "Follow up."]),
        ("2.5", []),
        ("", []),
    ],
)
def test_a_report_is_cut_as_a_reader_would(report, expected) -> None:
    assert split_sentences(report) == expected


@given(st.text())
def test_any_text_can_be_cut_and_loses_no_letter(text) -> None:
    def letters(s: str) -> str:
        return "".join(c for c in s if c.isalpha())

    assert letters("".join(split_sentences(text))) == letters(text)
    assert all(sentence == sentence.strip() and sentence for sentence in split_sentences(text))
    split_sentences_official(text)


def test_the_official_splitter_does_its_known_damage() -> None:
    assert split_sentences_official("2. Stable 2.5 cm nodule in the right lower lobe.") == [
        "5 cm nodule in the right lower lobe"
    ]
    assert split_sentences_official("Seen at 3 p.m. on ___ and stable") == ["seen at 3 p", "on ___ and stable"]
    assert split_sentences_official("No change") == []


def test_tokens_carry_their_sentence_and_special_ones_none() -> None:
    tokens = tokenize(["One two. Three.", "Four."], HashedWords())
    assert tokens.sentence_ids.tolist() == [[-1, 0, 0, 1, -1], [-1, 0, -1, -1, -1]]
    assert tokens.attention_mask.tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert tokens.counts().tolist() == [2, 1]


def test_a_long_report_loses_its_end_and_the_end_token_joins_no_sentence() -> None:
    tokens = tokenize(["one two three. four five six. seven."], HashedWords(), max_tokens=6)
    assert tokens.sentence_ids.tolist() == [[-1, 0, 0, 0, 1, -1]]
    assert tokens.input_ids[0, -1] == HashedWords.end_id


def test_a_report_without_a_sentence_is_named_by_its_number() -> None:
    with pytest.raises(DataError, match="report 1: expected at least one sentence"):
        tokenize(["Clear.", "___ 2.5"], HashedWords())


def test_hashed_words_are_the_same_in_every_process_and_after_storage() -> None:
    pieces = HashedWords(64)
    assert pieces.encode(["Pleural effusion"]) == word_pieces(pieces.to_json()).encode(["pleural EFFUSION"])
    assert pieces.encode(["effusion"]) == [[55]]
