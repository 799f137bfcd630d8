"""The command line, run as a user runs it: in processes of its own."""

import os
import re
import signal
import subprocess
import sys
import time
import types

import numpy as np
import pytest
from scipy import ndimage

import cyconv
from cyconv import cpu
from cyconv.__main__ import main
from cyconv.cli import kernels


@pytest.fixture
def run(tmp_path):
    """Runs one command line in an empty folder."""

    def cyconv_command(*arguments, environment=None, **options):
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.run(
            [sys.executable, "-m", "cyconv", *map(str, arguments)],
            cwd=tmp_path, env={**os.environ, **(environment or {})}, text=True, timeout=120, check=False, **output,
        )  # fmt: skip

    return cyconv_command


@pytest.fixture
def run_here(tmp_path, monkeypatch, capsys):
    """The same without a new process: for the many cases that differ only in what they say."""

    def cyconv_command(*arguments):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["__main__.py"])
        capsys.readouterr()
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as left:
            status = left.code
        told = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, status, told.out, told.err)

    return cyconv_command


def fails(result, status, *words):
    """Whether the command failed as promised: one line on stderr that says what is wrong."""
    assert result.returncode == status, result
    assert result.stdout == ""
    assert result.stderr.endswith("\n") and result.stderr.count("\n") == 1, result.stderr
    for word in words:
        assert word in result.stderr


@pytest.fixture
def image():
    return pytest.importorskip("PIL.Image", reason="pictures need pillow, which comes with matplotlib")


@pytest.fixture
def pixels():
    return np.random.default_rng(5).integers(0, 256, (23, 31, 4), dtype=np.uint8)


# ---- the front ---------------------------------------------------------------------------------------------------------


def test_tests_run_against_the_installed_package():
    """The README's test command must test what was installed; only then is CYCONV_TEST_INSTALLED set."""
    if not os.environ.get("CYCONV_TEST_INSTALLED"):
        pytest.skip("CYCONV_TEST_INSTALLED is not set: the package may be the one in the source tree")
    assert "site-packages" in cyconv.__file__


def test_version(run):
    result = run("--version")
    assert (result.returncode, result.stdout) == (0, f"cyconv {cyconv.__version__}\n")


def test_no_command_prints_usage_with_examples(run):
    result = run()
    assert result.returncode == 0
    assert "usage: python -m cyconv" in result.stdout and "python -m cyconv demo" in result.stdout
    for command in ("demo", "filter", "run", "info", "explain", "tune", "bench"):
        assert f"\n    {command} " in result.stdout


@pytest.mark.parametrize("command", [[], ["demo"], ["filter"], ["run"], ["info"], ["explain"], ["tune"], ["bench"]])
def test_help(run_here, command):
    result = run_here(*command, "--help")
    assert result.returncode == 0 and result.stdout.startswith("usage: ") and result.stderr == ""
    if command == ["filter"]:
        assert all(f"  {name}" in result.stdout for name in kernels.NAMED)


def test_unknown_command_is_one_line(run):
    fails(run("fliter"), 2, "fliter", "filter", "--help")


@pytest.mark.parametrize("unbuffered", ["", "1"])  # the error shows in print, or when Python empties its buffer
def test_closed_pipe_is_quiet(run, unbuffered):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        result = run("info", stdout=closed, environment={"PYTHONUNBUFFERED": unbuffered})
    assert (result.returncode, result.stderr) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_full_disk_is_one_line(run, unbuffered):
    with open("/dev/full", "w") as full:
        result = run("info", stdout=full, environment={"PYTHONUNBUFFERED": unbuffered})
    assert result.returncode == 1 and result.stderr.count("\n") == 1 and "No space left" in result.stderr


def test_interrupt_is_one_line(tmp_path):
    """Ctrl-C while the command reads from a pipe that nobody writes to."""
    pipe = tmp_path / "pipe.npy"
    os.mkfifo(pipe)
    # Python leaves SIGINT ignored where it was started so, as a shell's background jobs are
    program = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    program += "from cyconv.__main__ import main; sys.exit(main())"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "filter", pipe, "out.npy", "--kernel", "box:3"],
        cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    writer, deadline = None, time.monotonic() + 60
    try:
        while writer is None:  # this end opens once the command waits at the other
            assert process.poll() is None and time.monotonic() < deadline
            try:
                writer = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
        if writer is not None:
            os.close(writer)
    assert (process.returncode, told) == (130, "cyconv: interrupted\n")


# ---- info --------------------------------------------------------------------------------------------------------------


def test_info_tells_what_is_in_use(run):
    facts = dict(re.split(" {2,}", line, maxsplit=1) for line in run("info").stdout.splitlines())
    assert facts["cyconv"] == cyconv.__version__
    assert facts["kernels"].startswith(f"{cpu.level} in use")
    assert np.__version__ in facts["Python"]
    assert "cython_blas" in facts["BLAS"]
    assert facts["GPU"] and facts["GPU's times"]


def test_info_tells_where_the_threads_come_from(run):
    told = run("info", environment={"CYCONV_NUM_THREADS": "3"}).stdout
    assert "without OpenMP" in told or re.search(r"threads +3 \(from CYCONV_NUM_THREADS", told)


def test_bad_environment_is_one_line(run):
    if "without OpenMP" in run("info").stdout:
        pytest.skip("a build without OpenMP does not read the number of threads")
    fails(run("info", environment={"CYCONV_NUM_THREADS": "many"}), 1, "CYCONV_NUM_THREADS", "many")


# ---- explain -----------------------------------------------------------------------------------------------------------


def test_explain_prints_the_table_of_the_function(run):
    result = run("explain", "2x4x9x8", "6x2x3x3", "--stride", "2x1", "--padding", "1+0x2", "--groups", 2, "--dtype", "float64")
    arrays = np.zeros((2, 4, 9, 8)), np.zeros((6, 2, 3, 3))
    expected = str(cyconv.explain(*arrays, stride=(2, 1), padding=((1, 0), (2, 2)), groups=2))
    assert result.stdout == expected + "\n"


def test_explain_tells_what_a_gpu_would_get(run):
    words = ("explain", "32x64x56x56", "64x64x3x3", "--padding", "1", "--gpu")
    shown = run(*words).stdout
    assert "implicit_gemm  gpu " in shown and " cpu " not in shown
    assert run(*words, "--allow-tf32", "--precision", "strict").stdout.splitlines()[0].endswith("float32, TF32 allowed, strict")
    assert "padding 1x1, bfloat16\n" in run(*words, "--dtype", "bfloat16").stdout
    fails(run(*words[:-1], "--dtype", "bfloat16"), 1, "--dtype bfloat16 is for --gpu")
    fails(run(*words[:-1], "--allow-tf32"), 1, "--allow-tf32 is for --gpu")


def test_explain_takes_no_memory_for_its_arrays(run):
    result = run("explain", "64x512x4096x4096", "512x512x3x3", "--padding", "same")
    assert result.returncode == 0 and "64x512x4096x4096" in result.stdout


@pytest.mark.parametrize(
    "arguments, status, words",
    [
        (["1x3x8x8", "4x2x3x3"], 1, ["channels"]),
        (["1x3x8x8", "4x3x9x9"], 1, ["kernel is larger"]),
        (["1x3x8x8", "4x3"], 1, ["weight"]),
        (["1x3x8x8", "4x3x3x3", "--stride", "0"], 1, ["stride"]),
        (["1x3x8x8", "4x3x3x3", "--groups", "0"], 1, ["groups"]),
        (["1x3x8x8", "4x3x3x3", "--padding", "1x2x3"], 1, ["padding"]),
        (["1x3xx8", "4x3x3x3"], 2, ["1x3xx8", "1x3x224x224"]),
        (["1x3x8x8"], 2, ["WEIGHT_SHAPE"]),
        (["1x3x8x8", "4x3x3x3", "--padding", "sane"], 2, ["sane", "same"]),
        (["1x3x8x8", "4x3x3x3", "--stride", "-1"], 2, ["stride"]),
        (["1x3x8x8", "4x3x3x3", "--dtype", "float31"], 2, ["float31", "float32"]),
        (["1x3x8x8", "4x3x3x3", "--algorithm", "magic"], 2, ["magic", "reference"]),
        (["1x3x8x8", "4x3x3x3", "--max-workspace", "lots"], 2, ["lots", "64MiB"]),
        (["1x3x99999999999999999999x8", "4x3x3x3"], 1, ["INPUT_SHAPE", "99999999999999999999", "too large"]),
        (["1x3x99999999999x99999999999", "4x3x3x3"], 1, ["INPUT_SHAPE", "too large"]),
        (["1x3x8x8", "4x3x99999999999x99999999999"], 1, ["WEIGHT_SHAPE", "too large"]),
    ],
)
def test_explain_errors_are_one_line(run_here, arguments, status, words):
    fails(run_here("explain", *arguments), status, *words)


# ---- filter ------------------------------------------------------------------------------------------------------------


def correlated(planes, weight, mode="mirror"):
    """SciPy's correlation of every plane (H, W, C) in float64."""
    return np.stack([ndimage.correlate(planes[..., c].astype(float), weight, mode=mode) for c in range(planes.shape[2])], axis=2)


def rounded(values):
    return np.rint(values).clip(0, 255)


def agrees(got, expected):
    """Equal but for roundings that float32 takes to the other side."""
    assert got.shape == expected.shape
    difference = np.abs(got.astype(float) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.02


@pytest.mark.parametrize("name, offset", [("gaussian:5", 0), ("box:9", 0), ("sharpen", 0), ("laplacian", 128), ("emboss", 128), ("identity", 0)])
def test_filter_agrees_with_scipy(run_here, tmp_path, image, pixels, name, offset):
    image.fromarray(pixels[..., :3]).save(tmp_path / "in.png")
    result = run_here("filter", "in.png", "out.png", "--kernel", name)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("\n") == 1
    assert "3x23x31" in result.stdout and name in result.stdout and "algorithm" in result.stdout
    weight = kernels.parse(name).weights[0]
    agrees(np.asarray(image.open(tmp_path / "out.png")), rounded(correlated(pixels[..., :3], weight) + offset))


def test_gaussian_kernel_is_a_bell():
    (weight,) = kernels.parse("gaussian:31").weights
    expected = np.zeros((31, 31))
    expected[15, 15] = 1
    expected = ndimage.gaussian_filter(expected, 31 / 6, mode="constant", truncate=100)
    np.testing.assert_allclose(weight, expected / expected.sum(), rtol=1e-6)


def test_sobel_is_the_length_of_the_gradient(run, tmp_path, image, pixels):
    image.fromarray(pixels[..., 0]).save(tmp_path / "in.png")
    assert run("filter", "in.png", "out.png", "--kernel", "sobel").returncode == 0
    grey = pixels[..., 0].astype(float)
    expected = np.hypot(ndimage.sobel(grey, 0, mode="mirror"), ndimage.sobel(grey, 1, mode="mirror")) / 4
    agrees(np.asarray(image.open(tmp_path / "out.png")), rounded(expected))


def test_kernel_and_pictures_in_npy_files(run, tmp_path, pixels):
    weight = np.arange(12.0).reshape(3, 4)[:, :3] - 5  # asymmetric, so that a flipped or transposed kernel shows
    np.save(tmp_path / "weight.npy", weight)
    np.save(tmp_path / "in.npy", pixels)
    result = run("filter", "in.npy", "out.npy", "--kernel", "weight.npy", "--padding-mode", "zeros")
    assert result.returncode == 0, result.stderr
    out = np.load(tmp_path / "out.npy")
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, correlated(pixels, weight, mode="constant"))


def test_npy_results_keep_shape_precision_and_sign(run, tmp_path, pixels):
    field = pixels[..., 0] / 7.0
    np.save(tmp_path / "in.npy", field)
    assert run("filter", "in.npy", "out.npy", "--kernel", "laplacian").returncode == 0
    out = np.load(tmp_path / "out.npy")
    assert (out.shape, out.dtype) == (field.shape, np.float64)
    np.testing.assert_allclose(out, correlated(field[..., None], kernels.LAPLACIAN)[..., 0], atol=1e-11)


@pytest.mark.parametrize("mode, scipy_mode", [("zeros", "constant"), ("reflect", "mirror"), ("replicate", "nearest"), ("circular", "grid-wrap")])
def test_padding_modes(run_here, tmp_path, pixels, mode, scipy_mode):
    np.save(tmp_path / "in.npy", pixels)
    assert run_here("filter", "in.npy", "out.npy", "--kernel", "emboss", "--padding-mode", mode).returncode == 0
    expected = correlated(pixels, kernels.parse("emboss").weights[0], scipy_mode)
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P", "1"])
def test_filter_keeps_the_kind_of_picture(run_here, tmp_path, image, pixels, mode):
    channels = {"L": 0, "LA": slice(2), "RGB": slice(3), "RGBA": slice(4), "P": slice(3), "1": 0}[mode]
    image.fromarray(np.ascontiguousarray(pixels[..., channels])).convert(mode).save(tmp_path / "in.png")
    assert run_here("filter", "in.png", "out.png", "--kernel", "identity").returncode == 0
    expected = {"P": "RGB", "1": "L"}.get(mode, mode)
    before = np.asarray(image.open(tmp_path / "in.png").convert(expected))
    after = image.open(tmp_path / "out.png")
    assert after.mode == expected
    if expected.endswith("A"):  # where nothing is opaque there is no colour to keep
        before, after = (np.where(np.asarray(picture)[..., -1:] > 0, picture, 0) for picture in (before, after))
    np.testing.assert_array_equal(np.asarray(after), before)


def test_filter_turns_a_photograph_as_its_camera_says(run_here, tmp_path, image, pixels):
    exif = image.Exif()
    exif[0x0112] = 6  # orientation: to be turned a quarter clockwise
    image.fromarray(pixels[..., 0]).save(tmp_path / "in.png", exif=exif)
    assert run_here("filter", "in.png", "out.npy", "--kernel", "identity").returncode == 0
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), np.rot90(pixels[..., 0], -1))


def test_transparent_colours_do_not_leak(run, tmp_path, image):
    """A red disc on transparent green, blurred, is red all over."""
    picture = np.zeros((20, 20, 4), np.uint8)
    picture[..., 1] = 255
    picture[5:15, 5:15] = 255, 0, 0, 255
    image.fromarray(picture).save(tmp_path / "in.png")
    assert run("filter", "in.png", "out.png", "--kernel", "box:5").returncode == 0
    out = np.asarray(image.open(tmp_path / "out.png"))
    seen = out[out[..., 3] > 0]
    assert 100 < len(seen) < 300 and (seen[:, :3] == (255, 0, 0)).all()
    agrees(out[..., 3], rounded(ndimage.uniform_filter(picture[..., 3].astype(float), 5, mode="mirror")))


def test_signed_filters_leave_the_opacity_alone(run, tmp_path, image, pixels):
    image.fromarray(pixels).save(tmp_path / "in.png")
    assert run("filter", "in.png", "out.png", "--kernel", "laplacian").returncode == 0
    out = np.asarray(image.open(tmp_path / "out.png"))
    np.testing.assert_array_equal(out[..., 3], pixels[..., 3])
    agrees(out[..., :3], rounded(correlated(pixels[..., :3], kernels.LAPLACIAN) + 128))


def test_input_is_overwritten_by_force_alone(run, tmp_path, image, pixels):
    image.fromarray(pixels[..., 0]).save(tmp_path / "in.png")
    before = (tmp_path / "in.png").read_bytes()
    (tmp_path / "link.png").symlink_to("in.png")
    for target in ("in.png", "link.png", tmp_path / "in.png"):
        fails(run("filter", "in.png", target, "--kernel", "box:3"), 1, "--force")
        assert (tmp_path / "in.png").read_bytes() == before
    assert run("filter", "in.png", "in.png", "--kernel", "box:3", "--force").returncode == 0
    agrees(np.asarray(image.open(tmp_path / "in.png")), rounded(ndimage.uniform_filter(pixels[..., 0].astype(float), 3, mode="mirror")))


@pytest.mark.parametrize(
    "arguments, status, words",
    [
        (["absent.png", "out.png", "--kernel", "box:3"], 1, ["absent.png", "No such file"]),
        (["absent.npy", "out.png", "--kernel", "box:3"], 1, ["absent.npy", "No such file"]),
        (["text.png", "out.png", "--kernel", "box:3"], 1, ["text.png", "not a picture"]),
        (["text.npy", "out.png", "--kernel", "box:3"], 1, ["text.npy", "not a .npy file"]),
        (["cut.png", "out.png", "--kernel", "box:3"], 1, ["cut.png"]),
        ([".", "out.png", "--kernel", "box:3"], 1, ["directory"]),
        (["vector.npy", "out.npy", "--kernel", "box:3"], 1, ["vector.npy", "(H, W)"]),
        (["complex.npy", "out.npy", "--kernel", "box:3"], 1, ["complex128"]),
        (["objects.npy", "out.npy", "--kernel", "box:3"], 1, ["objects.npy"]),
        (["sixteen.png", "out.png", "--kernel", "box:3"], 1, ["8 bits"]),
        (["in.png", "out.png"], 2, ["--kernel"]),
        (["in.png", "out.png", "--kernel", "bax"], 2, ["bax", "box", "gaussian"]),
        (["in.png", "out.png", "--kernel", "box:4"], 2, ["box", "odd", "4"]),
        (["in.png", "out.png", "--kernel", "box:"], 2, ["box", "odd"]),
        (["in.png", "out.png", "--kernel", "sobel:5"], 2, ["sobel"]),
        (["in.png", "out.png", "--kernel", "vector.npy"], 1, ["vector.npy", "two axes"]),
        (["in.png", "out.png", "--kernel", "absent.npy"], 1, ["absent.npy"]),
        (["in.png", "out.png", "--kernel", "gaussian:99"], 1, ["padding", "reflect", "23 pixels by 49", "--padding-mode replicate"]),
        (["in.png", "out.png", "--kernel", "box:47", "--padding-mode", "reflect"], 1, ["23 pixels by 23", "--padding-mode replicate"]),
        (["in.png", "out.png", "--kernel", "box:49", "--padding-mode", "circular"], 1, ["circular", "--padding-mode replicate"]),
        (["in.png", "out.png", "--kernel", "box:3", "--padding-mode", "none"], 2, ["none", "reflect"]),
        (["in.png", "out.png", "--kernel", "box:3", "--algorithm", "magic"], 2, ["magic", "auto"]),
        (["in.png", "out.what", "--kernel", "box:3"], 1, ["out.what"]),
        (["in.png", "out", "--kernel", "box:3"], 1, ["out"]),
        (["in.png", "none/out.png", "--kernel", "box:3"], 1, ["none/out.png", "No such file"]),
        (["in.png", "out.jpg", "--kernel", "box:3"], 1, ["out.jpg", "transparency"]),
        (["five.npy", "out.png", "--kernel", "box:3"], 1, ["out.png", "5"]),
    ],
)
def test_filter_errors_are_one_line_and_write_nothing(run_here, tmp_path, image, pixels, arguments, status, words):
    image.fromarray(pixels).save(tmp_path / "in.png")
    image.fromarray(pixels[..., 0].astype(np.uint16)).save(tmp_path / "sixteen.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "in.png").read_bytes()[:300])
    for name in ("text.png", "text.npy"):
        (tmp_path / name).write_text("words")
    arrays = {"vector": np.zeros(3), "complex": np.zeros((9, 9), complex), "five": np.zeros((9, 9, 5))}
    for name, array in arrays.items():
        np.save(tmp_path / name, array)
    np.save(tmp_path / "objects", np.array([[None]]), allow_pickle=True)
    before = set(tmp_path.iterdir())
    fails(run_here("filter", *arguments), status, *words)
    assert set(tmp_path.iterdir()) == before


# ---- demo --------------------------------------------------------------------------------------------------------------

@pytest.fixture
def photo(tmp_path, image):
    """A small photograph: a bright, busy stamp on a smooth ground."""
    pytest.importorskip("matplotlib", reason="the demo draws with matplotlib")
    picture = np.empty((60, 80, 3), np.uint8)
    picture[...] = np.linspace(0, 120, 80)[:, None]
    picture[20:32, 44:60] = np.random.default_rng(3).integers(0, 256, (12, 16, 3))
    image.fromarray(picture).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_demo_prints_a_table_and_writes_a_picture(run, tmp_path, image, photo):
    result = run("demo", photo, "-o", "poster.png", "--runs", 1)
    assert result.returncode == 0 and result.stderr == "", result.stderr
    head, *rows = result.stdout.split("\n\n")[1].splitlines()
    assert head.split() == ["operation", "shapes", "algorithm", "why", "cyconv", "scipy", "with", "difference"]
    assert len(rows) == 6
    assert all(float(row.split()[-1]) < 1e-4 for row in rows)  # each agrees with SciPy's result
    assert rows[0].startswith("five 3x3 filters") and "1x1x60x80 * 5x1x3x3" in rows[0]
    assert all(re.search(r" signal\.\w+ ", row) for row in rows[:5]) and " ndimage.maximum_filter " in rows[5]
    assert "Times are of one run each" in result.stdout
    assert "where it was cut out" in result.stdout
    with image.open(tmp_path / "poster.png") as poster:
        assert poster.size[0] == 1800 and poster.size[1] > 600
        assert len(np.unique(np.asarray(poster.convert("L")))) > 100


def test_match_score_is_the_normalised_correlation():
    from cyconv.cli.operations import Match

    picture = np.random.default_rng(7).random((1, 3, 20, 24), dtype=np.float32)
    match = Match(picture, 5, 9, 6, 7)
    windows = np.lib.stride_tricks.sliding_window_view(picture[0].astype(float), (3, 6, 7))[0].reshape(15, 18, -1)
    windows = windows - windows.mean(axis=2, keepdims=True)
    windows /= np.linalg.norm(windows, axis=2, keepdims=True)
    np.testing.assert_allclose(match.score, windows @ windows[5, 9], atol=1e-4)
    assert match.found == (5, 9)


def test_scipy_has_the_same_results_in_every_way():
    from cyconv.cli.operations import Convolution

    rng = np.random.default_rng(8)
    grey, planes = (rng.random((1, channels, 15, 18), dtype=np.float32) for channels in (1, 3))
    several = Convolution("", grey, rng.random((5, 1, 3, 5), dtype=np.float32), {"padding": "same", "padding_mode": "reflect"})
    each = Convolution("", planes, rng.random((3, 1, 5, 1), dtype=np.float32), {"groups": 3})
    for convolution in (several, each):
        ways = convolution.scipy_ways()
        assert set(ways) == {"signal.fftconvolve", "signal.oaconvolve", "signal.correlate2d", "signal.correlate"}
        for way in ways.values():
            np.testing.assert_allclose(way(), convolution(), rtol=1e-4, atol=1e-5)


def test_demo_crops_and_reduces_what_is_too_large(tmp_path, image):
    from cyconv.cli import demo

    image.fromarray(np.tile(np.arange(1500)[:, None] // 6, (1, 700)).astype(np.uint8)).save(tmp_path / "tall.png")
    picture, size = demo.load(tmp_path / "tall.png")
    assert size == (1500, 700)
    assert picture.shape == (1, 3, 1200, 600)  # 1400 rows of the middle, reduced
    assert picture.dtype == np.float32
    np.testing.assert_allclose(picture[0, :, 600], 750 / 6 / 255, atol=0.01)
    np.testing.assert_allclose(picture[0, :, [0, -1]], [[[50 / 6 / 255]], [[1450 / 6 / 255]]] + np.zeros((2, 3, 600)), atol=0.01)


@pytest.mark.parametrize(
    "arguments, status, words",
    [
        (["absent.jpg"], 1, ["absent.jpg", "No such file"]),
        (["photo.png", "-o", "none/out.png"], 1, ["none/out.png"]),
        (["photo.png", "-o", "photo.png"], 1, ["photo.png", "itself"]),
        (["absent.jpg", "-o", "out.xyz"], 1, ["out.xyz", "picture format"]),  # told before the photograph is read
        (["absent.jpg", "-o", "out"], 1, ["cannot write out", "picture format"]),
        (["absent.jpg", "-o", "out.npy"], 1, ["out.npy", "picture format"]),
        (["absent.jpg", "-o", "out.xbm"], 1, ["out.xbm"]),  # a format of black and white
        (["small.png"], 1, ["small.png", "at least"]),
        (["photo.png", "--runs", "0"], 2, ["runs"]),
    ],
)
def test_demo_errors_are_one_line(run_here, tmp_path, image, photo, arguments, status, words):
    image.fromarray(np.zeros((8, 90), np.uint8)).save(tmp_path / "small.png")
    fails(run_here("demo", *arguments), status, *words)


def test_differences_share_a_scale_that_rounding_noise_does_not_fill():
    pytest.importorskip("matplotlib", reason="the demo draws with matplotlib")
    from cyconv.cli.poster import FAINT, _limits

    row = [kernels.BOX, kernels.HORIZONTAL_DIFFERENCE, kernels.VERTICAL_DIFFERENCE, kernels.LAPLACIAN]
    planes = np.ones((4, 8, 8)) * np.array([7, -0.5, 2, 0.7])[:, None, None]
    assert _limits(row, planes) == [None, 2, 2, 0.7]
    assert _limits(row, planes / 1000) == [None, FAINT, FAINT, FAINT]


@pytest.mark.parametrize("level", [0.0, 1.0])
@pytest.mark.parametrize("found", [(0, 0), (39, 19), (0, 19), (20, 10)])
def test_score_panel_stays_dark_without_a_peak_and_shows_all_of_the_ring(level, found):
    figure = pytest.importorskip("matplotlib.figure", reason="the demo draws with matplotlib")
    from cyconv.cli import poster

    axes = figure.Figure().add_axes((0, 0, 1, 1))
    score = level + np.random.default_rng(1).normal(0, 1e-6, (40, 20))
    poster._draw_score(axes, np.zeros((50, 60, 3)), types.SimpleNamespace(score=score, found=found, place=found))
    (image,) = axes.images
    assert image.norm(score).max() < 0.2
    (ring,) = (patch for patch in axes.patches if isinstance(patch, poster.Circle))
    assert ring.center == (found[1] + 0.5, found[0] + 0.5)
    for (low, high), centre in zip((sorted(axes.get_xlim()), sorted(axes.get_ylim())), ring.center):
        assert low + ring.radius < centre < high - ring.radius


def test_missing_matplotlib_names_the_extra(run, tmp_path):
    """A module of that name which cannot be imported stands in for a missing one."""
    (tmp_path / "block").mkdir()
    for name in ("matplotlib", "PIL"):
        (tmp_path / "block" / f"{name}.py").write_text("raise ImportError('blocked by the test')\n")
    path = {"PYTHONPATH": os.pathsep.join([str(tmp_path / "block"), os.environ["PYTHONPATH"]])}
    fails(run("demo", environment=path), 1, 'pip install "cyconv[demo]"')
    fails(run("filter", "a.png", "b.png", "--kernel", "box:3", environment=path), 1, 'pip install "cyconv[demo]"')
