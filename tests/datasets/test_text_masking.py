"""Masks: as many as BERT's, never of a mark, four fifths hidden, and the same pairs as without them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from workflow_scripts.datasets.ahead import ahead
from workflow_scripts.datasets.sampling import Share
from workflow_scripts.datasets.text.documents import DocumentText
from workflow_scripts.datasets.text.masking import masked, masked_count


@pytest.mark.parametrize(("length", "count"), [(5, 1), (8, 1), (10, 2), (17, 3), (128, 19), (512, 77), (4, 1), (3, 0)])
def test_as_many_places_are_masked_as_berts_code_masks(length, count):
    assert masked_count(length) == count  # max(1, int(round(length * .15))), but never more than the word pieces


def test_masks_are_of_word_pieces_and_mostly_hide_them():
    random, vocabulary, mask = np.random.default_rng(0), 1000, 4
    tokens = np.arange(100, 100 + 60)
    places, put = zip(*(masked(tokens, 20, mask, vocabulary, random) for _ in range(3000)), strict=True)
    assert all(len(set(each)) == 9 and (np.diff(each) > 0).all() for each in places)
    every, new = np.concatenate(places), np.concatenate(put)
    counts = np.bincount(every, minlength=60)
    assert counts[[0, 19, 59]].tolist() == [0, 0, 0]
    assert np.delete(counts, [0, 19, 59]) == pytest.approx(np.full(57, 3000 * 9 / 57), rel=0.25)
    assert (new == mask).mean() == pytest.approx(0.8, abs=0.01)
    assert (new == tokens[every]).mean() == pytest.approx(0.1, abs=0.01)
    others = new[(new != mask) & (new != tokens[every])]
    assert others.min() < 10 and others.max() > 990


def test_what_is_masked_are_the_pairs_of_the_epoch(documents):
    text = DocumentText(documents)
    plain = list(text.epoch_batches(3, 2, 15, 60, 48))
    updates = [(list(update.parts), update.masked) for update in text.masked_updates(3, 2, 15, 4, 48, 15)]
    assert len(updates) == len(plain) == 4
    for ((pairs,), count), segments in zip(updates, plain, strict=True):
        assert count == len(pairs.chosen) == len(pairs.labels)
        assert torch.equal(pairs.segments, segments.segments) and torch.equal(pairs.other, segments.other)
        assert not torch.equal(pairs.tokens, segments.tokens)
        restored = pairs.tokens.flatten().index_copy(0, pairs.chosen, pairs.labels)
        assert torch.equal(restored, segments.tokens.flatten())


def test_masks_do_not_depend_on_parts_and_shares(documents):
    text = DocumentText(documents)

    def labels(**options):
        updates = list(text.masked_updates(3, 1, 15, 4, 48, **options))
        return [torch.cat([part.labels for part in update.parts]).tolist() for update in updates], [
            update.masked for update in updates
        ]

    whole, counts = labels(together=15)
    assert labels(together=4) == (whole, counts)
    assert labels(together=4, first=2) == (whole[2:], counts[2:])
    shares = [labels(together=4, share=Share(rank, 2)) for rank in range(2)]
    assert all(found == counts for _, found in shares)
    assert [one + two for one, two in zip(shares[0][0], shares[1][0], strict=True)] == whole


def test_pairs_held_out_are_masked_alike_every_time(documents):
    text = DocumentText(documents)
    one, two = ([pairs.tokens.tolist() for pairs in text.masked_batches("test", 50, 32)] for _ in range(2))
    assert one == two and sum(map(len, one)) == text.count("test")
    parts = [[p.tokens.tolist() for p in text.masked_batches("test", 50, 32, Share(rank, 2))] for rank in range(2)]
    assert sorted(parts[0] + parts[1]) == sorted(one)


def test_updates_drawn_ahead_are_the_same(documents, monkeypatch):
    """As on a GPU, where a thread draws the next update's pairs; one is drawn before it is asked for, and no more."""
    text, drawn = DocumentText(documents), []
    expected = [[part.tokens.tolist() for part in update.parts] for update in text.masked_updates(3, 1, 15, 4, 48, 4)]
    monkeypatch.setattr(text, "device", SimpleNamespace(type="cuda"))
    monkeypatch.setattr(text, "_put", torch.from_numpy)
    draw = text._drawn
    monkeypatch.setattr(text, "_drawn", lambda *given: drawn.append(1) or draw(*given))
    found = []
    for number, update in enumerate(text.masked_updates(3, 1, 15, 4, 48, 4), 1):
        found.append([part.tokens.tolist() for part in update.parts])
        assert len(drawn) <= number + 1
    assert found == expected


def test_an_error_ahead_is_raised_where_it_belongs():
    found = ahead(lambda number: 1 // number, [1, 1, 0])
    assert [next(found), next(found)] == [1, 1]
    with pytest.raises(ZeroDivisionError):
        next(found)
    assert list(ahead(str, [])) == [] and list(ahead(str, [1, 2])) == ["1", "2"]
