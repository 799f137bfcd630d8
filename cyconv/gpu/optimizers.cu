// Steps of optimizers: each element of a parameter, its gradient and what is remembered of it, read and written once. With g the
// gradient plus weight_decay * p:
//
//     sgd    v = momentum * v + (1 - dampening) * g, at first g;  p -= lr * (g + momentum * v if nesterov, v if momentum, else g)
//     adam   m += (1 - beta1) * (g - m);  v += (1 - beta2) * (g * g - v);  p -= rate * m / (sqrt(v) + eps)
//
// where rate and eps come with the powers of betas in them (nn/optimizers.py). Half types are computed in float and rounded once.
#include "numbers.cuh"
#include "elements.cuh"

struct SGD {
    double lr, momentum, dampening, weight_decay;
};

template <typename T>
__global__ void sgd(long long size, const SGD step, long long nesterov, long long first, const T *__restrict__ gradient, T *velocity, T *parameter)
{
    using N = Number<T>;
    using S = typename N::Sum;
    const S lr = static_cast<S>(step.lr), momentum = static_cast<S>(step.momentum);
    const S decay = static_cast<S>(step.weight_decay), kept = static_cast<S>(1 - step.dampening);
    for (long long i = thread_number(); i < size; i += all_threads()) {
        const S p = N::load(parameter[i]);
        S g = N::load(gradient[i]);
        if (step.weight_decay != 0) g += p * decay;
        if (velocity) {
            const S v = first ? g : N::load(velocity[i]) * momentum + g * kept;
            velocity[i] = N::store(v);
            g = nesterov ? g + v * momentum : v;
        }
        parameter[i] = N::store(p - g * lr);
    }
}

struct Adam {
    double rate, beta1, beta2, eps, weight_decay;
};

template <typename T>
__global__ void adam(long long size, const Adam step, const T *__restrict__ gradient, T *first_moment, T *second_moment, T *parameter)
{
    using N = Number<T>;
    using S = typename N::Sum;
    const S rate = static_cast<S>(step.rate), eps = static_cast<S>(step.eps), decay = static_cast<S>(step.weight_decay);
    const S beta1 = static_cast<S>(step.beta1), rest1 = static_cast<S>(1 - step.beta1);
    const S beta2 = static_cast<S>(step.beta2), rest2 = static_cast<S>(1 - step.beta2);
    for (long long i = thread_number(); i < size; i += all_threads()) {
        const S p = N::load(parameter[i]);
        S g = N::load(gradient[i]);
        if (step.weight_decay != 0) g += p * decay;
        const S m = N::load(first_moment[i]) * beta1 + g * rest1;
        const S v = N::load(second_moment[i]) * beta2 + g * g * rest2;
        first_moment[i] = N::store(m);
        second_moment[i] = N::store(v);
        parameter[i] = N::store(p - m / (sqrt(v) + eps) * rate);
    }
}
