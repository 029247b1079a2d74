"""A run, or `hf:PATH`, as lm-evaluation-harness asks a model: `bytegap` among its models once this is imported.

`loglikelihood` is log p(continuation | context): exact where the objective's likelihood is, else minus the bound on the
continuation alone, its context given and nothing after it, as `likelihood.window_nats` estimates it. Texts become
symbols by the harness's own rules for pairs (`TemplateLM._encode_pair`), BOS before every row; a context too long for
the row is cut from the left, after BOS. `loglikelihood_rolling` scores rows of S symbols, none given anything but BOS,
as `bytegap evaluate` does, but no EOS. `generate_until` draws as `bytegap sample` does, always the likeliest symbol
unless told to sample. Reads the model's folder; writes nothing.
"""

from collections import defaultdict
from inspect import signature
from itertools import count
from typing import Any

import numpy as np
import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.models.utils import normalize_gen_kwargs, postprocess_generated_text
from torch import Tensor

from bytegap.accounting.bits import bits_per_byte
from bytegap.console import track
from bytegap.errors import EvaluateError, SampleError
from bytegap.likelihood import stream, window_nats
from bytegap.pretrained import open_model
from bytegap.samplers._base import Settings, way_of
from bytegap.windows import Windows, row_lengths

POINTS = 16
"""Times a pass asks about a continuation at, where its likelihood is an estimate."""
_LONGEST_TEXT = 256  # symbols drawn, as the harness's own models do, where a task does not say
_TOLD = {"until", "max_gen_toks", "do_sample", "temperature"}

Pair = tuple[tuple[str, str], list[int], list[int]]
"""Texts, BOS and the symbols of the context, the symbols of the continuation."""


@register_model("bytegap")
class Harnessed(TemplateLM):
    """A model before the harness."""

    def __init__(  # noqa: PLR0913 - one a flag of --model_args
        self,
        run: str,
        *,
        context: int | None = None,
        passes: int | None = None,
        points: int = POINTS,
        steps: int | None = None,
        batch_size: Any = None,
        max_batch_size: Any = None,
        device: Any = None,
    ) -> None:
        """Open `run`, a run's folder or `hf:PATH`.

        What the harness passes to every model has no part in it: rows are batched as memory allows, on an accelerator
        if there is one. EvaluateError where the run's objective cannot score a continuation.
        """
        del batch_size, max_batch_size, device
        super().__init__()
        self.trained = open_model(run, context)
        if "only_BS" not in signature(self.trained.objective.score).parameters:
            message = f"{self.trained.name}: its objective cannot score a continuation: let its 'score' take only_BS"
            raise EvaluateError(message)
        self.points, self.steps = points, steps
        self.passes = 1 if self.trained.objective.EXACT else passes or self.trained.passes
        self._last: list[Tensor] = []  # nats of the requests answered last, (passes,) each
        self._scored: dict[str, list[Tensor]] = defaultdict(list)  # the same of all, by task
        self._bytes: dict[str, int] = defaultdict(int)  # of the rolling ones
        self._drawn = count()

    @property
    def eot_token_id(self) -> int:
        """EOS."""
        return self.trained.vocabulary.eos

    @property
    def prefix_token_id(self) -> int:
        """BOS, before every row."""
        return self.trained.vocabulary.bos

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:  # noqa: FBT001
        """The symbols of a text, BOS before them, as the tokenizer of an exported run has it."""
        bos = [] if add_special_tokens is False else [self.prefix_token_id]
        return bos + self.trained.tokenizer.encode_batch([string.encode("utf-8", "surrogatepass")])[0].tolist()

    def loglikelihood(self, requests: list[Instance], **_: Any) -> list[tuple[float, bool]]:
        """Of each (context, continuation): log p in nats, and whether the continuation is what greedy drawing gives."""
        answers = super().loglikelihood(requests)
        for request, nats in zip(requests, self._last, strict=True):
            self._scored[str(request.task_name)].append(nats)
        return answers

    def _loglikelihood_tokens(self, requests: list[Pair], **_: Any) -> list[tuple[float, bool]]:
        """A continuation longer than a row fills several, the first of them without room for its context."""
        S = self.trained.row_symbols
        rows: list[list[int]] = []
        given, owners = [], []
        for owner, (_texts, context, continuation) in enumerate(requests):
            start = 0
            for length in row_lengths(len(continuation), S):
                before = context[1:][-(S - length) :] if not start and length < S else []
                rows.append(before + continuation[start : start + length])
                given.append(len(before))
                owners.append(owner)
                start += length
        nats, likeliest_W = self._nats(rows, given, self.points)
        greedy = [True] * len(requests)
        for owner, row, known, likeliest in zip(owners, rows, given, likeliest_W.tolist(), strict=True):
            greedy[owner] &= likeliest if self.trained.objective.EXACT else self._is_drawn(torch.tensor(row), known)
        self._last = list(_summed(nats, owners, len(requests)))
        return [(-float(own.mean()), same) for own, same in zip(self._last, greedy, strict=True)]

    def loglikelihood_rolling(self, requests: list[Instance], **_: Any) -> list[float]:
        """Of each text: log p in nats, row after row."""
        rows: list[list[int]] = []
        owners = []
        for owner, request in enumerate(requests):
            symbols = self.tok_encode(request.args[0], add_special_tokens=False)
            start = 0
            for length in row_lengths(len(symbols), self.trained.row_symbols):
                rows.append(symbols[start : start + length])
                owners.append(owner)
                start += length
            self._bytes[str(request.task_name)] += len(request.args[0].encode("utf-8", "surrogatepass"))
        nats = self._nats(rows, [0] * len(rows), points=1)[0]
        summed = _summed(nats, owners, len(requests))
        for request, own in zip(requests, summed, strict=True):
            self._scored[str(request.task_name)].append(own)
        return [-float(own.mean()) for own in summed]

    @torch.no_grad()
    def generate_until(self, requests: list[Instance], **_: Any) -> list[str]:
        """What follows each context, up to the first of its stops; SampleError where it is to be sampled otherwise."""
        return [self._written(*request.args) for request in track(requests, "drawing")]

    def get_model_info(self) -> dict[str, Any]:
        """What the harness keeps beside its results: the estimate's own error, by task.

        Of a task's requests the mean standard error, in nats; of rolling ones also that of its bits per byte.
        """
        estimate: dict[str, dict[str, float | int]] = {}
        for task, scored in self._scored.items():
            nats = torch.stack(scored)  # (requests, passes)
            own = {"requests": len(nats), "passes": self.passes, "mean_se_nats": float(_error(nats).mean())}
            if n_bytes := self._bytes.get(task):
                own["bits_per_byte_se"] = bits_per_byte(float(_error(nats.sum(0))), n_bytes)
            estimate[task] = own
        return {"model_name": self.trained.name, "exact": self.trained.objective.EXACT, "estimate": estimate}

    def _nats(self, rows: list[list[int]], given: list[int], points: int) -> tuple[Tensor, Tensor]:
        if not rows:
            return torch.zeros(self.passes, 0, dtype=torch.float64), torch.zeros(0, dtype=torch.bool)
        trained = self.trained
        counts = np.array([len(row) for row in rows])
        windows = Windows(symbols=np.concatenate(rows), counts=counts, bytes=0, sha256="")
        return window_nats(
            trained,
            trained.objective,
            trained.options,
            windows,
            torch.tensor(given),
            trained.vocabulary,
            passes=self.passes,
            points=points,
            seed=trained.seed,
        )

    @torch.no_grad()
    def _is_drawn(self, row_S: Tensor, given: int) -> bool:
        """Whether greedy drawing gives what follows the `given` symbols: drawn as far as it does."""
        canvas_S = row_S.clone()
        canvas_S[given:] = self.trained.vocabulary.mask
        for places in way_of(self.trained).draw(self.trained, canvas_S, _settings({}, None), stream(0)):
            if (canvas_S[places] != row_S[places]).any():
                return False
        return True

    def _written(self, context: str, asked: dict[str, Any]) -> str:
        """The text of one request; where it outgrows the row it goes on from half a row of what is there."""
        trained, S = self.trained, self.trained.row_symbols
        settings = _settings(asked, self.steps)
        kwargs: dict[str, Any] = {**normalize_gen_kwargs(asked, _LONGEST_TEXT)}
        stops = [stop for stop in kwargs["until"] if stop]
        generator = stream(trained.seed, next(self._drawn))
        symbols = self.tok_encode(context, add_special_tokens=False)
        begun, left, ended = len(symbols), kwargs["max_gen_toks"], False
        while left > 0 and not ended:
            room = min(left, S - min(len(symbols), S - S // 2))
            known = symbols[len(symbols) - min(len(symbols), S - room) :]
            canvas_S = torch.tensor([*known, *[trained.vocabulary.mask] * room])
            way = way_of(trained)
            for _ in way.draw(trained, canvas_S, settings, generator):
                if way.IN_ORDER and self._ends(symbols[begun:], canvas_S[len(known) :], stops)[1]:
                    break
            drawn, ended = self._ends(symbols[begun:], canvas_S[len(known) :], stops)
            symbols += drawn
            left -= room
        return postprocess_generated_text(self._text(symbols[begun:]), stops, None)

    def _ends(self, before: list[int], drawn_S: Tensor, stops: list[str]) -> tuple[list[int], bool]:
        """What of `drawn_S` is text, up to EOS or what is hidden yet; and whether EOS or a stop ends it."""
        vocabulary = self.trained.vocabulary
        symbols = drawn_S.tolist()
        text = symbols[: next((i for i, s in enumerate(symbols) if s in (vocabulary.eos, vocabulary.mask)), None)]
        ended = vocabulary.eos in symbols[len(text) : len(text) + 1]
        return text, ended or any(stop in self._text(before + text) for stop in stops)

    def _text(self, symbols: list[int]) -> str:
        of_symbol = self.trained.tokenizer.symbol_bytes
        return b"".join(of_symbol[symbol] for symbol in symbols).decode(errors="replace")


def _settings(asked: dict[str, Any], steps: int | None) -> Settings:
    """As a task asks for it; SampleError where it asks to sample otherwise."""
    temperature = float(asked.get("temperature", 1.0 if asked.get("do_sample") else 0.0))
    if not asked.get("do_sample", temperature > 0) or not temperature:
        return Settings(0.0, steps, "confidence")
    if strange := sorted(asked.keys() - _TOLD - {"max_new_tokens", "max_tokens", "max_completion_tokens"}):
        message = f"generation_kwargs '{strange[0]}': text is sampled at a temperature and no otherwise: leave it out"
        raise SampleError(message)
    return Settings(temperature, steps, "first-hitting")


def _summed(nats_PW: Tensor, owners: list[int], requests: int) -> Tensor:
    """Rows' nats summed by request, (requests, passes)."""
    return torch.zeros(requests, len(nats_PW), dtype=torch.float64).index_add_(
        0, torch.tensor(owners, dtype=torch.long), nats_PW.T.contiguous()
    )


def _error(nats: Tensor) -> Tensor:
    """Standard error of the mean of passes, along the last axis; 0 of a single, exact one."""
    passes = nats.shape[-1]
    return nats.std(-1) / passes**0.5 if passes > 1 else torch.zeros(nats.shape[:-1], dtype=nats.dtype)
