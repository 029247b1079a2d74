"""Ask finished byte models. Reads plan.json, tokens/, and the weights of runs; writes probe.json."""

from itertools import chain

import numpy as np
import torch

from bytegap import plugins
from bytegap.console import say, track
from bytegap.errors import StoreError
from bytegap.probe import context, fragility, reconstruction, segmentation, semantics
from bytegap.probe.models import Asked
from bytegap.probe.texts import read
from bytegap.records import Plan, Probe, RunRecord, RunSpec, TokensManifest, WindowsManifest, digest
from bytegap.shards import read_array
from bytegap.store import Folder, read_record, standing, write_record
from bytegap.study import Study

WINDOWS = 400
NATURAL = "identity"
_BIGRAM_SYMBOLS = 20_000_000


def run(study: Study, folder: Folder) -> Probe:
    """Probe the best size of every byte arm at every budget; StoreError where none is finished.

    Arms of a changed order are asked how far back they look and no more.
    """
    plan = read_record(folder.plan, Plan, "plan")
    chosen = _chosen(study, folder, plan)
    if not chosen:
        able = sorted(name for name in plugins.names("objectives") if _can_be_asked(name))
        message = (
            f"{folder.runs} has no finished run to probe: that takes byte arms, under {', '.join(able)} in the "
            "order of the text, or causal ones; run 'bytegap train' if the study has one"
        )
        raise StoreError(message)
    windows = read_record(folder.windows_manifest, WindowsManifest, "tokens").content
    inputs = digest([[spec.id for spec in chosen], windows, WINDOWS, sorted(Probe.model_fields)])
    if found := standing(folder.probe, Probe, inputs):
        say("probe", "up to date")
        return found
    torch.set_num_threads(plan.workers * plan.runs[0].numerics.threads)
    texts = {tokens: list(read(folder, tokens, WINDOWS)) for tokens in {spec.tokens for spec in chosen}}
    asked = [(Asked(folder, spec), texts[spec.tokens]) for spec in chosen]
    first = chosen[0]
    bigrams = segmentation.of_bigrams(first, _pairs(folder, first), texts[first.tokens])
    segmented, fragile, rebuilt, meant, cut = [], [], [], [], []
    for model, own in track(asked, "probing"):
        cut.append(context.of_run(model, own))
        if model.spec.order != NATURAL:
            continue
        segmented.append(segmentation.of_run(model, own))
        fragile.append(fragility.of_run(model, own))
        rebuilt.append(reconstruction.of_run(model, own))
        meant.append(semantics.of_run(model, own))
    probe = Probe(
        inputs=inputs,
        windows=sum(len(text.symbols_BS) for text in texts[first.tokens]),
        segmentation=[*bigrams, *chain(*segmented)],
        fragility=list(chain(*fragile)),
        reconstruction=list(chain(*rebuilt)),
        semantics=list(chain(*meant)),
        context=list(chain(*cut)),
    )
    write_record(folder.probe, probe)
    say("probe", f"{len(chosen)} models asked on {probe.windows} windows: {folder.probe}")
    return probe


def _chosen(study: Study, folder: Folder, plan: Plan) -> list[RunSpec]:
    """Of each byte arm and budget the run of least validation BPB."""
    byte_sets = {name for name, kind in study.tokens.items() if kind.name == "bytes"}
    best: dict[tuple[str, float], tuple[float, RunSpec]] = {}
    for spec in plan.runs:
        path = folder.run(spec.id) / "record.json"
        if spec.tokens not in byte_sets or not _can_be_asked(spec.objective, spec.order) or not path.exists():
            continue
        score = read_record(path, RunRecord, "train").validation
        place = (spec.arm, spec.budget_flops)
        if score and (place not in best or score.bpb < best[place][0]):
            best[place] = (score.bpb, spec)
    return [spec for _, spec in best.values()]


def _can_be_asked(objective: str, order: str = NATURAL) -> bool:
    """Whether its models read plain rows, in the text's order unless they are causal."""
    sight = getattr(plugins.load("objectives", objective), "SIGHT", None)
    return sight is not None and (order == NATURAL or sight.causal)


def _pairs(folder: Folder, spec: RunSpec) -> torch.Tensor:
    """Counts of neighbours in the training text, (V + 1, V + 1), EOS the last."""
    manifest = read_record(folder.tokens_of(spec.tokens) / "manifest.json", TokensManifest, "tokens")
    symbols = read_array(folder.tokens_of(spec.tokens), manifest.stream)[:_BIGRAM_SYMBOLS].astype(np.int64)
    ids = manifest.vocabulary + 1
    counts = np.bincount(symbols[:-1] * ids + symbols[1:], minlength=ids**2)
    return torch.from_numpy(counts.reshape(ids, ids))
