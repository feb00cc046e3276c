/* Inner loops of k-means for float32 on a CPU. native.py calls them; if they have not been compiled, k-means uses
   PyTorch instead.

   Each function is compiled for several instruction sets, and the best one that the processor supports is called.
   Results do not depend on the number of threads. */

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <utility>

/* Arguments of kmeans_assign: n rows of d features, k centroids in each of r restarts. */
struct Assignment {
  const float *x;          // rows, (n, d)
  const float *norms;      // Euclidean norms of the rows, (n,)
  const double *centroids; // centroids of each restart, (r, k, d)
  const float *scaled;     // centroids times -2, (r, k, d)
  const float *squares;    // squared norms of the centroids, (r, k)
  const float *longest;    // largest norm of the centroids of each restart, (r,)
  float factor;            // bound of the error of a squared distance, relative to (|x| + longest)^2
  int64_t n, d, r, k;
  int32_t *labels; // in: centroid at which the search begins, k for none; out: nearest centroid, (r, n)
};

/* Parts 0 .. n_parts - 1 of some work; each thread takes the next part when it has finished one. */
template <class Part> struct Work {
  const Part &part;
  int64_t n_parts;
  int64_t next;
  int n_threads;

  static void *run(void *pointer) {
    Work *work = (Work *)pointer;
    const int thread = __atomic_fetch_add(&work->n_threads, 1, __ATOMIC_RELAXED);
    for (int64_t i; (i = __atomic_fetch_add(&work->next, 1, __ATOMIC_RELAXED)) < work->n_parts;) work->part(i, thread);
    return nullptr;
  }
};

/* Calls part(i, thread) for i = 0 .. n_parts - 1 from several threads. */
template <class Part> static void in_parallel(int64_t n_parts, int n_threads, const Part &part) {
  Work<Part> work = {part, n_parts, 0, 0};
  pthread_t others[63];
  int n_others = 0;
  while (n_others < 63 && n_others + 1 < n_threads && n_others + 1 < n_parts &&
         pthread_create(&others[n_others], nullptr, Work<Part>::run, &work) == 0)
    n_others++;
  Work<Part>::run(&work);
  while (n_others > 0) pthread_join(others[--n_others], nullptr);
}

#define FAR 0x1p100f /* larger than all scores, which can still be added to it */
#define NAME portable
#define LANES 4
#define VECTORS 3
#define LARGEST_GROUP 4
#define TARGET
#define ANY_AT_MOST(a, b) any((a) <= (b))
#include "_lloyd.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define NAME avx2
#define LANES 8
#define VECTORS 3
#define LARGEST_GROUP 4
#define TARGET __attribute__((target("avx2,fma")))
#define ANY_AT_MOST(a, b) _mm256_movemask_ps(_mm256_cmp_ps((__m256)(a), (__m256)(b), _CMP_LE_OQ))
#include "_lloyd.h"

#define NAME avx512
#define LANES 16
#define VECTORS 3
#define LARGEST_GROUP 8
#define TARGET __attribute__((target("avx512f,avx512vl,avx512dq,fma")))
#define ANY_AT_MOST(a, b) _mm512_cmp_ps_mask((__m512)(a), (__m512)(b), _CMP_LE_OQ)
#include "_lloyd.h"

#define BEST(call)                                                                                              \
  (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") \
       ? avx512::call                                                                                           \
   : __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? avx2::call                               \
                                                                     : portable::call)
#else
#define BEST(call) portable::call
#endif

extern "C" {

/* Returns the size of Assignment, by which native.py recognises a library of another version. */
int64_t kmeans_layout(void) { return sizeof(Assignment); }

/* Finds the nearest centroid of each row in each restart; returns false if memory is short. */
bool kmeans_assign(const Assignment *a, int n_threads) { return BEST(assign(*a, n_threads)); }

/* Subtracts rows from the sums of their previous clusters, unless that is k, and adds them to the sums of their new
   clusters. Shapes: before and after, labels, (r, n); weights (n,) or null; totals (r, k + 1, d + 1), whose last column
   holds the sums of the weights. n_moved (r,) receives the number of labels that differ in each restart.
   Threads divide the columns of a sum among them, so that its rows are always added in the same order; therefore each
   thread reads all labels. */
void kmeans_move(const float *x, const double *weights, const int32_t *before, const int32_t *after, int64_t n, int64_t d,
                 int64_t r, int64_t k, double *totals, int64_t *n_moved, int n_threads) {
  const int64_t n_slices = r < n_threads ? (n_threads < d + 1 ? n_threads : d + 1) : 1;
  in_parallel(r * n_slices, n_threads, [&](int64_t part, int) {
    const int64_t restart = part / n_slices, slice = part % n_slices;
    const int64_t begin = slice * (d + 1) / n_slices, end = (slice + 1) * (d + 1) / n_slices;
    const int64_t count = BEST(move(x, weights, before + restart * n, after + restart * n, n, d, k, begin, end,
                                    totals + restart * (k + 1) * (d + 1)));
    if (slice == 0) n_moved[restart] = count;
  });
}

/* Computes squared distances of rows to the centroids (k, d) of their labels, (n,), from differences. */
void kmeans_distances(const float *x, const double *centroids, const int32_t *labels, int64_t n, int64_t d, double *out,
                      int n_threads) {
  const int64_t rows = 1 + 65536 / (d + 1);
  in_parallel((n + rows - 1) / rows, n_threads, [&](int64_t part, int) {
    const int64_t end = (part + 1) * rows < n ? (part + 1) * rows : n;
    BEST(distances(x, centroids, labels, d, part * rows, end, out));
  });
}
}
