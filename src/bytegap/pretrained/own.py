"""What `bytegap export` writes as config.json, and how it is read again. Llama's keys, and one of our own, `bytegap`.

A causal model says `"model_type": "llama"`, since it is one; any other `bytegap-OBJECTIVE`, which nobody else reads: a
masked model run causally would answer, and mean nothing. Reads config.json, model.safetensors, tokenizer.json.
"""

from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from bytegap import plugins
from bytegap.errors import ModelError, StoreError
from bytegap.models import transformer
from bytegap.objectives._base import Vocabulary
from bytegap.pretrained._folder import checked, fill, row_symbols
from bytegap.records import Part, RunSpec
from bytegap.tensors import read_tensors
from bytegap.trained import Trained

KEY, PREFIX, WEIGHTS = "bytegap", "bytegap-", "model.safetensors"


class Exported(Part):
    """Under the key `bytegap`: what Llama's keys do not say."""

    format: Literal[1] = 1
    run: str
    arm: str
    symbols: str
    """The kind: `bytes`, or what a tokenizer.json holds."""
    objective: str
    objective_options: dict[str, Any]
    row_symbols: int
    evaluation_passes: int
    seed: int


class _Llama(Part, extra="ignore"):
    """Those of Llama's keys that fix our Transformer."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int
    rms_norm_eps: float
    rope_theta: float


def config(spec: RunSpec, kind: str, objective: ModuleType, vocabulary: Vocabulary) -> dict[str, Any]:
    """The config.json of a run whose symbols are of that kind."""
    shape = transformer.Shape(**spec.shape)
    sight = getattr(objective, "SIGHT", None)
    causal = sight is not None and sight.causal
    exported = Exported(
        run=spec.id,
        arm=spec.arm,
        symbols=kind,
        objective=spec.objective,
        objective_options=spec.objective_options,
        row_symbols=spec.row_symbols,
        evaluation_passes=spec.evaluation_passes,
        seed=spec.seed,
    )
    return {
        **({"architectures": ["LlamaForCausalLM"]} if causal else {}),
        "model_type": "llama" if causal else PREFIX + spec.objective,
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.width,
        "intermediate_size": shape.hidden,
        "num_hidden_layers": shape.depth,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "max_position_embeddings": shape.positions,
        "rms_norm_eps": transformer.NORM_EPSILON,
        "rope_theta": shape.rotary_base,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "eos_token_id": vocabulary.eos,
        "bos_token_id": vocabulary.bos,
        "mask_token_id": vocabulary.mask,
        "torch_dtype": "float32",
        KEY: exported.model_dump(),
    }


def opened(home: Path, config: dict[str, Any], context: int | None) -> Trained:
    """The model that `bytegap export` wrote to `home`, on the CPU; ModelError says what of it is not as it was."""
    exported, llama = checked(home, Exported, config[KEY]), checked(home, _Llama, config)
    objective = plugins.load("objectives", exported.objective)
    network = transformer.build(
        transformer.Shape(
            vocabulary=llama.vocab_size,
            width=llama.hidden_size,
            depth=llama.num_hidden_layers,
            heads=llama.num_attention_heads,
            hidden=llama.intermediate_size,
            positions=llama.max_position_embeddings,
            aims=getattr(objective, "AIMS", False),
            rotary_base=llama.rope_theta,
        )
    )
    try:
        weights, _ = read_tensors(home / WEIGHTS)
    except StoreError as error:
        message = f"{error}: export the run again"
        raise ModelError(message) from None
    fill(home, transformer.as_llama(dict(network.named_parameters())), weights.items())
    vocabulary = Vocabulary(llama.vocab_size - 3)
    kind = exported.symbols if exported.symbols == "bytes" else "huggingface"
    tokenizer = plugins.load("tokens", kind).reopen(home)
    del tokenizer.symbol_bytes[vocabulary.symbols :]  # EOS, BOS, MASK
    return Trained(
        name=f"{exported.arm} {exported.run}",
        network=network.eval(),
        objective=objective,
        options=plugins.options("objectives", exported.objective, exported.objective_options),
        vocabulary=vocabulary,
        tokenizer=tokenizer,
        row_symbols=row_symbols(home, llama.max_position_embeddings, context, exported.row_symbols),
        passes=exported.evaluation_passes,
        seed=exported.seed,
    )
