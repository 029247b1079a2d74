"""The model card of an exported run: its numbers, each from its record, and how to load it."""

import inspect

from bytegap.errors import StudyDirError
from bytegap.lm.language_model import LanguageModel
from bytegap.objectives.base import Objective
from bytegap.schema.base import label
from bytegap.schema.plan import RunSpec
from bytegap.study.directory import RunDir

_CARD = """\
---
tags: [bytegap]
{library}---

# {arm} {run}

A small research model from a compute-matched study of tokenizers and objectives, trained and scored by bytegap.
It was made for comparisons, not for use.

| | |
|---|---|
| arm | {arm} |
| run | {run}, seed {seed} |
| training text | {source}: {train_bytes:,} bytes |
| tokenizer | {tokenizer}: {kind}, V = {V:,}; EOS = {eos}, BOS = {bos}, MASK = {mask} |
| objective | {objective} |
| parameters N | {N:,} without embedding and head ({embedding:,} and {head:,}) |
| training tokens D | {D:,} tokens, {D_bytes:,} bytes, {epochs:.2f} epochs |
| training FLOPs | {flops:.3e}, attention maps and head counted in full |
| context | {seq_len} tokens after BOS |
| test loss | {bpb} bits per byte |
| test text | {test_bytes:,} bytes in windows of sha256 {windows} |
| unigram, bigram | {unigram:.4f} and {bigram:.4f} bits per byte on the same windows |

## Objective

{about}

The likelihood is {scored}

## Loading

{load}

## Licence

Not stated. State here what the weights, and the text that they were trained on, may be used for.
"""

_CAUSAL = """\
```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("DIR")
tokenizer = AutoTokenizer.from_pretrained("DIR")        # puts BOS before a text, as in training
```

The architecture is Llama; no code but that of `transformers` is needed. It was trained on no positions beyond its
context."""

_OTHER = """\
It is not a causal language model: `AutoModelForCausalLM` refuses it.
bytegap loads it, and `AutoTokenizer` its tokenizer:

```python
import bytegap

model = bytegap.open_model("hf:DIR")      # model(inputs_BP, positions_M, attention): logits at flat positions
```

The weights have Llama's names and config.json has its keys, so that any Llama with the attention pattern of this
objective computes the same."""


def model_card(run: RunDir, spec: RunSpec, model: LanguageModel, tokenizer_kind: str) -> str:
    """README.md of a run; StudyDirError where its record, or a manifest of its study, is missing."""
    record, study_dir = run.record(), run.study_dir
    if record.test is None:
        raise StudyDirError(f"{run.path} was never scored ({record.reason}): export a finished run")
    corpus = study_dir.corpus()
    ngrams = study_dir.windows().splits["test"].tokenizers[spec.tokenizer]
    causal = model.objective.reads_left_to_right
    return _CARD.format(
        library="library_name: transformers\npipeline_tag: text-generation\n" if causal else "",
        arm=spec.arm,
        run=spec.id,
        seed=spec.seed,
        source=corpus.source,
        train_bytes=corpus.splits["train"].bytes,
        tokenizer=spec.tokenizer,
        kind=tokenizer_kind,
        V=model.vocabulary.vocab_size,
        eos=model.vocabulary.eos,
        bos=model.vocabulary.bos,
        mask=model.vocabulary.mask,
        objective=label(spec.objective, spec.objective_options),
        N=spec.non_embedding_parameters,
        embedding=spec.embedding_parameters,
        head=spec.head_parameters,
        D=spec.tokens,
        D_bytes=spec.bytes,
        epochs=spec.epochs,
        flops=spec.flops,
        seq_len=spec.seq_len,
        bpb=f"{record.test.bpb:.4f}" + ("" if model.objective.is_exact else f" +- {record.test.bpb_se:.4f}"),
        test_bytes=record.test.bytes,
        windows=record.test.windows_sha256,
        unigram=ngrams.unigram_bpb,
        bigram=ngrams.bigram_bpb,
        about=_about(model.objective),
        scored="exact: one pass over the windows."
        if model.objective.is_exact
        else f"estimated: the mean of {spec.mc_passes} passes over the windows, each an unbiased estimate of what is "
        "described above; +- is its standard error.",
        load=_CAUSAL if causal else _OTHER,
    )


def _about(objective: Objective) -> str:
    """The docstring of the objective's module, which has the formula and its source."""
    module = inspect.getmodule(type(objective))
    return inspect.cleandoc((module and module.__doc__) or type(objective).__doc__ or "")
