// Irregular work in C++ with OpenMP, as a good programmer writes it: the opponents of pp.irregular.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numeric>
#include <omp.h>
#include <vector>

namespace {

struct Point {
    double x, y;
};

double turn(const Point &a, const Point &b, const Point &c) {
    return (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x);
}

// C. B. Barber, D. P. Dobkin, H. Huhdanpaa, "The quickhull algorithm", 1996: the corners right of the line from a to b.
void side(const Point *p, const std::vector<int32_t> &some, int32_t a, int32_t b, std::vector<int32_t> &out) {
    if (some.empty()) return;
    int32_t far = some[0];
    double most = -1;
    for (int32_t i : some) {
        double t = turn(p[b], p[a], p[i]);
        if (t > most) most = t, far = i;
    }
    std::vector<int32_t> first, second;
    for (int32_t i : some) {
        if (turn(p[far], p[a], p[i]) > 0) first.push_back(i);
        else if (turn(p[b], p[far], p[i]) > 0) second.push_back(i);
    }
    side(p, first, a, far, out);
    out.push_back(far);
    side(p, second, far, b, out);
}

struct Digest {
    uint32_t h[5];
};

uint32_t rotated(uint32_t x, int n) { return x << n | x >> (32 - n); }

// SHA-1 of up to 6 words (FIPS 180-4).
Digest sha1(const uint32_t *words, int count) {
    uint32_t w[80] = {};
    for (int k = 0; k < count; k++) w[k] = words[k];
    w[count] = 0x80000000;
    w[15] = 32 * count;
    for (int k = 16; k < 80; k++) w[k] = rotated(w[k - 3] ^ w[k - 8] ^ w[k - 14] ^ w[k - 16], 1);
    const uint32_t start[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    uint32_t a = start[0], b = start[1], c = start[2], d = start[3], e = start[4];
    auto step = [&](uint32_t more) {
        uint32_t fresh = rotated(a, 5) + e + more;
        e = d, d = c, c = rotated(b, 30), b = a, a = fresh;
    };
    for (int k = 0; k < 20; k++) step(((b & c) | (~b & d)) + 0x5a827999 + w[k]);
    for (int k = 20; k < 40; k++) step((b ^ c ^ d) + 0x6ed9eba1 + w[k]);
    for (int k = 40; k < 60; k++) step(((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc + w[k]);
    for (int k = 60; k < 80; k++) step((b ^ c ^ d) + 0xca62c1d6 + w[k]);
    return {{start[0] + a, start[1] + b, start[2] + c, start[3] + d, start[4] + e}};
}

struct Search {
    double branching, probability;
    int64_t depth, children;
    int kids(const Digest &node, int64_t at) const {
        double u = (node.h[4] & 0x7fffffff) / 2147483648.0;
        if (depth == 0) return at == 0 ? int(branching) : u < probability ? int(children) : 0;
        return at < depth ? std::min(100, int(std::floor(std::log(1 - u) / std::log(1 - 1 / (1 + branching))))) : 0;
    }
    int64_t below(const Digest &node, int64_t at) const {
        int64_t found = 1;
        int n = kids(node, at);
        uint32_t words[6];
        std::memcpy(words, node.h, 20);
        for (int k = 0; k < n; k++) {
            words[5] = k;
            found += below(sha1(words, 6), at + 1);
        }
        return found;
    }
};

// Tasks down to this depth, of a binomial tree, whose subtrees are of any size, at each sixteenth level.
bool splits(const Search &s, int64_t at) { return s.depth ? at < 5 : at % 16 == 0; }

void descend(const Search &s, const Digest &node, int64_t at, int64_t *found) {
    int n = s.kids(node, at);
#pragma omp atomic
    *found += 1;
    uint32_t words[6];
    std::memcpy(words, node.h, 20);
    for (int k = 0; k < n; k++) {
        words[5] = k;
        Digest child = sha1(words, 6);
        if (splits(s, at)) {
#pragma omp task firstprivate(child)
            descend(s, child, at + 1, found);
        } else if (s.depth) {
            int64_t more = s.below(child, at + 1);
#pragma omp atomic
            *found += more;
        } else {
            descend(s, child, at + 1, found);
        }
    }
}

}  // namespace

extern "C" {

void set_threads(int64_t threads) { omp_set_num_threads(threads); }

// The corners of points in the plane, how many; each thread looks at its points, then quickhull of what is left.
int64_t hull(int64_t n, const Point *p, int32_t *out) {
    const int many = 16;
    int32_t ends[2 * many];
    double best[2 * many];
    double cosines[many], sines[many];
    for (int k = 0; k < many; k++) cosines[k] = std::cos(M_PI * k / many), sines[k] = std::sin(M_PI * k / many);
    std::fill(best, best + 2 * many, -std::numeric_limits<double>::infinity());
    int64_t stride = std::max<int64_t>(1, n / 65536);
    for (int64_t i = 0; i < n; i += stride)
        for (int k = 0; k < 2 * many; k++) {
            double t = (p[i].x * cosines[k % many] + p[i].y * sines[k % many]) * (k < many ? 1 : -1);
            if (t > best[k]) best[k] = t, ends[k] = i;
        }
    Point ring[2 * many];
    int count = 0;
    for (int k = 0; k < 2 * many; k++)
        if (!count || ends[k] != ends[k - 1]) ring[count++] = p[ends[k]];
    std::vector<int32_t> some;
#pragma omp parallel
    {
        std::vector<int32_t> mine;
#pragma omp for schedule(static) nowait
        for (int64_t i = 0; i < n; i++) {
            bool inside = count > 2;
            for (int k = 0; k < count && inside; k++) inside = turn(ring[k], ring[(k + 1) % count], p[i]) > 0;
            if (!inside) mine.push_back(i);
        }
#pragma omp critical
        some.insert(some.end(), mine.begin(), mine.end());
    }
    auto less = [p](int32_t a, int32_t b) { return p[a].x < p[b].x || (p[a].x == p[b].x && p[a].y < p[b].y); };
    int32_t low = *std::min_element(some.begin(), some.end(), less), high = *std::max_element(some.begin(), some.end(), less);
    std::vector<int32_t> under, over, found;
    for (int32_t i : some) {
        double t = turn(p[low], p[high], p[i]);
        if (t < 0) under.push_back(i);
        else if (t > 0) over.push_back(i);
    }
    found.push_back(low);
    side(p, under, low, high, found);
    found.push_back(high);
    side(p, over, high, low, found);
    std::copy(found.begin(), found.end(), out);
    return found.size();
}

// The nearest other point of each, by a grid of about two points to a cell; rings of cells until none can be nearer.
void nearest(int64_t n, const Point *p, double *distance, int32_t *index) {
    double x0 = p[0].x, x1 = x0, y0 = p[0].y, y1 = y0;
#pragma omp parallel for reduction(min : x0, y0) reduction(max : x1, y1)
    for (int64_t i = 0; i < n; i++)
        x0 = std::min(x0, p[i].x), x1 = std::max(x1, p[i].x), y0 = std::min(y0, p[i].y), y1 = std::max(y1, p[i].y);
    double size = std::max(std::sqrt((x1 - x0) * (y1 - y0) / (n / 2.0)), 1e-300);
    int64_t columns = (x1 - x0) / size + 1, rows = (y1 - y0) / size + 1;
    std::vector<int32_t> begin(columns * rows + 1), cell(n), order(n);
    std::vector<Point> placed(n);
#pragma omp parallel for
    for (int64_t i = 0; i < n; i++) {
        cell[i] = int64_t((p[i].y - y0) / size) * columns + int64_t((p[i].x - x0) / size);
        __atomic_fetch_add(&begin[cell[i] + 1], 1, __ATOMIC_RELAXED);
    }
    std::partial_sum(begin.begin(), begin.end(), begin.begin());
    std::vector<int32_t> next(begin.begin(), begin.end() - 1);
#pragma omp parallel for
    for (int64_t i = 0; i < n; i++) {
        int32_t at = __atomic_fetch_add(&next[cell[i]], 1, __ATOMIC_RELAXED);
        order[at] = i;
        placed[at] = p[i];
    }
#pragma omp parallel for schedule(dynamic, 64)
    for (int64_t row = 0; row < rows; row++)
        for (int64_t column = 0; column < columns; column++)
            for (int32_t at = begin[row * columns + column]; at < begin[row * columns + column + 1]; at++) {
                Point q = placed[at];
                double best = std::numeric_limits<double>::infinity();
                int32_t who = -1;
                for (int64_t ring = 1;; ring++) {
                    int64_t a = std::max<int64_t>(row - ring, 0), b = std::min(row + ring, rows - 1);
                    for (int64_t r = a; r <= b; r++) {
                        bool whole = ring == 1 || r == row - ring || r == row + ring;
                        for (int64_t c = std::max<int64_t>(column - ring, 0); c <= std::min(column + ring, columns - 1);
                             c += whole || c == column + ring ? 1 : std::max<int64_t>(1, column + ring - c))
                            for (int32_t k = begin[r * columns + c]; k < begin[r * columns + c + 1]; k++) {
                                double dx = placed[k].x - q.x, dy = placed[k].y - q.y, d = dx * dx + dy * dy;
                                if (k != at && (d < best || (d == best && order[k] < who))) best = d, who = order[k];
                            }
                    }
                    double reach = ring * size;
                    if (best <= reach * reach || (ring > columns && ring > rows)) break;
                }
                distance[order[at]] = std::sqrt(best);
                index[order[at]] = who;
            }
}

// Accelerations by all pairs; eight bodies are pulled at a time.
void pulls(int64_t n, const double *positions, const double *masses, double *out) {
    std::vector<double> x(n + 8), y(n + 8), z(n + 8);
    for (int64_t i = 0; i < n; i++) x[i] = positions[3 * i], y[i] = positions[3 * i + 1], z[i] = positions[3 * i + 2];
#pragma omp parallel for schedule(dynamic, 8)
    for (int64_t i = 0; i < n; i += 8) {
        double ax[8] = {}, ay[8] = {}, az[8] = {};
        for (int64_t j = 0; j < n; j++) {
#pragma omp simd
            for (int t = 0; t < 8; t++) {
                double dx = x[j] - x[i + t], dy = y[j] - y[i + t], dz = z[j] - z[i + t];
                double square = dx * dx + dy * dy + dz * dz;
                double w = square > 0 ? masses[j] / (square * std::sqrt(square)) : 0;
                ax[t] += w * dx, ay[t] += w * dy, az[t] += w * dz;
            }
        }
        for (int64_t t = 0; t < std::min<int64_t>(8, n - i); t++)
            out[3 * (i + t)] = ax[t], out[3 * (i + t) + 1] = ay[t], out[3 * (i + t) + 2] = az[t];
    }
}

// The nodes of an unbalanced tree, by tasks.
int64_t search(int64_t seed, double branching, int64_t depth, double probability, int64_t children) {
    Search s{branching, probability, depth, children};
    uint32_t words[5] = {0, 0, 0, 0, uint32_t(seed)};
    Digest root = sha1(words, 5);
    int64_t found = 0;
#pragma omp parallel
#pragma omp single
    descend(s, root, 0, &found);
    return found;
}

// Steps until a point of the plane leaves the circle of radius 2, for n times n points.
void mandelbrot(int64_t n, int64_t most, int32_t *out) {
#pragma omp parallel for schedule(dynamic, 1)
    for (int64_t row = 0; row < n; row++)
        for (int64_t column = 0; column < n; column++) {
            double a = -2 + 2.5 * column / n, b = -1.25 + 2.5 * row / n, x = 0, y = 0;
            int32_t k = 0;
            while (k < most && x * x + y * y <= 4) {
                double t = x * x - y * y + a;
                y = 2 * x * y + b;
                x = t;
                k++;
            }
            out[row * n + column] = k;
        }
}

}  // extern "C"
