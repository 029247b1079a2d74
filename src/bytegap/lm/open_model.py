"""Open a model by name: the folder of a run, or `hf:PATH`, a local folder with safetensors weights.

Reads the run's folder and its study's tokens/, or config.json, *.safetensors and the tokenizer's file.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from bytegap.errors import EvaluateError
from bytegap.io.paths import expanded
from bytegap.lm.language_model import LanguageModel, auto_device, load_run
from bytegap.lm.pretrained import dream, exported, hf_causal, llada, llada_moe, mdlm
from bytegap.lm.pretrained.config_file import MASKED_FAMILIES, JsonObject, read_config
from bytegap.nn.finite import check_weights
from bytegap.study.directory import RunDir

PREFIX = "hf:"
_Load = Callable[[Path, JsonObject, int | None], LanguageModel]
_MASKED: dict[str, _Load] = dict(zip(MASKED_FAMILIES, (dream.load, llada.load, llada_moe.load, mdlm.load), strict=True))


def open_model(name: str, context: int | None = None) -> LanguageModel:
    """The model in a run's folder, or in PATH for `hf:PATH`, on an accelerator if there is one.

    `context` is the sequence length in tokens, for `hf:` models; None: the model's own.
    Raises EvaluateError where a context is given for a run, and what `load_run` or `open_pretrained` raise.
    """
    if name.startswith(PREFIX):
        return open_pretrained(expanded(name.removeprefix(PREFIX)), context)
    if context is not None:
        raise EvaluateError(
            f"a context of {context} tokens cannot be set for a run, which keeps the sequence length it was trained "
            "with: leave it out"
        )
    return load_run(RunDir(Path(name)))


def open_pretrained(folder: Path, context: int | None = None) -> LanguageModel:
    """The model in a local folder, in float32, on an accelerator if there is one.

    Its sequences hold `context` tokens after BOS; None: the number it was exported with, or as many as its positions
    hold, at most 2048.
    Raises ModelError or TokenizerError, which say what cannot be loaded and why; NaN or infinite weights cannot.
    """
    config = read_config(folder)
    family = (
        exported.load if exported.KEY in config else _MASKED.get(str(config.get("model_type")).lower(), hf_causal.load)
    )
    model = family(folder, config, context)
    check_weights(model.network.named_parameters(), str(folder))
    return replace(model, network=model.network.to(auto_device()))
