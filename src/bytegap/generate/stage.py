"""The verb `generate`: write text from a model to standard output while it is generated.

After each text comes a newline that is not part of it, and between two texts an empty line.

Reads the model, a run's folder or `hf:PATH`; writes no files.
"""

import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass, field

import torch
from rich.live import Live
from rich.text import Text
from torch import Tensor

from bytegap.console import literal_console, say
from bytegap.errors import GenerateError
from bytegap.lm.language_model import LanguageModel
from bytegap.lm.likelihood import rng_for
from bytegap.lm.open_model import open_model
from bytegap.sampling.base import SamplingSettings

GAP = "_"
"""In a text to fill in: one masked token."""
_SHOWN_MASK = "\u2591"
_SMALL_MODEL = 10_000_000  # parameters; below, one thread is faster than several that wait for each other


@dataclass(frozen=True)
class GenerateOptions:
    """What to generate, and how."""

    prompt: str = ""
    """Text to continue."""
    infill: str | None = None
    """Text to fill in instead, each `GAP` in it one token; excludes `prompt` and `max_new_tokens`."""
    max_new_tokens: int | None = None
    """Tokens after the prompt; None: as many as the model's sequence holds."""
    num_samples: int = 1
    """Texts; text i depends on (seed, i) alone."""
    seed: int = 0
    sampling: SamplingSettings = field(default_factory=SamplingSettings)


def run(model_name: str, options: GenerateOptions) -> None:
    """Generate the texts; GenerateError where the model cannot, or an option would have no effect."""
    model = open_model(model_name)
    _check_options(model, options)
    if sum(weight.numel() for weight in model.network.parameters()) < _SMALL_MODEL:
        torch.set_num_threads(1)
    if options.infill is not None:
        sequence_S = _with_gaps(model, options.infill)
    else:
        sequence_S = _with_prompt(model, options.prompt, options.max_new_tokens)
    for number in range(options.num_samples):
        if number:
            _write(b"\n")
        started = time.perf_counter()
        n_bytes = _generate(model, sequence_S.clone(), options.sampling, rng_for(options.seed, number))
        _write(b"\n")
        say("generate", f"{n_bytes} bytes, {n_bytes / (time.perf_counter() - started):,.0f} bytes a second")


def _check_options(model: LanguageModel, options: GenerateOptions) -> None:
    """GenerateError for the first option that would have no effect."""
    if options.infill is not None:
        for flag, given in (("--prompt", options.prompt), ("--max-new-tokens", options.max_new_tokens)):
            if given:
                raise GenerateError(
                    f"{flag} has no effect with --infill, which is the whole text: leave one of them out"
                )
    if model.objective.sampler().unmasks_in_steps:
        return
    settings, default = options.sampling, SamplingSettings()
    for flag, given in (("--steps", settings.steps), ("--remasking", settings.remasking)):
        if given not in {default.steps, default.remasking}:
            raise GenerateError(
                f"{flag} {given} has no effect on {model.name}, which draws one token a step: leave it out"
            )


def _with_prompt(model: LanguageModel, prompt: str, max_new_tokens: int | None) -> Tensor:
    """The prompt, then MASK for each new token."""
    prompt_tokens: list[int] = model.tokenizer.encode_batch([prompt.encode()])[0].tolist()
    if max_new_tokens is None:
        max_new_tokens = model.seq_len - len(prompt_tokens)
    if max_new_tokens < 1:
        raise GenerateError(
            f"the prompt has {len(prompt_tokens)} tokens and a sequence of {model.name} holds {model.seq_len}: "
            "shorten it"
        )
    return torch.tensor([*prompt_tokens, *[model.vocabulary.mask] * max_new_tokens])


def _with_gaps(model: LanguageModel, infill: str) -> Tensor:
    """The text, MASK for each `GAP` of it."""
    if GAP not in infill:
        raise GenerateError(
            f"'{infill}' has nothing to fill in: write {GAP} where a token is wanted, as in 'The {GAP * 4} of'"
        )
    first, *rest = model.tokenizer.encode_batch([part.encode() for part in infill.split(GAP)])
    tokens: list[int] = first.tolist()
    for part in rest:
        tokens += [model.vocabulary.mask, *part.tolist()]
    return torch.tensor(tokens)


def _generate(model: LanguageModel, sequence_S: Tensor, settings: SamplingSettings, rng: torch.Generator) -> int:
    """Generate one text and return its bytes; writes what is final or, on a terminal, shows the text with its masks."""
    sampler, mask = model.objective.sampler(), model.vocabulary.mask
    written = n_bytes = 0
    shows_masks = not sampler.left_to_right and sys.stdout.isatty()
    with torch.no_grad(), Live(console=literal_console(), transient=True) if shows_masks else nullcontext() as live:
        for _ in sampler.generate(model, sequence_S, settings, rng):
            masked = (sequence_S[written:] == mask).nonzero()
            final = written + int(masked[0, 0]) if len(masked) else len(sequence_S)
            if live:
                live.update(Text(model.decode(sequence_S, _SHOWN_MASK).decode(errors="replace")))
            else:
                n_bytes += _write(model.decode(sequence_S[written:final]))
                written = final
    return n_bytes if not shows_masks else _write(model.decode(sequence_S))


def _write(data: bytes) -> int:
    """The number of bytes written."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    return len(data)
