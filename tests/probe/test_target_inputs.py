"""Predictions of chosen tokens from visible ones, for every objective that has them."""

import pytest
import torch

from bytegap.data.vocabulary import Vocabulary
from bytegap.objectives.base import objective
from bytegap.probe import linear_probe, neighbour_ablation, predict, reconstruction, segmentation
from bytegap.probe.predict import target_logp, target_states
from bytegap.probe.windows import ProbeWindows
from tests.helpers.language_models import language_model
from tests.helpers.parts import OBJECTIVES, build_model, logits_of, random_tokens, sequences, shake
from tests.probe.test_probes import spec

S, ROWS = 12, 3
VOCABULARY = Vocabulary(19)
WITH_OPTIONS = [
    *((name, {}) for name in OBJECTIVES if objective(name).can_be_probed),
    *(("patch", {"size": size, "by": by}) for size in (1, 3, S) for by in ("order", "mask")),
    ("streams", {"size": 1}),
    ("streams", {"size": S}),
]


def model_of(name, options=None, vocabulary=VOCABULARY, seq_len=S):
    network = shake(build_model("transformer", vocab_size=vocabulary.vocab_size, seq_len=seq_len))
    return language_model(network, objective(name, options or {}), vocabulary, seq_len)


def drawn(seed=0):
    """(tokens, targets, hidden): five hidden tokens a row, of which some are targets."""
    rng = torch.Generator().manual_seed(seed)
    hidden_BS = torch.rand((ROWS, S), generator=rng).argsort(1) < 5
    targets_BS = hidden_BS & (torch.rand((ROWS, S), generator=rng) < 0.6)
    targets_BS[0, hidden_BS[0].nonzero()[0, 0]] = True
    return random_tokens(ROWS, S, VOCABULARY), targets_BS, hidden_BS


def test_all_objectives_are_probed_but_that_whose_rows_hold_the_text_twice():
    assert {name for name in OBJECTIVES if not objective(name).can_be_probed} == {"block_diffusion"}


@pytest.mark.parametrize(("name", "options"), WITH_OPTIONS)
def test_what_is_hidden_does_not_matter_and_what_is_visible_does(name, options):
    model = model_of(name, options)
    tokens_BS, targets_BS, hidden_BS = drawn()
    known_MV = target_logp(model, tokens_BS, targets_BS, hidden_BS)
    assert known_MV.shape == (targets_BS.sum(), VOCABULARY.n_ids)
    others_BS = torch.where(hidden_BS, random_tokens(ROWS, S, VOCABULARY, seed=1), tokens_BS)
    torch.testing.assert_close(target_logp(model, others_BS, targets_BS, hidden_BS), known_MV)
    causal = model.objective.attention is not None and model.objective.attention.causal
    row_M, index_M = targets_BS.nonzero(as_tuple=True)
    for index in range(S):
        changed_BS = tokens_BS.clone()
        changed_BS[:, index] = (changed_BS[:, index] + 1) % VOCABULARY.vocab_size
        new_MV = target_logp(model, changed_BS, targets_BS, hidden_BS)
        differs_M = (new_MV - known_MV).abs().amax(1) > 1e-5
        matters_M = ~hidden_BS[row_M, index] & ((index < index_M) | (not causal))
        assert differs_M.tolist() == matters_M.tolist(), index


@pytest.mark.parametrize(("name", "options"), WITH_OPTIONS)
def test_several_targets_are_predicted_as_one_by_one(name, options):
    model = model_of(name, options)
    tokens_BS, targets_BS, hidden_BS = drawn()
    together_MV = target_logp(model, tokens_BS, targets_BS, hidden_BS)
    one_by_one: list[torch.Tensor] = []
    for row, index in targets_BS.nonzero().tolist():
        one_BS = (torch.arange(S) == index)[None]
        one_by_one.append(target_logp(model, tokens_BS[row : row + 1], one_BS, hidden_BS[row : row + 1]))
    torch.testing.assert_close(together_MV, torch.cat(one_by_one))


@pytest.mark.parametrize(("name", "options"), WITH_OPTIONS)
def test_a_few_rows_at_a_time_give_the_same(name, options, monkeypatch):
    model = model_of(name, options)
    tokens_BS, targets_BS, hidden_BS = drawn()
    together_MV = target_logp(model, tokens_BS, targets_BS, hidden_BS)
    states_LMD = target_states(model, tokens_BS, targets_BS, hidden_BS)
    monkeypatch.setattr(predict, "_MAX_POSITIONS", 1)
    torch.testing.assert_close(target_logp(model, tokens_BS, targets_BS, hidden_BS), together_MV)
    torch.testing.assert_close(target_states(model, tokens_BS, targets_BS, hidden_BS), states_LMD)


@pytest.mark.parametrize(("name", "options"), [*(("patch", {"size": size}) for size in (1, 2, 4)), ("streams", {})])
def test_hidden_patches_are_predicted_as_when_they_are_revealed(name, options):
    """Hidden tokens that make up patches, the first of each a target: the inputs of an unmasking rule."""
    model = model_of(name, options)
    tokens_BS = random_tokens(ROWS, S, VOCABULARY)
    hidden_BS = torch.tensor([[0, 1, 1], [1, 0, 1], [1, 1, 1]]).bool().repeat_interleave(4, 1)
    if name == "patch":
        targets_BS = hidden_BS & (torch.arange(S) % options["size"] == 0)
    else:
        targets_BS = hidden_BS & (torch.arange(S) % 4 == 0)
    masked_BS = tokens_BS.masked_fill(hidden_BS, VOCABULARY.mask)
    inputs = model.objective.unmasking_inputs(masked_BS, hidden_BS, VOCABULARY)
    assert torch.equal(inputs.candidates_BS, targets_BS)
    logits = model(inputs.inputs_BP, inputs.positions_BS[targets_BS], inputs.attention)
    torch.testing.assert_close(target_logp(model, tokens_BS, targets_BS, hidden_BS), logits.log_softmax(-1))


@pytest.mark.parametrize(("name", "options"), [("any_order", {}), ("patch", {"size": 3, "by": "order"})])
def test_the_last_token_in_random_order_is_predicted_as_it_is_scored(name, options):
    """All other tokens visible: the likelihood of one target given the others."""
    model = model_of(name, options)
    tokens_BS = random_tokens(ROWS, S, VOCABULARY)
    target_BS = torch.arange(S).expand(ROWS, S) == torch.tensor([[0], [5], [11]])
    batch = model.objective.scoring_batch(sequences(tokens_BS, vocabulary=VOCABULARY, target_mask_BS=target_BS))
    torch.testing.assert_close(
        target_logp(model, tokens_BS, target_BS, target_BS), logits_of(model, batch).log_softmax(-1)
    )


@pytest.mark.parametrize(("name", "options"), WITH_OPTIONS)
def test_states_are_those_that_the_head_reads(name, options):
    model = model_of(name, options)
    tokens_BS, targets_BS, hidden_BS = drawn()
    states_LMD = target_states(model, tokens_BS, targets_BS, hidden_BS)
    logits_MV = model.network.lm_head(model.network.norm(states_LMD[-1]))
    torch.testing.assert_close(logits_MV.log_softmax(-1), target_logp(model, tokens_BS, targets_BS, hidden_BS))
    assert len(states_LMD) == len(model.network.layers) + 1


@pytest.mark.parametrize("by", ["order", "mask"])
def test_every_probe_of_patches_has_rows(by, monkeypatch):
    """On text of words; rows of patches are out of distribution, and only hidden bytes have states."""
    monkeypatch.setattr(linear_probe, "MIN_POSITIONS", 50)
    monkeypatch.setattr(linear_probe, "_ITERATIONS", 5)
    text = torch.tensor([list(b"people of the united states in order to form a more perfect union")] * 8)
    words = torch.cumsum(text == 32, 1)
    windows = [ProbeWindows(text, torch.arange(8).numpy(), {"word": text.roll(1, 1) == 32}, {"word": words})]
    model = model_of("patch", {"size": 4, "by": by}, Vocabulary(256), text.shape[1])
    one = spec(text.shape[1])
    assert {row.conditioning for row in segmentation.segmentation(model, one, windows)} == {
        "left context",
        *(f"mask {ratio:g}" for ratio in segmentation.MASK_RATIOS),
    }
    assert {row.pattern for row in reconstruction.reconstruction(model, one, windows)} == {"scattered", "contiguous"}
    ablation = neighbour_ablation.neighbour_ablation(model, one, windows)
    assert {row.radius for row in ablation} == {1, 2, 4, 8}
    assert all(row.out_of_distribution and row.mask_ratio == 0.5 for row in ablation)
    assert {row.at for row in linear_probe.linear_probes(model, one, windows)} == {"hidden"}
