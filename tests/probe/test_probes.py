"""Probes of models whose predictions are known, and the patterns of hidden bytes, counted."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn
from torch.nn import functional

from bytegap.data.permutations.base import permutation
from bytegap.data.vocabulary import Vocabulary
from bytegap.models.base import Network
from bytegap.objectives.ar import Autoregressive
from bytegap.objectives.mdm import MaskedDiffusion
from bytegap.probe import context_length, linear_probe, neighbour_ablation, reconstruction, segmentation
from bytegap.probe.neighbour_ablation import Pattern
from bytegap.probe.windows import ProbeWindows, word_numbers
from tests.helpers.language_models import language_model

TEXT = b"We the People of the United States, in Order to form a more perfect Union, establish Justice, insure"
VOCABULARY = Vocabulary(256)
ROWS = torch.tensor([list(TEXT)] * 30)
NOTHING_KNOWN = float(np.log(VOCABULARY.n_ids))


class KnowingNetwork(nn.Module):
    """Knows TEXT: certain of the byte where `certain` says so, else all ids are equally likely.

    `certain(hidden_BS, length)` is given the hidden bytes and the number of bytes in the sequence.
    """

    def __init__(self, certain):
        super().__init__()
        self.certain = certain
        self.unused = nn.Parameter(torch.zeros(1))  # has a device, by which a model knows its own

    def forward(self, inputs_BP, positions_M, attention):
        B, P = inputs_BP.shape
        position_ids = torch.arange(P) if attention.position_ids is None else attention.position_ids
        hidden_BP = inputs_BP == VOCABULARY.mask
        if attention.causal:  # position p predicts byte p
            target_BP, certain_BP = position_ids.expand(B, P), self.certain(hidden_BP.roll(-1, 1), P)
        else:  # position p, after BOS, predicts byte p - 1
            target_BP = (position_ids - 1).expand(B, P)
            certain_BP = functional.pad(self.certain(hidden_BP[:, 1:], P - 1), (1, 0))
        logits_BPV = torch.full((B, P, VOCABULARY.n_ids), -NOTHING_KNOWN)
        target_BPV = ROWS[0][target_BP.clamp(0, len(TEXT) - 1)][..., None]
        known_BPV = torch.full_like(logits_BPV, -30.0).scatter(2, target_BPV, 0.0)
        return torch.where(certain_BP[..., None], known_BPV, logits_BPV).flatten(0, 1)[positions_M]


def known(certain, *, causal=False, objective=None, **fields):
    """A model with such a network."""
    objective = objective or (Autoregressive() if causal else MaskedDiffusion())
    return language_model(KnowingNetwork(certain), objective, VOCABULARY, len(TEXT), **fields)


def spec(seq_len=8):
    return SimpleNamespace(id="a", arm="byte", seq_len=seq_len, budget_flops=1.0, non_embedding_parameters=2, seed=0)


def windows(starts=None, labels=None):
    return ProbeWindows(ROWS, np.arange(len(ROWS)), starts or {}, labels or {})


def every_seventh():
    starts_BS = torch.zeros_like(ROWS, dtype=torch.bool)
    starts_BS[:, ::7] = True
    return starts_BS


def test_segmentation_is_perfect_for_a_model_that_is_uncertain_at_starts_only():
    model = known(lambda *_: ~every_seventh(), causal=True)
    rows = segmentation.segmentation(model, spec(), [windows({"bpe": every_seventh()})])
    assert {row.score for row in rows} == {"entropy", "surprisal"}
    for row in rows:
        assert (row.auc, row.average_precision, row.best_f1) == (1, 1, 1)
        assert row.positions == 30 * (len(TEXT) - 1)
        assert row.base_rate == pytest.approx(((len(TEXT) - 1) // 7) / (len(TEXT) - 1))


def test_segmentation_of_a_masked_model_hides_each_ratio_and_left_contexts():
    seen = []
    model = known(lambda hidden_BS, _: seen.append(hidden_BS) or ~every_seventh())
    rows = segmentation.segmentation(model, spec(), [windows({"bpe": every_seventh()})])
    ratios = segmentation.MASK_RATIOS
    assert {row.conditioning for row in rows} == {"left context", *(f"mask {ratio:g}" for ratio in ratios)}
    for ratio, hidden_BS in zip(ratios, seen, strict=False):
        assert (hidden_BS.sum(1) == round(ratio * len(TEXT))).all()
    for hidden_BS in seen[len(ratios) :]:
        assert hidden_BS[0].tolist() == sorted(hidden_BS[0].tolist()), "nothing is visible from the target on"


def test_bigram_segmentation_is_of_no_run():
    pairs_VV = torch.zeros(257, 257, dtype=torch.long)
    for a, b in pairwise(TEXT):
        pairs_VV[a, b] += 10_000
    rows = segmentation.bigram_segmentation(spec(), pairs_VV, [windows({"word": every_seventh()})])
    (entropy,) = [row for row in rows if row.score == "entropy"]
    assert (entropy.arm, entropy.run, entropy.conditioning) == ("bigram", "", "next byte")


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize(("radius", "visible"), [(1, 0), (2, 1), (4, 3), (8, 8)])
def test_a_pattern_hides_its_share_and_keeps_the_visible_neighbours(causal, radius, visible):
    S, rows = 100, 200
    rng = torch.Generator().manual_seed(0)
    target_B = torch.randint(2 * radius, S - radius, (rows,), generator=rng)
    hidden = radius + 1 if causal else 50
    hidden_BS = Pattern(S, radius, visible, hidden, causal).draw(target_B, rng)
    assert (hidden_BS.sum(1) == hidden).all()
    for row, target in enumerate(target_B.tolist()):
        assert hidden_BS[row, target]
        around = [hidden_BS[row, target - radius : target]]
        if not causal:
            around.append(hidden_BS[row, target + 1 : target + radius + 1])
        assert int((~torch.cat(around)).sum()) == visible
        if causal:
            assert not hidden_BS[row, target + 1 :].any()


def test_a_model_that_needs_both_neighbours_loses_nats_by_them_only():
    def certain(hidden_BS, _):
        visible = ~hidden_BS
        return visible.roll(1, 1) & visible.roll(-1, 1)

    rows = neighbour_ablation.neighbour_ablation(known(certain), spec(), [windows()])
    by_radius = {row.radius: row for row in rows}
    assert set(by_radius) == {1, 2, 4, 8}
    assert by_radius[1].visible == (0, 1, 2)
    assert by_radius[1].nats == pytest.approx([NOTHING_KNOWN, NOTHING_KNOWN, 0], abs=1e-4)
    assert by_radius[1].nats_per_neighbour == pytest.approx(NOTHING_KNOWN / 2, rel=0.02)
    assert by_radius[8].nats[-1] == pytest.approx(0, abs=1e-4)
    assert not by_radius[1].out_of_distribution


@pytest.mark.parametrize("dropped", [0.0, 0.1])
def test_hidden_history_is_out_of_distribution_unless_ar_was_trained_with_dropped_inputs(dropped):
    model = known(
        lambda hidden_BS, _: torch.ones_like(hidden_BS), causal=True, objective=Autoregressive(dropped=dropped)
    )
    rows = neighbour_ablation.neighbour_ablation(model, spec(), [windows()])
    assert {row.out_of_distribution for row in rows} == {not dropped}


def test_effective_context_is_the_length_that_the_model_needs():
    """A model that is certain once it is given four bytes; sequences are cut, not masked."""

    def certain(hidden_BS, length):
        return torch.full_like(hidden_BS, length > 4)

    model = known(certain, causal=True)
    (row,) = context_length.context_loss(model, spec(64), [windows()])
    assert row.lengths == (1, 2, 4, 8, 16, 32)
    assert row.nats == pytest.approx([NOTHING_KNOWN] * 2 + [0.0] * 4, abs=1e-4)
    assert row.effective == 4
    assert context_length.context_loss(known(certain), spec(64), [windows()]) == []


def test_hidden_bytes_of_a_word_are_scattered_or_contiguous():
    rng = torch.Generator().manual_seed(0)
    word_BS = reconstruction.draw_word(ROWS, rng)
    found = {bytes(ROWS[0][row].tolist()) for row in word_BS}
    assert found <= {b"People", b"United", b"States", b"Order", b"perfect", b"Union", b"Justice", b"insure"}
    assert len(found) > 3
    for k in reconstruction.HIDDEN:
        for contiguous in (True, False):
            hidden_BS = reconstruction.hide(word_BS, k, rng, contiguous=contiguous)
            assert (hidden_BS.sum(1) == k).all()
            assert not (hidden_BS & ~word_BS).any()
            gaps = [int(row.nonzero().diff(dim=0).max()) if k > 1 else 1 for row in hidden_BS]
            assert (max(gaps) == 1) is (contiguous or k == 1)


def test_reconstruction_measures_bytes_and_complete_words():
    model = known(lambda hidden_BS, _: hidden_BS.sum(1, keepdim=True).expand_as(hidden_BS) < 3)
    rows = reconstruction.reconstruction(model, spec(), [windows()])
    by_pattern = {(row.pattern, row.hidden): row for row in rows}
    assert by_pattern["contiguous", 2].exact_match == 1
    assert by_pattern["contiguous", 2].nats_per_byte == pytest.approx(0, abs=1e-4)
    assert by_pattern["scattered", 3].exact_match == 0
    assert by_pattern["scattered", 3].nats_per_byte == pytest.approx(NOTHING_KNOWN)
    assert reconstruction.reconstruction(known(None, causal=True), spec(), [windows()]) == []


def test_effective_context_is_measured_on_text_permuted_as_in_training():
    model = known(None, causal=True, permutation=permutation("within_window", {"size": 4}))
    permuted_BS = context_length.permuted(windows(), model)
    assert not torch.equal(permuted_BS, ROWS)
    in_windows = [tokens_BS[:, :100].unflatten(1, (25, 4)).sort(-1)[0] for tokens_BS in (permuted_BS, ROWS)]
    assert torch.equal(*in_windows)


def test_words_are_numbered_by_their_spelling():
    tokens_BS = torch.tensor([[*b"the man, the 12 th", 256]])
    numbers = {}
    word_BS = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 2, 3, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6]])
    found_BS = word_numbers(word_BS, tokens_BS, numbers)
    assert numbers == {b"the": 0, b"man": 1, b",": 2, b"12": 3, b"th": 4}
    assert found_BS[0].tolist() == [0, 0, 0, -1, 1, 1, 1, 2, -1, 0, 0, 0, -1, 3, 3, -1, 4, 4, -1]


def test_linear_probes_keep_the_most_frequent_labels_of_the_fitting_half(monkeypatch):
    monkeypatch.setattr(linear_probe, "MAX_LABELS", 2)
    label_N = torch.tensor([7, 7, 7, -1, -1, -1, -1, 5, 5, 9, 9, 9, 9])
    counted_N = torch.tensor([True] * 10 + [False] * 3)
    expected = [0, 0, 0, -1, -1, -1, -1, 1, 1, -1, -1, -1, -1]
    assert linear_probe.most_frequent(label_N, counted_N).tolist() == expected


def test_linear_probes_keep_no_label_where_no_position_is_fitted_on():
    """Windows whose lengths all differ are all in the half that is tested on."""
    label_N = torch.tensor([0, 1, 1])
    assert linear_probe.most_frequent(label_N, torch.zeros(3, dtype=torch.bool)).tolist() == [-1, -1, -1]


def test_a_linear_probe_equals_the_regression_that_scipy_finds():
    rng = torch.Generator().manual_seed(0)
    x_ND = torch.randn(200, 3, generator=rng, dtype=torch.float64)
    label_N = (x_ND @ torch.tensor([[1.0, -1, 0], [0, 0.2, -0.3], [3, 0, 0]]).double()).argmax(1)
    x_ND = x_ND * torch.tensor([1.0, 5.0, 0.1]) + 2
    weights_DK, mean_D, deviation_D = linear_probe.fit(x_ND, label_N)
    inputs = functional.pad((x_ND - x_ND.mean(0)) / x_ND.std(0), (0, 1), value=1.0).numpy()

    def loss(flat):
        weights = flat.reshape(4, 3)
        scores = inputs @ weights
        logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        return -logs[np.arange(200), label_N.numpy()].sum() + (weights[:-1] ** 2).sum() / 2

    reference = minimize(loss, np.zeros(12), method="BFGS", options={"gtol": 1e-6}).x.reshape(4, 3)
    assert weights_DK[:-1].numpy() == pytest.approx(reference[:-1], abs=1e-3)
    correct = linear_probe.predict(x_ND, weights_DK, mean_D, deviation_D) == label_N
    assert correct.double().mean() > 0.95


class LabelLayer(nn.Module):
    """Replaces noise with one of seven labels at visible bytes."""

    def forward(self, x_BPD, hidden_BP):
        return torch.where(hidden_BP[..., None], x_BPD, functional.pad(one_hot_labels(), (0, 0, 1, 0)))


class LabelNetwork(Network):
    """Its embedding is noise; its only layer says which label a visible byte has."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([LabelLayer()])
        self.lm_head = nn.Linear(7, 1)

    def initialize(self, seed):
        raise NotImplementedError

    def features(self, ids_BP, positions_M, attention):
        del positions_M, attention
        noise_BPD = torch.randn((*ids_BP.shape, 7), generator=torch.Generator().manual_seed(0))
        return self.layers[0](noise_BPD, ids_BP == VOCABULARY.mask).flatten(0, 1)


def seven_labels():
    return (torch.arange(len(TEXT)) * 5 % 7).expand(len(ROWS), -1)


def one_hot_labels():
    return functional.one_hot(seven_labels(), 7) * 1.0


def test_linear_probes_read_what_a_layer_knows_and_no_more():
    def rows(objective):
        model = language_model(LabelNetwork(), objective, VOCABULARY, len(TEXT))
        return linear_probe.linear_probes(model, spec(), [windows(labels={"bpe": seven_labels()})])

    masked = rows(MaskedDiffusion())
    assert {row.mask_ratio for row in masked} == set(segmentation.MASK_RATIOS)
    for row in masked:
        assert row.labels == 7
        assert row.chance == pytest.approx(1 / 7, abs=0.03)
        assert row.accuracy[0] == pytest.approx(1 / 7, abs=0.08)
        assert row.accuracy[1] == (1 if row.at == "visible" else pytest.approx(1 / 7, abs=0.08))
    (row,) = rows(Autoregressive())
    assert (row.conditioning, row.at, row.mask_ratio, row.accuracy[1]) == ("all up to it", "visible", None, 1)
