"""The verb `probe`: run every probe on finished byte models.

Reads plan.json, tokens/, and the records and weights of runs; writes probe.json.
"""

from itertools import chain

import numpy as np
import torch

from bytegap.console import say, track
from bytegap.data import windows as scoring_windows
from bytegap.data.permutations.base import permutation
from bytegap.errors import StudyDirError
from bytegap.io.arrays import read_array
from bytegap.lm.language_model import load_run
from bytegap.objectives.base import objective
from bytegap.probe.context_length import context_loss
from bytegap.probe.findings import findings
from bytegap.probe.infilling import infilling
from bytegap.probe.linear_probe import linear_probes
from bytegap.probe.neighbour_ablation import neighbour_ablation
from bytegap.probe.reconstruction import reconstruction
from bytegap.probe.segmentation import bigram_segmentation, segmentation
from bytegap.probe.windows import SPLIT, ProbeWindows, read_windows
from bytegap.schema.base import digest
from bytegap.schema.plan import Plan, RunSpec
from bytegap.schema.probe import (
    ContextLoss,
    Infilling,
    LinearProbe,
    NeighbourAblation,
    Probe,
    Reconstruction,
)
from bytegap.study.config import Study
from bytegap.study.directory import PROBE, StudyDir
from bytegap.tuning.cells import NamedCells, budgets_by_arm

ALL_CELLS = NamedCells()
WINDOWS = 400
"""Test windows that models are probed on."""
_BIGRAM_TOKENS = 20_000_000
"""Of the training text, counted for the bigram model."""


def run(study: Study, study_dir: StudyDir, named: NamedCells = ALL_CELLS) -> Probe:
    """Probe the best size of every byte arm at every budget, or of those named; StudyDirError where none has finished.

    CommandError where the plan has no such cell.

    Models of permuted text are probed for their effective context only.
    """
    plan = study_dir.plan()
    budgets = budgets_by_arm(plan, named)
    specs = [spec for spec in _best_runs(study, study_dir, plan) if spec.budget_flops in budgets.get(spec.arm, ())]
    if not specs:
        raise StudyDirError(
            f"{study_dir.runs_dir} has no finished run to probe: probes need runs of byte arms whose objective is "
            "not block_diffusion, without a permutation unless they are causal; run 'bytegap train' if the study has "
            "such an arm"
        )
    windows_sha256 = study_dir.windows().content_sha256
    inputs = digest([[spec.id for spec in specs], windows_sha256, WINDOWS, sorted(Probe.model_fields)])
    if found := study_dir.load_if_current(PROBE, inputs):
        say("probe", "up to date")
        _say_findings(found)
        return found
    torch.set_num_threads(plan.workers * plan.runs[0].execution.threads)
    probe = _probe(study_dir, specs, inputs)
    study_dir.write(PROBE, probe)
    say("probe", f"{len(specs)} models on {probe.windows} windows: {study_dir.path(PROBE)}")
    _say_findings(probe)
    return probe


def _say_findings(probe: Probe) -> None:
    for line in findings(probe):
        say("probe", line)
    say("probe", "every number and figure: see 'bytegap report'")


def _probe(study_dir: StudyDir, specs: list[RunSpec], inputs_sha256: str) -> Probe:
    tokenizers = {spec.tokenizer for spec in specs}
    windows = {name: list(read_windows(study_dir, name, WINDOWS)) for name in tokenizers}
    every_window = {name: _every_window(study_dir, name) for name in tokenizers}
    models = [(load_run(study_dir.run(spec.id), allow_permuted=True), spec) for spec in specs]
    first = specs[0]
    segmentations = [bigram_segmentation(first, _pair_counts(study_dir, first), windows[first.tokenizer])]
    ablations: list[list[NeighbourAblation]] = []
    reconstructions: list[list[Reconstruction]] = []
    infillings: list[list[Infilling]] = []
    linear: list[list[LinearProbe]] = []
    contexts: list[list[ContextLoss]] = []
    for model, spec in track(models, "probing"):
        own = windows[spec.tokenizer]
        contexts.append(context_loss(model, spec, own))
        if not model.permutation.is_identity:
            continue
        segmentations.append(segmentation(model, spec, own))
        ablations.append(neighbour_ablation(model, spec, own))
        reconstructions.append(reconstruction(model, spec, own))
        infillings.append(infilling(model, spec, *every_window[spec.tokenizer]))
        linear.append(linear_probes(model, spec, own))
    return Probe(
        inputs_sha256=inputs_sha256,
        windows=sum(len(each.tokens_BS) for each in windows[first.tokenizer]),
        segmentation=tuple(chain(*segmentations)),
        neighbour_ablation=tuple(chain(*ablations)),
        reconstruction=tuple(chain(*reconstructions)),
        infilling=tuple(chain(*infillings)),
        linear_probe=tuple(chain(*linear)),
        context=tuple(chain(*contexts)),
    )


def _every_window(study_dir: StudyDir, tokenizer: str) -> tuple[list[ProbeWindows], torch.Tensor]:
    """All test windows, and the document of each; of a split that does not say, each window is one."""
    split = study_dir.windows().splits[SPLIT]
    documents_W = scoring_windows.read_windows(study_dir.windows_dir, split, tokenizer).documents
    documents_W = np.arange(split.windows) if documents_W is None else documents_W.astype(np.int64)
    return list(read_windows(study_dir, tokenizer, split.windows)), torch.from_numpy(documents_W)


def _best_runs(study: Study, study_dir: StudyDir, plan: Plan) -> list[RunSpec]:
    """The run of lowest validation BPB of each byte arm and budget that can be probed."""
    byte_tokenizers = {name for name, kind in study.tokenizers.items() if kind.name == "bytes"}
    candidates = [spec for spec in plan.runs if spec.tokenizer in byte_tokenizers and _can_be_probed(spec)]
    best: dict[tuple[str, float], tuple[float, RunSpec]] = {}
    for spec, bpb in study_dir.runs_with_validation_bpb(candidates):
        cell = (spec.arm, spec.budget_flops)
        if cell not in best or bpb < best[cell][0]:
            best[cell] = (bpb, spec)
    return [spec for _, spec in best.values()]


def _can_be_probed(spec: RunSpec) -> bool:
    """Whether its model predicts chosen tokens of text as written, or, if it is causal, of any text left to right."""
    own = objective(spec.objective, spec.objective_options)
    if not own.can_be_probed:
        return False
    if own.attention is not None and own.attention.causal:
        return own.sampler().left_to_right
    return permutation(spec.permutation, spec.permutation_options).is_identity


def _pair_counts(study_dir: StudyDir, spec: RunSpec) -> torch.Tensor:
    """Counts of adjacent tokens in the training text, (V + 1, V + 1), EOS the last."""
    manifest = study_dir.tokenizer(spec.tokenizer)
    stream = read_array(study_dir.tokenizer_dir(spec.tokenizer), manifest.stream)
    tokens = stream[:_BIGRAM_TOKENS].astype(np.int64)
    ids = manifest.vocab_size + 1
    counts = np.bincount(tokens[:-1] * ids + tokens[1:], minlength=ids**2)
    return torch.from_numpy(counts.reshape(ids, ids))
