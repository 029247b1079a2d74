"""Models from a local folder, opened to be asked as our own runs are: safetensors and JSON, no code of theirs.

`open_model` opens either kind by what a user calls it.

One file a family: `own` is what `bytegap export` writes; `llada` and `mdlm` are masked diffusion; `causal` is whatever
`transformers` knows as a causal model. Reads config.json, *.safetensors and the tokenizer's file.
"""

from dataclasses import replace
from pathlib import Path

import torch

from bytegap.errors import EvaluateError
from bytegap.finite import check_weights
from bytegap.pretrained import causal, llada, mdlm, own
from bytegap.pretrained._folder import read_config
from bytegap.trained import Trained, open_run

_FAMILIES = {"llada": llada, "mdlm": mdlm}
PREFIX = "hf:"


def open_model(name: str, context: int | None = None) -> Trained:
    """The model that a run's folder, or `hf:PATH`, holds; EvaluateError where a run is given a `context`."""
    if name.startswith(PREFIX):
        return open_pretrained(Path(name.removeprefix(PREFIX)), context)
    if context is not None:
        message = f"a context of {context} symbols: a run's rows are as long as it was trained on; leave it out"
        raise EvaluateError(message)
    return open_run(Path(name))


def open_pretrained(home: Path, context: int | None = None) -> Trained:
    """The model in the folder `home`, in float32, on an accelerator if there is one.

    Its row holds `context` symbols after BOS; left out, as many as it was exported with, or the positions it was
    trained for, at most 2048. ModelError or TokensError says in a sentence what cannot be loaded and why;
    weights that are NaN or infinite cannot.
    """
    config = read_config(home)
    family = own if own.KEY in config else _FAMILIES.get(str(config.get("model_type")), causal)
    trained: Trained = family.opened(home, config, context)
    network = trained.network.to("cuda" if torch.cuda.is_available() else "cpu")
    check_weights(network.named_parameters(), str(home))
    return replace(trained, network=network)
