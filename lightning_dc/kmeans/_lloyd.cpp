/* The inner loops of k-means on a CPU, in float32. native.py calls them; without a compiler PyTorch does their work.

   Rows are told apart by an index range, so that threads share a call's arrays and nothing else. Each function is
   compiled for several instruction sets, and the best that the processor has is taken. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <utility>

struct Assignment {
  const float *x;          // rows, (n, d)
  const float *norms;      // their Euclidean norms, (n,)
  const double *centroids; // of each restart, (r, k, d)
  const float *scaled;     // the same times -2
  const float *squares;    // their squared norms, (r, k)
  const float *longest;    // the largest norm of each restart's, (r,)
  float factor;            // error of a squared distance, relative to (|x| + longest)^2
  int64_t n, d, r, k;
  int32_t *labels; // in: where to begin, k for nowhere; out: the nearest centroid, (r, n)
};

#define FAR 0x1p100f /* above all scores, and can be added to them */
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

/* Nearest centroids of rows begin .. end - 1 in each restart; 0, or 1 if memory is short. */
int kmeans_assign(const Assignment *a, int64_t begin, int64_t end) { return BEST(assign(*a, begin, end)); }

/* Takes rows out of the sums of the clusters before, unless that is k, and into those after: features begin .. end - 1 of
   d + 1, where the last one counts. Totals (k, d + 1), labels (n,), weights (n,) or none. Returns how many labels differ.
*/
int64_t kmeans_move(const float *x, const double *weights, const int32_t *before, const int32_t *after, int64_t n, int64_t d,
                    int64_t k, int64_t begin, int64_t end, double *totals) {
  return BEST(move(x, weights, before, after, n, d, k, begin, end, totals));
}

/* Squared distances of rows begin .. end - 1 to the centroids (k, d) of their labels, from differences, (n,). */
void kmeans_distances(const float *x, const double *centroids, const int32_t *labels, int64_t d, int64_t begin, int64_t end,
               double *out) {
  BEST(distances(x, centroids, labels, d, begin, end, out));
}
}
