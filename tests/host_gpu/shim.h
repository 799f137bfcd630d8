// Runs CUDA kernels on the CPU, one block after the other, for tests: the text of the .cu files is compiled unchanged behind this.
//
// Every thread of a block is a fiber, a stack of its own. A barrier hands on to the next fiber; when all that live have come to it, they
// go on, forwards and backwards in turn, so that a kernel which needs no barrier where one is missing in one order fails in the other. A warp
// runs as far as it can, past all barriers of its own, before the next one does. A
// barrier that some threads never come to is an error that is reported, not a hang. Kernels without barriers run as plain loops.
//
// Shared memory is full of ones before each block: NaN in every floating type. Signals that a kernel raises end its launch and are
// reported with block and thread. Where CYCONV_TEST_GUARD asks for it (kernels.py), arrays end, or begin, at memory that may not be touched,
// the compiler checks alignment, indices and integers, and products and sums are fused and functions rounded as carelessly as by a device.
// What this cannot find: races between blocks, indices beyond one shared array into the next, and what only the hardware's own order of
// things shows.
#pragma once
#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>
#include <link.h>
#include <sys/mman.h>

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

namespace shim {

static dim3 thread, block, threads, blocks;  // threadIdx, blockIdx, blockDim, gridDim

// ---- fibers ----------------------------------------------------------------------------------------------------------------

extern "C" void shim_switch(void **save, void *to);  // pushes what a call must keep, changes stacks, pops
#if !defined(__x86_64__)
#error "the shim changes stacks on x86-64 only"
#endif
asm(R"(
.text
.hidden shim_switch
.globl shim_switch
.type shim_switch, @function
shim_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");

enum State { READY, AT_BLOCK, AT_WARP, DONE };
constexpr size_t STACK = 1 << 16;

enum Kind { BARRIER, EXCHANGE, VOTE };  // what a warp waits for

struct Fiber {
    void *top;
    dim3 thread;
    State state;
    Kind kind;
};

static Fiber fibers[1024];
static char *stacks;
static void *scheduler;
static Fiber *running;
static const std::function<void()> *body;
static bool diverged;
enum Fault { NONE = 0, MISALIGNED = -1, NOT_ROUNDED = -2, STOPPED = -3 };
static Fault fault;
static unsigned long long blocks_begun;
static unsigned char exchange[32][32][16];  // of each warp, a slot for every lane

// ---- shared memory -----------------------------------------------------------------------------------------------------------

// Shared variables are thread-local ones: the only ones of this library, whose template instances too lie in one piece of memory.
static char *shared_memory;
static size_t shared_bytes;

static int find_shared_memory(dl_phdr_info *library, size_t, void *)
{
    const uintptr_t here = reinterpret_cast<uintptr_t>(&shared_memory);
    bool mine = false;
    size_t bytes = 0;
    for (int i = 0; i < library->dlpi_phnum; i++) {
        const ElfW(Phdr) &part = library->dlpi_phdr[i];
        mine |= part.p_type == PT_LOAD && here - (library->dlpi_addr + part.p_vaddr) < part.p_memsz;
        if (part.p_type == PT_TLS) bytes = part.p_memsz;
    }
    if (mine) shared_memory = static_cast<char *>(library->dlpi_tls_data), shared_bytes = shared_memory ? bytes : 0;
    return mine;
}

// ---- what goes wrong ---------------------------------------------------------------------------------------------------------

static sigjmp_buf escape;
static char stopped[300];

[[noreturn]] static void stop()
{
    fault = STOPPED;
    siglongjmp(escape, 1);
}

static uintptr_t bad_address;

static void caught(int signal, siginfo_t *information, void *)
{
    bad_address = signal == SIGSEGV || signal == SIGBUS ? reinterpret_cast<uintptr_t>(information->si_addr) : 0;
    std::snprintf(stopped, sizeof stopped, "%s in block (%u, %u, %u), thread (%u, %u, %u)",
                  bad_address ? "memory that is no array's" : signal == SIGFPE ? "a division by zero" : "an illegal instruction",
                  block.x, block.y, block.z, thread.x, thread.y, thread.z);
    stop();
}

struct SignalsCaught {
    static constexpr int SIGNALS[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    struct sigaction before[4];
    SignalsCaught()
    {
        struct sigaction action = {};
        action.sa_sigaction = &caught;
        action.sa_flags = SA_SIGINFO;
        for (int i = 0; i < 4; i++) sigaction(SIGNALS[i], &action, &before[i]);
    }
    ~SignalsCaught()
    {
        for (int i = 0; i < 4; i++) sigaction(SIGNALS[i], &before[i], nullptr);
    }
};

#ifdef SHIM_CHECKED  // what code of -fsanitize calls, which begins each of its descriptions with a place in the source
struct Source {
    const char *file;
    unsigned line, column;
};

[[noreturn]] static void undefined(const Source &at, const char *what)
{
    bad_address = 0;
    std::snprintf(stopped, sizeof stopped, "%s at %s:%u:%u in block (%u, %u, %u), thread (%u, %u, %u)", what, at.file, at.line, at.column,
                  block.x, block.y, block.z, thread.x, thread.y, thread.z);
    stop();
}

#define SHIM_UNDEFINED(name, what) \
    extern "C" __attribute__((visibility("hidden"), used)) void shim_##name(const shim::Source *at, ...) asm("__ubsan_handle_" #name "_abort"); \
    extern "C" void shim_##name(const shim::Source *at, ...) { shim::undefined(*at, what); }
SHIM_UNDEFINED(type_mismatch_v1, "an address that is no multiple of its type's alignment")
SHIM_UNDEFINED(out_of_bounds, "an index beyond its array")
SHIM_UNDEFINED(shift_out_of_bounds, "a shift by too many bits, or of a negative number")
SHIM_UNDEFINED(add_overflow, "a sum beyond its type")
SHIM_UNDEFINED(sub_overflow, "a difference beyond its type")
SHIM_UNDEFINED(mul_overflow, "a product beyond its type")
SHIM_UNDEFINED(negate_overflow, "a negation beyond its type")
SHIM_UNDEFINED(divrem_overflow, "a division by zero, or beyond its type")
#endif

static void leave(State state, Kind kind = BARRIER)
{
    running->kind = kind;
    running->state = state;
    Fiber *self = running;
    shim_switch(&self->top, scheduler);
}

static void enter()
{
    (*body)();
    leave(DONE);
    __builtin_trap();
}

static void block_of_fibers(unsigned count)
{
    if (!stacks)
        stacks = static_cast<char *>(mmap(nullptr, STACK * 1024, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    for (unsigned t = 0; t < count; t++) {
        void **top = reinterpret_cast<void **>(stacks + STACK * (t + 1)) - 2;
        *top = reinterpret_cast<void *>(&enter);
        fibers[t].top = top - 6;  // six registers, whatever they hold
        fibers[t].thread = dim3(t % threads.x, t / threads.x % threads.y, t / (threads.x * threads.y));
        fibers[t].state = READY;
    }
    blocks_begun++;
    const unsigned warps = (count + 31) / 32;
    bool backwards = false, lanes_backwards = false;
    for (unsigned done = 0; done < count; backwards = !backwards) {
        bool moved = false;
        unsigned waiting = 0;
        for (unsigned w = 0; w < warps; w++) {
            const unsigned first = (backwards ? warps - 1 - w : w) * 32, last = std::min(first + 32, count);
            for (bool again = true; again; lanes_backwards = !lanes_backwards) {
                again = false;
                for (unsigned i = first; i < last; i++) {
                    Fiber &f = fibers[lanes_backwards ? first + last - 1 - i : i];
                    if (f.state != READY) continue;
                    moved = true;
                    running = &f;
                    thread = f.thread;
                    shim_switch(&scheduler, f.top);
                    done += f.state == DONE;
                }
                unsigned at_warp = 0, live = 0, kinds = 0;
                for (unsigned t = first; t < last; t++) {
                    live += fibers[t].state != DONE;
                    at_warp += fibers[t].state == AT_WARP;
                    if (fibers[t].state == AT_WARP) kinds |= 1u << fibers[t].kind;
                }
                if (kinds & (kinds - 1)) {  // some lanes shuffle, others vote
                    diverged = true;
                    return;
                }
                if (live && at_warp == live) {
                    again = true;
                    for (unsigned t = first; t < last; t++)
                        if (fibers[t].state == AT_WARP) fibers[t].state = READY;
                }
            }
            for (unsigned t = first; t < last; t++) waiting += fibers[t].state == AT_BLOCK;
        }
        if (waiting && waiting == count - done)
            for (unsigned t = 0; t < count; t++)
                if (fibers[t].state == AT_BLOCK) fibers[t].state = READY, moved = true;
        if (!moved && done < count) {
            diverged = true;
            return;
        }
    }
}

// ---- launching -------------------------------------------------------------------------------------------------------------

static void run(const std::function<void()> &kernel)
{
    body = &kernel;
    diverged = false;
    fault = NONE;
    const SignalsCaught signals;
    if (sigsetjmp(escape, 1)) return;
    const unsigned count = threads.x * threads.y * threads.z;
    for (unsigned z = 0; z < blocks.z; z++)
        for (unsigned y = 0; y < blocks.y; y++)
            for (unsigned x = 0; x < blocks.x; x++) {
                block = dim3(x, y, z);
                std::memset(shared_memory, 0xff, shared_bytes);
#ifdef SHIM_WITHOUT_BARRIERS
                for (unsigned t = 0; t < count; t++) {
                    thread = dim3(t % threads.x, t / threads.x % threads.y, t / (threads.x * threads.y));
                    kernel();
                }
#else
                block_of_fibers(count);
                if (diverged) return;
#endif
            }
}

template <class... A, size_t... I>
static void call(void (*kernel)(A...), void **arguments, std::index_sequence<I...>)
{
    run([&] { kernel(*static_cast<std::remove_const_t<A> *>(arguments[I])...); });
}

// Returns 0, 1 if a barrier was not reached by all, 2 + the number of the argument whose size differs, or a Fault.
template <class... A>
static int launch(void (*kernel)(A...), const unsigned *grid, const unsigned *per_block, void **arguments, const int *sizes, int count)
{
    const int wanted[] = {static_cast<int>(sizeof(A))...};
    for (int i = 0; i < static_cast<int>(sizeof...(A)); i++)
        if (i >= count || sizes[i] != wanted[i]) return 2 + i;
    if (count != sizeof...(A)) return 2 + count;
    static thread_local volatile char some_shared;  // so that there is some, and of this thread
    some_shared = 0;
    dl_iterate_phdr(&find_shared_memory, nullptr);
    blocks = dim3(grid[0], grid[1], grid[2]);
    threads = dim3(per_block[0], per_block[1], per_block[2]);
    call(kernel, arguments, std::index_sequence_for<A...>());
    return fault ? static_cast<int>(fault) : diverged;
}

static unsigned lane() { return (thread.x + threads.x * (thread.y + threads.y * thread.z)) % 32; }
static unsigned warp() { return (thread.x + threads.x * (thread.y + threads.y * thread.z)) / 32; }

// Whether a lane of this warp is still there.
static bool lives(unsigned lane)
{
    const unsigned t = warp() * 32 + lane;
    return t < threads.x * threads.y * threads.z && fibers[t].state != DONE;
}

// What every lane of the warp gives, to be read until the next call; all lanes must come, and be in the mask. Those that have ended, or
// are beyond a block that is no whole number of warps, give ones.
template <class T>
static T given_by(unsigned mask, T value, unsigned from)
{
    static_assert(sizeof(T) <= 16, "");
    std::memcpy(exchange[warp()][lane()], &value, sizeof(T));
    leave(AT_WARP, EXCHANGE);
    T found;
    std::memset(&found, 0xff, sizeof(T));
    if (lives(from % 32)) std::memcpy(&found, exchange[warp()][from % 32], sizeof(T));
    for (unsigned each = 0; each < 32; each++) diverged |= lives(each) && !(mask >> each & 1);
    leave(AT_WARP, EXCHANGE);
    return found;
}

// A bit for every lane of the warp whose value passes the test; all lanes must come, and be in the mask.
template <class T, class F>
static unsigned lanes_where(unsigned mask, T value, F test)
{
    std::memcpy(exchange[warp()][lane()], &value, sizeof(T));
    leave(AT_WARP, VOTE);
    unsigned bits = 0;
    for (unsigned each = 0; each < 32; each++) {
        if (!lives(each)) continue;
        T given;
        std::memcpy(&given, exchange[warp()][each], sizeof(T));
        if (test(given)) bits |= 1u << each;
        diverged |= !(mask >> each & 1);
    }
    leave(AT_WARP, VOTE);
    return bits;
}

}  // namespace shim

// ---- CUDA's words ------------------------------------------------------------------------------------------------------------

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)
#define __shared__ static thread_local
#define __constant__ static const
#define threadIdx (shim::thread)
#define blockIdx (shim::block)
#define blockDim (shim::threads)
#define gridDim (shim::blocks)
#define __syncthreads() shim::leave(shim::AT_BLOCK)
#define __syncwarp(...) shim::leave(shim::AT_WARP)
#define __threadfence()

template <class T> static T __shfl_sync(unsigned mask, T value, int from) { return shim::given_by(mask, value, from); }
template <class T> static T __shfl_xor_sync(unsigned mask, T value, int bits) { return shim::given_by(mask, value, shim::lane() ^ bits); }
template <class T> static T __shfl_down_sync(unsigned mask, T value, unsigned by)
{
    return shim::given_by(mask, value, shim::lane() + by < 32 ? shim::lane() + by : shim::lane());
}
template <class T> static T __shfl_up_sync(unsigned mask, T value, unsigned by)
{
    return shim::given_by(mask, value, shim::lane() >= by ? shim::lane() - by : shim::lane());
}

static unsigned __ballot_sync(unsigned mask, int predicate)
{
    return shim::lanes_where(mask, predicate, [](int given) { return given != 0; });
}
static int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
template <class T> static unsigned __match_any_sync(unsigned mask, T value)
{
    return shim::lanes_where(mask, value, [value](T given) { return given == value; });
}
static int __popc(unsigned bits) { return __builtin_popcount(bits); }

static double __longlong_as_double(long long bits)
{
    double value;
    std::memcpy(&value, &bits, 8);
    return value;
}
static float __uint_as_float(unsigned bits)
{
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}
template <class T> static T __ldg(const T *at) { return *at; }
template <class T, class U> static T atomicAdd(T *at, U value) { T old = *at; *at += value; return old; }
template <class T, class U> static T atomicMax(T *at, U value) { T old = *at; *at = std::max(old, static_cast<T>(value)); return old; }
template <class T, class U> static T atomicMin(T *at, U value) { T old = *at; *at = std::min(old, static_cast<T>(value)); return old; }
template <class T, class U> static T atomicOr(T *at, U value) { T old = *at; *at |= value; return old; }
template <class T, class U> static T atomicExch(T *at, U value) { T old = *at; *at = value; return old; }

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) double2 { double x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline double2 make_double2(double x, double y) { return {x, y}; }

using std::exp;  // of float, too: a device computes that in float
using std::fabs;
using std::isfinite;
using std::isinf;
using std::isnan;
using std::log;
using std::max;
using std::min;
using std::pow;
using std::sqrt;

#ifdef SHIM_CHECKED  // as near as a device promises: the last bit or two
namespace shim {
template <class R> static R nearly(R value)
{
    return value == std::floor(value) || !isfinite(value) ? value : std::nextafter(std::nextafter(value, R(0)), R(0));
}
}  // namespace shim
#define exp(x) shim::nearly(exp(x))
#define log(x) shim::nearly(log(x))
#define pow(x, y) shim::nearly(pow(x, y))
#endif

#include "include/tensor_cores.h"
