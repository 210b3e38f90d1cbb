// One step of FG-SGD on all kernels of shape ROWS x COLUMNS, on the CPU.
//
// Kernels are handled LANES at a time, entry by entry: every line works on vectors of
// one entry of LANES kernels, whatever their manifolds, which are chosen by masks. The
// formulas are those of fgmanifolds/torch/ops/planes.py, which this file is tested against.
#include <cmath>
#include <cstdint>
#include <cstring>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "planes.hpp"

#define INLINE static inline __attribute__((always_inline))

typedef int32_t Int __attribute__((vector_size(4 * LANES)));
typedef uint8_t Bytes __attribute__((vector_size(LANES)));

struct Layer {
    float *weight, *buffer;
    const float *gradient;
    const uint8_t *kind;   // 0 Euclidean, 1 sphere, 2 oblique, 3 Stiefel: KINDS of manifolds.py
    const float *radius;   // of each kernel
    const int32_t *pom;    // of each kernel, counted over all layers
    int64_t kernels;
    int64_t fresh;         // 1: the buffer holds nothing yet
    int64_t mixed;         // 1: some manifolds are Stiefel's, whose columns mix
    int64_t inputs;        // channels_last: kernels beside each other, as planes; else 0
    float *each;           // of each kernel: the gradient's squared norm, or the momentum's factor
};

struct Options {
    float momentum, dampening, decay, sign;
    int32_t nesterov, write;
    int32_t scaled;        // 1: momenta are multiplied by the factors
};

INLINE Vec splat(float x) {
    Vec v;
    for (int l = 0; l < LANES; ++l) v[l] = x;
    return v;
}

INLINE Vec root(Vec x) {
    alignas(64) float v[LANES];
    std::memcpy(v, &x, sizeof(v));
    for (int l = 0; l < LANES; ++l) v[l] = std::sqrt(v[l]);
    std::memcpy(&x, v, sizeof(v));
    return x;
}

INLINE Vec pick(Int mask, Vec a, Vec b) { return mask ? a : b; }

INLINE bool all(Int mask) {
    const Bytes no = __builtin_convertvector(~mask, Bytes);
    uint64_t words[(LANES + 7) / 8] = {}, any = 0;
    std::memcpy(words, &no, sizeof(no));
    for (uint64_t word : words) any |= word;
    return !any;
}

INLINE int at(int row, int column) {
#ifdef WIDE
    return column * ROWS + row;
#else
    return row * COLUMNS + column;
#endif
}

// Copy a vector, or its first numbers: half of them, which is common, in one instruction.
template <bool FULL>
INLINE void transfer(void *to, const void *from, int count) {
    if (FULL) std::memcpy(to, from, sizeof(Vec));
    else if (count == LANES / 2) std::memcpy(to, from, sizeof(Vec) / 2);
    else std::memcpy(to, from, count * sizeof(float));
}

// Vectors from memory, or to it, each so many numbers after the one before.
template <bool FULL>
INLINE void read(Vec *out, const float *from, int64_t apart, int count) {
#pragma GCC unroll 64
    for (int e = 0; e < ENTRIES; ++e) {
        if (!FULL) out[e] = splat(0.0f);
        transfer<FULL>(&out[e], from + e * apart, count);
    }
}

template <bool FULL>
INLINE void write(float *to, const Vec *in, int64_t apart, int count) {
#pragma GCC unroll 64
    for (int e = 0; e < ENTRIES; ++e)
        transfer<FULL>(to + e * apart, &in[e], count);
}

// The numbers of some kernels: of each entry (channels_last), or in the order of memory.
template <bool FULL, bool PLANES>
INLINE void get(Vec *out, const float *from, int64_t apart, int count) {
    if (PLANES) return read<FULL>(out, from, apart, count);
    if (FULL) return read<true>(out, from, LANES, LANES);
    alignas(64) float padded[ENTRIES * LANES] = {};
    std::memcpy(padded, from, count * ENTRIES * sizeof(float));
    read<true>(out, padded, LANES, LANES);
}

template <bool FULL, bool PLANES>
INLINE void put(float *to, const Vec *in, int64_t apart, int count) {
    if (PLANES) return write<FULL>(to, in, apart, count);
    if (FULL) return write<true>(to, in, LANES, LANES);
    alignas(64) float padded[ENTRIES * LANES];
    write<true>(padded, in, LANES, LANES);
    std::memcpy(to, padded, count * ENTRIES * sizeof(float));
}

// Numbers of some kernels to planes, and back.
template <bool PLANES>
INLINE void turn(Vec *out, const Vec *in) {
    if (!PLANES) return to_planes(out, in);
    for (int e = 0; e < ENTRIES; ++e) out[e] = in[e];
}

template <bool PLANES>
INLINE void turn_back(Vec *out, const Vec *in) {
    if (!PLANES) return from_planes(out, in);
    for (int e = 0; e < ENTRIES; ++e) out[e] = in[e];
}

INLINE Vec squared_norm(const Vec *x) {
    Vec sum = x[0] * x[0];
    for (int e = 1; e < ENTRIES; ++e) sum += x[e] * x[e];
    return sum;
}

INLINE Vec dot(const Vec *x, int b, const Vec *y, int c) {
    Vec sum = x[at(0, b)] * y[at(0, c)];
    for (int a = 1; a < ROWS; ++a) sum += x[at(a, b)] * y[at(a, c)];
    return sum;
}

// LANES kernels on their way through a step: start, start + 1, ..., entries from offset on.
struct Block {
    Vec w[ENTRIES], m[ENTRIES];   // points and directions
    Vec radius, inverse, step;    // inverse: 1 / radius^2
    Vec square, raw;              // squared norms of the direction, projected and as it is
    Int kind;
    int64_t start, offset;
    int count;

    Int sphere() const { return kind == 1; }
    Int oblique() const { return kind == 2; }
    Int stiefel() const { return kind == 3; }
    Vec share(Int mask) const { return pick(mask, inverse, splat(0.0f)); }
};

// Subtract from the directions their normal parts: m - w N(w^T m) / radius^2. Columns mix on
// Stiefel manifolds alone.
template <bool MIXED>
INLINE void project(const Block &k, const Vec *w, Vec *m) {
    const Vec half = 0.5f * k.share(k.stiefel()), single = k.share(k.oblique() | k.stiefel());
    Vec own[COLUMNS], mixed[COLUMNS * COLUMNS], trace = splat(0.0f);
    for (int b = 0; b < COLUMNS; ++b) {
        own[b] = dot(w, b, m, b);
        trace += own[b];
        for (int c = 0; MIXED && c < b; ++c)
            mixed[b * COLUMNS + c] = half * (dot(w, b, m, c) + dot(w, c, m, b));
    }
    trace *= k.share(k.sphere());
    for (int b = 0; b < COLUMNS; ++b) {
        const Vec normal = trace + single * own[b];
        for (int a = 0; a < ROWS; ++a) m[at(a, b)] -= w[at(a, b)] * normal;
        for (int c = 0; MIXED && c < b; ++c)
            for (int a = 0; a < ROWS; ++a) {
                m[at(a, b)] -= w[at(a, c)] * mixed[b * COLUMNS + c];
                m[at(a, c)] -= w[at(a, b)] * mixed[b * COLUMNS + c];
            }
    }
}

// One pass of masked Gram-Schmidt: normalise as a whole, by columns, or orthonormalise.
template <bool MIXED>
INLINE void normalise(const Block &k, Vec *x) {
    const Vec tiny = splat(1e-38f), share = k.share(k.stiefel());
    const Vec whole = pick(k.sphere(), squared_norm(x), splat(1.0f));
    for (int b = 0; b < COLUMNS; ++b) {
        for (int c = 0; MIXED && c < b; ++c) {
            const Vec overlap = share * dot(x, c, x, b);
            for (int a = 0; a < ROWS; ++a) x[at(a, b)] -= overlap * x[at(a, c)];
        }
        Vec square = pick(k.oblique() | k.stiefel(), dot(x, b, x, b), whole);
        square = pick(square > tiny, square, tiny);
        const Vec scale = k.radius / root(square);
        for (int a = 0; a < ROWS; ++a) x[at(a, b)] *= scale;
    }
}

// A number for each of some kernels, from memory or to it.
template <bool FULL>
INLINE Vec load(const float *from, const Block &k) {
    Vec v = splat(0.0f);
    std::memcpy(&v, from + k.start, (FULL ? LANES : k.count) * sizeof(float));
    return v;
}

template <bool FULL>
INLINE void store(float *to, const Vec &v, const Block &k) {
    std::memcpy(to + k.start, &v, (FULL ? LANES : k.count) * sizeof(float));
}

// Multiply the momenta of some kernels by their factors.
template <bool FULL>
INLINE void scale_planes(const Layer &layer, const Options &o, const Block &k, Vec *m) {
    if (!o.scaled) return;
    const Vec factor = load<FULL>(layer.each, k);
    for (int e = 0; e < ENTRIES; ++e) m[e] *= factor;
}

// Directions from gradients, and momentum brought up to date, in the order of memory.
template <bool FULL, bool PLANES>
INLINE void direct(const Layer &layer, const Options &o, const Vec *w, Vec *m, const Block &k) {
    if (o.sign != 1.0f || o.decay != 0.0f)
        for (int e = 0; e < ENTRIES; ++e) m[e] = o.sign * m[e] + o.decay * w[e];
    if (o.momentum == 0.0f) return;
    Vec old[ENTRIES];
    if (layer.fresh) {
        for (int e = 0; e < ENTRIES; ++e) old[e] = m[e];
    } else {
        const float share = 1.0f - o.dampening;
        get<FULL, PLANES>(old, layer.buffer + k.offset, layer.inputs, k.count);
        for (int e = 0; e < ENTRIES; ++e) old[e] = o.momentum * old[e] + share * m[e];
    }
    if (o.write) put<FULL, PLANES>(layer.buffer + k.offset, old, layer.inputs, k.count);
    for (int e = 0; e < ENTRIES; ++e) m[e] = o.nesterov ? m[e] + o.momentum * old[e] : old[e];
}

// Ask for the next output's planes: they are more streams than a processor follows by itself. An
// address behind the last output does no harm.
INLINE void prefetch(const float *from, const Block &k, int64_t apart) {
    for (int e = 0; e < ENTRIES; ++e)
        __builtin_prefetch(from + k.offset + (ENTRIES + e) * apart);
}

template <bool FULL, bool PLANES>
INLINE void begin(const Layer &layer, const Options &o, const float *factor, Block &k) {
    const int count = FULL ? LANES : k.count;
    alignas(64) float steps[LANES] = {};
    Bytes kinds = {};
    k.radius = splat(1.0f);
    std::memcpy(&k.radius, layer.radius + k.start, count * sizeof(float));
    std::memcpy(&kinds, layer.kind + k.start, count);
    for (int l = 0; l < count; ++l) steps[l] = factor[layer.pom[k.start + l]];
    std::memcpy(&k.step, steps, sizeof(Vec));
    k.kind = __builtin_convertvector(kinds, Int);
    k.inverse = 1.0f / (k.radius * k.radius);
    if (PLANES) {
        prefetch(layer.weight, k, layer.inputs);
        prefetch(layer.gradient, k, layer.inputs);
        if (layer.buffer) prefetch(layer.buffer, k, layer.inputs);
    }
    Vec w[ENTRIES], m[ENTRIES];
    get<FULL, PLANES>(w, layer.weight + k.offset, layer.inputs, k.count);
    get<FULL, PLANES>(m, layer.gradient + k.offset, layer.inputs, k.count);
    direct<FULL, PLANES>(layer, o, w, m, k);
    turn<PLANES>(k.w, w);
    turn<PLANES>(k.m, m);
    scale_planes<FULL>(layer, o, k, k.m);
}

// Project the directions, and go along them.
template <bool MIXED>
INLINE void move(Block &k) {
    Vec m[ENTRIES];
    for (int e = 0; e < ENTRIES; ++e) m[e] = k.m[e];
    k.raw = squared_norm(m);
    project<MIXED>(k, k.w, m);
    k.square = squared_norm(m);
    // LONGEST of planes.py: further on the point does not change, but the columns become dependent.
    const Vec zero = splat(0.0f), size = pick(k.step < zero, -k.step, k.step) * root(k.square);
    const Vec longest = 1e6f * k.radius;
    k.step = pick((k.kind != 0) & (size > longest), k.step * (longest / size), k.step);
    for (int e = 0; e < ENTRIES; ++e) k.w[e] += k.step * m[e];
}

// Passes as passes_for in planes.py.
template <bool FULL, bool PLANES, bool MIXED>
INLINE void retract(const Layer &layer, const Block &k) {
    Vec x[ENTRIES], numbers[ENTRIES];
    for (int e = 0; e < ENTRIES; ++e) x[e] = k.w[e];
    normalise<MIXED>(k, x);
    const Vec turned = k.step * k.step * k.square, radius = k.radius * k.radius;
    if (!all(turned <= radius)) normalise<MIXED>(k, x);
    if (!all(turned <= 1e6f * radius)) normalise<MIXED>(k, x);
    turn_back<PLANES>(numbers, x);
    put<FULL, PLANES>(layer.weight + k.offset, numbers, layer.inputs, k.count);
}

// Where block b of a layer lies: of all its kernels in turn, or of those with one output.
template <bool PLANES>
INLINE void locate(const Layer &layer, int64_t b, Block &k) {
    k.start = b * LANES, k.offset = k.start * ENTRIES;
    int64_t left = layer.kernels - k.start;
    if (PLANES) {
        const int64_t each = (layer.inputs + LANES - 1) / LANES;
        const int64_t output = b / each, input = b % each * LANES;
        k.start = output * layer.inputs + input, left = layer.inputs - input;
        k.offset = output * layer.inputs * ENTRIES + input;
    }
    k.count = left < LANES ? left : LANES;
}

// Two blocks, one part of the step after the other: while a processor waits for one of them it
// works on the other.
template <bool PLANES, bool MIXED>
INLINE void step_blocks(const Layer &layer, const Options &o, const float *factor, double *sums,
                        double *raw, int64_t first, int count) {
    Block blocks[2];
    for (int i = 0; i < count; ++i) {
        Block &k = blocks[i];
        locate<PLANES>(layer, first + i, k);
        if (k.count < LANES) begin<false, PLANES>(layer, o, factor, k);
        else begin<true, PLANES>(layer, o, factor, k);
    }
    for (int i = 0; i < count; ++i) move<MIXED>(blocks[i]);
    for (int i = 0; i < count; ++i)
        for (int l = 0; l < blocks[i].count; ++l) {
            const int32_t pom = layer.pom[blocks[i].start + l];
            sums[pom] += blocks[i].square[l];
            raw[pom] += blocks[i].raw[l];
        }
    if (!o.write) return;
    for (int i = 0; i < count; ++i) {
        if (blocks[i].count < LANES) retract<false, PLANES, MIXED>(layer, blocks[i]);
        else retract<true, PLANES, MIXED>(layer, blocks[i]);
    }
}

INLINE int64_t count_blocks(const Layer &layer) {
    const int64_t each = layer.inputs ? layer.inputs : layer.kernels;
    return (each + LANES - 1) / LANES * (layer.kernels / each);
}

// Called by all threads, which share the blocks.
template <bool PLANES, bool MIXED>
static void step_layer(const Layer &layer, const Options &o, const float *factor, double *sums,
                       double *raw) {
    const int64_t blocks = count_blocks(layer);
#pragma omp for schedule(static) nowait
    for (int64_t b = 0; b < blocks; b += 2)
        step_blocks<PLANES, MIXED>(layer, o, factor, sums, raw, b, blocks - b < 2 ? 1 : 2);
}

// Squared norms of the gradients of some kernels, over POMs and, if asked to, of each.
template <bool FULL, bool PLANES>
INLINE void square_block(const Layer &layer, const Block &k, bool each, double *sums) {
    Vec m[ENTRIES], planes[ENTRIES];
    get<FULL, PLANES>(m, layer.gradient + k.offset, layer.inputs, k.count);
    turn<PLANES>(planes, m);
    const Vec square = squared_norm(planes);
    if (each) store<FULL>(layer.each, square, k);
    for (int l = 0; l < (FULL ? LANES : k.count); ++l) sums[layer.pom[k.start + l]] += square[l];
}

template <bool PLANES>
static void square_layer(const Layer &layer, bool each, double *sums) {
    const int64_t blocks = count_blocks(layer);
#pragma omp for schedule(static) nowait
    for (int64_t b = 0; b < blocks; ++b) {
        Block k;
        locate<PLANES>(layer, b, k);
        if (k.count < LANES) square_block<false, PLANES>(layer, k, each, sums);
        else square_block<true, PLANES>(layer, k, each, sums);
    }
}

// Sums of each thread: those of its own row.
INLINE double *own_row(double *sums, int64_t length) {
#ifdef _OPENMP
    return sums + length * omp_get_thread_num();
#else
    return sums;
#endif
}

// Told to the caller, who checks them before anything else: the number of this interface, and
// the sizes of what is passed through it.
extern "C" int64_t fgsgd_interface() {
    return 6 * 1000000 + (int64_t)sizeof(Layer) * 1000 + (int64_t)sizeof(Options);
}

// Sum the squares of all gradients over POMs: not finite where an entry is not. Keep those of each
// kernel if asked to.
// sums: threads x poms, zeroed by the caller.
extern "C" void fgsgd_squares(const Layer *layers, int32_t n, int32_t each, double *sums,
                              int64_t poms, int32_t threads) {
#pragma omp parallel num_threads(threads)
    {
        double *own = own_row(sums, poms);
        for (int i = 0; i < n; ++i)
            (layers[i].inputs ? square_layer<true> : square_layer<false>)(layers[i], each, own);
    }
}

// Project, sum squared norms over POMs, and, if asked to write, move and retract.
// sums: threads x 2 poms, zeroed by the caller: of projected directions, and of directions.
extern "C" void fgsgd_step(const Layer *layers, int32_t n, const Options *options,
                           const float *factor, double *sums, int64_t poms, int32_t threads) {
#pragma omp parallel num_threads(threads)
    {
        double *own = own_row(sums, 2 * poms);
        for (int i = 0; i < n; ++i) {
            const Layer &layer = layers[i];
            const auto walk = layer.inputs
                ? (layer.mixed ? step_layer<true, true> : step_layer<true, false>)
                : (layer.mixed ? step_layer<false, true> : step_layer<false, false>);
            walk(layer, *options, factor, own, own + poms);
        }
    }
}
