"""Models from a local folder, opened to be asked as our own runs are: safetensors and JSON, no code of theirs.

One file a family: `own` is what `bytegap export` writes; `llada` and `mdlm` are masked diffusion; `causal` is whatever
`transformers` knows as a causal model. Reads config.json, *.safetensors and the tokenizer's file.
"""

from dataclasses import replace
from pathlib import Path

import torch

from bytegap.pretrained import causal, llada, mdlm, own
from bytegap.pretrained._folder import read_config
from bytegap.trained import Trained

_FAMILIES = {"llada": llada, "mdlm": mdlm}


def open_pretrained(home: Path, context: int | None = None) -> Trained:
    """The model in the folder `home`, in float32, on an accelerator if there is one.

    Its row holds `context` symbols after BOS; left out, as many as it was exported with, or the positions it was
    trained for, at most 2048. ModelError or TokensError says in a sentence what cannot be loaded and why.
    """
    config = read_config(home)
    family = own if own.KEY in config else _FAMILIES.get(str(config.get("model_type")), causal)
    trained: Trained = family.opened(home, config, context)
    return replace(trained, network=trained.network.to("cuda" if torch.cuda.is_available() else "cpu"))
