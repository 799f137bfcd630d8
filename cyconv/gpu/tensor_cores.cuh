// What tensor cores and the copies that feed them offer, one instruction each: the only PTX of this folder, for sm_80 and later.
//
// A warp multiplies 16 rows by 8 columns, over 32 bytes of each: 16 numbers of half types, 8 of float. What lane `4 q + r` holds,
// as the PTX ISA has it in "Matrix fragments for mma.m16n8k16" and "... mma.m16n8k8", with w a register's number of 32 bits:
//
//     a[0], a[1]    word r of rows q and q + 8;      a[2], a[3]   word r + 4 of them
//     b0, b1        words r and r + 4 of column q
//     sum[0..1]     row q, columns 2 r and 2 r + 1;   sum[2..3]   row q + 8 of them
//
// Tests define CYCONV_TENSOR_CORES, and the same functions for the CPU (tests/host_gpu/include/tensor_cores.h).
#pragma once
#ifndef CYCONV_TENSOR_CORES
#define CYCONV_TENSOR_CORES

__device__ __forceinline__ unsigned shared_address(const void *at)
{
    return static_cast<unsigned>(__cvta_generic_to_shared(at));
}

// ---- products --------------------------------------------------------------------------------------------------------------

__device__ __forceinline__ void multiply_float16(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void multiply_bfloat16(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ void multiply_tf32(float (&sum)[4], const unsigned (&a)[4], unsigned b0, unsigned b1)
{
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// A float rounded to ten bits behind the point, to nearest, ties away from zero: the bits of what multiply_tf32 takes.
__device__ __forceinline__ unsigned to_tf32(float value)
{
    unsigned bits;
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
    return bits;
}

// ---- from shared memory to registers ---------------------------------------------------------------------------------------

// Four matrices of 8 rows of 16 bytes. Lane 8 m + i says where row i of matrix m lies; lane 4 q + r gets word r of row q of each.
__device__ __forceinline__ void load_matrices(unsigned (&words)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// The same of matrices of numbers of 16 bits, transposed: lane 4 q + r gets column q of rows 2 r and 2 r + 1 of each.
__device__ __forceinline__ void load_transposed(unsigned (&words)[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// ---- from global to shared memory, past the registers ----------------------------------------------------------------------

// 4, 8 or 16 bytes, which lie at a multiple of as many; zeros where nothing `exists`, and then nothing is read.
template <int BYTES> __device__ __forceinline__ void copy_async(void *shared, const void *global, bool exists)
{
    static_assert(BYTES == 4 || BYTES == 8 || BYTES == 16, "");
    const int read = exists ? BYTES : 0;
    if constexpr (BYTES == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(shared)), "l"(global), "r"(read) : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared_address(shared)), "l"(global), "n"(BYTES), "r"(read) : "memory");
}

// What this thread has copied since the last call is one set.
__device__ __forceinline__ void copies_sent()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

// Waits until all sets of this thread but the last LEFT have arrived; other threads see them after a barrier.
template <int LEFT> __device__ __forceinline__ void copies_awaited()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}

#endif
