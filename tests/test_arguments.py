"""What is rejected, and that the message names the argument."""

import enum

import numpy as np
import pytest

import cyconv

pytestmark = pytest.mark.backends

X = np.zeros((2, 4, 8, 9), np.float32)
W = np.zeros((6, 4, 3, 3), np.float32)
B = np.zeros(6, np.float32)

REJECTED = [  # (what, error, words of the message, arguments of conv2d, whether torch rejects it, too)
    ("input_axes", ValueError, "input", (X[0, 0], W), {}, True),
    ("weight_axes", ValueError, "weight", (X, W[0]), {}, True),
    ("channels", ValueError, "channels", (X[:, :3], W), {}, True),
    ("groups_channels", ValueError, "channels", (X, W), {"groups": 2}, True),
    ("groups_outputs", ValueError, "groups", (X, np.zeros((5, 2, 3, 3), np.float32)), {"groups": 2}, True),
    ("groups_zero", ValueError, "groups", (X, W), {"groups": 0}, True),
    ("groups_negative", ValueError, "groups", (X, W), {"groups": -1}, True),
    ("bias_length", ValueError, "bias", (X, W, B[:5]), {}, True),
    ("bias_axes", ValueError, "bias", (X, W, B[:, None]), {}, True),
    ("stride_zero", ValueError, "stride", (X, W), {"stride": 0}, True),
    ("stride_negative", ValueError, "stride", (X, W), {"stride": (1, -1)}, True),
    ("stride_length", ValueError, "stride", (X, W), {"stride": (1, 1, 1)}, True),
    ("stride_float", TypeError, "stride", (X, W), {"stride": 1.0}, True),
    ("stride_none", TypeError, "stride", (X, W), {"stride": None}, True),
    ("stride_bool", TypeError, "stride", (X, W), {"stride": True}, False),
    ("dilation_zero", ValueError, "dilation", (X, W), {"dilation": 0}, True),
    ("dilation_negative", ValueError, "dilation", (X, W), {"dilation": -2}, True),
    ("dilation_float_in_tuple", TypeError, "dilation", (X, W), {"dilation": (1.0, 1)}, True),
    ("padding_negative", ValueError, "padding", (X, W), {"padding": -1}, True),
    ("padding_word", ValueError, "padding", (X, W), {"padding": "almost"}, True),
    ("padding_length", ValueError, "padding", (X, W), {"padding": (1, 1, 1)}, True),
    ("padding_pair", ValueError, "padding", (X, W), {"padding": ((1, 2, 3), (0, 0))}, True),
    ("padding_float", TypeError, "padding", (X, W), {"padding": 0.5}, True),
    ("same_with_stride", ValueError, "same_upper.*same_lower", (X, W), {"padding": "same", "stride": 2}, True),
    ("kernel_larger", ValueError, "kernel", (X[:, :, :2], W), {}, True),
    ("kernel_larger_dilated", ValueError, "kernel", (X, W), {"dilation": 4}, True),
    ("kernel_empty", ValueError, "weight", (X, W[:, :, :0]), {}, True),
    ("mixed_dtypes", TypeError, "weight", (X, W.astype("float64")), {}, True),
    ("bias_dtype", TypeError, "bias", (X, W, B.astype("float16")), {}, True),
    ("dtype_bool", TypeError, "bool", (X.astype(bool), W.astype(bool)), {}, True),
    ("dtype_object", TypeError, "object", (X.astype(object), W.astype(object)), {}, False),
    ("dtype_longdouble", TypeError, "longdouble|float128", (X.astype("longdouble"), W.astype("longdouble")), {}, False),
    ("input_none", TypeError, "input", (None, W), {}, True),
    ("weight_none", TypeError, "weight", (X, None), {}, True),
    ("input_text", TypeError, "input", ("photo.png", W), {}, True),
    ("masked", TypeError, "input.*mask", (np.ma.masked_array(X, X == 0), W), {}, False),
    ("padding_mode_word", ValueError, "padding_mode", (X, W), {"padding_mode": "wrap"}, False),
    ("padding_mode_kind", TypeError, "padding_mode", (X, W), {"padding_mode": 0}, False),
    ("reflect_too_far", ValueError, "padding", (X, W), {"padding": 8, "padding_mode": "reflect"}, False),
    ("circular_too_far", ValueError, "padding", (X, W), {"padding": 10, "padding_mode": "circular"}, False),
    ("algorithm_word", ValueError, "algorithm", (X, W), {"algorithm": "magic"}, False),
    ("algorithm_kind", TypeError, "algorithm", (X, W), {"algorithm": None}, False),
    ("algorithm_list", TypeError, "algorithm", (X, W), {"algorithm": ["fft"]}, False),
    ("stride_ragged", TypeError, "stride", (X, W), {"stride": (1, (2, 3))}, True),
    ("input_ragged", ValueError, "input", ([[1.0], [1.0, 2.0]], W), {}, False),
    ("out_masked", TypeError, "out", (X, W), {"out": np.ma.zeros((2, 6, 6, 7), np.float32)}, False),
    ("precision_word", ValueError, "precision", (X, W), {"precision": "high"}, False),
    ("max_workspace_negative", ValueError, "max_workspace", (X, W), {"max_workspace": -1}, False),
    ("max_workspace_float", TypeError, "max_workspace", (X, W), {"max_workspace": 1e6}, False),
    ("out_shape", ValueError, "out", (X, W), {"out": np.zeros((2, 6, 6, 6), np.float32)}, False),
    ("out_dtype", TypeError, "out", (X, W), {"out": np.zeros((2, 6, 6, 7))}, False),
    ("out_list", TypeError, "out", (X, W), {"out": [1.0]}, False),
    ("out_read_only", ValueError, "out", (X, W), {"out": np.broadcast_to(np.float32(0), (2, 6, 6, 7))}, False),
]
TRANSPOSED = [
    ("input_axes", ValueError, "input", (X[0, 0], W.swapaxes(0, 1)), {}),
    ("channels", ValueError, "channels", (X, W), {}),
    ("groups", ValueError, "groups", (X, W.swapaxes(0, 1)), {"groups": 3}),
    ("output_padding_large", ValueError, "output_padding", (X, W.swapaxes(0, 1)), {"output_padding": 1}),
    ("output_padding_negative", ValueError, "output_padding", (X, W.swapaxes(0, 1)), {"output_padding": -1}),
    ("nothing_left", ValueError, "padding", (X, W.swapaxes(0, 1)), {"padding": 6}),
    ("padding_word", TypeError, "padding", (X, W.swapaxes(0, 1)), {"padding": "same"}),
    ("mixed_dtypes", TypeError, "weight", (X, W.swapaxes(0, 1).astype("float64")), {}),
    ("bias", ValueError, "bias", (X, W.swapaxes(0, 1), B[:2]), {}),
    ("stride", ValueError, "stride", (X, W.swapaxes(0, 1)), {"stride": 0}),
    ("empty_axis", ValueError, "input", (X[:, :, :0], W.swapaxes(0, 1)), {}),
]


@pytest.mark.parametrize("what, error, words, arrays, options, torch_too", REJECTED, ids=[r[0] for r in REJECTED])
def test_rejected(what, error, words, arrays, options, torch_too):
    with pytest.raises(error, match=words):
        cyconv.conv2d(*arrays, **options)


@pytest.mark.parametrize("what, error, words, arrays, options", TRANSPOSED, ids=[r[0] for r in TRANSPOSED])
def test_rejected_by_transposed(what, error, words, arrays, options):
    with pytest.raises(error, match=words):
        cyconv.conv_transpose2d(*arrays, **options)


@pytest.mark.long
def test_torch_rejects_the_same():
    torch = pytest.importorskip("torch")
    accepted = []
    for what, _, _, arrays, options, torch_too in REJECTED:
        if torch_too:
            tensors = [torch.from_numpy(a) if isinstance(a, np.ndarray) else a for a in arrays]
            try:
                torch.nn.functional.conv2d(*tensors, **options)
                accepted.append(what)
            except (RuntimeError, TypeError, ValueError):
                pass
    assert not accepted


def test_the_same_error_again():
    # problems are remembered by equality, and 1 == 1.0 == True: what is remembered must not let a wrong type pass
    cyconv.conv2d(X, W, stride=1, padding=(1, 1))
    for wrong in ({"stride": 1.0}, {"stride": True}, {"padding": (1.0, 1)}, {"padding": (True, 1)}, {"groups": 1.0}):
        for _ in range(2):
            with pytest.raises(TypeError):
                cyconv.conv2d(X, W, **wrong)


def test_what_is_accepted_as_an_int():
    want = cyconv.conv2d(X, W, stride=2, padding=(1, 2))
    for two in ([2, 2], (2,), np.int64(2), np.array([2, 2]), np.array(2), (np.int8(2), 2)):
        assert cyconv.conv2d(X, W, stride=two, padding=[1, np.int64(2)]).shape == want.shape
    for padding in (((1, 1), (2, 2)), [[1, 1], [2, 2]], np.array([[1, 1], [2, 2]]), np.array([1, 2])):
        assert cyconv.conv2d(X, W, stride=2, padding=padding).shape == want.shape
    assert cyconv.conv2d(X, W, padding=np.int32(1)).shape == cyconv.conv2d(X, W, padding=(1,)).shape


def test_small_integers_of_numpy_do_not_overflow():
    x, weight = np.ones((1, 300, 5, 5), np.float32), np.ones((300, 2, 3, 3), np.float32)
    wanted = cyconv.conv_transpose2d(x, weight, stride=2, groups=2)
    got = cyconv.conv_transpose2d(x, weight, stride=np.uint8(2), groups=np.uint8(2))
    np.testing.assert_array_equal(got, wanted)
    wanted = cyconv.conv2d(x, weight[:, :1], padding=100, groups=300, stride=100)
    got = cyconv.conv2d(x, weight[:, :1], padding=np.int8(100), groups=np.uint16(300), stride=np.array([100, 100], np.int8))
    np.testing.assert_array_equal(got, wanted)


def test_words_of_other_classes_are_words():
    """NumPy's strings and enums; what is remembered of them must not reach those who say the plain word later."""

    class Word(enum.StrEnum):
        SAME, REFLECT, DIRECT, STRICT, UPPER, POOL = "same", "reflect", "direct", "strict", "same_upper", "pool"

    class Unhashable(str):
        __hash__ = None

    x, weight = np.ones((1, 2, 17, 19), np.float32), np.ones((3, 2, 3, 3), np.float32)
    wanted = cyconv.conv2d(x, weight, padding="same", algorithm="direct", precision="strict")
    for word in (np.str_, Word, Unhashable, str):
        words = {"padding": "same", "padding_mode": "reflect", "algorithm": "direct", "precision": "strict"}
        got = cyconv.conv2d(x, weight, **{name: word(value) for name, value in words.items()})
        assert got.shape == wanted.shape
        pooled = cyconv.max_pool2d(x, 3, 2, word("same_upper"), algorithm=word("pool"))
        assert pooled.shape == (1, 2, 9, 10)
    with pytest.raises(TypeError, match="algorithm must be a string"):
        cyconv.conv2d(x, weight, algorithm=np.array(["auto"]))


def test_lists_are_arrays():
    assert cyconv.conv1d([[[1.0, 2.0, 3.0]]], [[[1.0, 1.0]]], [0.5]).tolist() == [[[3.5, 5.5]]]


@pytest.mark.parametrize("huge", [2**31, 2**62 - 1, 2**62, 2**63 - 1, 2**63, 2**64, 10**30])
def test_huge_numbers(huge):
    for option in ("stride", "dilation", "padding", "groups"):
        if option == "stride" and huge < 2**62:
            assert cyconv.conv2d(X, W, stride=huge).shape == (2, 6, 1, 1)
            continue
        with pytest.raises((ValueError, MemoryError)):
            cyconv.conv2d(X, W, **{option: huge})
    if huge < 2**60:  # five windows far apart, all but at most one of them in the padding
        assert cyconv.conv2d(X, W, B + 7, padding=huge, stride=huge // 2).tolist() == np.full((2, 6, 5, 5), 7.0).tolist()
    else:
        with pytest.raises((ValueError, MemoryError)):
            cyconv.conv2d(X, W, padding=huge, stride=max(huge // 2, 1))
    for option in ("stride", "dilation", "output_padding", "padding"):
        with pytest.raises((ValueError, MemoryError)):
            cyconv.conv_transpose2d(X, W.swapaxes(0, 1), **{option: huge})


def test_huge_shapes_that_take_no_memory():
    # zero strides: an array of any shape
    x = np.broadcast_to(np.float32(1), (2**20, 1, 2**20, 2**20))
    with pytest.raises((ValueError, MemoryError)):
        cyconv.conv2d(x, np.ones((2**10, 1, 1, 1), np.float32))
    with pytest.raises(ValueError, match="2\\*\\*63"):
        cyconv.conv2d(x, np.broadcast_to(np.float32(1), (2**24, 1, 1, 1)))


@pytest.mark.parametrize("kernel, options", [
    ((2, 2, 2), {"dilation": 2**40, "padding": 2**40}),
    ((2, 1, 2), {"dilation": (2**55, 1, 2**55), "padding": (2**55, 0, 2**55), "stride": 2**54}),
    ((100_000, 1, 1), {"padding": (100_000, 0, 0), "stride": (99_991, 1, 1), "dilation": (1, 7, 7)}),
])  # fmt: skip
def test_huge_windows_are_computed_or_refused_at_once(kernel, options):
    x, w = np.ones((1, 3, 3, 3), np.float32), np.ones((1, 1, *kernel), np.float32)
    try:
        result = cyconv.conv3d(x, w, **options)
    except (ValueError, MemoryError):
        return
    assert np.isfinite(result).all()


@pytest.mark.cpu  # the GPU's direct sum takes any length, and takes its time
@pytest.mark.parametrize("shape", [(1, 1, 2**61), (1, 1, 2**55), (1, 1, 1, 2**31, 2**30), (1, 1, 2**30)])
def test_kernels_of_any_length_that_take_no_memory(shape):
    x = np.broadcast_to(np.int8(1), shape)
    for call in (cyconv.explain, getattr(cyconv, f"conv{len(shape) - 2}d")):
        try:
            call(x, x)
        except (ValueError, MemoryError) as error:
            assert str(error)


def test_transposed_stride_far_beyond_the_kernel():
    got = cyconv.conv_transpose1d(np.ones((1, 1, 2)), np.ones((1, 1, 2)), np.full(1, 5.0), stride=2**22)
    assert got.shape == (1, 1, 2**22 + 2)
    assert got.sum() == 5 * got.size + 4
    assert cyconv.conv_transpose1d(np.ones((1, 1, 1)), np.ones((1, 1, 2000)), stride=2000).sum() == 2000


@pytest.mark.parametrize("wrong", [{"dtype": "foo"}, {"input_shape": (1, 1, 2**62 - 1)}, {"input_shape": (1,) * 70}])
def test_plan_of_what_cannot_exist(wrong):
    with pytest.raises((ValueError, TypeError), match=next(iter(wrong))):
        cyconv.plan_conv(**{"input_shape": (1, 1, 9), "weight": np.ones((1, 1, 3))} | wrong)


def test_messages_show_little_of_much():
    deep, image = [], np.ones((1, 1, 5, 5))
    for _ in range(100_000):
        deep = [deep]
    for wrong in ({"stride": deep}, {"padding": deep}, {"groups": deep}, {"algorithm": deep}, {"max_workspace": deep}):
        with pytest.raises((ValueError, TypeError), match=f"{next(iter(wrong))} must be .*nested"):
            cyconv.conv2d(image, image, **wrong)
    with pytest.raises(ValueError, match="stride") as refused:
        cyconv.conv2d(image, image, stride=list(range(10**5)))
    assert len(str(refused.value)) < 2000
    for wrong in ({"stride": 10**5000}, {"padding": (1, 10**5000)}, {"groups": -(10**5000)}, {"dilation": (10**5000,) * 3}, {"max_workspace": 10**4000}):
        with pytest.raises(ValueError, match=next(iter(wrong))) as refused:  # Python does not write ints of more than 4300 digits
            cyconv.conv2d(image, image, **wrong)
        assert len(str(refused.value)) < 2000
    with pytest.raises(ValueError, match="norm_type"):
        cyconv.lp_pool2d(image, 10**5000, 2)
