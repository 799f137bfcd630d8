// Exponentials along one axis: softmax, its logarithm, and cross entropy with its gradient. Arrays are (outer, classes, inner),
// contiguous.
//
//     softmax    exp(x - most) / total, with total the sum of exp(x - most) over the classes, and most their largest x
//     loss       each * (log(total) + most - x[target]), and of smoothing what the docstring of cross_entropy says
//
// LANES threads share a row of classes, whose neighbours in memory they load together: a warp or a block where the classes are
// neighbours, a single thread where other rows are (inner is large). A row is read twice or three times, from caches but for the first
// time. Of cross entropy two numbers a row are kept, and the gradient computes the probabilities again from the logits.
//
// Nobody waits to look at targets: one that is no class makes the loss and its row of the gradient NaN.
#include "numbers.cuh"
#include "groups.cuh"
#include "elements.cuh"

constexpr int THREADS = 256;

struct Rows {
    long long outer, classes, inner;
};

// The row of a group of threads, and where its first class stands. All threads of a block take as many turns.
template <int LANES>
struct Row {
    long long row, offset;
    int lane;
    bool real;

    __device__ Row(const Rows &p, long long turn)
    {
        row = (turn * gridDim.x + blockIdx.x) * (THREADS / LANES) + threadIdx.x / LANES;
        lane = threadIdx.x % LANES;
        real = row < p.outer * p.inner;
        offset = real ? row / p.inner * p.classes * p.inner + row % p.inner : 0;
    }
};

template <int LANES>
__device__ __forceinline__ long long turns(const Rows &p)
{
    const long long each = static_cast<long long>(gridDim.x) * (THREADS / LANES);
    return (p.outer * p.inner + each - 1) / each;
}

// The largest x of a row, and the sum of exp(x - most).
template <typename T, int LANES>
__device__ __forceinline__ void exponentials(
    const Rows &p, const Row<LANES> &here, const T *x, typename Number<T>::Sum &most, typename Number<T>::Sum &total)
{
    using S = typename Number<T>::Sum;
    most = Number<T>::load(x[here.offset]);
    total = S(0);
    if (here.real)
        for (long long k = here.lane; k < p.classes; k += LANES) most = Most::of(most, Number<T>::load(x[here.offset + k * p.inner]));
    most = together<Most, LANES>(most);
    if (here.real)
        for (long long k = here.lane; k < p.classes; k += LANES) total += exp(Number<T>::load(x[here.offset + k * p.inner]) - most);
    total = together<Sum, LANES>(total);
}

template <typename T, int LANES, bool LOGARITHM>
__global__ void __launch_bounds__(THREADS, 1) softmax(const Rows p, const T *__restrict__ x, T *__restrict__ out)
{
    using N = Number<T>;
    using S = typename N::Sum;
    for (long long turn = 0; turn < turns<LANES>(p); turn++) {
        const Row<LANES> here(p, turn);
        S most, total;
        exponentials<T, LANES>(p, here, x, most, total);
        if (!here.real) continue;
        const S log_total = log(total);
        for (long long k = here.lane; k < p.classes; k += LANES) {
            const S d = N::load(x[here.offset + k * p.inner]) - most;
            out[here.offset + k * p.inner] = N::store(LOGARITHM ? d - log_total : exp(d) / total);
        }
    }
}

struct Entropy {
    double smoothing;
    double factor;  // of the gradient
};

// How much a row counts: its target's weight, 0 where it is ignored, NaN where it is no class.
__device__ __forceinline__ double counts(const Rows &p, long long target, long long ignore_index, const double *weight)
{
    if (target == ignore_index) return 0;
    if (target < 0 || target >= p.classes) return nan("");
    return weight ? weight[target] : 1;
}

// kept: (2, rows), most and log(total); found: (2, rows), the loss of each row and how much it counts
template <typename T, int LANES>
__global__ void __launch_bounds__(THREADS, 1) cross_entropy(
    const Rows p, const Entropy how, long long ignore_index, const T *__restrict__ x, const long long *__restrict__ target,
    const double *__restrict__ weight, typename Number<T>::Sum *__restrict__ kept, double *__restrict__ found)
{
    using N = Number<T>;
    using S = typename N::Sum;
    const long long rows = p.outer * p.inner;
    for (long long turn = 0; turn < turns<LANES>(p); turn++) {
        const Row<LANES> here(p, turn);
        S most, total;
        exponentials<T, LANES>(p, here, x, most, total);
        const S log_total = log(total);
        double spread = 0;
        if (how.smoothing != 0) {
            if (here.real)
                for (long long k = here.lane; k < p.classes; k += LANES) {
                    const S term = log_total - (N::load(x[here.offset + k * p.inner]) - most);
                    spread += weight ? weight[k] * term : static_cast<double>(term);
                }
            spread = together<Sum, LANES>(spread);
        }
        if (!here.real || here.lane) continue;
        const long long t = target[here.row];
        const double each = counts(p, t, ignore_index, weight);
        double loss = each;  // 0 or NaN
        if (t != ignore_index && each == each) {
            loss = (1 - how.smoothing) * each * static_cast<double>(log_total - (N::load(x[here.offset + t * p.inner]) - most));
            if (how.smoothing != 0) loss += how.smoothing / p.classes * spread;
        }
        kept[here.row] = most;
        kept[rows + here.row] = log_total;
        found[here.row] = loss;
        found[rows + here.row] = each;
    }
}

// The gradient with respect to x, times a factor, divided by what all rows count together if that is given.
template <typename T, int LANES>
__global__ void __launch_bounds__(THREADS, 1) cross_entropy_gradient(
    const Rows p, const Entropy how, long long ignore_index, const T *__restrict__ x, const long long *__restrict__ target,
    const double *__restrict__ weight, const typename Number<T>::Sum *__restrict__ kept, const double *__restrict__ all, T *__restrict__ out)
{
    using N = Number<T>;
    using S = typename N::Sum;
    const long long rows = p.outer * p.inner;
    const double factor = all ? how.factor / *all : how.factor;
    double classes = p.classes;  // together, as much as they count
    if (weight && how.smoothing != 0) {
        classes = 0;
        for (long long k = threadIdx.x % LANES; k < p.classes; k += LANES) classes += weight[k];
        classes = together<Sum, LANES>(classes);
    }
    for (long long turn = 0; turn < turns<LANES>(p); turn++) {
        const Row<LANES> here(p, turn);
        if (!here.real) continue;
        const long long t = target[here.row];
        const double each = counts(p, t, ignore_index, weight);
        const double right = (1 - how.smoothing) * each * factor;
        const double spread = (t == ignore_index ? 0 : how.smoothing / p.classes) * factor;
        const S of_probability = static_cast<S>(right + spread * classes), most = kept[here.row], log_total = kept[rows + here.row];
        for (long long k = here.lane; k < p.classes; k += LANES) {
            const S probability = exp(N::load(x[here.offset + k * p.inner]) - most - log_total);
            const double less = (weight ? spread * weight[k] : spread) + (k == t ? right : 0);
            out[here.offset + k * p.inner] = N::store(probability * of_probability - static_cast<S>(less));
        }
    }
}
