// Steps on blocks of matrices that lie on spheres, oblique manifolds or nowhere in particular.
//
// Blocks are rows times columns of a stored matrix. They are not gathered: rows are walked as they
// lie in memory, all blocks of a row at once, which takes one pass for the sums that projections and
// norms need, and one for the move. The formulas are those of fgmanifolds/torch/ops/manifolds.py,
// which this file is tested against: with n = <w, m> / r^2 the tangent part of m is v = m - n w, a
// step goes to x = w + s v = (1 - s n) w + s m, and what is kept is x r / |x|; of whole blocks on
// spheres, of columns of the tall component on oblique manifolds.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>
#ifdef _OPENMP
#include <omp.h>
#endif

// As KINDS in blocks.py: components as they are, whole, by stored columns, by stored rows.
enum Kind : uint8_t { FLAT = 0, WHOLE = 1, DOWN = 2, ACROSS = 3 };

struct Matrix {
    float *weight;
    const float *direction;
    int64_t columns, groups;
    const int64_t *start;          // [groups + 1], into row
    const int32_t *row;            // stored rows of each group; the blocks of a group have the same
    const int32_t *block;          // [groups, columns]: component, or -1 where it is not ours
    const int64_t *across;         // [groups + 1], into the next: components by stored rows
    const int32_t *across_block;   // component
    const int64_t *across_start;   // [components by rows + 1], into across_column
    const int32_t *across_column;
    const int64_t *row_sums_start; // [groups], into row_sums
    double *sums;                  // [groups, 3, columns]: <w, m>, <m, m>, <w, w> of stored columns
    double *row_sums;              // [rows of a group, its components by rows, 3]
};

struct Task {
    const Matrix *matrix;
    int64_t group, first, last;    // columns
};

static const int64_t CHUNK = 512, FLUSH = 32;

static std::vector<Task> tasks_of(const Matrix *matrices, int32_t n) {
    std::vector<Task> tasks;
    for (int32_t i = 0; i < n; ++i) {
        const Matrix &m = matrices[i];
        for (int64_t g = 0; g < m.groups; ++g) {
            const bool rows = m.across[g + 1] > m.across[g];
            const int64_t step = rows ? m.columns : CHUNK;
            for (int64_t c = 0; c < m.columns; c += step)
                tasks.push_back({&m, g, c, std::min(c + step, m.columns)});
        }
    }
    return tasks;
}

// Sums over the rows of a group of some columns, in float over a few rows and in double beyond.
static void sum_columns(const Matrix &m, int64_t group, int64_t first, int64_t width) {
    alignas(64) float wm[CHUNK], mm[CHUNK], ww[CHUNK];
    double *to = m.sums + group * 3 * m.columns + first;
    for (int part = 0; part < 3; ++part)
        std::fill_n(to + part * m.columns, width, 0.0);
    for (int64_t i = m.start[group]; i < m.start[group + 1];) {
        const int64_t stop = std::min(i + FLUSH, m.start[group + 1]);
        std::fill_n(wm, width, 0.0f), std::fill_n(mm, width, 0.0f), std::fill_n(ww, width, 0.0f);
        for (; i + 1 < stop; i += 2) {
            const int64_t one = m.row[i] * m.columns + first, two = m.row[i + 1] * m.columns + first;
            const float *__restrict w = m.weight + one, *__restrict d = m.direction + one;
            const float *__restrict x = m.weight + two, *__restrict e = m.direction + two;
            for (int64_t c = 0; c < width; ++c) {
                wm[c] += w[c] * d[c] + x[c] * e[c];
                mm[c] += d[c] * d[c] + e[c] * e[c];
                ww[c] += w[c] * w[c] + x[c] * x[c];
            }
        }
        for (; i < stop; ++i) {
            const int64_t one = m.row[i] * m.columns + first;
            const float *__restrict w = m.weight + one, *__restrict d = m.direction + one;
            for (int64_t c = 0; c < width; ++c) {
                wm[c] += w[c] * d[c];
                mm[c] += d[c] * d[c];
                ww[c] += w[c] * w[c];
            }
        }
        for (int64_t c = 0; c < width; ++c) {
            to[c] += wm[c];
            to[m.columns + c] += mm[c];
            to[2 * m.columns + c] += ww[c];
        }
    }
}

// Sums over stored rows, of the blocks whose columns they are.
static void sum_rows(const Matrix &m, int64_t group) {
    const int64_t begin = m.across[group], count = m.across[group + 1] - begin;
    double *to = m.row_sums + 3 * m.row_sums_start[group];
    for (int64_t i = m.start[group]; i < m.start[group + 1]; ++i) {
        const float *w = m.weight + m.row[i] * m.columns;
        const float *d = m.direction + m.row[i] * m.columns;
        for (int64_t k = begin; k < begin + count; ++k, to += 3) {
            float wm[8] = {}, mm[8] = {}, ww[8] = {};
            const int64_t first = m.across_start[k], length = m.across_start[k + 1] - first;
            const int32_t *column = m.across_column + first;
            double total[3] = {};
            for (int64_t j = 0; j < length;) {
                const int64_t stop = std::min(j + 8 * FLUSH, length);
                for (; j + 8 <= stop; j += 8)
                    for (int l = 0; l < 8; ++l) {
                        const float x = w[column[j + l]], y = d[column[j + l]];
                        wm[l] += x * y, mm[l] += y * y, ww[l] += x * x;
                    }
                for (; j < stop; ++j) {
                    const float x = w[column[j]], y = d[column[j]];
                    wm[0] += x * y, mm[0] += y * y, ww[0] += x * x;
                }
                for (int l = 0; l < 8; ++l) {
                    total[0] += wm[l], total[1] += mm[l], total[2] += ww[l];
                    wm[l] = mm[l] = ww[l] = 0.0f;
                }
            }
            std::copy_n(total, 3, to);
        }
    }
}

// Squared length of m - n w.
static inline double tangent(double n, double wm, double mm, double ww) {
    return std::max(mm - 2 * n * wm + n * n * ww, 0.0);
}

// Squared norms of the projected directions of a group's components.
static void square_group(const Matrix &m, int64_t group, const uint8_t *kind, const float *radius,
                         double *total, float *square) {
    const double *sums = m.sums + group * 3 * m.columns;
    const int32_t *block = m.block + group * m.columns;
    for (int64_t c = 0; c < m.columns; ++c)
        if (block[c] >= 0) std::fill_n(total + 3 * block[c], 3, 0.0);
    for (int64_t c = 0; c < m.columns; ++c) {
        const int32_t k = block[c];
        if (k < 0 || kind[k] == ACROSS) continue;
        const double wm = sums[c], mm = sums[m.columns + c], ww = sums[2 * m.columns + c];
        double *own = total + 3 * k;
        if (kind[k] == DOWN) {
            own[1] += tangent(wm / ((double)radius[k] * radius[k]), wm, mm, ww);
            continue;
        }
        own[0] += wm, own[1] += mm, own[2] += ww;
    }
    const int64_t begin = m.across[group], count = m.across[group + 1] - begin;
    const double *rows = m.row_sums + 3 * m.row_sums_start[group];
    for (int64_t i = m.start[group]; i < m.start[group + 1]; ++i)
        for (int64_t k = begin; k < begin + count; ++k, rows += 3) {
            const int32_t own = m.across_block[k];
            const double n = rows[0] / ((double)radius[own] * radius[own]);
            total[3 * own + 1] += tangent(n, rows[0], rows[1], rows[2]);
        }
    for (int64_t c = 0; c < m.columns; ++c) {
        const int32_t k = block[c];
        if (k < 0) continue;
        const double *own = total + 3 * k;
        const double n = own[0] / ((double)radius[k] * radius[k]);
        square[k] = kind[k] == WHOLE ? tangent(n, own[0], own[1], own[2]) : own[1];
    }
}

static void square_groups(const Matrix *matrices, int32_t n, const uint8_t *kind,
                          const float *radius, double *total, float *square, int32_t threads) {
    std::vector<Task> groups;
    for (int32_t i = 0; i < n; ++i)
        for (int64_t g = 0; g < matrices[i].groups; ++g) groups.push_back({matrices + i, g, 0, 0});
    const int64_t number = groups.size();
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t g = 0; g < number; ++g)
        square_group(*groups[g].matrix, groups[g].group, kind, radius, total, square);
}

struct Pair {
    float w, m;
};

// What w and m are multiplied by, for x r / |x|. Where s m, normal part included, is more than twice
// as long as x, the norm is a difference of large numbers: such steps are noted.
static inline Pair factors(double s, double r, double wm, double mm, double ww, bool &far) {
    const double keep = 1 - s * wm / (r * r);
    // |x|^2 by its parts along w and across, neither of which rounding makes negative.
    const double size = std::max(ww, 1e-300), along = keep + s * wm / size;
    const double across = std::max(mm - wm * wm / size, 0.0);
    const double square = std::max(along * along * size + s * s * across, 1e-300);
    const double scale = r / std::sqrt(square);
    far |= s * s * mm > 4 * square;
    return {(float)(keep * scale), (float)(s * scale)};
}

static bool move_task(const Task &task, const uint8_t *kind, const float *radius, const float *step,
                      const double *total) {
    const Matrix &m = *task.matrix;
    const int64_t width = task.last - task.first, begin = m.across[task.group];
    const int64_t count = m.across[task.group + 1] - begin;
    const double *sums = m.sums + task.group * 3 * m.columns + task.first;
    const double *rows = m.row_sums + 3 * m.row_sums_start[task.group];
    const int32_t *block = m.block + task.group * m.columns + task.first;
    std::vector<float> of_w(width, 1.0f), of_m(width, 0.0f);
    int32_t known = -1;
    bool far = false;
    Pair whole = {1.0f, 0.0f};
    for (int64_t c = 0; c < width; ++c) {
        const int32_t k = block[c];
        if (k < 0 || kind[k] == ACROSS) continue;
        if (kind[k] == FLAT) {
            of_m[c] = step[k];
        } else if (kind[k] == WHOLE) {
            if (k != known) whole = factors(step[k], radius[k], total[3 * k], total[3 * k + 1],
                                            total[3 * k + 2], far);
            known = k;
            of_w[c] = whole.w, of_m[c] = whole.m;
        } else {
            const Pair own = factors(step[k], radius[k], sums[c], sums[m.columns + c],
                                     sums[2 * m.columns + c], far);
            of_w[c] = own.w, of_m[c] = own.m;
        }
    }
    const float *__restrict a = of_w.data(), *__restrict b = of_m.data();
    for (int64_t i = m.start[task.group]; i < m.start[task.group + 1]; ++i) {
        for (int64_t k = begin; k < begin + count; ++k, rows += 3) {
            const int32_t own = m.across_block[k];
            const Pair pair = factors(step[own], radius[own], rows[0], rows[1], rows[2], far);
            for (int64_t j = m.across_start[k]; j < m.across_start[k + 1]; ++j)
                of_w[m.across_column[j]] = pair.w, of_m[m.across_column[j]] = pair.m;
        }
        float *__restrict w = m.weight + m.row[i] * m.columns + task.first;
        const float *d = m.direction + m.row[i] * m.columns + task.first;
        for (int64_t c = 0; c < width; ++c) w[c] = a[c] * w[c] + b[c] * d[c];
    }
    return far;
}

// Rows of a few entries each, kernels one after the other: of one layer.
struct AdamRows {
    const float *gradient;
    float *moment, *average;
    float *out;              // directions
    const int32_t *number;   // where a row's second moment is
    int64_t n, entries;
    float first, second;     // shares of the new gradient in the running means
    float root_scale, eps;   // the root of the second moment is multiplied, and added to
    float scale;             // of the direction
};

struct Factors {
    float *each;             // of each component: the gradient's squared norm, then the factor of
                             // its first moment that gives the direction
    float *average;          // second moments
    const int32_t *pom;      // over which squares of gradients times factors are summed
    int64_t n;
    float entries, second, root_scale, eps, scale;   // as in AdamRows
};

// The number of this interface, and the sizes of what is passed through it.
extern "C" int64_t fgblocks_interface() {
    return 8 * 1000000 + (int64_t)(sizeof(Matrix) * 1000 + sizeof(AdamRows) + sizeof(Factors));
}

// Sums that the move needs, kept in the matrices and in total ([components, 3]), and the squared
// norms of the projected directions.
extern "C" void fgblocks_project(const Matrix *matrices, int32_t n, const uint8_t *kind,
                                 const float *radius, double *total, float *square,
                                 int32_t threads) {
    const std::vector<Task> tasks = tasks_of(matrices, n);
    const int64_t count = tasks.size();
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int64_t t = 0; t < count; ++t) {
        const Task &task = tasks[t];
        for (int64_t c = task.first; c < task.last; c += CHUNK)
            sum_columns(*task.matrix, task.group, c, std::min(CHUNK, task.last - c));
        sum_rows(*task.matrix, task.group);
    }
    square_groups(matrices, n, kind, radius, total, square, threads);
}

// Running means of a task's columns, and the sums of the squares of what enters them.
static void average_columns(const Matrix &m, const Task &task, float share) {
    alignas(64) float square[CHUNK];
    const int64_t width = task.last - task.first;
    double *to = m.sums + task.group * 3 * m.columns + task.first;
    for (int part = 0; part < 3; ++part) std::fill_n(to + part * m.columns, width, 0.0);
    for (int64_t i = m.start[task.group]; i < m.start[task.group + 1];) {
        const int64_t stop = std::min(i + FLUSH, m.start[task.group + 1]);
        std::fill_n(square, width, 0.0f);
        for (; i < stop; ++i) {
            const int64_t one = m.row[i] * m.columns + task.first;
            float *__restrict mean = m.weight + one;
            const float *__restrict g = m.direction + one;
            for (int64_t c = 0; c < width; ++c) {
                mean[c] += share * (g[c] - mean[c]);
                square[c] += g[c] * g[c];
            }
        }
        for (int64_t c = 0; c < width; ++c) to[m.columns + c] += square[c];
    }
}

// Bring running means, in the place of the weights, nearer to what is in the place of the directions,
// by a share; and the squared norms of the latter's blocks, all of which are flat.
extern "C" void fgblocks_average(const Matrix *matrices, int32_t n, const uint8_t *kind,
                                 const float *radius, float share, double *total, float *square,
                                 int32_t threads) {
    const std::vector<Task> tasks = tasks_of(matrices, n);
    const int64_t count = tasks.size();
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int64_t t = 0; t < count; ++t) average_columns(*tasks[t].matrix, tasks[t], share);
    square_groups(matrices, n, kind, radius, total, square, threads);
}

// Move by step ([components]) times the projected directions, and normalise. 1 if some steps were so
// long that the norms must be looked at once more.
extern "C" int32_t fgblocks_move(const Matrix *matrices, int32_t n, const uint8_t *kind,
                              const float *radius, const float *step, const double *total,
                              int32_t threads) {
    const std::vector<Task> tasks = tasks_of(matrices, n);
    const int64_t count = tasks.size();
    int32_t far = 0;
#pragma omp parallel for schedule(dynamic) num_threads(threads) reduction(| : far)
    for (int64_t t = 0; t < count; ++t) far |= move_task(tasks[t], kind, radius, step, total);
    return far;
}

// Copy blocks of a matrix, times a factor each, to a buffer [n, tall, narrow]; or back.
extern "C" void fgblocks_copy(float *matrix, int64_t columns, float *buffer, const float *factor,
                              const int32_t *row, const int32_t *column, int64_t n, int64_t height,
                              int64_t width, int32_t swapped, int32_t back, int32_t threads) {
#pragma omp parallel for collapse(2) schedule(static) num_threads(threads)
    for (int64_t k = 0; k < n; ++k)
        for (int64_t i = 0; i < height; ++i) {
            const int32_t *places = column + k * width;
            const float scale = factor[k];
            const int64_t apart = swapped ? height : 1;
            float *line = matrix + row[k * height + i] * columns;
            float *to = buffer + k * height * width + (swapped ? i : i * width);
            if (back)
                for (int64_t j = 0; j < width; ++j) line[places[j]] = scale * to[j * apart];
            else
                for (int64_t j = 0; j < width; ++j) to[j * apart] = scale * line[places[j]];
        }
}

static const int64_t ROWS = 64;

// Some rows from one on: the numbers of entries that are common are known to the compiler.
template <int64_t KNOWN> static void adam_rows(const AdamRows &a, int64_t start) {
    const int64_t n = std::min(ROWS, a.n - start), entries = KNOWN ? KNOWN : a.entries;
    const float *__restrict gradient = a.gradient + start * entries;
    float *__restrict moment = a.moment + start * entries;
    const int32_t *number = a.number + start;
    float square[ROWS], factor[ROWS];
    for (int64_t i = 0; i < n; ++i) {
        const float *g = gradient + i * entries;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t j = 0; j < entries; ++j) sum += g[j] * g[j];
        square[i] = sum / entries;
    }
    for (int64_t i = 0; i < n; ++i) {
        float &own = a.average[number[i]];
        own += a.second * (square[i] - own);
        square[i] = own;
    }
    for (int64_t i = 0; i < n; ++i)
        factor[i] = a.scale / (std::sqrt(square[i]) * a.root_scale + a.eps);
    for (int64_t j = 0; j < n * entries; ++j) moment[j] += a.first * (gradient[j] - moment[j]);
    float *__restrict out = a.out + start * entries;
    for (int64_t i = 0; i < n; ++i)
        for (int64_t j = i * entries; j < (i + 1) * entries; ++j) out[j] = factor[i] * moment[j];
}

// Bring the moments of the rows of some layers up to date, with one second moment for each row,
// and give their directions: as FGAdam.direction.
extern "C" void fgrows_adam(const AdamRows *layers, int32_t n, int32_t threads) {
#pragma omp parallel num_threads(threads)
    for (int32_t k = 0; k < n; ++k) {
        const AdamRows &one = layers[k];
        const auto walk = one.entries == 9    ? adam_rows<9>
                          : one.entries == 25 ? adam_rows<25>
                                              : adam_rows<0>;
#pragma omp for schedule(static) nowait
        for (int64_t i = 0; i < one.n; i += ROWS) walk(one, i);
    }
}

// Some components from one on; line by line, and of a copy that nothing written can change, so that
// the compiler makes vectors of them.
static void set_factors(const Factors f, int64_t start, double *sums) {
    const int64_t n = std::min(ROWS, f.n - start);
    float *average = f.average + start, share = 1.0f / f.entries;
    float square[ROWS], factor[ROWS];
    std::memcpy(square, f.each + start, n * sizeof(float));
    for (int64_t i = 0; i < n; ++i) average[i] += f.second * (share * square[i] - average[i]);
    for (int64_t i = 0; i < n; ++i)
        factor[i] = f.scale / (std::sqrt(average[i]) * f.root_scale + f.eps);
    std::memcpy(f.each + start, factor, n * sizeof(float));
    for (int64_t i = 0; i < n; ++i) square[i] = factor[i] * (factor[i] * square[i]);
    for (int64_t i = 0; i < n; ++i) sums[f.pom[start + i]] += square[i];
}

// Bring the second moments of the components of some layers up to date, and give the factors of
// their first moments, which the step brings up to date.
// sums: threads x poms, zeroed by the caller.
extern "C" void fgrows_factors(const Factors *layers, int32_t n, double *sums, int64_t poms,
                               int32_t threads) {
#pragma omp parallel num_threads(threads)
    {
#ifdef _OPENMP
        double *own = sums + poms * omp_get_thread_num();
#else
        double *own = sums;
#endif
        for (int32_t k = 0; k < n; ++k) {
#pragma omp for schedule(static) nowait
            for (int64_t i = 0; i < layers[k].n; i += ROWS) set_factors(layers[k], i, own);
        }
    }
}

// The rows, each times the factor of its number.
extern "C" void fgrows_scale(const float *matrix, int64_t n, int64_t entries, const int32_t *number,
                             const float *factor, float *out, int32_t threads) {
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t i = 0; i < n; ++i) {
        const float own = factor[number[i]];
        for (int64_t j = i * entries; j < (i + 1) * entries; ++j) out[j] = own * matrix[j];
    }
}
