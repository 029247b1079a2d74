"""`fit-table`: every mistake in a table is named and ends in exit code 2."""

import subprocess
import sys
from pathlib import Path

import pytest

import bytegap
from bytegap.errors import FitError
from bytegap.fit.read_table import parse_columns, read
from bytegap.fit.table_schema import TableFit
from tests.helpers.run_tables import refused, runs, write


@pytest.mark.parametrize(
    ("column", "cell", "words"),
    [
        ("loss", "nan", "not a finite number"),
        ("loss", "inf", "not a finite number"),
        ("loss", "", "empty"),
        ("loss", "0", "not above 0"),
        ("loss", "-2.5", "not above 0"),
        ("params", "-1e8", "not above 0"),
        ("tokens", "0", "not above 0"),
        ("flops", "lots", "not a number"),
        ("params", '"410,000,000"', "thousands separators"),
        ("params", "410_000_000", "thousands separators"),
        ("flops", "1e999", "not a finite number"),
    ],
)
def test_error_names_row_and_column_of_a_bad_cell(
    tmp_path: Path, capsys: pytest.CaptureFixture, column: str, cell: str, words: str
) -> None:
    rows = runs()
    rows[4][column] = cell
    path = write(tmp_path / "runs.csv", rows)
    error = refused(capsys, str(path))
    assert f"{path}, row 6, column '{column}'" in error
    assert words in error


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "empty"),
        (b"\n\n", "empty"),
        (b"params,tokens,flops,loss\n", "no row below the header"),
        (b"just words\nand more\n", "comma-separated"),
        (b"params;tokens;flops;loss\n1;2;3;4\n", "separate columns by commas"),
        (b"\xff\xfe\x00binary\x00\xd8", "not a CSV file"),
        (b'params,tokens,flops,loss\n"1,2\n', "not a CSV file"),
        (b"params,tokens,loss,loss\n1,2,3,4\n", "two columns 'loss'"),
        (b"params,tokens,flops,loss\n1,2,3,4,5\n", "row 2: 5 cells under 4 columns"),
        (b"params,tokens,flops,lss\n1,2,12,4\n", "did you mean 'lss'?"),
        (b"parms,token,flops,loss\n1,2,12,4\n", "did you mean 'parms'?"),
        (b"params,tokens,loss\n1e300,1e300,2\n", "row 2"),
        (b"arm,params,tokens,flops,loss\n,1,2,12,4\n", "row 2, column 'arm'"),
    ],
)
def test_files_that_are_no_table_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture, text: bytes, words: str
) -> None:
    path = tmp_path / "runs.csv"
    path.write_bytes(text)
    error = refused(capsys, str(path), "--convention", "6nd")
    assert str(path) in error
    assert words in error


def test_too_few_rows_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = write(tmp_path / "runs.csv", runs()[:5])
    assert "has 5 rows" in refused(capsys, str(path))
    path = write(tmp_path / "more.csv", runs()[:8])
    assert "less 3 to drop" in refused(capsys, str(path), "--drop-worst", "3")
    path = write(tmp_path / "arms.csv", runs(arm="one") + runs(arm="two")[:3])
    assert "arm 'two' has 3 rows" in refused(capsys, str(path))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--columns", "params"], "OURS=THEIRS"),
        (["--columns", "parms=params"], "did you mean 'params'?"),
        (["--columns", "params=Size"], "no column 'Size'"),
        (["--columns", "params=loss,loss=loss"], "'loss' is named for two"),
        (["--columns", "loss=loss,loss=flops"], "named twice"),
        (["--drop-worst", "-1"], "--drop-worst -1"),
        (["--bootstraps", "0"], "--bootstraps 0"),
        (["--seed", "-3"], "--seed -3"),
    ],
)
def test_invalid_flags_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture, flags: list[str], words: str) -> None:
    assert words in refused(capsys, str(write(tmp_path / "runs.csv", runs())), *flags)


def test_a_missing_table_and_a_folder_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert "no such table" in refused(capsys, str(tmp_path / "none.csv"))
    assert "is a folder" in refused(capsys, str(tmp_path))


def test_parse_columns_strips_spaces_and_accepts_an_empty_text() -> None:
    assert parse_columns("params = Model Size ,loss=l") == {"params": "Model Size", "loss": "l"}
    assert parse_columns("") == {}


def test_records_in_memory_give_the_fit_of_their_csv(tmp_path: Path) -> None:
    rows = [row | {"loss_se": None if at else 0.01} for at, row in enumerate(runs(noise=0.003, arm="one"))]
    path = write(tmp_path / "runs.csv", [row | {"loss_se": row["loss_se"] or ""} for row in rows])
    made = bytegap.fit_table(rows, bootstraps=40)
    assert made == bytegap.fit_table(path, bootstraps=40)
    assert isinstance(made, TableFit)
    with pytest.raises(FitError, match="the table, row 3, column 'loss': -1 is not above 0"):
        bytegap.fit_table([rows[0], rows[1] | {"loss": -1}])
    with pytest.raises(FitError, match="there is no column 'loss'"):
        bytegap.fit_table([])


def test_an_empty_standard_error_is_0(tmp_path: Path) -> None:
    rows = [row | {"loss_se": "" if at else 0.01} for at, row in enumerate(runs())]
    assert [row.loss_se for row in read(write(tmp_path / "runs.csv", rows), {}, None)][:2] == [0.01, 0.0]


def test_help_loads_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from bytegap.cli.main import main\ntry: main(['fit-table', '--help'])\n"
        "finally: assert not {'torch', 'numpy', 'rich'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
