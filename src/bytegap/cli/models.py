"""The verbs that use a trained model: a finished run's folder, or one in safetensors from elsewhere (`hf:PATH`)."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from bytegap.cli._options import (
    RUN,
    Verb,
    flops,
    fraction,
    json_argument,
    open_study,
    out_argument,
    positive,
    study_argument,
    temperature,
)

_MODEL = f"{RUN}, or hf:PATH"


def _evaluate_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=_MODEL)
    parser.add_argument("files", metavar="FILE", type=Path, nargs="*", help="a file to score; any bytes will do")
    parser.add_argument(
        "--context", type=positive, metavar="TOKENS", help="sequence length, for hf: models (default: the model's own)"
    )
    parser.add_argument(
        "--mc-passes",
        type=positive,
        metavar="N",
        help="Monte Carlo passes of an estimated likelihood (default: the run's own)",
    )
    parser.add_argument(
        "--likelihood",
        default="nelbo",
        metavar="NAME",
        help="of a masked model: nelbo; left, confidence or margin, an unmasking rule of one token a step, exact in as "
        "many forwards as a sequence has tokens; or orders:K, the bound of K random orders (default: %(default)s)",
    )
    parser.add_argument(
        "--stride",
        type=positive,
        metavar="TOKENS",
        help="let sequences overlap: each scores so many tokens, given those before them (default: none overlaps)",
    )
    parser.add_argument(
        "--corrupt",
        type=fraction,
        default=0.0,
        metavar="FRACTION",
        help="also score the text with this fraction of bytes deleted, transposed or case-flipped, and report the BPB "
        "increase",
    )
    parser.add_argument(
        "--samples",
        type=positive,
        default=0,
        metavar="N",
        help="also generate N texts, and report how many are valid UTF-8",
    )
    parser.add_argument(
        "--length-mass",
        type=positive,
        default=0,
        metavar="BYTES",
        help="also estimate ln Z(BYTES), the log-probability of all token sequences of exactly so many bytes together",
    )
    json_argument(parser)


def _evaluate(options: Namespace) -> None:
    from bytegap.evaluate import stage

    stage.run(
        options.model,
        options.files,
        stage.EvaluateOptions(
            context=options.context,
            mc_passes=options.mc_passes,
            likelihood=options.likelihood,
            stride=options.stride,
            length_mass_bytes=options.length_mass,
            corruption_rate=options.corrupt,
            samples=options.samples,
            as_json=options.json,
        ),
    )


def _generate_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help=_MODEL)
    parser.add_argument("--prompt", default="", metavar="TEXT", help="text to continue")
    parser.add_argument(
        "--infill", metavar="TEXT", help="text in which every _ is one token to fill in, such as 'The ____ of'"
    )
    parser.add_argument(
        "--max-new-tokens", type=positive, metavar="N", help="tokens to generate (default: to the model's length)"
    )
    parser.add_argument(
        "--num-samples", type=positive, default=1, metavar="N", help="texts to generate (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same text (default: %(default)s)")
    parser.add_argument(
        "--temperature",
        type=temperature,
        default=1.0,
        metavar="T",
        help="divides the logits; 0 always takes the most likely token (default: %(default)s)",
    )
    parser.add_argument(
        "--steps",
        type=positive,
        metavar="N",
        help="denoising steps of a masked model, for each sequence or block (default: one a token)",
    )
    parser.add_argument(
        "--remasking",
        choices=["random", "ancestral", "low_confidence"],
        default="random",
        help="which positions a step of a masked model unmasks: as many at random in every step, each independently "
        "with the probability of the reverse process, or the most confident ones (default: %(default)s, which samples "
        "exactly at one token a step)",
    )


def _generate(options: Namespace) -> None:
    from bytegap.generate import stage
    from bytegap.sampling.base import SamplingSettings

    stage.run(
        options.model,
        stage.GenerateOptions(
            prompt=options.prompt,
            infill=options.infill,
            max_new_tokens=options.max_new_tokens,
            num_samples=options.num_samples,
            seed=options.seed,
            sampling=SamplingSettings(options.temperature, options.steps, options.remasking),
        ),
    )


def _compress_arguments(parser: ArgumentParser) -> None:
    _codec_arguments(parser, "the file to compress", "FILE.bg")


def _decompress_arguments(parser: ArgumentParser) -> None:
    _codec_arguments(parser, "a file that 'bytegap compress' wrote", "FILE")


def _codec_arguments(parser: ArgumentParser, file: str, output: str) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help=file)
    parser.add_argument("-o", dest="output", type=Path, required=True, metavar=output, help="the file to write")
    parser.add_argument("--run", type=Path, required=True, metavar="RUN", help=RUN)


def _compress(options: Namespace) -> None:
    from bytegap.codec import stage

    stage.compress(options.file, options.output, options.run)


def _decompress(options: Namespace) -> None:
    from bytegap.codec import stage

    stage.decompress(options.file, options.output, options.run)


def _export_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help=RUN)
    parser.add_argument(
        "--to", choices=["hf"], default="hf", help="hf: what Hugging Face transformers loads (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", required=True, help="the folder to write")


def _export(options: Namespace) -> None:
    from bytegap.export import stage

    stage.run(options.run, options.out)


def _lm_eval_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "config", type=Path, metavar="DOWNSTREAM.toml", help="the models and tasks; copy studies/downstream.toml"
    )
    out_argument(parser)


def _lm_eval(options: Namespace) -> None:
    from bytegap.lm_eval import stage

    stage.run(options.config, options.out)


def _probe_arguments(parser: ArgumentParser) -> None:
    study_argument(parser)
    parser.add_argument(
        "--at",
        action="append",
        type=flops,
        default=[],
        metavar="BUDGET",
        help="probe at this budget in FLOPs, any of an arm's; may be given several times (default: all)",
    )
    parser.add_argument(
        "--arm",
        action="append",
        default=[],
        metavar="ARM",
        help="probe this arm; may be given several times (default: every byte arm)",
    )


def _probe(options: Namespace) -> None:
    from bytegap.probe import stage
    from bytegap.tuning.cells import NamedCells

    stage.run(*open_study(options), NamedCells(tuple(options.at), tuple(options.arm)))


_EVALUATE_DETAILS = """\
MODEL is a run's folder, out/STUDY/runs/ID, or hf:PATH, a local folder in safetensors: written by `bytegap export`, a
causal model that transformers knows (needs the extra hf), or a masked diffusion model: LLaDA, LLaDA-MoE, Dream, MDLM.

Every file is one document of bytes, valid UTF-8 or not, cut into sequences of the length that the model was trained
on. Bits are divided by the file's own bytes, whatever the tokenizer; the end-of-text token is charged. For a masked
model the number is an upper bound with a standard error (se), which more --mc-passes reduce; --likelihood names others.

For compressors on the same text, see `bytegap baselines`."""

VERBS = (
    Verb(
        "evaluate",
        "Score files with a model: bits per byte, in total, by script, by UTF-8 class, and under corruption.",
        _evaluate,
        _evaluate_arguments,
        details=_EVALUATE_DETAILS,
        examples="bytegap evaluate out/mine/runs/ID speech.txt\nbytegap evaluate hf:models/llama speech.txt --json\n"
        "bytegap evaluate out/mine/runs/ID speech.txt --likelihood confidence",
        extras=("train",),
    ),
    Verb(
        "generate",
        "Generate text from a model, or fill gaps in a given text.",
        _generate,
        _generate_arguments,
        details="Autoregressive models write from left to right, block-diffusion models block by block; masked and "
        "any-order models unmask positions in any order and can fill gaps.",
        examples="bytegap generate out/mine/runs/ID --prompt 'We are '\n"
        "bytegap generate out/mine/runs/ID --infill 'The ____ of' --remasking low_confidence",
        extras=("train",),
    ),
    Verb(
        "compress",
        "Compress a file losslessly with an autoregressive run, to the bits per byte that 'evaluate' reports.",
        _compress,
        _compress_arguments,
        examples="bytegap compress speech.txt -o speech.bg --run out/mine/runs/ID",
        extras=("train", "codec"),
    ),
    Verb(
        "decompress",
        "Restore a compressed file, with the run that compressed it, on a machine with the same arithmetic.",
        _decompress,
        _decompress_arguments,
        examples="bytegap decompress speech.bg -o speech.txt --run out/mine/runs/ID",
        extras=("train", "codec"),
    ),
    Verb(
        "export",
        "Write a finished run as a Hugging Face model: safetensors, tokenizer, model card.",
        _export,
        _export_arguments,
        examples="bytegap export out/mine/runs/ID --out my-model",
        extras=("train",),
    ),
    Verb(
        "lm-eval",
        "Evaluate models on tasks of lm-evaluation-harness, such as ARC or HellaSwag.",
        _lm_eval,
        _lm_eval_arguments,
        examples="bytegap lm-eval studies/downstream.toml",
        extras=("train", "eval"),
    ),
    Verb(
        "probe",
        "Run probes on a study's byte models: segmentation, neighbours, infilling, linear probes.",
        _probe,
        _probe_arguments,
        details="Probes the best size of each arm and budget; writes probe.json, in place of an earlier one.",
        examples="bytegap probe mine.toml\nbytegap probe mine.toml --at 1.6e12 --arm byte-mdm --arm byte-ar",
        extras=("train",),
    ),
)
