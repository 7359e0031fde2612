// Operations that take every row by itself.
#include <algorithm>
#include <cmath>

#include "dispatch.h"
#include "ops.h"
#include "pool.h"

namespace gw {
namespace {

// Rows a piece of work takes, so that one piece is worth the hand-over (about 16k values).
int grain(int values_per_row) { return std::max(1, 16384 / std::max(1, values_per_row)); }

}  // namespace

void rms_norm(const float* x, int rows, int n, const float* scale, float eps, float* out) {
  const Kernels& run = kernels();
  parallel_for(rows, grain(n), [&](int begin, int end, int) {
    for (int r = begin; r < end; ++r) run.rms_norm(x + (size_t)r * n, scale, out + (size_t)r * n, n, eps);
  });
}

// Angles in double: at position 131,072 a float angle would be off by up to 0.008.
void rope_table(const int* positions, int tokens, int n, double base, double stretch, int turned, float* out) {
  int half = n / 2;
  std::vector<double> frequency(half, 0.0);
  for (int i = 0; i < turned; ++i) frequency[i] = std::pow(base, -2.0 * i / n) / stretch;
  parallel_for(tokens, 16, [&](int begin, int end, int) {
    for (int t = begin; t < end; ++t)
      for (int i = 0; i < half; ++i) {
        double angle = positions[t] * frequency[i];
        out[(size_t)t * n + i] = (float)std::cos(angle);
        out[(size_t)t * n + half + i] = (float)std::sin(angle);
      }
  });
}

void rope(const float* x, int tokens, int heads, int n, const float* table, float* out) {
  const Kernels& run = kernels();
  size_t stride = (size_t)heads * n;
  parallel_for(tokens, grain((int)stride), [&](int begin, int end, int) {
    for (int t = begin; t < end; ++t) run.rope(x + t * stride, table + (size_t)t * n, out + t * stride, heads, n);
  });
}

void norm_rope(const float* x, int tokens, int heads, int n, const float* scale, float eps, const float* table, float* out) {
  const Kernels& run = kernels();
  size_t stride = (size_t)heads * n;
  parallel_for(tokens, grain((int)stride), [&](int begin, int end, int) {
    for (int t = begin; t < end; ++t) {
      float* to = out + t * stride;
      for (int h = 0; h < heads; ++h) run.rms_norm(x + t * stride + (size_t)h * n, scale, to + (size_t)h * n, n, eps);
      run.rope(to, table + (size_t)t * n, to, heads, n);
    }
  });
}

void add_norm(const float* x, const float* y, int rows, int n, const float* scale, const float* next, float eps, float* sum, float* normed) {
  const Kernels& run = kernels();
  parallel_for(rows, grain(n), [&](int begin, int end, int) {
    for (size_t r = begin; r < (size_t)end; ++r) {
      run.rms_norm(y + r * n, scale, sum + r * n, n, eps);
      run.add(x + r * n, sum + r * n, sum + r * n, n);
      run.rms_norm(sum + r * n, next, normed + r * n, n, eps);
    }
  });
}

void geglu(const float* gate, const float* up, int rows, int n, float* out) {
  const Kernels& run = kernels();
  parallel_for(rows, grain(n * 4), [&](int begin, int end, int) {
    size_t at = (size_t)begin * n;
    for (int r = begin; r < end; ++r, at += n) run.geglu(gate + at, up + at, out + at, n);
  });
}

void add(const float* a, const float* b, int rows, int n, float* out) {
  const Kernels& run = kernels();
  parallel_for(rows, grain(n), [&](int begin, int end, int) {
    size_t at = (size_t)begin * n;
    for (int r = begin; r < end; ++r, at += n) run.add(a + at, b + at, out + at, n);
  });
}

void softcap(const float* x, float cap, int rows, int n, float* out) {
  const Kernels& run = kernels();
  parallel_for(rows, grain(n * 4), [&](int begin, int end, int) {
    for (size_t r = begin; r < (size_t)end; ++r) run.softcap(x + r * n, cap, out + r * n, n);
  });
}

void mean_square(const float* x, int rows, int n, float* out) {
  const Kernels& run = kernels();
  parallel_for(rows, grain(n), [&](int begin, int end, int) {
    for (size_t r = begin; r < (size_t)end; ++r) out[r] = run.mean_square(x + r * n, n);
  });
}

void softmax(const float* x, int rows, int n, float* out) {
  const Kernels& run = kernels();
  parallel_for(rows, grain(n * 4), [&](int begin, int end, int) {
    for (size_t r = begin; r < (size_t)end; ++r) run.softmax(x + r * n, out + r * n, n);
  });
}

void sparsify(const float* x, float deviations, int rows, int n, float* out) {
  const Kernels& run = kernels();
  parallel_for(rows, grain(n * 2), [&](int begin, int end, int) {
    for (size_t r = begin; r < (size_t)end; ++r) run.sparsify(x + r * n, deviations, out + r * n, n);
  });
}

void mix(const float* x, const float* factor, int tokens, int from, int to, int n, float* out) {
  const Kernels& run = kernels();
  parallel_for(tokens, grain(from * to * n), [&](int begin, int end, int) {
    for (size_t t = begin; t < (size_t)end; ++t)
      for (int i = 0; i < to; ++i) {
        const float *f = factor + (t * to + i) * from, *source = x + t * from * n;
        float* y = out + (t * to + i) * n;
        run.scale(source, f[0], y, n);
        for (int j = 1; j < from; ++j) run.add_scaled(y, f[j], source + (size_t)j * n, y, n);
      }
  });
}

void spread(const float* x, const float* factor, const float* d, int tokens, int streams, int n, float* out) {
  const Kernels& run = kernels();
  parallel_for(tokens, grain(streams * n), [&](int begin, int end, int) {
    for (size_t t = begin; t < (size_t)end; ++t)
      for (int i = 0; i < streams; ++i) {
        size_t at = t * streams + i;
        run.add_scaled(x + at * n, factor[at], d + t * n, out + at * n, n);
      }
  });
}

}  // namespace gw
