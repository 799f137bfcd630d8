"""FFT convolution: within its bound everywhere, local to its tiles, bounded in memory, and the same bits every time."""

import os
import signal
import subprocess
import sys
import tracemalloc
from itertools import product

import numpy as np
import pytest
from fft_cases import CONV, ROW, data, problem_of, wide

import cyconv
from cyconv import _platform, cpu, reference
from cyconv.cpu.fft_tables import LEAST, MATRICES, RADICES

DTYPES = ("float16", "float32", "float64", "complex64", "complex128")
COMPUTED = {"float16": "float32"}


def norms(problem, x, w, b, groups):
    """The scale of the bound, one number per batch item and output channel."""
    axes = tuple(range(2, w.ndim))
    rank = problem.rank
    x = reference.pad(x, problem.pad_before[3 - rank :], problem.pad_after[3 - rank :], problem.padding_mode)
    x_norms = np.sqrt((np.abs(wide(x)) ** 2).sum(axes)).reshape(len(x), groups, 1, -1)
    w_norms = np.sqrt((np.abs(wide(w)) ** 2).sum(axes)).reshape(1, groups, -1, w.shape[1])
    scale = (x_norms * w_norms).sum(-1).reshape(len(x), -1)
    if b is not None:
        scale = scale + np.abs(wide(b))
    return scale.reshape(*scale.shape, *(1,) * len(axes))


def check(x, w, b=None, groups=1, factor=None, **options):
    """Compares with the reference in double precision; `factor` replaces the row's own bound."""
    conv = CONV[w.ndim - 2]
    got = conv(x, w, b, groups=groups, algorithm="fft", **options)
    problem = problem_of(x, w, b, groups=groups, **options)
    options.pop("max_workspace", None)
    want = conv(wide(x), wide(w), wide(b), groups=groups, algorithm="reference", **options)
    assert got.dtype == x.dtype
    assert got.shape == want.shape
    eps = np.finfo(COMPUTED.get(x.dtype.name, x.dtype)).eps
    allowed = (ROW.bound(problem) if factor is None else factor) * eps * norms(problem, x, w, b, groups)
    if x.dtype == np.float16:
        allowed = allowed + np.abs(want) * 2.0**-11 + 2.0**-25
    if x.dtype == np.float64 or x.dtype == np.complex128:
        allowed = allowed * 1.01  # the reference rounds too
    worst = np.max(np.abs(wide(got) - want) / np.broadcast_to(allowed, want.shape), initial=0)
    assert worst <= 1
    return got


def tile_of(x, w, **options):
    return ROW.module.layout(problem_of(x, w, **options))[2]


CASES = {
    "1-d": ((2, 3, 50), (4, 3, 7), {}),
    "1-d stride": ((2, 3, 53), (4, 3, 5), {"stride": 3, "padding": 2}),
    "1-d many tiles": ((2, 2, 3001), (3, 2, 9), {"max_workspace": 2**15}),
    "1-d many tiles, stride": ((2, 2, 3001), (3, 2, 9), {"stride": 4, "max_workspace": 2**15}),
    "1-d stride above the kernel": ((1, 2, 101), (2, 2, 3), {"stride": 7}),
    "2-d": ((2, 3, 17, 23), (4, 3, 5, 3), {}),
    "2-d everything": (
        (2, 6, 19, 23), (4, 3, 4, 3), {"groups": 2, "stride": (2, 3), "padding": ((3, 1), (0, 2)), "dilation": (2, 3)}
    ),
    "2-d kernel as large as the input": ((1, 2, 13, 11), (3, 2, 13, 11), {}),
    "2-d kernel larger than the input": ((1, 2, 5, 6), (3, 2, 9, 8), {"padding": 4}),
    "1-d all overlaps": ((2, 2, 250), (3, 2, 240), {"padding": "full"}),
    "1-d all overlaps, strided": ((2, 2, 250), (3, 2, 200), {"padding": "full", "stride": 7}),
    "2-d more padding on one side": ((1, 2, 30, 25), (3, 2, 17, 12), {"padding": ((16, 0), (3, 11))}),
    "2-d all overlaps of what is repeated": ((1, 2, 30, 25), (3, 2, 17, 12), {"padding": (16, 11), "padding_mode": "replicate"}),
    "2-d many tiles": ((2, 1, 90, 101), (2, 1, 7, 5), {"padding": 3, "max_workspace": 2**15}),
    "2-d depthwise": ((2, 7, 20, 21), (7, 1, 5, 5), {"groups": 7, "padding": 2}),
    "2-d channels beyond the register tile": ((3, 5, 12, 12), (11, 5, 3, 3), {}),
    "2-d row kernel": ((2, 2, 14, 33), (3, 2, 1, 9), {"stride": (3, 2), "padding": (1, 4)}),
    "2-d column kernel": ((2, 2, 33, 35), (3, 2, 9, 1), {"stride": (2, 3), "padding": (4, 1)}),
    "2-d one tap": ((2, 3, 7, 9), (4, 3, 1, 1), {"stride": 2}),
    "2-d one sample": ((2, 3, 1, 1), (4, 3, 1, 1), {}),
    "2-d reflect": ((2, 2, 15, 14), (3, 2, 7, 5), {"padding": (6, 4), "padding_mode": "reflect"}),
    "2-d replicate": ((2, 2, 15, 14), (3, 2, 7, 5), {"padding": (6, 4), "padding_mode": "replicate"}),
    "2-d circular": ((2, 2, 15, 14), (3, 2, 7, 5), {"padding": (6, 4), "padding_mode": "circular"}),
    "2-d circular, many tiles": (
        (1, 1, 60, 70), (2, 1, 7, 5), {"padding": 5, "padding_mode": "circular", "max_workspace": 2**14}
    ),
    "3-d": ((2, 2, 9, 11, 10), (3, 2, 3, 4, 5), {"stride": (1, 2, 3), "padding": 2}),
    "3-d flat kernels": ((1, 4, 6, 7, 13), (2, 2, 3, 1, 5), {"groups": 2, "dilation": (2, 1, 2)}),
    "3-d many tiles": ((1, 1, 24, 25, 26), (2, 1, 3, 3, 3), {"padding": 1, "max_workspace": 2**16}),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", CASES)
def test_within_its_bound(case, dtype):
    x_shape, w_shape, options = CASES[case]
    rng = np.random.default_rng(1)
    if "max_workspace" in options:  # set for float32
        options = options | {"max_workspace": options["max_workspace"] * np.dtype(COMPUTED.get(dtype, dtype)).itemsize // 4}
    x, w, b = data(rng, x_shape, dtype), data(rng, w_shape, dtype), data(rng, w_shape[:1], dtype)
    check(x, w, b, **options)
    check(x, w, **options)
    if "many" in case:
        whole = [n for n, k in zip(x_shape[2:], w_shape[2:]) if k > 1]
        assert np.prod(tile_of(x, w, **options)) < np.prod(whole) / 2


@pytest.mark.parametrize("dtype", ("float32", "float64", "complex64"))
def test_typical_error_is_an_eps(dtype):
    rng = np.random.default_rng(2)
    x, w = data(rng, (1, 8, 100, 120), dtype), data(rng, (3, 8, 21, 17), dtype)
    check(x, w, factor=0.5)


def test_odd_strides_of_the_input():
    rng = np.random.default_rng(3)
    base = data(rng, (24, 40, 3, 2), "float32")
    w = data(rng, (4, 3, 5, 5), "float32")
    stretched = np.broadcast_to(base[:, :1].transpose(3, 2, 0, 1), (2, 3, 24, 30))
    for x in (base.transpose(3, 2, 0, 1), base[::-1, ::2].transpose(3, 2, 0, 1), stretched):
        got = cyconv.conv2d(x, w, algorithm="fft")
        np.testing.assert_array_equal(got, cyconv.conv2d(np.ascontiguousarray(x), w, algorithm="fft"))
        check(x, w)


def test_unbatched_and_out():
    rng = np.random.default_rng(4)
    x, w = data(rng, (3, 20, 21), "float32"), data(rng, (2, 3, 5, 5), "float32")
    want = cyconv.conv2d(x[None], w, algorithm="fft")[0]
    np.testing.assert_array_equal(cyconv.conv2d(x, w, algorithm="fft"), want)
    out = np.empty((2, 16, 34), "float32")[..., ::2]
    assert cyconv.conv2d(x, w, algorithm="fft", out=out) is out
    np.testing.assert_array_equal(out, want)


@pytest.mark.parametrize("dtype", ("float32", "complex128"))
def test_transposed_convolution(dtype):
    """Its phases have negative padding, one-tap kernels, and results that are written through strides."""
    rng = np.random.default_rng(5)
    x, w, b = data(rng, (2, 4, 9, 8), dtype), data(rng, (4, 3, 5, 4), dtype), data(rng, (6,), dtype)
    options = {"stride": (2, 3), "padding": (4, 3), "output_padding": 1, "groups": 2, "dilation": (1, 2)}
    got = cyconv.conv_transpose2d(x, w, b, algorithm="fft", **options)
    want = cyconv.conv_transpose2d(wide(x), wide(w), wide(b), algorithm="reference", **options)
    np.testing.assert_allclose(got, want, rtol=0, atol=40 * np.finfo(dtype).eps * np.abs(want).max())


@pytest.mark.parametrize("dtype", ("int8", "int32", "uint64"))
def test_integers_are_declined(dtype):
    x, w = np.ones((1, 1, 9), dtype), np.ones((1, 1, 3), dtype)
    with pytest.raises(ValueError, match="fft.*integers are computed exactly"):
        cyconv.conv1d(x, w, algorithm="fft")
    np.testing.assert_array_equal(cyconv.conv1d(x, w), np.full((1, 1, 7), 3, dtype))


@pytest.mark.parametrize("burst", (1e4, 1e6, 1e20))
def test_a_burst_stays_in_its_pair_of_tiles(burst):
    rng = np.random.default_rng(6)
    x, w = data(rng, (1, 1, 20000), "float32"), data(rng, (1, 1, 41), "float32")
    options = {"max_workspace": 2**15}
    quiet = cyconv.conv1d(x, w, algorithm="fft", **options)
    want = cyconv.conv1d(wide(x), wide(w), algorithm="reference")
    tile = tile_of(x, w, **options)[2]
    x[..., 7000:7050] *= np.float32(burst)
    loud = cyconv.conv1d(x, w, algorithm="fft", **options)
    far = np.r_[0 : 7000 - 2 * tile, 7050 + 2 * tile : quiet.shape[-1]]  # two neighbouring tiles are one transform
    assert tile < 2000
    np.testing.assert_array_equal(loud[..., far], quiet[..., far])
    np.testing.assert_allclose(loud[..., far], want[..., far], rtol=0, atol=4e-6 * np.abs(want).max())


@pytest.mark.parametrize("value", (np.nan, np.inf))
def test_nonfinite_values_stay_in_their_pair_of_tiles(value):
    rng = np.random.default_rng(7)
    x, w = data(rng, (2, 1, 200, 210), "float32"), data(rng, (2, 1, 9, 9), "float32")
    options = {"max_workspace": 2**16}
    clean = cyconv.conv2d(x, w, algorithm="fft", **options)
    _, rows, columns = tile_of(x, w, **options)
    assert rows < 70 and columns < 50
    x[1, 0, 100, 90] = value
    got = cyconv.conv2d(x, w, algorithm="fft", **options)
    assert not np.isfinite(got[1, :, 92:101, 82:91]).any()
    z, y = np.indices(clean.shape[2:])
    far = (abs(z - 100) >= rows) | (abs(y - 90) >= 2 * columns)
    np.testing.assert_array_equal(got[0], clean[0])
    np.testing.assert_array_equal(got[1][:, far], clean[1][:, far])


def test_a_tile_does_not_read_beyond_its_windows():
    """The last tile of an axis is longer than what is left: what stands there in circular padding must not come in."""
    rng = np.random.default_rng(8)
    x, w = data(rng, (1, 1, 1001), "float32"), data(rng, (1, 1, 9), "float32")
    options = {"padding": ((0, 4),), "padding_mode": "circular", "max_workspace": 2**14}
    yields = tile_of(x, w, **options)[2] - 8
    rest = 997 % yields
    assert 0 < rest < yields < 300 and 997 // yields > 2  # not the pair of tiles that has the numbers below
    clean = cyconv.conv1d(x, w, algorithm="fft", **options)
    x[..., 4:20] = np.nan  # stand behind the four samples that are padding
    np.testing.assert_array_equal(cyconv.conv1d(x, w, algorithm="fft", **options)[..., -rest:], clean[..., -rest:])
    y = data(rng, (1, 1, 400), "float32")
    clean = cyconv.conv1d(y, w, stride=190, algorithm="fft")
    y[..., 389:] = np.nan  # no window reaches them
    np.testing.assert_array_equal(cyconv.conv1d(y, w, stride=190, algorithm="fft"), clean)


def test_a_tile_read_in_place_does_not_read_beyond_its_windows():
    """The last of an even number of tiles ends with the array, three samples behind the last window."""
    w = data(np.random.default_rng(2), (1, 1, 9), "float32")
    found = 0
    for tiles, length in product(range(2, 41, 2), (64, 128, 256, 512, 1024, 2048)):
        out = tiles * ((length - 9) // 4 + 1)
        x = data(np.random.default_rng(3), (1, 1, (out - 1) * 4 + 9 + 3), "float32")
        if tile_of(x, w, stride=4)[2] == length:
            found += 1
            want = cyconv.conv1d(x, w, stride=4, algorithm="direct")
            x[..., -3:] = np.nan
            got = cyconv.conv1d(x, w, stride=4, algorithm="fft")
            np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)
    assert found > 3


@pytest.mark.parametrize("value", (np.nan, np.inf, 3e38))
@pytest.mark.parametrize("where", ("input", "weight"))
def test_auto_has_the_direct_sums_footprint(value, where):
    rng = np.random.default_rng(9)
    x, w = data(rng, (1, 1, 256, 256), "float32"), data(rng, (2, 1, 101, 101), "float32")
    assert cyconv.explain(x, w).chosen == "fft"
    (x if where == "input" else w)[0, 0, 60, 70] = value
    with np.errstate(all="ignore"):
        want = cyconv.conv2d(x, w, algorithm="direct")
        got = cyconv.conv2d(x, w)
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(np.isinf(got), np.isinf(want))


@pytest.mark.long
@pytest.mark.parametrize("shape, kernel", [
    ((1, 1, 3_000_000), (1, 1, 101)),
    ((1, 2, 1000, 1001), (2, 2, 9, 9)),
    ((3, 1, 50, 100_000), (1, 1, 9, 1)),
])  # fmt: skip
@pytest.mark.parametrize("dtype", ("float32", "complex64"))
def test_memory_is_bounded(shape, kernel, dtype):
    x, w = np.ones(shape, dtype), np.ones(kernel, dtype)
    conv = CONV[len(shape) - 2]
    out = conv(x, w, algorithm="fft", max_workspace=2**20)
    problem = problem_of(x, w, max_workspace=2**20)
    predicted = ROW.module.cost(problem)[1]
    assert predicted <= 2**20
    for threads, allowed in ((1, predicted), (3, 2**20)):
        with cyconv.threads(threads):
            tracemalloc.start()
            try:
                conv(x, w, algorithm="fft", max_workspace=2**20, out=out)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
        assert peak < allowed + 2**16  # Python's own objects are not workspace
        assert peak > predicted / 4


def test_a_kernel_that_does_not_fit_is_declined():
    x, w = np.ones((1, 1, 5000), "float32"), np.ones((1, 1, 2000), "float32")
    with pytest.raises(ValueError, match="fft.*needs at least [0-9]+ bytes of workspace"):
        cyconv.conv1d(x, w, algorithm="fft", max_workspace=2**14)
    check(x, w, max_workspace=2**17)


@pytest.mark.parametrize("dtype", ("float32", "float64", "complex64"))
@pytest.mark.parametrize("shape, kernel, options", [
    ((7, 3, 60, 61), (5, 3, 9, 7), {}),
    ((7, 3, 60, 61), (5, 3, 9, 7), {"max_workspace": 2**18, "stride": 2}),
    ((2, 1, 300_000), (2, 1, 33), {}),
    ((3, 8, 40, 200), (8, 1, 7, 1), {"groups": 8}),
])  # fmt: skip
def test_threads_and_batch_position_change_no_bit(shape, kernel, options, dtype):
    rng = np.random.default_rng(11)
    x, w = data(rng, shape, dtype), data(rng, kernel, dtype)
    conv = CONV[len(shape) - 2]
    with cyconv.threads(1):
        want = conv(x, w, algorithm="fft", **options)
    for count in (2, 3, 5):
        with cyconv.threads(count):
            np.testing.assert_array_equal(conv(x, w, algorithm="fft", **options), want)
    np.testing.assert_array_equal(conv(np.roll(x, 1, axis=0), w, algorithm="fft", **options), np.roll(want, 1, axis=0))
    np.testing.assert_array_equal(conv(x[::-1], w, algorithm="fft", **options), want[::-1])


PROGRAM = """
import hashlib, numpy as np, cyconv
digest = hashlib.sha256()
for dtype in ("float16", "float32", "float64", "complex64", "complex128"):
    rng = np.random.default_rng(12)
    for batch, groups, channels, rows in ((5, 1, 4, 5), (1, 3, 1, 1), (2, 2, 3, 2)):
        x = rng.standard_normal((batch, groups * channels, 40, 43)).astype(dtype)
        w = rng.standard_normal((groups * rows, channels, 7, 5)).astype(dtype)
        digest.update(cyconv.conv2d(x, w, groups=groups, algorithm="fft").tobytes())
        digest.update(cyconv.conv2d(x, w, groups=groups, algorithm="fft", max_workspace=2**19).tobytes())
print(digest.hexdigest())
"""


def test_instruction_sets_with_fma_change_no_bit():
    order = ("v3", "v4")
    if _platform.cpu_level() != order[-1]:
        pytest.skip("one such level only on this processor")
    found = set()
    for level in order:
        environment = os.environ | {"CYCONV_ISA": level}
        ran = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        found.add(ran.stdout.strip())
    assert len(found) == 1


def test_a_plan_keeps_the_spectra():
    rng = np.random.default_rng(13)
    x, w = data(rng, (2, 3, 30, 31), "float32"), data(rng, (4, 3, 7, 7), "float32")
    plan = cyconv.plan_conv(x.shape, w, algorithm="fft")
    want = cyconv.conv2d(x, w, algorithm="fft")
    w[...] = 0
    np.testing.assert_array_equal(plan(x), want)


@pytest.mark.long
def test_interrupted_between_batches():
    def ring(number, frame):
        raise KeyboardInterrupt

    # Signals are looked for ten times a second, and this takes some tenths of one.
    x, w = np.ones((1, 64, 2**20), "float32"), np.ones((64, 64, 33), "float32")
    out = np.zeros((1, 64, 2**20 - 32), "float32")
    plan = cyconv.plan_conv(x.shape, w, algorithm="fft", max_workspace=2**24)
    out[...] = 0
    before = signal.signal(signal.SIGALRM, ring)
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            plan(x, out=out)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert out[0, 0, -1] == 0


def test_shapes_beyond_memory_are_declined_at_once():
    x, w = np.ones((1, 1, 3)), np.ones((1, 1, 2))
    for options in ({"dilation": 2**56, "padding": 2**57}, {"dilation": 2**40, "padding": 2**41, "max_workspace": 2**61}):
        with pytest.raises((ValueError, MemoryError)):
            cyconv.conv1d(x, w, stride=2**39, algorithm="fft", **options)


def test_nothing_to_sum():
    for x, w in (((0, 2, 9), (3, 2, 4)), ((2, 0, 9), (3, 0, 4)), ((2, 2, 9), (0, 2, 4))):
        result = cyconv.conv1d(np.ones(x, "float32"), np.ones(w, "float32"), algorithm="fft")
        np.testing.assert_array_equal(result, np.zeros((x[0], w[0], 6), "float32"))


@pytest.mark.long
def test_importing_cyconv_does_not_import_scipy_fft():
    code = "import sys, cyconv, numpy as np; x = np.ones((1, 1, 9)); cyconv.explain(x, x); sys.exit('scipy.fft' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("length", sorted(RADICES))
def test_every_length_of_a_tile(length, monkeypatch):
    """Along each axis, as a row of squares, as columns alone, in volumes, and as the matrix that a signal is."""
    rng = np.random.default_rng(14)
    turned = length % LEAST == 0

    def forced(tile, folded=False):
        monkeypatch.setattr(ROW.module, "layout", lambda problem: ({"call": 1}, 2**20, tile, 1, folded))

    tiles = [((1, length, 16), (5, 1))]
    if turned:
        tiles += [((1, length, 16), (5, 3)), ((1, 16, length), (3, 5))]
    for tile, kernel in tiles:
        kernel = tuple(min(k, n) for k, n in zip(kernel, tile[1:]))
        for dtype in ("float32", "float64", "complex64"):
            forced(tile)
            check(data(rng, (1, 1, tile[1] + 3, tile[2] + 7), dtype), data(rng, (1, 1, *kernel), dtype), factor=1)
    if turned:
        for dtype in ("float32", "float64"):
            for rows in (2 * length - 4, length - 3):  # the second half has outputs, and hardly any
                forced((1, length, 32), folded=True)
                check(data(rng, (1, 1, rows, 20), dtype), data(rng, (1, 1, 5, 3), dtype), padding=(2, 1), factor=1)
    if length <= 64:
        forced((length, 16, 16))
        check(data(rng, (1, 1, length + 2, 19, 21), "float32"), data(rng, (1, 1, min(3, length), 3, 3), "float32"), factor=1)
    for n in [n for n, (rows, columns) in MATRICES.items() if length in (rows, columns) and n < 20000]:
        forced((1, 1, n))
        check(data(rng, (1, 1, n + 100), "float32"), data(rng, (1, 1, 7), "float32"), factor=1)


@pytest.mark.parametrize("dtype", ("float16", "float32", "float64"))
@pytest.mark.parametrize("shape, kernel, options", [
    ((2, 1, 100, 90), (1, 1, 61, 60), {"padding": (30, 29)}),
    ((1, 3, 60, 62), (5, 3, 51, 50), {"padding": ((20, 31), (3, 20)), "padding_mode": "reflect"}),
    ((1, 6, 50, 50), (4, 3, 41, 40), {"padding": "full", "groups": 2, "stride": (1, 2)}),
    ((1, 1, 90, 100), (2, 1, 70, 80), {}),  # the second half has no outputs
    ((1, 2, 10, 28, 28), (3, 2, 5, 19, 19), {"padding": (0, 10, 10), "stride": (2, 1, 1)}),
])  # fmt: skip
def test_one_tile_of_all_rows_is_folded(shape, kernel, options, dtype):
    rng = np.random.default_rng(17)
    x, w, b = data(rng, shape, dtype), data(rng, kernel, dtype), data(rng, kernel[:1], dtype)
    options = dict(options)
    groups = options.pop("groups", 1)
    assert ROW.module.layout(problem_of(x, w, b, groups=groups, **options))[4] or dtype == "float16"  # whose tiles cost more
    check(x, w, b, groups=groups, **options)


LOUD = {
    "signal": ((1, 1, 60_000), (1, 1, 301), {}),
    "image": ((2, 1, 200, 190), (1, 1, 31, 33), {"padding": 5}),
    "channels": ((1, 3, 100, 48), (2, 3, 41, 17), {"padding_mode": "reflect", "padding": 4}),
    "volume": ((1, 1, 40, 42, 44), (2, 1, 9, 9, 9), {}),
}  # fmt: skip


@pytest.mark.parametrize("planned", (False, True))
@pytest.mark.parametrize("dtype", ("float16", "float32", "complex64"))
@pytest.mark.parametrize("case", LOUD)
def test_auto_keeps_what_is_small_beside_what_is_large(case, dtype, planned):
    """A burst in a tile: in single precision its rounding errors are larger than all the rest."""
    x_shape, w_shape, options = LOUD[case]
    rng = np.random.default_rng(11)
    x, w, b = data(rng, x_shape, dtype), data(rng, w_shape, dtype) / 8, data(rng, w_shape[:1], dtype)
    quiet = 1e-3 if dtype == "float16" else 1.0
    x, b = (x * quiet).astype(dtype), (b * quiet).astype(dtype)
    loud = x.copy()
    loud[..., -3:] = 6e4 if dtype == "float16" else 1e7
    assert cyconv.explain(loud, w.astype(dtype), b, **options).chosen == "fft"
    conv, far = CONV[w.ndim - 2], np.s_[..., : -w_shape[-1] - 8]  # outputs that no sample of the burst reaches
    w = w.astype(dtype)
    want = conv(wide(loud), wide(w), wide(b), algorithm="reference", **options)[far]
    got = cyconv.plan_conv(x_shape, w, b, **options)(loud) if planned else conv(loud, w, b, **options)
    eps = np.finfo(np.float16 if dtype == "float16" else np.float32).eps
    scale = conv(abs(wide(x)), abs(wide(w)), abs(wide(b)), algorithm="reference", **options)[far]
    assert np.max(np.abs(wide(got)[far] - want) / scale) <= eps
    forced = conv(loud, w, b, algorithm="fft", **options)
    assert np.max(np.abs(wide(forced)[far] - want) / scale) > 4 * eps
    assert got.dtype == dtype and np.array_equal(conv(x, w, b, **options), conv(x, w, b, algorithm="fft", **options))


def test_doubles_where_a_nan_is_as_well():
    """Both reasons to compute again: the NaN reaches the outputs that see it, and no more."""
    rng = np.random.default_rng(12)
    x, w = data(rng, (2, 1, 60_000), "float32"), data(rng, (1, 1, 301), "float32")
    x[0, 0, 100], x[1, 0, 30_000] = 1e8, np.nan
    assert cyconv.explain(x, w).chosen == "fft"
    nan = np.isnan(cyconv.conv1d(x, w))
    assert nan.sum() == 301 and nan[1, 0, 29_700:30_001].all()


def twice(x, w, **options):
    """Whether `auto` took fft and then double precision."""
    seen = []
    doubles = ROW.module._DOUBLES.run
    try:
        ROW.module._DOUBLES.run = staticmethod(lambda *arguments: seen.append(1) or doubles(*arguments))
        assert cyconv.explain(x, w, **options).chosen == "fft"
        CONV[w.ndim - 2](x, w, **options)
    finally:
        ROW.module._DOUBLES.run = staticmethod(doubles)
    return bool(seen)


def test_small_windows_between_large_ones_are_found():
    rng = np.random.default_rng(14)
    x = data(rng, (1, 1, 2**16), "float32")
    x[..., np.arange(2**16) % 192 < 48] = 1e7
    assert twice(x, data(rng, (1, 1, 129), "float32"))
    x = data(rng, (1, 1, 198, 190), "float32")
    x[..., ::4, :] = 1e8
    assert twice(x, data(rng, (1, 1, 3, 101), "float32"))


def test_numbers_around_zero_are_not_small():
    rng = np.random.default_rng(15)
    w = data(rng, (4, 4, 25, 25), "float32")
    assert not twice(np.maximum(data(rng, (8, 4, 256, 256), "float32"), 0), w)
    assert not twice(data(rng, (8, 4, 256, 256), "float32") * rng.integers(0, 2, (8, 4, 256, 256)).astype("float32"), w)
    for shape, kernel in (((1, 3, 512, 512), (8, 3, 15, 15)), ((1, 1, 90, 100, 100), (1, 1, 9, 9, 9))):
        assert not twice(data(rng, shape, "float32"), data(rng, kernel, "float32"), padding=kernel[-1] // 2)  # cells of padding and a few numbers
    x = data(rng, (1, 1, 20_000), "float32").astype("complex64")
    x.imag = data(rng, x.shape, "float32") * 1e-8
    assert not twice(x, data(rng, (1, 1, 401), "complex64"))


def test_zeros_have_one_sign_whatever_their_place():
    x, w = np.zeros((1, 1, 300, 46), "float32"), data(np.random.default_rng(0), (1, 1, 9, 7), "float32")
    signs = np.signbit(cyconv.conv2d(x, w, algorithm="fft"))
    assert signs.all() or not signs.any() or cpu.level in ("v2", "base")


def test_workspace_of_the_weights_is_bounded_too():
    rng = np.random.default_rng(16)
    x, w = data(rng, (3, 6, 23, 64), "float64"), data(rng, (2, 6, 18, 17), "float64")
    cyconv.conv2d(x, w, algorithm="fft", max_workspace=2**19)
    with cyconv.threads(2):
        cyconv.release_memory()
        tracemalloc.start()
        y = cyconv.conv2d(x, w, algorithm="fft", max_workspace=2**19)
        most = tracemalloc.get_traced_memory()[1] - y.nbytes
        tracemalloc.stop()
    assert most < 2**19 + 2**14


def test_problems_keep_no_large_tables():
    x, w = np.ones((1, 1, 300_000), "float32"), np.ones((1, 1, 20_000), "float32")
    problem = problem_of(x, w)
    cyconv.conv1d(x, w, algorithm="fft")
    kept = [value for key, value in problem.kept.items() if key == ("work of fft",)]
    assert sum(table.nbytes for _, tables in kept for table in tables) <= 2**16
