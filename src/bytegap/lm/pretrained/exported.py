"""Models that `bytegap export` writes: the keys of their config.json, and how they are loaded.

config.json has Llama's keys, and the key `bytegap` for what those do not say.
A causal model has `"model_type": "llama"`, since it is one; any other has `bytegap-OBJECTIVE`, which no other program
knows: run as a causal model, a masked model would return logits without meaning.
Reads config.json, model.safetensors and tokenizer.json.
"""

from pathlib import Path
from typing import Literal

from bytegap.data.tokenizers.base import load_tokenizer
from bytegap.data.vocabulary import Vocabulary
from bytegap.errors import ModelError, StudyDirError
from bytegap.io.tensors import read_tensors
from bytegap.lm.language_model import LanguageModel
from bytegap.lm.pretrained.config_file import ConfigFields, JsonObject, parse_config, sequence_length
from bytegap.lm.pretrained.weight_files import copy_weights
from bytegap.models.transformer import NORM_EPSILON, TransformerConfig, as_llama
from bytegap.objectives.base import objective
from bytegap.schema.base import FrozenDict, FrozenJson, FrozenModel
from bytegap.schema.plan import RunSpec

KEY = "bytegap"
WEIGHTS = "model.safetensors"


class Exported(FrozenModel):
    """The key `bytegap` of config.json."""

    format: Literal[2] = 2
    run: str
    """Id of the run."""
    arm: str
    tokenizer: str
    """Its kind: `bytes`, or another one that is kept as tokenizer.json."""
    objective: str
    objective_options: FrozenDict[str, FrozenJson]
    seq_len: int
    mc_passes: int
    seed: int


class _LlamaConfig(ConfigFields):
    """Llama's keys that fix our Transformer."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    max_position_embeddings: int
    rms_norm_eps: float
    rope_theta: float


def config_json(spec: RunSpec, network: TransformerConfig, model: LanguageModel, tokenizer_kind: str) -> JsonObject:
    """The config.json of a run."""
    causal = model.objective.reads_left_to_right
    exported = Exported(
        run=spec.id,
        arm=spec.arm,
        tokenizer=tokenizer_kind,
        objective=spec.objective,
        objective_options=spec.objective_options,
        seq_len=spec.seq_len,
        mc_passes=spec.mc_passes,
        seed=spec.seed,
    )
    return {
        **({"architectures": ["LlamaForCausalLM"]} if causal else {}),
        "model_type": "llama" if causal else f"bytegap-{spec.objective}",
        "vocab_size": network.n_ids,
        "hidden_size": network.d_model,
        "intermediate_size": network.d_ff,
        "num_hidden_layers": network.n_layers,
        "num_attention_heads": network.n_heads,
        "num_key_value_heads": network.n_heads,
        "max_position_embeddings": network.max_positions,
        "rms_norm_eps": NORM_EPSILON,
        "rope_theta": network.rope_base,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": False,
        "eos_token_id": model.vocabulary.eos,
        "bos_token_id": model.vocabulary.bos,
        "mask_token_id": model.vocabulary.mask,
        "torch_dtype": "float32",
        KEY: exported.model_dump(mode="json"),
    }


def load(folder: Path, config: JsonObject, context: int | None) -> LanguageModel:
    """The model that `bytegap export` wrote to `folder`, on the CPU; ModelError says what was changed since."""
    exported = parse_config(folder, Exported, config[KEY])
    llama = parse_config(folder, _LlamaConfig, config)
    own_objective = objective(exported.objective, exported.objective_options)
    network = TransformerConfig(
        n_ids=llama.vocab_size,
        d_model=llama.hidden_size,
        n_layers=llama.num_hidden_layers,
        n_heads=llama.num_attention_heads,
        d_ff=llama.intermediate_size,
        max_positions=llama.max_position_embeddings,
        rope_base=llama.rope_theta,
    ).build()
    try:
        weights, _ = read_tensors(folder / WEIGHTS)
    except StudyDirError as error:
        raise ModelError(f"{error}: export the run again") from None
    copy_weights(folder, as_llama(dict(network.named_parameters())), weights.items())
    vocabulary = Vocabulary.from_n_ids(llama.vocab_size)
    tokenizer = load_tokenizer("bytes" if exported.tokenizer == "bytes" else "huggingface", folder)
    del tokenizer.token_bytes[vocabulary.vocab_size :]  # EOS, BOS, MASK
    return LanguageModel(
        name=f"{exported.arm} {exported.run}",
        network=network.eval(),
        objective=own_objective,
        vocabulary=vocabulary,
        tokenizer=tokenizer,
        seq_len=sequence_length(folder, llama.max_position_embeddings, context, exported.seq_len),
        mc_passes=exported.mc_passes,
        seed=exported.seed,
    )
