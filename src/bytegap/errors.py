"""What a user can get wrong; each is one sentence saying what, where, and the mend. The CLI exits with code 2.

BytegapError
+-- StudyError       the study file: an unknown key, a value out of range, a plug-in that does not exist
+-- CorpusError      the text: nothing found, not what its ending says, too little held out
+-- TokensError      a vocabulary that cannot be read, or cannot represent the text
+-- PlanError        a budget that no size fits, a context longer than the text
+-- StoreError       the study folder: a stage missing, a file torn or altered
+-- CountError       a model's configuration that cannot be counted
+-- ModelError       another's model that cannot be loaded, a run that cannot be exported, logits that are not finite
+-- FitError         too few runs, or runs that identify nothing
+-- EvaluateError    nothing to evaluate, no text to do it on, a compressor that is not installed
+-- SampleError      a text that the model cannot be asked to write, or go on from
+-- CodecError       a compressed file that is damaged, or of another run or machine
"""

from collections.abc import Iterable
from difflib import get_close_matches


class BytegapError(Exception):
    """Base of every error that is the user's to mend."""


class StudyError(BytegapError):
    """The study file is wrong."""


class CorpusError(BytegapError):
    """The text cannot be used."""


class TokensError(BytegapError):
    """A vocabulary cannot be used, or not on this text."""


class PlanError(BytegapError):
    """No plan fits the study."""


class StoreError(BytegapError):
    """The study folder does not hold what is needed."""


class CountError(BytegapError):
    """A model's configuration cannot be counted."""


class ModelError(BytegapError):
    """A model cannot be loaded or exported, or what it returns is not finite."""


class FitError(BytegapError):
    """The runs do not identify what is asked."""


class EvaluateError(BytegapError):
    """There is nothing to evaluate, or nothing to do it with."""


class SampleError(BytegapError):
    """The model cannot write what is asked."""


class CodecError(BytegapError):
    """A compressed file cannot be read back."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The clause that names the mend for a misspelt `word`: the nearest known one, or all of them."""
    names = sorted(known)
    close = get_close_matches(word, names, n=1)
    return f"did you mean '{close[0]}'?" if close else f"known: {', '.join(names) or 'none'}"
