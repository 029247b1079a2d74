"""A language model ready to score and generate: network, objective, vocabulary, tokenizer.

Runs of a study, models that were exported, and other people's models all become one of these.
Reads a run's folder and its study's tokens/.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from torch import Tensor, nn

from bytegap.data.permutations.base import Permutation, permutation
from bytegap.data.permutations.identity import Identity
from bytegap.data.tokenizers.base import Tokenizer, load_prepared
from bytegap.data.vocabulary import Vocabulary
from bytegap.errors import StudyDirError
from bytegap.io.tensors import read_tensors
from bytegap.models.base import ModelConfig, Network, model_family
from bytegap.nn.attention_spec import AttentionSpec
from bytegap.nn.finite import check_logits, check_weights
from bytegap.objectives.base import Objective, objective
from bytegap.schema.plan import RunSpec
from bytegap.study.directory import RunDir

IDENTITY = Identity()
DEFAULT_MC_PASSES = 8
"""Monte Carlo passes of a likelihood estimate where nobody says: as many as a study takes."""


@dataclass(frozen=True)
class LanguageModel:
    """Everything that scoring, generation, compression and probes need of a model."""

    name: str
    """For messages and tables."""
    network: nn.Module
    """Called with (ids (B, P), flat positions (M,), attention), returns logits (M, V)."""
    objective: Objective
    vocabulary: Vocabulary
    tokenizer: Tokenizer
    seq_len: int
    """S, tokens of the sequences that it was trained on, without BOS."""
    permutation: Permutation = IDENTITY
    """Applied to the tokens of every sequence that is scored."""
    mc_passes: int = DEFAULT_MC_PASSES
    """Monte Carlo passes of a likelihood estimate; an exact likelihood takes one."""
    seed: int = 0
    """Of the estimate."""

    def __call__(self, inputs_BP: Tensor, positions_M: Tensor, attention: AttentionSpec) -> Tensor:
        """Logits (M, V) on the CPU, at flat positions b * P + p; ModelError if they are not finite."""
        if self.device != "cpu":
            inputs_BP, positions_M = inputs_BP.to(self.device), positions_M.to(self.device)
            attention = attention.to(self.device)
        logits_MV: Tensor
        if isinstance(self.network, Network):  # in two calls: sharded weights are gathered for `features`
            logits_MV = self.network.lm_head(self.network.features(inputs_BP, positions_M, attention))
        else:
            logits_MV = self.network(inputs_BP, positions_M, attention)
        return check_logits(logits_MV.cpu(), self.name)

    @property
    def num_passes(self) -> int:
        """Passes that a score takes: one where the likelihood is exact."""
        return 1 if self.objective.is_exact else self.mc_passes

    @cached_property
    def device(self) -> str:
        """The device of the network."""
        return str(next(self.network.parameters()).device)

    def decode(self, tokens_S: Tensor, mask_text: str = "") -> bytes:
        """The bytes of tokens; `mask_text` for each MASK, nothing for other ids that stand for no text."""
        token_bytes, mask = self.tokenizer.token_bytes, self.vocabulary.mask
        ids = cast("list[int]", tokens_S.tolist())
        return b"".join(
            mask_text.encode() if token == mask else token_bytes[token] if token < len(token_bytes) else b""
            for token in ids
        )


def auto_device() -> str:
    """The accelerator if there is one, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def model_config(spec: RunSpec) -> ModelConfig:
    """What fixes the architecture of the run's network."""
    return model_family(spec.model).config(spec.model_shape)


def build_network(spec: RunSpec) -> Network:
    """The run's network, on the CPU, its weights not yet initialized."""
    return model_config(spec).build()


def load_network(run: RunDir, spec: RunSpec) -> Network:
    """The run's network with its trained weights, on the CPU, in float32.

    StudyDirError where they are missing or damaged, ModelError where one is NaN or infinite.
    """
    network = build_network(spec)
    try:
        weights, _ = read_tensors(run.weights_path)
    except StudyDirError as error:
        raise StudyDirError(
            f"{error}: the run's weights are needed; delete its folder and its line of runs.jsonl, and run "
            "'bytegap train' again"
        ) from None
    check_weights(weights.items(), f"{spec.arm} {spec.id}")
    network.load_state_dict(weights)
    return network.eval()


def load_run(run: RunDir, *, allow_permuted: bool = False) -> LanguageModel:
    """A finished run, on an accelerator if there is one.

    Its folder must be in its study's folder, whose tokens/ has the bytes of its tokens.
    StudyDirError where something is missing, or the run was trained on permuted text and that is not allowed.
    """
    spec, study_dir = run.spec(), run.study_dir
    own_permutation = permutation(spec.permutation, spec.permutation_options)
    if not (own_permutation.is_identity or allow_permuted):
        raise StudyDirError(
            f"{run.path} was trained on text permuted by '{spec.permutation}': name a run without a permutation"
        )
    manifest = study_dir.tokenizer(spec.tokenizer)
    if manifest.content_sha256 != spec.tokens_sha256:
        raise StudyDirError(
            f"{run.path}: tokenizer '{spec.tokenizer}' was rebuilt after this run was trained; retrain it"
        )
    return LanguageModel(
        name=f"{spec.arm} {spec.id}",
        network=load_network(run, spec).to(auto_device()),
        objective=objective(spec.objective, spec.objective_options),
        vocabulary=Vocabulary(manifest.vocab_size),
        tokenizer=load_prepared(manifest, study_dir.tokenizer_dir(manifest.name)),
        seq_len=spec.seq_len,
        permutation=own_permutation,
        mc_passes=spec.mc_passes,
        seed=spec.seed,
    )
