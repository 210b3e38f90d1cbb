// Moments of the features that come into a layer, as fgmanifolds/torch/spread.py takes them.
//
// A place is a line of neighbouring values of every channel: of one value where channels lie next to
// each other, and of more where each channel is a map. Sums are taken in float over a few values
// and in double beyond.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

struct Features {
    const void *values;
    int64_t channels, channel_stride;
    int64_t places, lines;                // in all, and of one image
    int64_t image_stride, line_stride, width;
    int64_t taken;                        // places that are looked at; random ones if not all are
    int64_t seed;                         // of the random places
    double *sums;                         // rows of numbers, sums and squares
    int64_t sums_stride;                  // from row to row
    int64_t half;                         // whether values are bfloat16
};

static const int64_t FLUSH = 32, WIDEST = 256, AHEAD = 8, SMALL = 2048;

static inline float value_of(const float *x) { return *x; }
static inline float value_of(const uint16_t *x) {
    const uint32_t bits = (uint32_t)*x << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}

// As _places in spread.py: the finaliser of SplitMix64, and the remainder of Python.
static int64_t place_of(int64_t number, const Features &f) {
    uint64_t z = ((uint64_t)number + (uint64_t)f.seed + 1) * (uint64_t)-7046029254386353131LL;
    z = (z ^ (z >> 30)) * (uint64_t)-4658895280553007687LL;
    z = (z ^ (z >> 27)) * (uint64_t)-7723592293110705685LL;
    const int64_t rest = (int64_t)(z ^ (z >> 31)) % f.places;
    return rest < 0 ? rest + f.places : rest;
}

static std::vector<int64_t> offsets_of(const Features &f) {
    std::vector<int64_t> offsets(f.taken);
    for (int64_t i = 0; i < f.taken; ++i) {
        const int64_t place = f.taken < f.places ? place_of(i, f) : i;
        offsets[i] = place / f.lines * f.image_stride + place % f.lines * f.line_stride;
    }
    std::sort(offsets.begin(), offsets.end());
    return offsets;
}

// Channels first to last that lie next to each other.
template <typename T>
static void sum_rows(const Features &f, const std::vector<int64_t> &offsets, int64_t first,
                     int64_t last, double *total, double *square) {
    float s[WIDEST], q[WIDEST];
    const int64_t width = last - first;
    for (size_t i = 0; i < offsets.size();) {
        const size_t stop = std::min(i + FLUSH, offsets.size());
        std::fill_n(s, width, 0.0f), std::fill_n(q, width, 0.0f);
        for (; i < stop; ++i) {
            const T *x = (const T *)f.values + offsets[i] + first;
            for (int64_t c = 0; c < width; ++c) {
                const float v = value_of(x + c);
                s[c] += v, q[c] += v * v;
            }
        }
        for (int64_t c = 0; c < width; ++c) total[first + c] += s[c], square[first + c] += q[c];
    }
}

template <typename T>
static inline void add_line(const T *x, int64_t width, double &all, double &squares) {
    for (int64_t first = 0; first < width; first += 1024) {
        const int64_t stop = std::min<int64_t>(first + 1024, width);
        float s = 0, q = 0;
#pragma omp simd reduction(+ : s, q)
        for (int64_t j = first; j < stop; ++j) {
            const float v = value_of(x + j);
            s += v, q += v * v;
        }
        all += s, squares += q;
    }
}

// Channels first to last, image after image, as they lie in memory.
template <typename T>
static void sum_images(const Features &f, const std::vector<int64_t> &offsets, int64_t first,
                       int64_t last, double *total, double *square) {
    for (const int64_t offset : offsets) {
        const T *x = (const T *)f.values + offset;
        for (int64_t c = first; c < last; ++c)
            add_line(x + c * f.channel_stride, f.width, total[c], square[c]);
    }
}

// Channels first to last, each with all its lines, which lie far from each other.
template <typename T>
static void sum_lines(const Features &f, const std::vector<int64_t> &offsets, int64_t first,
                      int64_t last, double *total, double *square) {
    const int64_t soon = std::min<int64_t>(f.width, 64);
    for (int64_t c = first; c < last; ++c) {
        const T *map = (const T *)f.values + c * f.channel_stride;
        for (size_t i = 0; i < offsets.size(); ++i) {
            const T *ahead = map + offsets[std::min<size_t>(i + AHEAD, offsets.size() - 1)];
            for (int64_t j = 0; j < soon; j += 64 / (int64_t)sizeof(T)) __builtin_prefetch(ahead + j);
            add_line(map + offsets[i], f.width, total[c], square[c]);
        }
    }
}

template <typename T>
static void sum_all(const Features &f, double *total, double *square, int32_t threads) {
    const std::vector<int64_t> offsets = offsets_of(f);
    const bool rows = f.channel_stride == 1 && f.width == 1;
    const bool whole = f.taken == f.places || f.channel_stride * (int64_t)sizeof(T) <= SMALL;
    const int64_t each = ((f.channels + threads - 1) / threads + 15) / 16 * 16;
    const int64_t chunk = std::min(each, WIDEST), count = (f.channels + chunk - 1) / chunk;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < count; ++i) {
        const int64_t first = i * chunk, last = std::min(first + chunk, f.channels);
        if (rows) sum_rows<T>(f, offsets, first, last, total, square);
        else if (whole) sum_images<T>(f, offsets, first, last, total, square);
        else sum_lines<T>(f, offsets, first, last, total, square);
    }
}

// The number of this interface, and the size of what is passed through it.
extern "C" int64_t fgmoments_interface() { return 1 * 1000000 + (int64_t)sizeof(Features); }

// Add numbers, sums and squares; 1, and nothing is added, if some values are not finite.
extern "C" int32_t fgmoments_add(const Features *features, int32_t threads) {
    const Features &f = *features;
    std::vector<double> total(f.channels), square(f.channels);
    if (f.half) sum_all<uint16_t>(f, total.data(), square.data(), threads);
    else sum_all<float>(f, total.data(), square.data(), threads);
    for (int64_t c = 0; c < f.channels; ++c)
        if (!std::isfinite(total[c] + square[c])) return 1;
    double *numbers = f.sums, *sums = numbers + f.sums_stride, *squares = sums + f.sums_stride;
    for (int64_t c = 0; c < f.channels; ++c) {
        numbers[c] += (double)(f.taken * f.width);
        sums[c] += total[c], squares[c] += square[c];
    }
    return 0;
}
