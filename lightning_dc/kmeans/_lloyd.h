/* Inner loops of k-means for one instruction set; _lloyd.cpp includes this file once for each set.

   ROWS rows at a time lie side by side in the lanes of vectors. They are compared with one group of centroids after
   another; groups are so small that all their scores |c|^2 - 2 x.c stay in registers. */

#define ROWS (LANES * VECTORS)

namespace NAME {

typedef float Vector __attribute__((vector_size(4 * LANES)));
typedef int32_t Integers __attribute__((vector_size(4 * LANES)));

TARGET static inline Vector load(const float *from) {
  Vector values;
  memcpy(&values, from, sizeof values);
  return values;
}

[[maybe_unused]] TARGET static inline bool any(Integers mask) {
  int32_t bits = 0;
  for (int lane = 0; lane < LANES; lane++) bits |= mask[lane];
  return bits != 0;
}

template <int... I>
TARGET static inline void interleave(Vector a, Vector b, Vector &low, Vector &high, std::integer_sequence<int, I...>) {
  low = __builtin_shufflevector(a, b, (I % 2 * LANES + I / 2)...);
  high = __builtin_shufflevector(a, b, (I % 2 * LANES + LANES / 2 + I / 2)...);
}

/* Transposes rows, (count, d), to columns, (d, ROWS). Square blocks are transposed in registers, by log2(LANES) perfect
   shuffles. */
TARGET static void transpose(const float *x, int64_t d, int64_t count, float *tile) {
  const int64_t in_squares = count == ROWS ? d - d % LANES : 0;
  for (int64_t row = 0; in_squares > 0 && row < ROWS; row += LANES)
    for (int64_t feature = 0; feature < in_squares; feature += LANES) {
      Vector from[LANES], to[LANES];
      for (int i = 0; i < LANES; i++) from[i] = load(x + (row + i) * d + feature);
#pragma GCC unroll 4
      for (int step = 1; step < LANES; step *= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < LANES / 2; i++)
          interleave(from[i], from[i + LANES / 2], to[2 * i], to[2 * i + 1], std::make_integer_sequence<int, LANES>());
        memcpy(from, to, sizeof to);
      }
      for (int i = 0; i < LANES; i++) memcpy(tile + (feature + i) * ROWS + row, &from[i], sizeof from[i]);
    }
  for (int64_t row = 0; row < count; row++)
    for (int64_t feature = in_squares; feature < d; feature++) tile[feature * ROWS + row] = x[row * d + feature];
}

TARGET static inline float dot(const float *a, const float *b, int64_t d) {
  float sum = 0.0f;
  int64_t i = 0;
  if (d >= LANES) {
    Vector sums = {};
    for (; i + LANES <= d; i += LANES) sums += load(a + i) * load(b + i);
    for (int lane = 0; lane < LANES; lane++) sum += sums[lane];
  }
  for (; i < d; i++) sum += a[i] * b[i];
  return sum;
}

/* Returns the squared distance of a row to a centroid, from differences. */
TARGET static inline double distance(const float *x, const double *centroid, int64_t d) {
  double sums[8] = {};
  int64_t i = 0;
  for (; i + 8 <= d; i += 8)
    for (int j = 0; j < 8; j++) {
      const double difference = x[i + j] - centroid[i + j];
      sums[j] += difference * difference;
    }
  for (; i < d; i++) {
    const double difference = x[i] - centroid[i];
    sums[i % 8] += difference * difference;
  }
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

/* Returns the nearest of the centroids whose scores are at most a limit; the first one if several are equally near. */
TARGET static int32_t nearest_by_differences(const Assignment &a, const float *x, int64_t r, float limit) {
  int32_t label = 0;
  double least = __builtin_inf();
  for (int64_t k = r * a.k; k < (r + 1) * a.k; k++) {
    if (a.squares[k] + dot(x, a.scaled + k * a.d, a.d) > limit) continue;
    const double own = distance(x, a.centroids + k * a.d, a.d);
    if (own < least) {
      least = own;
      label = (int32_t)(k - r * a.k);
    }
  }
  return label;
}

/* Copies the centroids of each restart in groups, (r, n_groups, d, GROUP), with their squares. The last group is filled
   up with centroids that are far away. */
static void pack(const Assignment &a, int group, int64_t n_groups, float *packed, float *squares) {
  for (int64_t r = 0; r < a.r; r++)
    for (int64_t g = 0; g < n_groups; g++)
      for (int j = 0; j < group; j++) {
        const int64_t k = g * group + j;
        *squares++ = k < a.k ? a.squares[r * a.k + k] : FAR;
        float *to = packed + (r * n_groups + g) * group * a.d + j;
        for (int64_t f = 0; f < a.d; f++) to[f * group] = k < a.k ? a.scaled[(r * a.k + k) * a.d + f] : 0.0f;
      }
}

template <int GROUP>
TARGET static void assign_groups(const Assignment &a, int64_t n_groups, int64_t begin, int64_t end, const float *all_packed,
                                 float *tile) {
  const int64_t d = a.d;
  /* If there are many centroids, few are as near as the previous nearest one: most groups only cost a comparison. */
  const bool warm = a.k >= 4 * LARGEST_GROUP;
  const float *all_squares = all_packed + a.r * n_groups * GROUP * d;
  for (int64_t first = begin; first < end; first += ROWS) {
    const int64_t count = end - first < ROWS ? end - first : ROWS;
    const float *x = a.x + first * d, *next = x + ROWS * d;
    float norms[ROWS] = {};
    memcpy(norms, a.norms + first, count * sizeof(float));
    transpose(x, d, count, tile);
    for (int64_t r = 0; r < a.r; r++) {
      const float *packed = all_packed + r * n_groups * GROUP * d, *squares = all_squares + r * n_groups * GROUP;
      int32_t *labels = a.labels + r * a.n + first;
      Vector best[VECTORS], second[VECTORS], margin[VECTORS];
      Integers label[VECTORS];
      for (int v = 0; v < VECTORS; v++) {
        const Vector reach = load(norms + v * LANES) + a.longest[r];
        margin[v] = 2.0f * a.factor * reach * reach;
        best[v] = second[v] = Vector{} + FAR;
        label[v] = Integers{} - 1;
      }
      for (int64_t i = 0; warm && i < count; i++) {
        const int32_t old = labels[i];
        if (old >= a.k) continue;
        best[i / LANES][i % LANES] = a.squares[r * a.k + old] + dot(x + i * d, a.scaled + (r * a.k + old) * d, d);
        label[i / LANES][i % LANES] = old;
      }
      for (int64_t g = 0; g < n_groups; g++) {
        const float *group = packed + g * GROUP * d;
        Vector scores[GROUP][VECTORS];
        for (int j = 0; j < GROUP; j++)
          for (int v = 0; v < VECTORS; v++) scores[j][v] = Vector{} + squares[g * GROUP + j];
        for (int64_t f = 0; f < d; f++) {
          Vector values[VECTORS];
          for (int v = 0; v < VECTORS; v++) {
            values[v] = load(tile + f * ROWS + v * LANES);
            __builtin_prefetch(next + f * ROWS + v * LANES, 0, 2);
          }
          for (int j = 0; j < GROUP; j++)
            for (int v = 0; v < VECTORS; v++) scores[j][v] += values[v] * group[f * GROUP + j];
        }
        for (int v = 0; v < VECTORS; v++) {
          if (warm) {
            Vector least = scores[0][v];
            for (int j = 1; j < GROUP; j++) least = scores[j][v] < least ? scores[j][v] : least;
            if (!ANY_AT_MOST(least, best[v] + margin[v])) continue;
          }
          for (int j = 0; j < GROUP; j++) {
            const int32_t number = (int32_t)(g * GROUP + j);
            const Vector score = warm ? (label[v] == number ? Vector{} + FAR : scores[j][v]) : scores[j][v];
            const Vector larger = score < best[v] ? best[v] : score;
            second[v] = larger < second[v] ? larger : second[v];
            label[v] = score < best[v] ? Integers{} + number : label[v];
            best[v] = score < best[v] ? score : best[v];
          }
        }
      }
      for (int v = 0; v < VECTORS; v++) label[v] = label[v] < 0 ? Integers{} : label[v]; /* all scores were NaN */
      memcpy(labels, label, count * sizeof(int32_t));
      for (int v = 0; v < VECTORS; v++)
        if (ANY_AT_MOST(second[v] - best[v], margin[v]))
          for (int64_t l = 0, i = v * LANES; l < LANES && i < count; l++, i++)
            if (second[v][l] - best[v][l] <= margin[v][l])
              labels[i] = nearest_by_differences(a, x + i * d, r, best[v][l] + margin[v][l]);
    }
  }
}

template <int GROUP>
static void assign_by(int group, const Assignment &a, int64_t n_groups, int64_t begin, int64_t end, const float *packed,
                      float *tile) {
  if constexpr (GROUP > 1)
    if (group < GROUP) return assign_by<GROUP - 1>(group, a, n_groups, begin, end, packed, tile);
  assign_groups<GROUP>(a, n_groups, begin, end, packed, tile);
}

static bool assign(const Assignment &a, int n_threads) {
  const int64_t n_groups = (a.k + LARGEST_GROUP - 1) / LARGEST_GROUP;
  const int group = (int)((a.k + n_groups - 1) / n_groups); /* groups of nearly equal sizes need little padding */
  const int64_t n_packed = a.r * n_groups * group * (a.d + 1), n_tile = (a.d + 1) * ROWS;
  float *packed = (float *)calloc(n_packed + n_threads * n_tile, sizeof(float));
  if (packed == nullptr) return false;
  pack(a, group, n_groups, packed, packed + a.r * n_groups * group * a.d);
  const int64_t rows = 128 * ROWS;
  in_parallel((a.n + rows - 1) / rows, n_threads, [&](int64_t part, int thread) {
    const int64_t end = (part + 1) * rows < a.n ? (part + 1) * rows : a.n;
    assign_by<LARGEST_GROUP>(group, a, n_groups, part * rows, end, packed, packed + n_packed + thread * n_tile);
  });
  free(packed);
  return true;
}

TARGET static int64_t move(const float *x, const double *weights, const int32_t *before, const int32_t *after, int64_t n,
                           int64_t d, int64_t k, int64_t begin, int64_t end, double *totals) {
  const int64_t last = end < d ? end : d;
  int64_t n_changed = 0;
  for (int64_t first = 0; first < n; first += 1024) {
    const int64_t stop = first + 1024 < n ? first + 1024 : n;
    int64_t changed[1024], count = 0; /* listed without unpredictable branches */
    for (int64_t i = first; i < stop; i++) {
      if (i % 16 == 0 && i + 16 <= stop) {
        int32_t differ = 0;
        for (int j = 0; j < 16; j++) differ |= before[i + j] ^ after[i + j];
        if (differ == 0) {
          i += 15;
          continue;
        }
      }
      changed[count] = i;
      count += before[i] != after[i];
    }
    n_changed += count;
    for (int64_t c = 0; c < count; c++) {
      const int64_t i = changed[c];
      if (c + 8 < count) __builtin_prefetch(x + changed[c + 8] * d + begin);
      const double weight = weights == nullptr ? 1.0 : weights[i];
      const float *__restrict row = x + i * d;
      double *__restrict to = totals + after[i] * (d + 1);
      for (int64_t f = begin; f < last; f++) to[f] += weight * row[f];
      if (end > d) to[d] += weight;
      if (before[i] == k) continue;
      double *__restrict from = totals + before[i] * (d + 1);
      for (int64_t f = begin; f < last; f++) from[f] -= weight * row[f];
      if (end > d) from[d] -= weight;
    }
  }
  return n_changed;
}

TARGET static void distances(const float *x, const double *centroids, const int32_t *labels, int64_t d, int64_t begin,
                             int64_t end, double *out) {
  for (int64_t i = begin; i < end; i++) out[i] = distance(x + i * d, centroids + labels[i] * d, d);
}

} // namespace NAME

#undef ROWS
#undef NAME
#undef LANES
#undef VECTORS
#undef LARGEST_GROUP
#undef TARGET
#undef ANY_AT_MOST
