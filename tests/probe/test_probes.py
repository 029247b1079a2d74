"""Probes against models whose answers are known, and patterns counted."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch.nn import functional

from bytegap.objectives._base import Vocabulary
from bytegap.probe import context, fragility, reconstruction, segmentation, semantics
from bytegap.probe.texts import Texts, numbered

TEXT = b"We the People of the United States, in Order to form a more perfect Union, establish Justice, insure"
VOCABULARY = Vocabulary(256)
ROWS = torch.tensor([list(TEXT)] * 30)


class Known:
    """Stands for a model: `certain` says of which places it knows the answer, given what is hidden; else nothing."""

    def __init__(self, certain, *, causal=False):
        self.certain, self.causal, self.vocabulary = certain, causal, VOCABULARY
        self.spec = SimpleNamespace(
            id="a",
            arm="byte",
            row_symbols=8,
            budget_flops=1.0,
            non_embedding_parameters=2,
            seed=0,
            objective_options={},
            order="identity",
            order_options={},
        )

    def hidden_ones(self, symbols_BS, asked_BS, hidden_BS=None):
        logp_BSV = torch.full((*symbols_BS.shape, VOCABULARY.ids), -torch.log(torch.tensor(float(VOCABULARY.ids))))
        sure_BSV = torch.full_like(logp_BSV, -30.0).scatter(2, symbols_BS[..., None], 0.0)
        return torch.where(self.certain(symbols_BS, hidden_BS)[..., None], sure_BSV, logp_BSV)[asked_BS]

    def next_ones(self, symbols_BS, asked_BS, hidden_BS=None, **_):
        return self.hidden_ones(symbols_BS, asked_BS, hidden_BS)


def texts(starts=None, labels=None):
    return Texts(ROWS, np.arange(len(ROWS)), starts or {}, labels or {})


def starts():
    begins = torch.zeros_like(ROWS, dtype=torch.bool)
    begins[:, ::7] = True
    return begins


def test_a_model_unsure_at_starts_alone_finds_them_all():
    model = Known(lambda *_: ~starts(), causal=True)
    rows = segmentation.of_run(model, [texts({"bpe": starts()})])
    assert {row.signal for row in rows} == {"entropy", "surprisal"}
    for row in rows:
        assert (row.auc, row.average_precision, row.best_f1) == (1, 1, 1)
        assert row.positions == 30 * (len(TEXT) - 1)
        assert row.base_rate == pytest.approx(((len(TEXT) - 1) // 7) / (len(TEXT) - 1))


def test_a_masked_model_is_asked_only_where_it_cannot_see():
    seen = []
    model = Known(lambda _, hidden_BS: seen.append(hidden_BS) or ~starts())
    rows = segmentation.of_run(model, [texts({"bpe": starts()})])
    assert {row.given for row in rows} == {"left context", *(f"mask {ratio:g}" for ratio in segmentation.RATIOS)}
    S = len(TEXT)
    for ratio, hidden_BS in zip(segmentation.RATIOS, seen, strict=False):
        assert (hidden_BS.sum(1) == round(ratio * S)).all()
    for hidden_BS in seen[len(segmentation.RATIOS) :]:
        assert hidden_BS[0].tolist() == sorted(hidden_BS[0].tolist())  # nothing from there on


def test_bigrams_are_asked_of_the_byte_before():
    pairs = torch.zeros(257, 257, dtype=torch.long)
    for a, b in pairwise(TEXT):
        pairs[a, b] += 10_000
    text = texts({"word": starts()})
    (entropy,) = [r for r in segmentation.of_bigrams(Known(None).spec, pairs, [text]) if r.signal == "entropy"]
    assert entropy.arm == "bigram"
    assert entropy.run == ""


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("reach", "visible"), [(1, 0), (2, 1), (4, 3), (8, 8)])
def test_a_pattern_hides_its_share_and_spares_the_neighbours(causal, reach, visible):
    S, rows = 100, 200
    generator = torch.Generator().manual_seed(0)
    target_B = torch.randint(2 * reach, S - reach, (rows,), generator=generator)
    hidden = reach + 1 if causal else 50
    hidden_BS = fragility.pattern(target_B, S, reach, visible, hidden, generator, causal=causal)
    assert (hidden_BS.sum(1) == hidden).all()
    for row, target in enumerate(target_B.tolist()):
        assert hidden_BS[row, target]
        around = [hidden_BS[row, target - reach : target]]
        if not causal:
            around.append(hidden_BS[row, target + 1 : target + reach + 1])
        assert int((~torch.cat(around)).sum()) == visible
        if causal:
            assert not hidden_BS[row, target + 1 :].any()


def test_a_model_that_needs_both_neighbours_loses_by_them_and_by_nothing_farther():
    def certain(_, hidden_BS):
        shown = ~hidden_BS
        return shown.roll(1, 1) & shown.roll(-1, 1)

    rows = {row.reach: row for row in fragility.of_run(Known(certain), [texts()])}
    assert set(rows) == {1, 2, 4, 8}
    nothing = torch.log(torch.tensor(259.0)).item()
    assert rows[1].visible == [0, 1, 2]
    assert rows[1].nats == pytest.approx([nothing, nothing, 0], abs=1e-4)
    assert rows[1].nats_a_neighbour == pytest.approx(nothing / 2, rel=0.02)
    assert rows[8].nats[-1] == pytest.approx(0, abs=1e-4)
    assert not rows[1].out_of_distribution


def test_a_gap_in_the_history_of_ar_is_out_of_distribution_unless_it_was_trained_so():
    model = Known(lambda symbols_BS, _: torch.ones_like(symbols_BS, dtype=torch.bool), causal=True)
    assert all(row.out_of_distribution for row in fragility.of_run(model, [texts()]))
    model.spec.objective_options = {"dropped": 0.1}
    assert not any(row.out_of_distribution for row in fragility.of_run(model, [texts()]))


def test_context_is_as_long_as_the_model_looks():
    """A model that is sure once it is given four bytes, among rows that are cut and not masked."""

    def certain(symbols_BS, _):
        return torch.full(symbols_BS.shape, fill_value=symbols_BS.shape[1] > 4)

    model = Known(certain, causal=True)
    model.spec.row_symbols = 64
    (row,) = context.of_run(model, [texts()])
    assert row.lengths == [1, 2, 4, 8, 16, 32]
    nothing = torch.log(torch.tensor(259.0)).item()
    assert row.nats == pytest.approx([nothing] * 2 + [0.0] * 4, abs=1e-4)
    assert row.effective == 4
    assert context.of_run(Known(certain), [texts()]) == []


def test_words_are_hidden_scattered_or_side_by_side():
    generator = torch.Generator().manual_seed(0)
    word_BS = reconstruction.word(ROWS, generator)
    found = {bytes(ROWS[0][row].tolist()) for row in word_BS}
    assert found <= {b"People", b"United", b"States", b"Order", b"perfect", b"Union", b"Justice", b"insure"}
    assert len(found) > 3
    for k in reconstruction.HIDDEN:
        for side_by_side in (True, False):
            hidden_BS = reconstruction.hide(word_BS, k, generator, side_by_side=side_by_side)
            assert (hidden_BS.sum(1) == k).all()
            assert not (hidden_BS & ~word_BS).any()
            gaps = [int(row.nonzero().diff(dim=0).max()) if k > 1 else 1 for row in hidden_BS]
            assert (max(gaps) == 1) is (side_by_side or k == 1)


def test_reconstruction_counts_bytes_and_whole_words():
    model = Known(lambda _, hidden_BS: hidden_BS.sum(1, keepdim=True).expand_as(hidden_BS) < 3)
    rows = {(row.pattern, row.hidden): row for row in reconstruction.of_run(model, [texts()])}
    assert rows["contiguous", 2].all_right == 1
    assert rows["contiguous", 2].nats_a_byte == pytest.approx(0, abs=1e-4)
    assert rows["scattered", 3].all_right == 0
    assert rows["scattered", 3].nats_a_byte == pytest.approx(torch.log(torch.tensor(259.0)).item())


def test_a_context_probe_reads_the_order_it_was_trained_in():
    model = Known(None, causal=True)
    model.spec.order, model.spec.order_options = "window", {"size": 4}
    permuted = context.in_order(texts(), model.spec)
    assert not torch.equal(permuted, ROWS)
    assert torch.equal(
        permuted[:, :100].unflatten(1, (25, 4)).sort(-1)[0], ROWS[:, :100].unflatten(1, (25, 4)).sort(-1)[0]
    )


def test_words_are_numbered_by_their_letters():
    row = torch.tensor([[*b"the man, the 12 th", 256]])
    numbers = {}
    words = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 2, 3, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6]])
    found = numbered(words, row, numbers)
    assert numbers == {b"the": 0, b"man": 1, b",": 2, b"12": 3, b"th": 4}
    assert found[0].tolist() == [0, 0, 0, -1, 1, 1, 1, 2, -1, 0, 0, 0, -1, 3, 3, -1, 4, 4, -1]


def test_labels_are_the_commonest_where_they_are_counted(monkeypatch):
    monkeypatch.setattr(semantics, "LABELS", 2)
    label_N = torch.tensor([7, 7, 7, -1, -1, -1, -1, 5, 5, 9, 9, 9, 9])
    counted_N = torch.tensor([True] * 10 + [False] * 3)
    assert semantics.commonest(label_N, counted_N).tolist() == [0, 0, 0, -1, -1, -1, -1, 1, 1, -1, -1, -1, -1]


def test_a_linear_probe_is_the_regression_that_scipy_finds():
    generator = torch.Generator().manual_seed(0)
    x_ND = torch.randn(200, 3, generator=generator, dtype=torch.float64)
    label_N = (x_ND @ torch.tensor([[1.0, -1, 0], [0, 0.2, -0.3], [3, 0, 0]]).double()).argmax(1)
    x_ND = x_ND * torch.tensor([1.0, 5.0, 0.1]) + 2
    weights_DK, mean_D, deviation_D = semantics.fit(x_ND, label_N)
    inputs = functional.pad((x_ND - x_ND.mean(0)) / x_ND.std(0), (0, 1), value=1.0).numpy()

    def loss(flat):
        weights = flat.reshape(4, 3)
        scores = inputs @ weights
        logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        return -logs[np.arange(200), label_N.numpy()].sum() + (weights[:-1] ** 2).sum() / 2

    reference = minimize(loss, np.zeros(12), method="BFGS", options={"gtol": 1e-6}).x.reshape(4, 3)
    assert weights_DK[:-1].numpy() == pytest.approx(reference[:-1], abs=1e-3)
    right = semantics.predict(x_ND, weights_DK, mean_D, deviation_D) == label_N
    assert right.double().mean() > 0.95


class Layered(Known):
    """Its first state is noise, its second says which of seven labels a byte has, if the byte is visible."""

    def states(self, symbols_BS, hidden_BS):
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn((*symbols_BS.shape, 7), generator=generator)
        known = functional.one_hot(labels(), 7) * 1.0
        return torch.stack([noise, torch.where(hidden_BS[..., None], noise, known)])


def labels():
    return (torch.arange(len(TEXT)) * 5 % 7).expand(len(ROWS), -1)


def test_a_probe_reads_what_a_layer_knows_and_no_more():
    rows = semantics.of_run(Layered(None), [texts(labels={"bpe": labels()})])
    assert {row.mask_ratio for row in rows} == set(semantics.RATIOS)
    for row in rows:
        assert row.labels == 7
        assert row.chance == pytest.approx(1 / 7, abs=0.03)
        assert row.accuracy[0] == pytest.approx(1 / 7, abs=0.08)
        assert row.accuracy[1] == (1 if row.at == "visible" else pytest.approx(1 / 7, abs=0.08))
    (row,) = semantics.of_run(Layered(None, causal=True), [texts(labels={"bpe": labels()})])
    assert (row.given, row.at, row.mask_ratio, row.accuracy[1]) == ("all up to it", "visible", None, 1)
