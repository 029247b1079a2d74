"""The verbs that take a trained model in place of a study; as in `cli.py`, heavy imports inside."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bytegap.errors import EvaluateError

_RUN = "a finished run's folder, out/STUDY/runs/ID"

EVALUATE_EPILOG = """\
  bytegap evaluate MODEL FILE...            a model on any files
  bytegap evaluate STUDY.toml --baselines   compressors on the test windows; kept in baselines.json, for the report
  bytegap evaluate --baselines FILE...      compressors on any files, as the command-line tools pack them

MODEL is a run's folder, out/STUDY/runs/ID, or hf:PATH, a local folder in safetensors: what `bytegap export` wrote, a
causal model that `transformers` knows (pip install 'bytegap[hf]'), or a masked one like LLaDA or MDLM. Every file is
one document of bytes, valid UTF-8 or not, cut into rows as long as the model was trained on; its bits are over its own
bytes, whatever the tokenizer, its end included. A masked model's are an upper bound, estimated: se is the standard
error of the estimate, which more --passes make smaller.

Compressors are gzip -9, bzip2 -9, xz -9e, zstd -19 and --ultra -22, brotli -q 11 and PPMd variant H (7-Zip's) of orders
6 to 16; all but the first three are packages of their own: pip install 'bytegap[baselines]'. A study's test text is
packed in four ways: the second is what a model's score is to be held against, the third what people quote:

  each window alone    as short as the format allows; nothing is known but the window
  each window, primed  after the training text, which both sides have: what a trained model knows too
  whole text alone     one file, as the tool writes it; what stands before a window helps, which no model is given
  whole text, primed   both
"""


def add_verbs(verbs: Any) -> None:
    """Add them to the subparsers of the command line."""

    def verb(name: str, call: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        about = call.__doc__ or ""
        sub = verbs.add_parser(name, help=about, description=about)
        sub.set_defaults(verb=call)
        return sub

    _evaluate_arguments(verb("evaluate", _evaluate))
    _sample_arguments(verb("sample", _sample))
    for name, call, file, ending in (
        ("compress", _compress, "the file to compress", ".bg"),
        ("decompress", _decompress, "what 'compress' wrote", ""),
    ):
        codec = verb(name, call)
        codec.add_argument("file", type=Path, metavar="FILE", help=file)
        codec.add_argument("-o", dest="to", type=Path, required=True, metavar=f"FILE{ending}", help="where it goes")
        codec.add_argument("--run", type=Path, required=True, help=_RUN)
    export = verb("export", _export)
    export.add_argument("run", type=Path, metavar="RUN", help=_RUN)
    export.add_argument("--to", choices=["hf"], default="hf", help="hf: what Hugging Face's transformers loads")
    export.add_argument(
        "--out", type=Path, metavar="DIR", required=True, help="the folder to write, whole or not at all"
    )
    harness = verb("harness", _harness)
    harness.add_argument("study", type=Path, metavar="DOWNSTREAM.toml", help="studies/downstream.toml is one to copy")
    harness.add_argument("--out", type=Path, default=Path("out"), help="where its folder lives (default: %(default)s)")


def _evaluate_arguments(evaluate: argparse.ArgumentParser) -> None:
    evaluate.formatter_class, evaluate.epilog = argparse.RawDescriptionHelpFormatter, EVALUATE_EPILOG
    evaluate.add_argument(
        "model", metavar="MODEL", nargs="?", help="a run's folder, or hf:PATH; or what --baselines has"
    )
    evaluate.add_argument("files", metavar="FILE", nargs="*", help="a text of any kind")
    evaluate.add_argument("--baselines", action="store_true", help="what compressors make of the text")
    evaluate.add_argument(
        "--out", type=Path, default=Path("out"), help="where study folders live (default: %(default)s)"
    )
    evaluate.add_argument("--context", type=positive, metavar="SYMBOLS", help="symbols a row, of hf: models")
    evaluate.add_argument("--passes", type=positive, help="of an estimated likelihood (default: the run's own)")
    evaluate.add_argument(
        "--noise",
        type=_share,
        default=0.0,
        metavar="SHARE",
        help="also spoil this share of the bytes, dropped, swapped or of the other case: what is lost",
    )
    evaluate.add_argument(
        "--samples", type=positive, default=0, metavar="N", help="also draw N texts: how many are valid UTF-8"
    )
    evaluate.add_argument("--json", action="store_true", help="print JSON, and nothing else, on standard output")


def _sample_arguments(sample: argparse.ArgumentParser) -> None:
    sample.add_argument("model", metavar="MODEL", help="a run's folder, or hf:PATH")
    sample.add_argument("--prompt", default="", help="text to go on from")
    sample.add_argument("--infill", metavar="'The ____ of'", help="text whose every _ is a symbol to be filled in")
    sample.add_argument("--symbols", type=positive, help="how many to draw (default: what is left of a row)")
    sample.add_argument("--count", type=positive, default=1, help="texts (default: %(default)s)")
    sample.add_argument("--seed", type=int, default=0, help="the same one, the same text (default: %(default)s)")
    sample.add_argument(
        "--temperature", type=_temperature, default=1.0, help="0: always the likeliest (default: %(default)s)"
    )
    sample.add_argument("--steps", type=positive, help="of masked runs, a row or a block (default: one a symbol)")
    sample.add_argument(
        "--how",
        choices=["first-hitting", "ancestral", "confidence"],
        default="first-hitting",
        help="which symbols a step of a masked run reveals: equally many at random, each by chance, or the likeliest "
        "(default: %(default)s, which is exact at one a step)",
    )


def positive(text: str) -> int:
    """A whole number from 1 on."""
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise ValueError
    return value


def _temperature(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError
    return value


def _evaluate(chosen: argparse.Namespace) -> None:
    """Bits per byte of any files under a model, by script and byte, spoilt by noise; or under compressors."""
    if chosen.baselines:
        _baselines(chosen)
        return
    if chosen.model is None:
        message = "evaluate needs a model and files: bytegap evaluate MODEL FILE..., or --baselines FILE..."
        raise EvaluateError(message)
    from bytegap.evaluate import stage

    stage.run(
        chosen.model,
        [Path(file) for file in chosen.files],
        context=chosen.context,
        passes=chosen.passes,
        noise_rate=chosen.noise,
        samples=chosen.samples,
        as_json=chosen.json,
    )


def _baselines(chosen: argparse.Namespace) -> None:
    from bytegap import store, study
    from bytegap.evaluate import baselines

    if chosen.context or chosen.passes or chosen.noise or chosen.samples:
        message = "--context, --passes, --noise and --samples are a model's: leave them out, or --baselines"
        raise EvaluateError(message)
    if chosen.model is None:
        message = "evaluate --baselines needs a text: name a STUDY.toml, for its test windows, or files"
        raise EvaluateError(message)
    if not chosen.model.endswith(".toml"):
        baselines.of_files([Path(file) for file in (chosen.model, *chosen.files)], as_json=chosen.json)
        return
    if chosen.files:
        message = f"evaluate {chosen.model} --baselines is of the study's own test text: name no files beside it"
        raise EvaluateError(message)
    loaded = study.load(Path(chosen.model))
    baselines.of_study(store.Folder(chosen.out / loaded.name), as_json=chosen.json)


def _sample(chosen: argparse.Namespace) -> None:
    """Draw text from a model: from left to right, over blocks, or by unmasking; with gaps to fill if it can."""
    from bytegap.sample import stage
    from bytegap.samplers._base import Settings

    stage.run(
        chosen.model,
        prompt=chosen.prompt,
        infill=chosen.infill,
        symbols=chosen.symbols,
        count=chosen.count,
        settings=Settings(chosen.temperature, chosen.steps, chosen.how),
        seed=chosen.seed,
    )


def _compress(chosen: argparse.Namespace) -> None:
    """Compress a file with an autoregressive run, losslessly, to the bits per byte that it is evaluated at."""
    from bytegap.codec import stage

    stage.compress(chosen.file, chosen.to, chosen.run)


def _decompress(chosen: argparse.Namespace) -> None:
    """Get a compressed file back, with the run that compressed it, on a machine like the one that did."""
    from bytegap.codec import stage

    stage.decompress(chosen.file, chosen.to, chosen.run)


def _export(chosen: argparse.Namespace) -> None:
    """Write a finished run as safetensors that others load, its tokenizer and a model card beside."""
    from bytegap.export import stage

    stage.run(chosen.run, chosen.out)


def _harness(chosen: argparse.Namespace) -> None:
    """Put models before tasks of lm-evaluation-harness: ARC, HellaSwag, HumanEval and the rest, as a file says."""
    from bytegap.harness import stage

    stage.run(chosen.study, chosen.out)
