"""Depthwise convolution with channels on the lanes: every tile, stride and dilation, rests of channels, seams of strips, layouts."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

import cyconv
from cyconv import menu
from cyconv.problem import MAX_WORKSPACE, conv_problem

DIRECT = menu.CONV[0].module
MODULE = next(row for row in menu.CONV if row.name == "channel_lanes").module


def data(shape, dtype="float32", seed=0):
    """Small integers, on which sums are exact."""
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(dtype)


def check(x, w, bias=None, algorithm="channel_lanes", **options):
    conv = cyconv.conv1d if w.ndim == 3 else cyconv.conv2d
    options["groups"] = len(w)
    got = conv(x, w, bias, algorithm=algorithm, **options)
    np.testing.assert_array_equal(got, conv(x, w, bias, algorithm="direct", **options), err_msg=f"{x.shape} {w.shape} {options}")
    return got


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_rows_of_every_length(stride, dtype):
    # whole tiles, and last ones that overlap those before; planes of fewer numbers than a vector has lanes
    for width in range(1, 46):
        x, w = data((2, 19, 1 + width % 4, width), dtype, width), data((19, 1, 3, 5), dtype, width)
        check(x, w, data((19,), dtype), stride=stride, padding=(1, 2))


@pytest.mark.parametrize("groups", range(1, 35))
def test_rests_of_channels(groups):
    check(data((2, groups, 9, 10)), data((groups, 1, 5, 5)), data((groups,)), padding=2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_strips_meet(dtype):
    # few channels are cut for threads to share, tall planes because of the box
    for height, stride, dilation in itertools.product((31, 64, 167), (1, 2, 3), (1, 2)):
        x, w = data((1, 5, height, 40), dtype), data((5, 1, 7, 4), dtype)
        check(x, w, stride=stride, dilation=dilation, padding=((3, 2), (0, 5)))
    check(data((1, 17, 300, 90), dtype), data((17, 1, 5, 5), dtype), padding=2)


def test_padding_beyond_the_kernel_and_columns_that_no_output_reads():
    x, w = data((2, 18, 6, 7)), data((18, 1, 3, 3))
    check(x, w, padding=((5, 0), (0, 6)))
    check(x, w, padding=((0, 7), (9, 1)), stride=(4, 5))
    check(x, w, stride=3)
    check(x, w, stride=7)


def test_cropping():
    x, w = data((2, 18, 9, 12)), data((18, 1, 3, 2))
    for padding in itertools.product((-1, 2), (-2, 0), (-3, 1), (-1, 4)):
        problem = conv_problem(2, x, w, None, 1, 0, 1, 18, "zeros", "default", MAX_WORKSPACE)
        cropped = replace(problem, pad_before=(0, padding[0], padding[2]), pad_after=(0, padding[1], padding[3]))
        got, want = (np.empty((2, 18, *cropped.out_size[1:]), np.float32) for _ in range(2))
        for module, out in ((MODULE, got), (DIRECT, want)):
            module.run(cropped, x, module.prepare(cropped, w), None, out)
        np.testing.assert_array_equal(got, want)


def test_signals():
    for length, kernel, dilation in itertools.product((1, 15, 16, 130), (1, 4, 15), (1, 3)):
        check(data((2, 21, length)), data((21, 1, kernel)), padding=kernel * dilation, dilation=dilation)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_layout_gives_the_same_bits(dtype):
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((2, 20, 13, 11)).astype(dtype), rng.standard_normal((20, 1, 5, 3)).astype(dtype)

    def run(x):
        return cyconv.conv2d(x, w, stride=(1, 2), padding=2, groups=20, algorithm="channel_lanes")

    want = run(x)
    wide = np.zeros((2, 20, 17, 22), dtype)
    wide[:, :, 2:15, ::2] = x
    for same in (
        np.asfortranarray(x), x[..., ::-1].copy()[..., ::-1], x[:, ::-1].copy()[:, ::-1], wide[:, :, 2:15, ::2],
        np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    ):  # fmt: skip
        np.testing.assert_array_equal(run(same), want)
    np.testing.assert_array_equal(run(np.broadcast_to(x[:1], (3, 20, 13, 11))), want[[0, 0, 0]])
    np.testing.assert_array_equal(run(x[1:])[0], want[1])


def test_threads_change_no_bit():
    rng = np.random.default_rng(2)
    x, w = rng.standard_normal((1, 70, 60, 60), np.float32), rng.standard_normal((70, 1, 7, 7), np.float32)
    with cyconv.threads(1):
        want = cyconv.conv2d(x, w, padding=3, groups=70, algorithm="channel_lanes")
    for count in (2, 3):
        with cyconv.threads(count):
            np.testing.assert_array_equal(cyconv.conv2d(x, w, padding=3, groups=70, algorithm="channel_lanes"), want)


def test_nan_and_inf_stay_where_the_direct_sum_has_them():
    x, w = data((1, 17, 9, 9)), data((17, 1, 5, 5))
    x[0, 3, 4, 4], x[0, 16, 0, 8] = np.nan, np.inf
    w[5, 0, 0, 0] = np.inf  # times the zeros of the padding: NaN
    with np.errstate(all="ignore"):
        check(x, w, padding=2)


def test_nothing_beyond_the_input_is_read_or_beyond_the_output_written():
    guard = np.full((3, 18, 7, 9), np.nan, np.float32)
    guard[1] = data((18, 7, 9))
    out = np.full((3, 18, 7, 9), 77, np.float32)
    w = data((18, 1, 5, 5))
    cyconv.conv2d(guard[1:2], w, padding=2, groups=18, algorithm="channel_lanes", out=out[1:2])
    np.testing.assert_array_equal(out[1:2], cyconv.conv2d(guard[1:2], w, padding=2, groups=18, algorithm="direct"))
    assert (out[[0, 2]] == 77).all()


def problem(x, w, **options):
    given = {"stride": 1, "padding": 0, "dilation": 1, "groups": len(w), "padding_mode": "zeros"} | options
    return conv_problem(
        x.ndim - 2, x, w, None, given["stride"], given["padding"], given["dilation"], given["groups"], given["padding_mode"],
        "default", MAX_WORKSPACE,
    )  # fmt: skip


def test_what_it_declines():
    x, w = data((1, 8, 9, 9)), data((8, 1, 5, 5))
    assert MODULE.why_not(problem(x, w)) is None
    assert "one input" in MODULE.why_not(problem(x, data((16, 1, 5, 5)), groups=8))
    assert "float16" in MODULE.why_not(problem(x.astype(np.float16), w.astype(np.float16)))
    assert "reflect" in MODULE.why_not(problem(x, w, padding=1, padding_mode="reflect"))
    assert "axes" in MODULE.why_not(problem(x[..., None], w[..., None]))
    assert "cache" in MODULE.why_not(problem(np.broadcast_to(np.float32(0), (1, 8, 9, 9_000_000)), w))


def test_is_chosen_for_large_kernels_on_small_planes():
    with cyconv.threads(1):
        for size in (7, 14):
            x, w = data((1, 512, size, size)), data((512, 1, 7, 7))
            assert cyconv.explain(x, w, padding=3, groups=512).chosen == "channel_lanes"


@pytest.mark.parametrize("stride", [1, 5, 12])
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_rows_of_one_strip_are_padding_in_the_next(rows, stride):
    """Boxes that hold few rows of input, and are too large for more than one row of outputs. Padding times infinity is a NaN."""
    x, w = data((2, 35, rows, 4)), data((35, 1, 9, 9), seed=1)
    w[7, 0, 5, 2] = np.inf
    for threads in (1, 2):
        with cyconv.threads(threads):
            got = check(x, w, padding=(60, 48), dilation=12, stride=(stride, 1))
    assert got.shape[2] > 1 and np.isnan(got[:, 7]).any() and np.isfinite(np.delete(got, 7, 1)).all()
