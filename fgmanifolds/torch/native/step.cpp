// One step of FG-SGD on all kernels of shape ROWS x COLUMNS, on the CPU.
//
// Kernels are handled LANES at a time, entry by entry: every line works on vectors of
// one entry of LANES kernels, whatever their manifolds, which are chosen by masks. The
// formulas are those of fgmanifolds/torch/unrolled.py, which this file is tested against.
#include <cmath>
#include <cstdint>
#include <cstring>
#ifdef _OPENMP
#include <omp.h>
#endif

#ifndef LANES
#define LANES 16
#endif
#define ENTRIES (ROWS * COLUMNS)

typedef float Vec __attribute__((vector_size(4 * LANES)));
typedef int32_t Int __attribute__((vector_size(4 * LANES)));
typedef uint8_t Bytes __attribute__((vector_size(LANES)));

struct Layer {
    float *weight, *buffer;
    const float *gradient;
    const uint8_t *kind;   // 0 Euclidean, 1 sphere, 2 oblique, 3 Stiefel: KINDS of kernels.py
    const float *radius;   // of each kernel
    const int32_t *pom;    // of each kernel, counted over all layers
    int64_t kernels;
    int64_t fresh;         // 1: the buffer holds nothing yet
    int64_t inputs;        // channels_last: kernels beside each other, as planes; else 0
};

struct Options {
    float momentum, dampening, decay, sign;
    int32_t nesterov, write;
};

static inline Vec splat(float x) {
    Vec v;
    for (int l = 0; l < LANES; ++l) v[l] = x;
    return v;
}

static inline Vec root(Vec x) {
    alignas(64) float v[LANES];
    std::memcpy(v, &x, sizeof(v));
    for (int l = 0; l < LANES; ++l) v[l] = std::sqrt(v[l]);
    std::memcpy(&x, v, sizeof(v));
    return x;
}

static inline Vec pick(Int mask, Vec a, Vec b) { return mask ? a : b; }

static inline int at(int row, int column) {
#ifdef WIDE
    return column * ROWS + row;
#else
    return row * COLUMNS + column;
#endif
}

// Sixteen kernels, one after the other in memory, to planes of one entry each, and back.
template <bool FULL>
static inline void load(Vec *out, const float *from, int count) {
    alignas(64) float entries[ENTRIES][LANES];
    if (!FULL) std::memset(entries, 0, sizeof(entries));
    const int n = FULL ? LANES : count;
#pragma GCC unroll 16
    for (int l = 0; l < n; ++l)
#pragma GCC unroll 9
        for (int e = 0; e < ENTRIES; ++e) entries[e][l] = from[l * ENTRIES + e];
    std::memcpy(out, entries, sizeof(entries));
}

template <bool FULL>
static inline void store(float *to, const Vec *in, int count) {
    alignas(64) float entries[ENTRIES][LANES];
    std::memcpy(entries, in, sizeof(entries));
    const int n = FULL ? LANES : count;
#pragma GCC unroll 16
    for (int l = 0; l < n; ++l)
#pragma GCC unroll 9
        for (int e = 0; e < ENTRIES; ++e) to[l * ENTRIES + e] = entries[e][l];
}

// Entries are planes in memory already, so far apart: channels_last.
template <bool FULL>
static inline void load_planes(Vec *out, const float *from, int64_t apart, int count) {
    for (int e = 0; e < ENTRIES; ++e) {
        if (!FULL) out[e] = splat(0.0f);
        std::memcpy(&out[e], from + e * apart, FULL ? sizeof(Vec) : count * sizeof(float));
    }
}

template <bool FULL>
static inline void store_planes(float *to, const Vec *in, int64_t apart, int count) {
    for (int e = 0; e < ENTRIES; ++e)
        std::memcpy(to + e * apart, &in[e], FULL ? sizeof(Vec) : count * sizeof(float));
}

template <bool FULL, bool PLANES>
static inline void get(Vec *out, const float *from, int64_t apart, int count) {
    if (PLANES) load_planes<FULL>(out, from, apart, count);
    else load<FULL>(out, from, count);
}

template <bool FULL, bool PLANES>
static inline void put(float *to, const Vec *in, int64_t apart, int count) {
    if (PLANES) store_planes<FULL>(to, in, apart, count);
    else store<FULL>(to, in, count);
}

static inline Vec dot(const Vec *x, int b, const Vec *y, int c) {
    Vec sum = x[at(0, b)] * y[at(0, c)];
    for (int a = 1; a < ROWS; ++a) sum += x[at(a, b)] * y[at(a, c)];
    return sum;
}

// Subtract from m its normal part at the unit points w: m - w N(w^T m).
static inline void project(const Vec *w, Vec *m, Int sphere, Int oblique, Int stiefel) {
    const Vec zero = splat(0.0f);
    Vec own[COLUMNS], mixed[COLUMNS * COLUMNS], trace = zero;
    for (int b = 0; b < COLUMNS; ++b) {
        own[b] = dot(w, b, m, b);
        trace += own[b];
        for (int c = 0; c < b; ++c)
            mixed[b * COLUMNS + c] = pick(stiefel, 0.5f * (dot(w, b, m, c) + dot(w, c, m, b)), zero);
    }
    for (int b = 0; b < COLUMNS; ++b) {
        const Vec normal = pick(sphere, trace, pick(oblique | stiefel, own[b], zero));
        for (int a = 0; a < ROWS; ++a) m[at(a, b)] -= w[at(a, b)] * normal;
        for (int c = 0; c < b; ++c)
            for (int a = 0; a < ROWS; ++a) {
                m[at(a, b)] -= w[at(a, c)] * mixed[b * COLUMNS + c];
                m[at(a, c)] -= w[at(a, b)] * mixed[b * COLUMNS + c];
            }
    }
}

// One pass of masked Gram-Schmidt: normalise as a whole, by columns, or orthonormalise.
static inline void normalise(Vec *x, Int sphere, Int oblique, Int stiefel) {
    Vec zero = splat(0.0f), one = splat(1.0f), tiny = splat(1e-38f), whole = zero;
    for (int e = 0; e < ENTRIES; ++e) whole += x[e] * x[e];
    for (int b = 0; b < COLUMNS; ++b) {
        for (int c = 0; c < b; ++c) {
            const Vec overlap = pick(stiefel, dot(x, c, x, b), zero);
            for (int a = 0; a < ROWS; ++a) x[at(a, b)] -= overlap * x[at(a, c)];
        }
        Vec square = pick(sphere, whole, pick(oblique | stiefel, dot(x, b, x, b), one));
        square = pick(square > tiny, square, tiny);
        Vec scale = one / root(square);
        for (int a = 0; a < ROWS; ++a) x[at(a, b)] *= scale;
    }
}

// Kernels start, start + 1, ..., whose entries begin at offset.
template <bool FULL, bool PLANES>
static inline void block(const Layer &layer, const Options &o, const float *factor, double *sums,
                         int64_t start, int64_t offset, int count) {
    const int64_t apart = layer.inputs;
    Vec w[ENTRIES], m[ENTRIES], old[ENTRIES];
    alignas(64) float factors[LANES];
    Vec radius = splat(1.0f), step;
    Bytes kinds = {};
    std::memcpy(&radius, layer.radius + start, FULL ? sizeof(Vec) : count * sizeof(float));
    std::memcpy(&kinds, layer.kind + start, FULL ? sizeof(Bytes) : count);
    for (int l = 0; l < LANES; ++l)
        factors[l] = FULL || l < count ? factor[layer.pom[start + l]] : 0.0f;
    std::memcpy(&step, factors, sizeof(step));
    const Int kind = __builtin_convertvector(kinds, Int);
    const Int sphere = kind == 1, oblique = kind == 2, stiefel = kind == 3;
    get<FULL, PLANES>(w, layer.weight + offset, apart, count);
    get<FULL, PLANES>(m, layer.gradient + offset, apart, count);
    for (int e = 0; e < ENTRIES; ++e) m[e] = o.sign * m[e] + o.decay * w[e];
    if (o.momentum != 0.0f) {
        if (layer.fresh) {
            std::memcpy(old, m, sizeof(m));
        } else {
            get<FULL, PLANES>(old, layer.buffer + offset, apart, count);
            for (int e = 0; e < ENTRIES; ++e)
                old[e] = o.momentum * old[e] + (1.0f - o.dampening) * m[e];
        }
        if (o.write) put<FULL, PLANES>(layer.buffer + offset, old, apart, count);
        for (int e = 0; e < ENTRIES; ++e) m[e] = o.nesterov ? m[e] + o.momentum * old[e] : old[e];
    }
    const Vec inverse = 1.0f / radius;
    for (int e = 0; e < ENTRIES; ++e) w[e] *= inverse;
    project(w, m, sphere, oblique, stiefel);
    Vec square = splat(0.0f);
    for (int e = 0; e < ENTRIES; ++e) square += m[e] * m[e];
    for (int l = 0; l < count; ++l) sums[layer.pom[start + l]] += square[l];
    if (!o.write) return;
    step *= inverse;
    for (int e = 0; e < ENTRIES; ++e) w[e] += step * m[e];
    normalise(w, sphere, oblique, stiefel);
    // One pass is enough unless a step is longer than the radius: see unrolled.py.
    const Vec turns = step * step * square;
    bool far = false;
    for (int l = 0; l < LANES; ++l) far |= !(turns[l] <= 1.0f);
    if (far) normalise(w, sphere, oblique, stiefel);
    for (int e = 0; e < ENTRIES; ++e) w[e] *= radius;
    put<FULL, PLANES>(layer.weight + offset, w, apart, count);
}

// Block b of a layer: of all its kernels in turn, or of those with one output.
static inline void step_block(const Layer &layer, const Options &o, const float *factor,
                              double *sums, int64_t b) {
    if (layer.inputs) {
        const int64_t each = (layer.inputs + LANES - 1) / LANES;
        const int64_t output = b / each, input = b % each * LANES;
        const int64_t start = output * layer.inputs + input, left = layer.inputs - input;
        const int64_t offset = output * layer.inputs * ENTRIES + input;
        if (left < LANES) block<false, true>(layer, o, factor, sums, start, offset, left);
        else block<true, true>(layer, o, factor, sums, start, offset, LANES);
    } else {
        const int64_t start = b * LANES, left = layer.kernels - start, offset = start * ENTRIES;
        if (left < LANES) block<false, false>(layer, o, factor, sums, start, offset, left);
        else block<true, false>(layer, o, factor, sums, start, offset, LANES);
    }
}

static inline int64_t count_blocks(const Layer &layer) {
    const int64_t each = layer.inputs ? layer.inputs : layer.kernels;
    return (each + LANES - 1) / LANES * (layer.kernels / each);
}

// Whether all gradients are finite: no exponent is all ones.
extern "C" int32_t fgsgd_finite(const Layer *layers, int32_t n, int32_t threads) {
    int32_t broken = 0;
#pragma omp parallel num_threads(threads) reduction(| : broken)
    for (int i = 0; i < n; ++i) {
        const int64_t numbers = layers[i].kernels * ENTRIES;
        const float *from = layers[i].gradient;
#pragma omp for schedule(static) nowait
        for (int64_t j = 0; j < numbers; ++j) {
            int32_t bits;
            std::memcpy(&bits, from + j, sizeof(bits));
            broken |= (bits & 0x7f800000) == 0x7f800000;
        }
    }
    return !broken;
}

// Project, sum squared norms over POMs, and, if asked to write, move and retract.
// sums: threads x poms, zeroed by the caller.
extern "C" void fgsgd_step(const Layer *layers, int32_t n, const Options *options,
                           const float *factor, double *sums, int64_t poms, int32_t threads) {
#pragma omp parallel num_threads(threads)
    {
#ifdef _OPENMP
        double *own = sums + poms * omp_get_thread_num();
#else
        double *own = sums;
#endif
        for (int i = 0; i < n; ++i) {
            const int64_t blocks = count_blocks(layers[i]);
#pragma omp for schedule(static) nowait
            for (int64_t b = 0; b < blocks; ++b)
                step_block(layers[i], *options, factor, own, b);
        }
    }
}
