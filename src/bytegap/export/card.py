"""The model card: a run's numbers, each from its record, and how to load it."""

from types import ModuleType
from typing import Any

from bytegap.errors import StoreError
from bytegap.pretrained import own
from bytegap.records import CorpusManifest, RunRecord, RunSpec, WindowsManifest
from bytegap.store import Folder, read_record

_CARD = """\
---
tags: [bytegap]
{library}---

# {arm} {run}

A small research model of a compute-matched study of symbols and objectives, trained and scored by bytegap. It is
made to be compared, not to be used.

| | |
|---|---|
| arm | {arm} |
| run | {run}, seed {seed} |
| text | {source}: {train_bytes:,} bytes to train on |
| symbols | {tokens}: {kind}, V = {V:,}; EOS = {eos}, BOS = {bos}, MASK = {mask} |
| objective | {objective} |
| parameters N | {N:,} without embedding and head ({embedding:,} and {head:,}) |
| trained on D | {D:,} symbols, {D_bytes:,} bytes, {epochs:.2f} epochs |
| training FLOPs | {flops:.3e}, attention maps and head counted in full |
| context | {row_symbols} symbols after BOS |
| test loss | {bpb:.4f} +- {bpb_se:.4f} bits per byte |
| test text | {test_bytes:,} bytes in windows of sha256 {windows} |
| unigram, bigram | {unigram:.4f} and {bigram:.4f} bits per byte on the same windows |

## The objective

{about}

The likelihood is {scored}

## To load it

{load}

## Licence

Not stated. The weights are of whoever trained them, on their text: say here what they may be used for.
"""

_CAUSAL = """\
```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("DIR")
tokenizer = AutoTokenizer.from_pretrained("DIR")        # puts BOS before a text, as in training
```

The architecture is Llama's; no code beside the weights is needed. It has seen no position beyond its context."""

_OTHER = """\
It is not a causal model: `AutoModelForCausalLM` refuses it. bytegap reads it, and `AutoTokenizer` its symbols:

```python
from pathlib import Path
from bytegap.pretrained import open_pretrained

trained = open_pretrained(Path("DIR"))      # trained(inputs_BP, positions_M, sight): logits at flat positions
```

The weights have the names of Llama's, and config.json its keys, so that any Llama whose attention sees what this
objective lets it see computes the same."""


def of(folder: Folder, spec: RunSpec, config: dict[str, Any], objective: ModuleType) -> str:
    """README.md of a run; StoreError where its record, or a manifest of its study, is missing."""
    record = read_record(folder.run(spec.id) / "record.json", RunRecord, "train")
    if record.test is None:
        message = f"{folder.run(spec.id)} was never scored ({record.reason}): export a run that finished"
        raise StoreError(message)
    corpus = read_record(folder.corpus_manifest, CorpusManifest, "corpus")
    floors = read_record(folder.windows_manifest, WindowsManifest, "tokens").splits["test"].tokens[spec.tokens]
    causal = config["model_type"] == "llama"
    return _CARD.format(
        library="library_name: transformers\npipeline_tag: text-generation\n" if causal else "",
        arm=spec.arm,
        run=spec.id,
        seed=spec.seed,
        source=corpus.source,
        train_bytes=corpus.splits["train"].bytes,
        tokens=spec.tokens,
        kind=config[own.KEY]["symbols"],
        V=config["vocab_size"] - 3,
        eos=config["eos_token_id"],
        bos=config["bos_token_id"],
        mask=config["mask_token_id"],
        objective=spec.planned["objective"],
        N=spec.non_embedding_parameters,
        embedding=spec.embedding_parameters,
        head=spec.head_parameters,
        D=spec.symbols,
        D_bytes=spec.bytes,
        epochs=spec.epochs,
        flops=spec.flops,
        row_symbols=spec.row_symbols,
        bpb=record.test.bpb,
        bpb_se=record.test.bpb_se,
        test_bytes=record.test.bytes,
        windows=record.test.windows_sha256,
        unigram=floors.unigram_bpb,
        bigram=floors.bigram_bpb,
        about=(objective.__doc__ or "").strip(),
        scored="exact: one pass over the windows."
        if objective.EXACT
        else f"estimated: the mean of {spec.evaluation_passes} passes over the windows, each unbiased for what is "
        "described above; +- is its standard error.",
        load=_CAUSAL if causal else _OTHER,
    )
