// Kernels one after the other in memory to planes, one vector for each entry, and back.
//
// ENTRIES vectors hold the numbers of LANES kernels in the order of memory. Where ENTRIES is odd,
// entry e of the kernels lies in all lanes, each once: so an entry is put together by blends, and
// a permutation of lanes at the end sorts it by kernels. Blends are made in two stages, for the
// factors FIRST and SECOND of ENTRIES: 36 in place of 72 for kernels of nine entries.
#pragma once
#include <cstring>
#include <utility>

#define ENTRIES (ROWS * COLUMNS)

#ifndef LANES
#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif
#endif

typedef float Vec __attribute__((vector_size(4 * LANES)));

#if defined(__has_builtin) && ENTRIES % 2
#if __has_builtin(__builtin_shufflevector)
#define SHUFFLES
#endif
#endif

#ifdef SHUFFLES
template <int N> using Count = std::make_integer_sequence<int, N>;

constexpr int smallest_factor(int n) {
    for (int p = 3; p * p <= n; p += 2)
        if (n % p == 0) return p;
    return 1;
}
constexpr int FIRST = smallest_factor(ENTRIES), SECOND = ENTRIES / FIRST;

// Of SECOND vectors, the one whose number in this lane leaves the remainder c by SECOND.
constexpr int vector_of(int lane, int c) {
    for (int j = 0; j < SECOND; ++j)
        if ((j * LANES + lane) % SECOND == c) return j;
    return -1;
}

// The entry that this lane then holds in group g of SECOND vectors.
constexpr int entry_of(int lane, int c, int g) {
    return ((g * SECOND + vector_of(lane, c)) * LANES + lane) % ENTRIES;
}

// The lane of memory that holds entry e of a kernel, and the kernel whose entry e a lane holds.
constexpr int lane_of(int kernel, int e) { return (kernel * ENTRIES + e) % LANES; }
constexpr int kernel_of(int lane, int e) {
    for (int k = 0; k < LANES; ++k)
        if (lane_of(k, e) == lane) return k;
    return -1;
}

// Lanes of b where TAKE says so, and else of a.
#define BLEND(NAME, PARAMETERS, TAKE)                                             \
    template <PARAMETERS, int... L>                                               \
    static inline Vec NAME(Vec a, Vec b, std::integer_sequence<int, L...>) {      \
        return __builtin_shufflevector(a, b, ((TAKE) ? LANES + L : L)...);        \
    }
#define TWO int C, int J
#define THREE int C, int G, int R
BLEND(take_number, TWO, vector_of(L, C) == J)
BLEND(take_entry, THREE, entry_of(L, C, G) == C + SECOND * R)
BLEND(take_place, TWO, (J * LANES + L) % SECOND == C)
#undef TWO
#undef THREE
#undef BLEND

template <int E, int... L>
static inline Vec by_kernel(Vec v, std::integer_sequence<int, L...>) {
    return __builtin_shufflevector(v, v, lane_of(L, E)...);
}

template <int E, int... L>
static inline Vec by_lane(Vec v, std::integer_sequence<int, L...>) {
    return __builtin_shufflevector(v, v, kernel_of(L, E)...);
}

// One remainder of one group of vectors.
template <int C, int... J>
static inline Vec numbers(const Vec *group, std::integer_sequence<int, J...>) {
    Vec v = group[0];
    ((v = J ? take_number<C, J>(v, group[J], Count<LANES>()) : v), ...);
    return v;
}

template <int E, int... G>
static inline Vec entry(const Vec *sorted, std::integer_sequence<int, G...>) {
    constexpr int C = E % SECOND, R = E / SECOND;
    Vec v = sorted[C];
    ((v = G ? take_entry<C, G, R>(v, sorted[G * SECOND + C], Count<LANES>()) : v), ...);
    return by_kernel<E>(v, Count<LANES>());
}

template <int C, int G, int... R>
static inline Vec remainder(const Vec *lanes, std::integer_sequence<int, R...>) {
    Vec v = lanes[C];
    ((v = R ? take_entry<C, G, R>(v, lanes[C + SECOND * R], Count<LANES>()) : v), ...);
    return v;
}

template <int J, int... C>
static inline Vec place(const Vec *group, std::integer_sequence<int, C...>) {
    Vec v = group[0];
    ((v = C ? take_place<C, J>(v, group[C], Count<LANES>()) : v), ...);
    return v;
}

template <int... E>
static inline void to_planes(Vec *out, const Vec *in, std::integer_sequence<int, E...>) {
    Vec sorted[ENTRIES];
    ((sorted[E] = numbers<E % SECOND>(in + E / SECOND * SECOND, Count<SECOND>())), ...);
    ((out[E] = entry<E>(sorted, Count<FIRST>())), ...);
}

template <int... E>
static inline void from_planes(Vec *out, const Vec *in, std::integer_sequence<int, E...>) {
    Vec lanes[ENTRIES], sorted[ENTRIES];
    ((lanes[E] = by_lane<E>(in[E], Count<LANES>())), ...);
    ((sorted[E] = remainder<E % SECOND, E / SECOND>(lanes, Count<FIRST>())), ...);
    ((out[E] = place<E % SECOND>(sorted + E / SECOND * SECOND, Count<SECOND>())), ...);
}

static inline void to_planes(Vec *out, const Vec *in) { to_planes(out, in, Count<ENTRIES>()); }
static inline void from_planes(Vec *out, const Vec *in) { from_planes(out, in, Count<ENTRIES>()); }
#else
static inline void to_planes(Vec *out, const Vec *in) {
    alignas(64) float entries[ENTRIES][LANES], numbers[ENTRIES * LANES];
    std::memcpy(numbers, in, sizeof(numbers));
    for (int l = 0; l < LANES; ++l)
        for (int e = 0; e < ENTRIES; ++e) entries[e][l] = numbers[l * ENTRIES + e];
    std::memcpy(out, entries, sizeof(entries));
}

static inline void from_planes(Vec *out, const Vec *in) {
    alignas(64) float entries[ENTRIES][LANES], numbers[ENTRIES * LANES];
    std::memcpy(entries, in, sizeof(entries));
    for (int l = 0; l < LANES; ++l)
        for (int e = 0; e < ENTRIES; ++e) numbers[l * ENTRIES + e] = entries[e][l];
    std::memcpy(out, numbers, sizeof(numbers));
}
#endif
