"""Every script in examples/ runs by itself, prints what it promises, and writes its picture."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"

# What each must have printed; those with a picture.
PRINTED = {
    "choosing_an_algorithm": ["chosen: the least predicted time", "the automatic choice", "reference"],
    "conv2d_shapes": ["result (117, 5, 9, 1)", "weight  (5, 4, 2, 3)", "bias    (5,)", "3.87e+10 weights"],
    "cross_correlation_1d": [
        "F.conv1d: [ 1 -1  2  9 12  6]",
        "between samples 15 and 16: +3",
        "between samples 39 and 40: +1",
        "hidden at sample 137, found at sample 137",
    ],
    "differential_operators": ["to a constant: 0; to a slope of 2 per sample along x: 2\n", "points to its centre"],
    "layers_and_initialisation": ["fan_in  576, bound 0.0417", "root mean square"],
    "pooling": ["max_pool1d, 2 samples  [5. 2. 8. 3. 7.]", "avg_pool1d, 2 samples  [3.  2.  6.  1.5 6.5]", "[[9 8 5 6]", "[[ 8  3  5  6]"],
    "receptive_fields": [
        "       3       1        1       20       4      -8",
        "sees rows 16 to 35 and columns 52 to 71",
        "not 0 in rows 16 to 35",
    ],
    "stride_padding_dilation": ["dilation 2: 3 outputs\n  output 0:      # . # . # . .\n", "[ 63 108  81]", "[[108]]"],
    "template_matching": ["found elsewhere: 0", "no copy, but bright"],
    "transposed_and_unpooling": [
        "One is the other's transpose: True",
        "stride 3: [   1    2   -1   10   20  -10    0    0    0  100  200 -100]",
    ],
}
PICTURES = PRINTED.keys() - {"choosing_an_algorithm", "conv2d_shapes", "transposed_and_unpooling"}
ACCURACY = re.compile(r"held-out accuracy after the last epoch: ([\d.]+)%, in [\d.]+ seconds\n")


@pytest.fixture
def run(tmp_path):
    """Runs a script in an empty folder, as a user does who has no display."""

    def example(name, *arguments):
        environment = {key: value for key, value in os.environ.items() if key not in ("DISPLAY", "WAYLAND_DISPLAY")}
        return subprocess.run(
            [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments],
            cwd=tmp_path, env=environment | {"MPLBACKEND": "Agg", "PYTHONIOENCODING": "utf-8"},
            capture_output=True, text=True, encoding="utf-8", timeout=300, check=False,
        )  # fmt: skip

    return example


def check_picture(path):
    """A PNG of some size in which there is something to see."""
    from matplotlib.image import imread

    assert path.read_bytes().startswith(b"\x89PNG\r\n")
    pixels = imread(path)
    assert pixels.shape[0] >= 200 and pixels.shape[1] >= 600
    colours = np.unique((pixels[..., :3] * 255).astype(np.uint8).reshape(-1, 3), axis=0)
    assert len(colours) > 20


def numbers_after(words, text):
    line = next(line for line in text.splitlines() if line.strip().startswith(words))
    return [float(number) for number in re.findall(r"[-+\d.]+(?:e[-+]\d+)?", line.strip().removeprefix(words))]


def check_activations(text):
    """They vanish, stay and explode."""
    vanish, stay, explode = numbers_after("20 ", text)
    assert vanish < 1e-6 and 0.3 < stay < 3 and explode > 1e3


def check_shares(text):
    """Pools of larger windows change less."""
    shares = [numbers_after(words, text)[0] for words in ["image  ", *(f"max_pool2d, {n:2} x {n:2}" for n in (2, 4, 8, 16))]]
    assert shares[0] == 100 and shares == sorted(shares, reverse=True) and shares[-1] < 10


CHECKS = {"layers_and_initialisation": check_activations, "pooling": check_shares}


@pytest.mark.parametrize("name", sorted(PRINTED))
def test_runs(run, tmp_path, name):
    if name in PICTURES:
        pytest.importorskip("matplotlib")
    result = run(name)
    assert result.returncode == 0, result.stderr
    for words in PRINTED[name]:
        assert words in result.stdout
    if name in CHECKS:
        CHECKS[name](result.stdout)
    written = [path.name for path in tmp_path.iterdir()]
    if name in PICTURES:
        assert written == [f"{name}.png"] and f"Picture: {name}.png" in result.stdout
        check_picture(tmp_path / written[0])
    else:
        assert written == []


def test_picture_goes_where_it_should(run, tmp_path):
    pytest.importorskip("matplotlib")
    result = run("pooling", "-o", "elsewhere.png")
    assert result.returncode == 0 and [path.name for path in tmp_path.iterdir()] == ["elsewhere.png"], result.stderr


# ---- training ------------------------------------------------------------------------------------------------------------


def check_training(result, tmp_path, epochs):
    line = r"^epoch +(\d+)  loss ([\d.]+)  training accuracy ([\d.]+)  held-out accuracy ([\d.]+)$"
    lines = re.findall(line, result.stdout, re.MULTILINE)
    assert [int(line[0]) for line in lines] == list(range(1, epochs + 1)), result.stderr
    assert "1438 digits to learn from, 359 held out" in result.stdout
    accuracy = float(ACCURACY.search(result.stdout)[1])
    assert round(100 * float(lines[-1][3]), 1) == round(accuracy, 1)
    assert result.returncode == (accuracy < 98), result.stderr
    assert float(lines[-1][1]) < float(lines[0][1])
    assert [path.name for path in tmp_path.iterdir()] == ["digits.png"]
    check_picture(tmp_path / "digits.png")
    return accuracy


def test_digits_for_a_moment(run, tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    assert check_training(run("train_digits", "--epochs", "2"), tmp_path, 2) > 90


@pytest.mark.slow
def test_digits_are_read(run, tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    assert check_training(run("train_digits"), tmp_path, 40) > 98


def test_digits_refuse_nonsense(run, tmp_path):
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    result = run("train_digits", "--epochs", "0")
    assert result.returncode == 2 and "--epochs must be at least 1, got 0" in result.stderr
    assert list(tmp_path.iterdir()) == []


# ---- all of them ---------------------------------------------------------------------------------------------------------


def test_readme_lists_all():
    listed = re.findall(r"^\| `(\w+)\.py` \| .* \| (yes|) ?\|$", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(name for name, _ in listed) == sorted(path.stem for path in EXAMPLES.glob("*.py"))
    assert {name for name, picture in listed if picture} == PICTURES | {"train_digits"}
    assert {name for name, _ in listed} == PRINTED.keys() | {"train_digits"}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_begins_with_what_it_shows_and_prints(path):
    text = path.read_text(encoding="utf-8")
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring and "Prints" in docstring
    assert len(text.splitlines()) <= (200 if path.stem == "train_digits" else 90)
