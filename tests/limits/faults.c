/* Makes allocations fail on demand: preloaded (LD_PRELOAD), driven by faults.py through ctypes.

   gcc -O2 -shared -fPIC faults.c -o faults.so -ldl

   fault_arm(n, m): the n-th allocation from now on fails, and all others up to the m-th, until fault_armed is 0 again.

   The code from fault_spare to fault_spare_end always gets what it asks for: NumPy's npyiter_allocate_buffers. Without them NumPy 2.4 raises
   SystemError or, where it has let the GIL go, crashes, which is no matter of cyconv's. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

static atomic_long asked, failed, first, last;
atomic_int fault_armed;
const char *fault_spare, *fault_spare_end;

static void *(*real_malloc)(size_t), *(*real_calloc)(size_t, size_t), *(*real_realloc)(void *, size_t);
static int (*real_posix_memalign)(void **, size_t, size_t);
static void *(*real_aligned_alloc)(size_t, size_t);
static void *(*real_mmap)(void *, size_t, int, int, int, off_t);

static char early[65536]; /* dlsym allocates before it has found calloc */
static size_t early_used;

__attribute__((constructor)) static void find(void) {
  real_malloc = dlsym(RTLD_NEXT, "malloc");
  real_calloc = dlsym(RTLD_NEXT, "calloc");
  real_realloc = dlsym(RTLD_NEXT, "realloc");
  real_posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
  real_aligned_alloc = dlsym(RTLD_NEXT, "aligned_alloc");
  real_mmap = dlsym(RTLD_NEXT, "mmap");
}

static int refused(void) {
  long now;
  if (!fault_armed) return 0;
  now = ++asked;
  if (now < first || now > last) return 0;
  failed++;
  errno = ENOMEM;
  return 1;
}

void fault_arm(long from, long to) { asked = 0, failed = 0, first = from, last = to, fault_armed = 1; }
long fault_asked(void) { return asked; }
long fault_failed(void) { return failed; }

void *malloc(size_t n) {
  const char *caller = __builtin_return_address(0);
  if ((caller < fault_spare || caller >= fault_spare_end) && refused()) return NULL;
  if (!real_malloc) find();
  return real_malloc(n);
}
void *calloc(size_t n, size_t m) {
  void *p;
  if (refused()) return NULL;
  if (!real_calloc) { /* in dlsym */
    p = early + early_used;
    early_used += (n * m + 63) & ~(size_t)63;
    return early_used <= sizeof early ? p : NULL;
  }
  return real_calloc(n, m);
}
void *realloc(void *p, size_t n) { return refused() ? NULL : real_realloc(p, n); }
int posix_memalign(void **p, size_t a, size_t n) { return refused() ? ENOMEM : real_posix_memalign(p, a, n); }
void *aligned_alloc(size_t a, size_t n) { return refused() ? NULL : real_aligned_alloc(a, n); }
void *mmap(void *p, size_t n, int prot, int flags, int fd, off_t at) {
  if (!real_mmap) find();
  return refused() ? MAP_FAILED : real_mmap(p, n, prot, flags, fd, at);
}
