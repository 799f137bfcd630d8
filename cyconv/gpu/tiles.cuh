// Walks through tiles of an array, or through all of it: neighbouring threads have neighbouring x, a block goes through several small
// tiles or a piece of a large one, and no division is done for each number.
#pragma once

// Tiles and the array that they are read from or written to; tiles.py fills it.
struct Tiles {
    long long first, planes;           // of this launch: planes are numbered [unit][group][channel]
    long long group, groups, channels; // first group, groups, and channels of a group
    long long count[3];                // tiles along each axis
    long long advance[3];              // positions of the padded array from one tile to the next
    long long box[3];                  // numbers of a tile that are written or read, fewer than 2**31
    long long step[3], whole;          // from one to the next of them, and from tile to tile
    long long before[3], size[3];      // of the array: its padding and samples
    long long end[3];                  // positions from here on do not matter
    long long mode;
    long long array[6];                // strides
    long long run;                     // planes of a block, one after the other
};

enum { THREADS = 256, CHUNK = 4096 };  // and positions of a tile that a block does; tiles.py has the same

__device__ __forceinline__ bool is_finite(float x) { return x - x == 0; }
__device__ __forceinline__ bool is_finite(double x) { return x - x == 0; }
template <typename R>
__device__ __forceinline__ bool is_finite(Complex<R> x)
{
    return is_finite(x.re) && is_finite(x.im);
}

// Calls f(plane, its channel among all of this launch's groups, its offset in the array, the tile's first position along each axis, z, y, x)
// for what this thread does of the tiles.
template <typename F>
__device__ __forceinline__ void visit(const Tiles &t, F f)
{
    const int wide = t.box[2], high = t.box[1], volume = wide * high * static_cast<int>(t.box[0]);
    const unsigned chunks = (volume + CHUNK - 1) / CHUNK;
    const int begin = blockIdx.x % chunks * CHUNK, end = min(volume - begin, static_cast<int>(CHUNK)) + begin;
    const int first = begin + threadIdx.x;
    const int first_x = first % wide, first_y = first / wide % high, first_z = first / (wide * high);
    const int dx = THREADS % wide, dy = THREADS / wide % high, dz = THREADS / (wide * high);
    long long plane = blockIdx.x / chunks * t.run;
    const long long last = min(plane + t.run, t.planes);
    long long rest = t.first + plane;
    long long c = rest % t.channels, g = rest / t.channels % t.groups;
    rest /= t.channels * t.groups;
    long long tx = rest % t.count[2];
    rest /= t.count[2];
    long long ty = rest % t.count[1];
    rest /= t.count[1];
    long long tz = rest % t.count[0], n = rest / t.count[0];
    for (; plane < last; plane++) {
        const long long offset = n * t.array[0] + (t.group + g) * t.array[1] + c * t.array[2];
        const long long at[3] = {tz * t.advance[0], ty * t.advance[1], tx * t.advance[2]};
        int x = first_x, y = first_y, z = first_z;
        for (int i = first; i < end; i += THREADS) {
            f(plane, g * t.channels + c, offset, at, z, y, x);
            x += dx;
            if (x >= wide) x -= wide, y++;
            y += dy;
            if (y >= high) y -= high, z++;
            z += dz;
        }
        if (++c < t.channels) continue;
        c = 0;
        if (++g < t.groups) continue;
        g = 0;
        if (++tx < t.count[2]) continue;
        tx = 0;
        if (++ty < t.count[1]) continue;
        ty = 0;
        if (++tz < t.count[0]) continue;
        tz = 0;
        n++;
    }
}
