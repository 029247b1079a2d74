"""A model for lm-evaluation-harness, registered as `bytegap` when this module is imported.

`loglikelihood` is log p(continuation | context): exact where the objective's likelihood is, else minus the bound on the
continuation alone, its context given and nothing after it, as `likelihood.window_nats` estimates it.
Texts become tokens by the harness's rules for pairs (`TemplateLM._encode_pair`), with BOS before every sequence; a
context that is too long loses its beginning.
`loglikelihood_rolling` scores sequences of S tokens, each given BOS alone, as `bytegap evaluate` does, but no EOS.
`generate_until` generates as `bytegap generate` does, always the likeliest token unless the task says to sample.
Reads the model's folder; writes nothing.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import cast

import numpy as np
import torch
from lm_eval.api import registry
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.models import utils
from torch import Tensor

from bytegap.console import track
from bytegap.cost.bits import bits_per_byte
from bytegap.data.windows import Windows, chunk_lengths
from bytegap.errors import EvaluateError, GenerateError
from bytegap.lm.likelihood import rng_for, window_nats
from bytegap.lm.open_model import open_model
from bytegap.sampling.base import SamplingSettings
from bytegap.schema.evaluate import LikelihoodError

POINTS = 16
"""Times (noise levels) at which each pass scores a continuation, where its likelihood is an estimate."""
_MAX_NEW_TOKENS = 256  # the harness's own default, where a task does not say
_SAMPLING_KEYS = {"until", "max_gen_toks", "do_sample", "temperature"}
_MAX_TOKENS_KEYS = {"max_new_tokens", "max_tokens", "max_completion_tokens"}
_HARNESS_ARGUMENTS = {"batch_size", "max_batch_size", "device"}

EncodedPair = tuple[tuple[str, str], list[int], list[int]]
"""Context and continuation; BOS and the tokens of the context; the tokens of the continuation."""
Options = Mapping[str, object]
"""A task's `generation_kwargs`."""


class BytegapLM(TemplateLM):
    """A run, or `hf:PATH`, as lm-evaluation-harness calls a model."""

    def __init__(
        self,
        run: str,
        *,
        context: int | None = None,
        mc_passes: int | None = None,
        points: int = POINTS,
        steps: int | None = None,
        **harness: object,
    ) -> None:
        """Open `run`, a run's folder or `hf:PATH`; the other arguments are those of a task file.

        The harness passes batch_size, max_batch_size and device to every model, and they are ignored: sequences are
        batched as memory allows, on an accelerator if there is one.
        EvaluateError for any other argument.
        """
        if unknown := sorted(harness.keys() - _HARNESS_ARGUMENTS):
            raise EvaluateError(f"model argument '{unknown[0]}': known: run, context, mc_passes, points, steps")
        super().__init__()
        opened = open_model(run, context)
        self.model = opened if mc_passes is None else replace(opened, mc_passes=mc_passes)
        self.points, self.steps = points, steps
        self._latest_nats: list[Tensor] = []  # of each pair scored last, (mc_passes,)
        self._nats_by_task: dict[str, list[Tensor]] = defaultdict(list)  # the same of all requests
        self._rolling_bytes: dict[str, int] = defaultdict(int)  # by task
        self._generations = count()

    @property
    def eot_token_id(self) -> int:
        """EOS."""
        return self.model.vocabulary.eos

    @property
    def prefix_token_id(self) -> int:
        """BOS, before every sequence."""
        return self.model.vocabulary.bos

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_kwargs: object) -> list[int]:  # noqa: FBT001
        """The tokens of a text, after BOS, as the tokenizer of an exported run has them."""
        bos = [] if add_special_tokens is False else [self.prefix_token_id]
        tokens: list[int] = self.model.tokenizer.encode_batch([string.encode("utf-8", "surrogatepass")])[0].tolist()
        return bos + tokens

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:  # noqa: FBT001, FBT002
        """For each (context, continuation): log p in nats, and whether greedy generation gives the continuation."""
        results = super().loglikelihood(requests, disable_tqdm)
        for request, nats in zip(requests, self._latest_nats, strict=True):
            self._nats_by_task[str(request.task_name)].append(nats)
        return results

    def _loglikelihood_tokens(self, requests: list[EncodedPair], **_kwargs: object) -> list[tuple[float, bool]]:
        """A continuation longer than a sequence fills several, the first of which has no room for the context."""
        S = self.model.seq_len
        sequences: list[list[int]] = []
        prefix_lengths: list[int] = []
        owners: list[int] = []
        for owner, (_texts, context, continuation) in enumerate(requests):
            start = 0
            for length in chunk_lengths(len(continuation), S):
                prefix = context[1:][-(S - length) :] if not start and length < S else []
                sequences.append(prefix + continuation[start : start + length])
                prefix_lengths.append(len(prefix))
                owners.append(owner)
                start += length
        nats, likeliest_W = self._nats(sequences, prefix_lengths, self.points)
        greedy = [True] * len(requests)
        likeliest = cast("list[bool]", likeliest_W.tolist())
        for owner, sequence, prefix_length, same in zip(owners, sequences, prefix_lengths, likeliest, strict=True):
            exact = self.model.objective.is_exact
            greedy[owner] &= same if exact else self._is_greedy(torch.tensor(sequence), prefix_length)
        self._latest_nats = list(_sum_by_owner(nats, owners, len(requests)))
        return [(-float(own.mean()), same) for own, same in zip(self._latest_nats, greedy, strict=True)]

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:  # noqa: ARG002, FBT001, FBT002
        """For each text: log p in nats, sequence after sequence."""
        sequences: list[list[int]] = []
        owners: list[int] = []
        for owner, request in enumerate(requests):
            text = str(_arguments(request)[0])
            tokens = self.tok_encode(text, add_special_tokens=False)
            start = 0
            for length in chunk_lengths(len(tokens), self.model.seq_len):
                sequences.append(tokens[start : start + length])
                owners.append(owner)
                start += length
            self._rolling_bytes[str(request.task_name)] += len(text.encode("utf-8", "surrogatepass"))
        nats, _ = self._nats(sequences, [0] * len(sequences), points=1)
        by_request = _sum_by_owner(nats, owners, len(requests))
        for request, own in zip(requests, by_request, strict=True):
            self._nats_by_task[str(request.task_name)].append(own)
        return [-float(own.mean()) for own in by_request]

    @torch.no_grad()
    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:  # noqa: ARG002, FBT001, FBT002
        """The text after each context, up to its first stop string; GenerateError for options that are not known."""
        texts: list[str] = []
        for request in track(requests, "generating"):
            context, options = _arguments(request)
            texts.append(self._generate(str(context), cast("Options", options)))
        return texts

    def get_model_info(self) -> dict[str, object]:
        """What the harness stores with its results: the model's name, and the errors of its likelihoods by task."""
        errors = {task: error.model_dump() for task, error in self.likelihood_errors().items()}
        return {"model_name": self.model.name, "exact": self.model.objective.is_exact, "likelihood_error": errors}

    def likelihood_errors(self) -> dict[str, LikelihoodError]:
        """Standard errors of the likelihoods of each task so far; tasks that only generate have none."""
        errors: dict[str, LikelihoodError] = {}
        for task, nats in self._nats_by_task.items():
            nats_RP = torch.stack(nats)  # (requests, passes)
            n_bytes = self._rolling_bytes.get(task)
            errors[task] = LikelihoodError(
                requests=len(nats_RP),
                mc_passes=self.model.num_passes,
                mean_se_nats=float(_standard_error(nats_RP).mean()),
                bits_per_byte_se=bits_per_byte(float(_standard_error(nats_RP.sum(0))), n_bytes) if n_bytes else None,
            )
        return errors

    def _nats(self, sequences: list[list[int]], prefix_lengths: list[int], points: int) -> tuple[Tensor, Tensor]:
        """Nats beyond the prefixes (mc_passes, sequences), and whether all tokens are the likeliest (sequences,)."""
        if not sequences:
            return torch.zeros(self.model.num_passes, 0, dtype=torch.float64), torch.zeros(0, dtype=torch.bool)
        counts = np.array([len(sequence) for sequence in sequences])
        windows = Windows(tokens=np.concatenate(sequences), counts=counts, bytes=0, sha256="")
        return window_nats(self.model, windows, torch.tensor(prefix_lengths), points=points)

    @torch.no_grad()
    def _is_greedy(self, sequence_S: Tensor, prefix_length: int) -> bool:
        """Whether greedy generation gives what follows the prefix; generates only as far as it does."""
        generated_S = sequence_S.clone()
        generated_S[prefix_length:] = self.model.vocabulary.mask
        sampler, settings = self.model.objective.sampler(), sampling_settings({}, None)
        for indices in sampler.generate(self.model, generated_S, settings, rng_for(0)):
            if (generated_S[indices] != sequence_S[indices]).any():
                return False
        return True

    def _generate(self, context: str, options: Options) -> str:
        """The text of one request; where it outgrows a sequence, its last half sequence becomes the prompt of more."""
        model, S = self.model, self.model.seq_len
        settings = sampling_settings(options, self.steps)
        limits = utils.normalize_gen_kwargs(dict(options), _MAX_NEW_TOKENS)
        stops = [stop for stop in limits.get("until", []) if stop]
        rng = rng_for(model.seed, next(self._generations))
        sampler = model.objective.sampler()
        tokens = self.tok_encode(context, add_special_tokens=False)
        n_context, left, ended = len(tokens), limits.get("max_gen_toks", _MAX_NEW_TOKENS), False
        while left > 0 and not ended:
            room = min(left, S - min(len(tokens), S - S // 2))
            prompt = tokens[len(tokens) - min(len(tokens), S - room) :]
            sequence_S = torch.tensor([*prompt, *[model.vocabulary.mask] * room])
            new_S = sequence_S[len(prompt) :]  # a view: filled below
            for _ in sampler.generate(model, sequence_S, settings, rng):
                if sampler.left_to_right and self._text_and_end(tokens[n_context:], new_S, stops)[1]:
                    break
            new, ended = self._text_and_end(tokens[n_context:], new_S, stops)
            tokens += new
            left -= room
        return utils.postprocess_generated_text(self._text(tokens[n_context:]), stops, None)

    def _text_and_end(self, before: list[int], new_S: Tensor, stops: Sequence[str]) -> tuple[list[int], bool]:
        """The tokens of `new_S` before EOS or a MASK, and whether EOS or a stop string ends the text."""
        vocabulary = self.model.vocabulary
        tokens = cast("list[int]", new_S.tolist())
        ends = (index for index, token in enumerate(tokens) if token in {vocabulary.eos, vocabulary.mask})
        text = tokens[: next(ends, None)]
        ended = vocabulary.eos in tokens[len(text) : len(text) + 1]
        return text, ended or any(stop in self._text(before + text) for stop in stops)

    def _text(self, tokens: list[int]) -> str:
        token_bytes = self.model.tokenizer.token_bytes
        return b"".join(token_bytes[token] for token in tokens).decode(errors="replace")


registry.register_model("bytegap")(BytegapLM)  # as a decorator it would hide the class's type


def sampling_settings(options: Options, steps: int | None) -> SamplingSettings:
    """How a task says to sample; greedy by default. GenerateError for options that are not known."""
    do_sample = options.get("do_sample")
    temperature = float(str(options.get("temperature", 1.0 if do_sample else 0.0)))
    samples = bool(do_sample) if "do_sample" in options else temperature > 0
    if not samples or not temperature:
        return SamplingSettings(0.0, steps, "low_confidence")
    if unknown := sorted(options.keys() - _SAMPLING_KEYS - _MAX_TOKENS_KEYS):
        raise GenerateError(
            f"generation_kwargs '{unknown[0]}': text is sampled at a temperature and not otherwise: leave it out"
        )
    return SamplingSettings(temperature, steps, "random")


def _arguments(request: Instance) -> tuple[object, ...]:
    """What a request is about: texts, and options of generation."""
    return cast("tuple[object, ...]", request.args)


def _sum_by_owner(nats_PW: Tensor, owners: list[int], requests: int) -> Tensor:
    """Nats of sequences summed by request, (requests, passes)."""
    return torch.zeros(requests, len(nats_PW), dtype=torch.float64).index_add_(
        0, torch.tensor(owners, dtype=torch.long), nats_PW.T.contiguous()
    )


def _standard_error(nats: Tensor) -> Tensor:
    """Standard error of the mean over passes, the last axis; 0 for a single, exact pass."""
    passes = nats.shape[-1]
    return nats.std(-1) / passes**0.5 if passes > 1 else torch.zeros(nats.shape[:-1], dtype=nats.dtype)
