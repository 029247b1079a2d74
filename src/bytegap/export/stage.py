"""A finished run as a folder that others load: AR as a plain Llama, any other objective for `bytegap` alone.

Reads a run's folder and its study's. Writes DIR whole or not at all: config.json, model.safetensors, tokenizer.json,
tokenizer_config.json, README.md.
"""

import json
from pathlib import Path

from bytegap.console import say
from bytegap.errors import ModelError
from bytegap.export import card, tokenizer
from bytegap.models import transformer
from bytegap.pretrained import own, read_config
from bytegap.records import TokensManifest
from bytegap.store import Folder, new_folder, read_record
from bytegap.tensors import write_tensors
from bytegap.trained import open_run, spec_of

_FILES = {"config.json", own.WEIGHTS, "tokenizer.json", "tokenizer_config.json", "README.md"}


def run(home: Path, out: Path) -> None:
    """Export the run in the folder `home`, out/STUDY/runs/ID, to `out`; ModelError or StoreError says what forbids."""
    out = out.resolve()
    _refuse_other_contents(out)
    spec, trained = spec_of(home), open_run(home)
    if spec.model != "transformer":
        message = f"{home}: a model of kind '{spec.model}' is no Llama: only runs of 'transformer' are exported"
        raise ModelError(message)
    folder = Folder(home.resolve().parent.parent)
    place = folder.tokens_of(spec.tokens)
    kind = read_record(place / "manifest.json", TokensManifest, "tokens").kind
    config = own.config(spec, kind, trained.objective, trained.vocabulary)
    files = {"config.json": config} | tokenizer.files(
        place, kind, trained.vocabulary, config["max_position_embeddings"]
    )
    about = card.of(folder, spec, config, trained.objective)
    with new_folder(out) as building:
        write_tensors(building / own.WEIGHTS, transformer.as_llama(trained.network.state_dict()), {"format": "pt"})
        for name, value in files.items():
            text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
            (building / name).write_text(text, encoding="utf-8")
        (building / "README.md").write_text(about, encoding="utf-8")
    say("export", f"{spec.arm} {spec.id} as '{config['model_type']}' in {out}")


def _refuse_other_contents(out: Path) -> None:
    """ModelError unless `out` is new, empty, or an earlier export with nothing put beside it."""
    if out.exists() and not out.is_dir():
        message = f"{out} is a file: name a folder to export to"
        raise ModelError(message)
    found = {path.name for path in out.iterdir()} if out.exists() else set[str]()
    if found and (other := sorted(found - _FILES)):
        message = f"{out} holds '{other[0]}', which is of no export: name a new folder"
        raise ModelError(message)
    if found and own.KEY not in read_config(out):
        message = f"{out} holds a model that 'bytegap export' did not write: name a new folder"
        raise ModelError(message)
