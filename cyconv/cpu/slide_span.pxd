"""Rows where they lie, read and written by vectors: padding is put in while they are loaded, and nothing beside them is touched."""
from cyconv.cpu.shuffle cimport own
from cyconv.cpu.simd cimport VB, inlined
from cyconv.cpu.slide_vectors cimport load_within, narrowed, narrowed_part, pooled, sd, store_part, widened, widened_within
from cyconv.cpu.slide_work cimport Room, Work

cdef struct Span:
    Py_ssize_t size                     # bytes of a number, as it is computed with
    Py_ssize_t tap                      # bytes from one number of a window to the next
    Py_ssize_t low, high                # the bytes that exist
    Py_ssize_t bytes                    # of results
    Py_ssize_t octet                    # which run of 8 numbers is the first, counted along the whole row
    Py_ssize_t ahead                    # bytes from what is read to what is asked for meanwhile
    const char* bits                    # to turn
    const char* outside                 # a vector of padding, its bits not turned


cdef inline pooled load(const char* p, const pooled* like) noexcept nogil:
    return (<const pooled*> p)[0]

cdef inline void store(char* p, pooled v) noexcept nogil:
    (<pooled*> p)[0] = v

cdef inline void open_span(Span* s, const Work* w, const Room* r) noexcept nogil:
    """Of rows that begin where the padding before them would."""
    s.size, s.low, s.high = w.size, r.before * w.line_size, (r.before + r.columns) * w.line_size
    s.bytes = (r.end[2] - r.begin[2]) * w.size
    s.tap = w.axis[2].dilation * w.line_size
    s.octet = r.left * w.axis[2].stride // 8        # a whole number: pieces begin so (slide_cut.pxd)
    s.ahead = r.ahead_in
    s.bits, s.outside = w.bits, w.outside

cdef inline bint exists(const Span* s, Py_ssize_t at, Py_ssize_t bytes) noexcept nogil:
    return s.low <= at and at + bytes <= s.high

cdef inline inlined take(const char* line, Py_ssize_t at, const Span* s, bint inside, bint narrow, pooled* v) noexcept nogil:
    """The vector at byte `at` as it lies, or single precision in double; with padding, unless it is known to be `inside`."""
    cdef Py_ssize_t wide = VB // 2 if narrow else VB, last = min(max(s.high - at, 0), wide), first = min(max(s.low - at, 0), last)
    if pooled is sd:
        if narrow:
            v[0] = widened(line + at) if inside else widened_within(line + at, first, last)
            return
    v[0] = load(line + at, v) if inside else load_within(line + at, first, last, load(s.outside, v))

cdef inline inlined take_any(const char* line, Py_ssize_t at, const Span* s, bint narrow, pooled* v) noexcept nogil:
    if exists(s, at, VB // 2 if narrow else VB):
        take(line, at, s, True, narrow, v)
    else:
        take(line, at, s, False, narrow, v)

cdef inline inlined put(char* to, Py_ssize_t o, Py_ssize_t bytes, pooled m, Py_ssize_t ahead) noexcept nogil:
    """A vector of results to byte `o` of a row of so many bytes; what is written `ahead` of it is asked for."""
    own(to + o + ahead)
    if o + VB > bytes:
        store_part(to + o, m, bytes - o)
    else:
        store(to + o, m)

cdef inline inlined put_narrowed(char* to, Py_ssize_t o, Py_ssize_t n, sd m, Py_ssize_t ahead) noexcept nogil:
    """The same of sums as floats, to number `o` of n."""
    own(to + 4 * o + ahead)
    if o + VB // 8 > n:
        narrowed_part(to + 4 * o, m, n - o)
    else:
        narrowed(to + 4 * o, m)
