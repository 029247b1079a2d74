"""The verb `export`: an autoregressive run as a plain Llama, a run of any other objective for `bytegap` alone.

Reads a run's folder and its study's.
Writes DIR, or nothing if interrupted: config.json, model.safetensors, tokenizer.json, tokenizer_config.json, README.md.
"""

import json
from pathlib import Path

from bytegap.console import say
from bytegap.errors import ModelError
from bytegap.export import card, tokenizer
from bytegap.io.atomic import replace_dir
from bytegap.io.tensors import write_tensors
from bytegap.lm.language_model import load_run, model_config
from bytegap.lm.pretrained import exported
from bytegap.lm.pretrained.config_file import read_config
from bytegap.models.transformer import TransformerConfig, as_llama
from bytegap.study.directory import RunDir

_FILES = {"config.json", exported.WEIGHTS, "tokenizer.json", "tokenizer_config.json", "README.md"}


def run(run_dir: Path, out: Path) -> None:
    """Export the run in the folder out/STUDY/runs/ID to the folder `out`.

    ModelError, TokenizerError or StudyDirError says what cannot be exported.
    """
    out = out.resolve()
    _check_replaceable(out)
    source = RunDir(run_dir)
    spec, model = source.spec(), load_run(source)
    config = model_config(spec)
    if not isinstance(config, TransformerConfig):
        raise ModelError(f"{run_dir}: a model of kind '{spec.model}' is not a Llama: only 'transformer' is exported")
    if config.convolution:
        raise ModelError(f"{run_dir}: Llama has no place for its convolution over neighbours: it cannot be exported")
    tokenizer_dir = source.study_dir.tokenizer_dir(spec.tokenizer)
    kind = source.study_dir.tokenizer(spec.tokenizer).kind
    config_json = exported.config_json(spec, config, model, kind)
    files = {
        "config.json": config_json,
        **tokenizer.files(tokenizer_dir, kind, model.vocabulary, config.max_positions),
    }
    readme = card.model_card(source, spec, model, kind)
    with replace_dir(out) as building:
        write_tensors(building / exported.WEIGHTS, as_llama(model.network.state_dict()), {"format": "pt"})
        for name, value in files.items():
            text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
            (building / name).write_text(text, encoding="utf-8")
        (building / "README.md").write_text(readme, encoding="utf-8")
    say("export", f"{model.name} as '{config_json['model_type']}' to {out}")


def _check_replaceable(out: Path) -> None:
    """ModelError unless `out` is new, empty, or an earlier export to which nothing was added."""
    if out.exists() and not out.is_dir():
        raise ModelError(f"{out} is a file: name a folder to export to")
    found = {path.name for path in out.iterdir()} if out.exists() else set[str]()
    if found and (other := sorted(found - _FILES)):
        raise ModelError(f"{out} holds '{other[0]}', which 'bytegap export' did not write: name a new folder")
    if found and exported.KEY not in read_config(out):
        raise ModelError(f"{out} holds a model that 'bytegap export' did not write: name a new folder")
