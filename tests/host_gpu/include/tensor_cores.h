// The functions of cyconv/gpu/tensor_cores.cuh for the CPU, whose text then skips itself: fragments as the PTX ISA lays them out in a
// warp, exchanged between its 32 fibers.
//
// As unforgiving as a device may be: copies arrive as late as the waits allow in every second block, and at once in the others, so that
// both a wait too few and a copy onto what is still read give wrong results; rows of matrices that do not lie at multiples of
// 16 bytes, and floats that nobody rounded to TF32, are faults.
#pragma once
#define CYCONV_TENSOR_CORES

namespace shim {

// What every lane gives, for `use(get)`, where get(lane) is what that one gave; all lanes must come.
template <class T, class F>
static void among_lanes(const T &mine, F use)
{
    static_assert(sizeof(T) <= 16, "");
    std::memcpy(exchange[warp()][lane()], &mine, sizeof(T));
    leave(AT_WARP);
    use([](unsigned from) {
        T given;
        std::memcpy(&given, exchange[warp()][from], sizeof(T));
        return given;
    });
    leave(AT_WARP);
}

// ---- numbers of 16 and 19 bits, in words of 32 -----------------------------------------------------------------------------

struct Float16 {
    static constexpr int IN_A_WORD = 2;
    static float number(unsigned word, int i)
    {
        const unsigned short bits = static_cast<unsigned short>(word >> 16 * i);
        _Float16 half;
        std::memcpy(&half, &bits, 2);
        return static_cast<float>(half);
    }
};

struct BFloat16 {
    static constexpr int IN_A_WORD = 2;
    static float number(unsigned word, int i) { return __uint_as_float(i ? word & 0xffff0000u : word << 16); }
};

struct TF32 {
    static constexpr int IN_A_WORD = 1;
    static float number(unsigned word, int)
    {
        const float value = __uint_as_float(word);
        if (value == value && (word & 0x1fffu)) fault = NOT_ROUNDED;
        return value;
    }
};

// ---- products --------------------------------------------------------------------------------------------------------------

struct FragmentA {
    unsigned word[4];
};
struct FragmentB {
    unsigned word[2];
};

template <class N>
static void multiply(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    constexpr int IN = N::IN_A_WORD, DEPTH = 8 * IN;
    const unsigned group = lane() / 4, place = lane() % 4;
    float rows[2][DEPTH], columns[2][DEPTH];
    among_lanes(FragmentA{{a[0], a[1], a[2], a[3]}}, [&](auto get) {
        for (int k = 0; k < DEPTH; k++) {
            const FragmentA given = get(group * 4 + k % (4 * IN) / IN);
            for (int half = 0; half < 2; half++) rows[half][k] = N::number(given.word[half + 2 * (k / (4 * IN))], k % IN);
        }
    });
    among_lanes(FragmentB{{b0, b1}}, [&](auto get) {
        for (int k = 0; k < DEPTH; k++)
            for (int i = 0; i < 2; i++) {
                const FragmentB given = get((2 * place + i) * 4 + k % (4 * IN) / IN);
                columns[i][k] = N::number(given.word[k / (4 * IN)], k % IN);
            }
    });
    for (int half = 0; half < 2; half++)
        for (int i = 0; i < 2; i++)
            for (int k = 0; k < DEPTH; k++) sum[half * 2 + i] += rows[half][k] * columns[i][k];
}

// ---- copies ----------------------------------------------------------------------------------------------------------------

struct Copy {
    void *to;
    const void *from;
    int bytes;
    bool exists;
    void make() const
    {
        if (exists)
            std::memcpy(to, from, bytes);
        else
            std::memset(to, 0, bytes);
    }
};

struct Copies {  // of one thread
    unsigned long long block;  // that they belong to
    std::vector<std::vector<Copy>> sets;  // sent ones, and at last the one that is not sent yet
};

static Copies copies[1024];

static std::vector<std::vector<Copy>> &my_copies()
{
    Copies &mine = copies[thread.x + threads.x * (thread.y + threads.y * thread.z)];
    if (mine.block != blocks_begun || mine.sets.empty()) {
        mine.block = blocks_begun;
        mine.sets.assign(1, {});
    }
    return mine.sets;
}

}  // namespace shim

static inline void multiply_float16(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) { shim::multiply<shim::Float16>(sum, a, b0, b1); }
static inline void multiply_bfloat16(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) { shim::multiply<shim::BFloat16>(sum, a, b0, b1); }
static inline void multiply_tf32(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) { shim::multiply<shim::TF32>(sum, a, b0, b1); }

static inline unsigned to_tf32(float value)
{
    unsigned bits;
    std::memcpy(&bits, &value, 4);
    if (value != value) return 0x7fffffffu;
    return (bits + 0x1000u) & ~0x1fffu;  // the largest round to infinity, which stays what it is
}

static inline void load_matrices(unsigned (&words)[4], const void *row)
{
    if (reinterpret_cast<uintptr_t>(row) % 16) shim::fault = shim::MISALIGNED;
    shim::among_lanes(row, [&](auto get) {
        for (unsigned m = 0; m < 4; m++) std::memcpy(&words[m], static_cast<const char *>(get(m * 8 + shim::lane() / 4)) + shim::lane() % 4 * 4, 4);
    });
}

static inline void load_transposed(unsigned (&words)[4], const void *row)
{
    if (reinterpret_cast<uintptr_t>(row) % 16) shim::fault = shim::MISALIGNED;
    shim::among_lanes(row, [&](auto get) {
        for (unsigned m = 0; m < 4; m++)
            for (unsigned i = 0; i < 2; i++) {
                const char *const given = static_cast<const char *>(get(m * 8 + shim::lane() % 4 * 2 + i));
                std::memcpy(reinterpret_cast<char *>(&words[m]) + i * 2, given + shim::lane() / 4 * 2, 2);
            }
    });
}

template <int BYTES> static void copy_async(void *shared, const void *global, bool exists)
{
    static_assert(BYTES == 4 || BYTES == 8 || BYTES == 16, "");
    if (reinterpret_cast<uintptr_t>(shared) % BYTES || (exists && reinterpret_cast<uintptr_t>(global) % BYTES)) shim::fault = shim::MISALIGNED;
    const shim::Copy copy{shared, global, BYTES, exists};
    if (shim::blocks_begun % 2 == 0)
        copy.make();
    else
        shim::my_copies().back().push_back(copy);
}

static inline void copies_sent() { shim::my_copies().push_back({}); }

template <int LEFT> static void copies_awaited()
{
    auto &sets = shim::my_copies();
    while (sets.size() > LEFT + 1) {
        for (const shim::Copy &copy : sets.front()) copy.make();
        sets.erase(sets.begin());
    }
}
