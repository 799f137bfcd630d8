"""Rows where they lie, read by vectors: what is padding in these is put in while they are loaded, and nothing else is touched."""
from cyconv.cpu.simd cimport VB, inlined
from cyconv.cpu.slide_vectors cimport load_within, pooled, sd, widened, widened_within
from cyconv.cpu.slide_work cimport Room, Work

cdef struct Span:
    Py_ssize_t size                     # bytes of a number, as it is computed with
    Py_ssize_t low, high                # the bytes that exist
    Py_ssize_t bytes                    # of results
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
