/* The loops of bench/kinds.py as a good C++ programmer writes them: restrict, OpenMP, no intrinsics.
 * The compiler gets -O3 -march=native -fopenmp, and no -ffast-math: both sides keep IEEE arithmetic.
 */
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <omp.h>
#include <vector>

#define K extern "C" void
#define R __restrict
#define LOOP _Pragma("omp parallel for schedule(static) num_threads(threads)")
#define SUM _Pragma("omp parallel for simd schedule(static) reduction(+ : sum) num_threads(threads)")

typedef double D;
typedef int64_t I;
static int threads = 1;

K set_threads(I n) { threads = (int)n; }

/* hydrodynamics, one dimension */

K gas(const D *R rho, const D *R e, D *R p, D *R c, I n, D gamma)
{
    LOOP for (I i = 0; i < n; i++) p[i] = (gamma - 1) * rho[i] * e[i], c[i] = std::sqrt(gamma * p[i] / rho[i]);
}

K velocity(D *R u, const D *R p, const D *R q, const D *R m, I n, D dt)
{
    LOOP for (I i = 1; i < n; i++) u[i] -= dt * (p[i] + q[i] - p[i - 1] - q[i - 1]) / (0.5 * (m[i] + m[i - 1]));
}

K viscosity(const D *R u, const D *R rho, const D *R c, D *R q, I n)
{
    LOOP for (I i = 0; i < n - 1; i++)
    {
        D du = u[i + 1] - u[i];
        q[i] = du < 0 ? rho[i] * du * (1.5 * du - 0.5 * c[i]) : 0.0;
    }
}

K upwind(const D *R x, const D *R v, D *R y, I n, D r)
{
    LOOP for (I i = 1; i < n - 1; i++) y[i] = x[i] - r * v[i] * (v[i] > 0 ? x[i] - x[i - 1] : x[i + 1] - x[i]);
}

K minmod(const D *R x, D *R s, I n)
{
    LOOP for (I i = 1; i < n - 1; i++)
    {
        D a = x[i] - x[i - 1], b = x[i + 1] - x[i];
        s[i] = a * b <= 0 ? 0.0 : std::fabs(a) < std::fabs(b) ? a : b;
    }
}

K tridiagonal(const D *R a, const D *R b, const D *R c, const D *R x, D *R y, I n)
{
    LOOP for (I i = 1; i < n - 1; i++) y[i] = a[i] * x[i - 1] + b[i] * x[i] + c[i] * x[i + 1];
}

K equation(const D *R e, const D *R v, const D *R pold, const D *R qold, const D *R comp, D *R p, D *R enew, I n)
{
    LOOP for (I i = 0; i < n; i++)
    {
        D bulk = 0.66 * (comp[i] + 1.0);
        D pressure = bulk * e[i];
        if (std::fabs(pressure) < 1e-7)
            pressure = 0;
        if (v[i] >= 1.9)
            pressure = 0;
        pressure = std::max(pressure, -0.1);
        p[i] = pressure;
        D energy = e[i] - 0.5 * v[i] * (pold[i] + qold[i] + pressure);
        enew[i] = energy < -0.5 ? -0.5 : energy;
    }
}

K limiter(const D *R u, D *R f, I n, D c)
{
    LOOP for (I i = 0; i < n; i++)
    {
        D a = u[i] - u[i > 0 ? i - 1 : n - 1], b = u[i + 1 < n ? i + 1 : 0] - u[i];
        f[i] = c * (u[i] + 0.5 * (1 - c) * (a * b <= 0 ? 0.0 : 2 * a * b / (a + b)));
    }
}

/* finite differences, two dimensions */

K heat(const D *R x, D *R y, I n, I m)
{
    LOOP for (I i = 1; i < n - 1; i++) for (I j = 1; j < m - 1; j++) y[i * m + j] =
        x[i * m + j] +
        0.1 * (x[(i - 1) * m + j] + x[(i + 1) * m + j] + x[i * m + j - 1] + x[i * m + j + 1] - 4 * x[i * m + j]);
}

K wave(const D *R now, const D *R old, const D *R speed, D *R next, I n, I m)
{
    LOOP for (I i = 2; i < n - 2; i++) for (I j = 2; j < m - 2; j++)
    {
        const D *x = now + i * m + j;
        D lap = -5 * x[0] + 1.333 * (x[-m] + x[m] + x[-1] + x[1]) - 0.0833 * (x[-2 * m] + x[2 * m] + x[-2] + x[2]);
        next[i * m + j] = 2 * x[0] - old[i * m + j] + speed[i * m + j] * lap;
    }
}

K maxwell(const D *R ex, const D *R ey, D *R hz, I n, I m)
{
    LOOP for (I i = 0; i < n - 1; i++) for (I j = 0; j < m - 1; j++) hz[i * m + j] -=
        0.7 * (ex[i * m + j + 1] - ex[i * m + j] + ey[(i + 1) * m + j] - ey[i * m + j]);
}

/* A quarter of the points: odd rows and odd columns. */
K redblack(D *R x, const D *R f, I n, I m)
{
    LOOP for (I i = 0; i < (n - 1) / 2; i++)
    {
        D *R y = x + (2 * i + 1) * m;
        for (I j = 1; j < m - 1; j += 2)
            y[j] = 0.25 * (y[j - m] + y[j + m] + y[j - 1] + y[j + 1] - f[i * m + j]);
    }
}

K sobel(const int16_t *R x, float *R y, I n, I m)
{
    LOOP for (I i = 1; i < n - 1; i++) for (I j = 1; j < m - 1; j++)
    {
        const int16_t *a = x + (i - 1) * m + j, *b = a + m, *c = b + m;
        float gx = (float)(a[1] + 2 * b[1] + c[1] - a[-1] - 2 * b[-1] - c[-1]);
        float gy = (float)(c[-1] + 2 * c[0] + c[1] - a[-1] - 2 * a[0] - a[1]);
        y[i * m + j] = std::sqrt(gx * gx + gy * gy);
    }
}

K blur(const D *R x, const D *R w, D *R y, I n, I m)
{
    LOOP for (I i = 1; i < n - 1; i++) for (I j = 1; j < m - 1; j++)
    {
        D s = 0;
        for (I a = 0; a < 3; a++)
            for (I b = 0; b < 3; b++)
                s += w[a * 3 + b] * x[(i + a - 1) * m + j + b - 1];
        y[i * m + j] = s;
    }
}

K burgers(const D *R u, const D *R v, D *R out, I n, I m, D r)
{
    LOOP for (I i = 0; i < n; i++)
    {
        const D *x = u + i * m, *up = u + std::max(i - 1, (I)0) * m, *down = u + std::min(i + 1, n - 1) * m;
        for (I j = 0; j < m; j++)
        {
            D left = x[std::max(j - 1, (I)0)], right = x[std::min(j + 1, m - 1)];
            D carried = x[j] * (x[j] - left) + v[i * m + j] * (x[j] - up[j]);
            out[i * m + j] = x[j] - r * carried + 0.1 * (left + right + up[j] + down[j] - 4 * x[j]);
        }
    }
}

/* three dimensions */

#define AT(i, j, k) (((i)*n + (j)) * n + (k))
#define CUBE(lo, hi) \
    _Pragma("omp parallel for collapse(2) schedule(static) num_threads(threads)") for (I i = lo; i < hi; i++) \
        for (I j = lo; j < hi; j++) for (I k = lo; k < hi; k++)

K laplace(const D *R x, D *R y, I n)
{
    CUBE(1, n - 1)
    y[AT(i, j, k)] = x[AT(i - 1, j, k)] + x[AT(i + 1, j, k)] + x[AT(i, j - 1, k)] + x[AT(i, j + 1, k)] +
                     x[AT(i, j, k - 1)] + x[AT(i, j, k + 1)] - 6 * x[AT(i, j, k)];
}

K difference(const D *R x, D *R y, I n)
{
    _Pragma("omp parallel for collapse(2) schedule(static) num_threads(threads)") for (I i = 0; i < n - 1; i++)
        for (I j = 0; j < n; j++) for (I k = 0; k < n; k++) y[AT(i, j, k)] = x[AT(i + 1, j, k)] + x[AT(i, j, k)];
}

K corners(const D *R x, D *R y, I n, I jp, I kp)
{
    LOOP for (I i = 0; i < n; i++) y[i] =
        0.125 * (x[i] + x[i + 1] + x[i + jp] + x[i + jp + 1] + x[i + kp] + x[i + kp + 1] + x[i + kp + jp] +
                 x[i + kp + jp + 1]);
}

K advection(const D *R q, const D *R u, const D *R v, const D *R w, D *R out, I n, D r)
{
    CUBE(1, n)
    out[AT(i, j, k)] = q[AT(i, j, k)] - r * (u[AT(i, j, k)] * (q[AT(i, j, k)] - q[AT(i - 1, j, k)]) +
                                             v[AT(i, j, k)] * (q[AT(i, j, k)] - q[AT(i, j - 1, k)]) +
                                             w[AT(i, j, k)] * (q[AT(i, j, k)] - q[AT(i, j, k - 1)]));
}

K cube27(const D *R x, D *R y, I n)
{
    CUBE(1, n - 1)
    {
        D s = 0;
        for (I a = -1; a < 2; a++)
            for (I b = -1; b < 2; b++)
                for (I c = -1; c < 2; c++)
                    s += x[AT(i + a, j + b, k + c)];
        y[AT(i, j, k)] = s / 27;
    }
}

/* Periodic: the ends of a row apart. */
K torus(const D *R x, D *R y, I n)
{
    _Pragma("omp parallel for collapse(2) schedule(static) num_threads(threads)") for (I i = 0; i < n; i++)
        for (I j = 0; j < n; j++)
    {
        const D *c = x + AT(i, j, 0), *a = x + AT(i > 0 ? i - 1 : n - 1, j, 0), *b = x + AT(i + 1 < n ? i + 1 : 0, j, 0);
        const D *d = x + AT(i, j > 0 ? j - 1 : n - 1, 0), *e = x + AT(i, j + 1 < n ? j + 1 : 0, 0);
        D *out = y + AT(i, j, 0);
        for (I k = 1; k < n - 1; k++)
            out[k] = a[k] + b[k] + d[k] + e[k] + c[k - 1] + c[k + 1] - 6 * c[k];
        out[0] = a[0] + b[0] + d[0] + e[0] + c[n - 1] + c[1] - 6 * c[0];
        out[n - 1] = a[n - 1] + b[n - 1] + d[n - 1] + e[n - 1] + c[n - 2] + c[0] - 6 * c[n - 1];
    }
}

/* four dimensions */

K scattering(const D *R phi, const D *R sigma, const D *R source, D *R q, I groups, I n)
{
    _Pragma("omp parallel for collapse(3) schedule(static) num_threads(threads)") for (I g = 0; g < groups; g++)
        for (I i = 0; i < n; i++) for (I j = 0; j < n; j++) for (I k = 0; k < n; k++) q[g * n * n * n + AT(i, j, k)] =
            source[g * n * n * n + AT(i, j, k)] + sigma[g] * phi[g * n * n * n + AT(i, j, k)];
}

K lattice(const D *R x, D *R y, I n)
{
    _Pragma("omp parallel for collapse(3) schedule(static) num_threads(threads)") for (I t = 1; t < n - 1; t++)
        for (I i = 1; i < n - 1; i++) for (I j = 1; j < n - 1; j++) for (I k = 1; k < n - 1; k++)
    {
        const D *c = x + t * n * n * n + AT(i, j, k);
        y[t * n * n * n + AT(i, j, k)] = c[n * n * n] + c[-n * n * n] + c[n * n] + c[-n * n] + c[n] + c[-n] + c[1] +
                                         c[-1] - 8 * c[0];
    }
}

/* polyhedral */

K matvec(const D *R a, const D *R x, D *R y, I n)
{
    LOOP for (I i = 0; i < n; i++)
    {
        D s = 0;
        for (I j = 0; j < n; j++)
            s += a[i * n + j] * x[j];
        y[i] = s;
    }
}

K transposed(const D *R a, const D *R x, D *R y, I n)
{
    _Pragma("omp parallel num_threads(threads)")
    {
        I t = omp_get_thread_num(), p = omp_get_num_threads(), lo = n * t / p, hi = n * (t + 1) / p;
        for (I j = lo; j < hi; j++)
            y[j] = 0;
        for (I i = 0; i < n; i++)
            for (I j = lo; j < hi; j++)
                y[j] += a[i * n + j] * x[i];
    }
}

K product(const D *R a, const D *R b, D *R c, I n)
{
    LOOP for (I i = 0; i < n; i++)
    {
        for (I j = 0; j < n; j++)
            c[i * n + j] = 0;
        for (I k = 0; k < n; k++)
            for (I j = 0; j < n; j++)
                c[i * n + j] += a[i * n + k] * b[k * n + j];
    }
}

K rank2(const D *R u, const D *R v, const D *R x, const D *R y, D *R a, I n)
{
    LOOP for (I i = 0; i < n; i++) for (I j = 0; j < n; j++) a[i * n + j] += u[i] * v[j] + x[i] * y[j];
}

K triangle(const D *R a, const D *R x, D *R y, I n)
{
    _Pragma("omp parallel for schedule(dynamic, 16) num_threads(threads)") for (I i = 0; i < n; i++)
    {
        D s = 0;
        for (I j = 0; j <= i; j++)
            s += a[i * n + j] * x[j];
        y[i] = s;
    }
}

K thomas(const D *R rhs, D *R c, D *R x, I m)
{
    _Pragma("omp parallel num_threads(threads)")
    {
        I t = omp_get_thread_num(), of = omp_get_num_threads(), lo = m * t / of, hi = m * (t + 1) / of;
        for (I j = lo; j < hi; j++)
            c[j] = -0.25, x[j] = rhs[j] / 4;
        for (I i = 1; i < m; i++)
            for (I j = lo; j < hi; j++)
            {
                D w = 1 / (4 + c[(i - 1) * m + j]);
                c[i * m + j] = -w;
                x[i * m + j] = (rhs[i * m + j] + x[(i - 1) * m + j]) * w;
            }
        for (I i = m - 2; i >= 0; i--)
            for (I j = lo; j < hi; j++)
                x[i * m + j] -= c[i * m + j] * x[(i + 1) * m + j];
    }
}

K goertzel(const D *R x, D *R power, I n)
{
    LOOP for (I k = 0; k < n; k++)
    {
        D w = 2 * std::cos(2 * M_PI * k / n), a = 0, b = 0;
        for (I t = 0; t < n; t++)
        {
            D c = x[t] + w * a - b;
            b = a;
            a = c;
        }
        power[k] = a * a + b * b - w * a * b;
    }
}

K knapsack(const int32_t *R old, int32_t *R now, I n, I weight, I value)
{
    LOOP for (I w = 0; w < n; w++) now[w] = w >= weight ? std::max(old[w], old[w - weight] + (int32_t)value) : old[w];
}

/* gathers */

K ellpack(const D *R a, const int32_t *R column, const D *R x, D *R y, I n, I width)
{
    LOOP for (I i = 0; i < n; i++)
    {
        D s = 0;
        for (I k = 0; k < width; k++)
            s += a[k * n + i] * x[column[k * n + i]];
        y[i] = s;
    }
}

K diagonals(const D *R a, const I *R offset, const D *R x, D *R y, I n, I width)
{
    _Pragma("omp parallel for schedule(static) num_threads(threads)") for (I from = 0; from < n; from += 1024)
    {
        I to = std::min(n, from + 1024);
        std::fill(y + from, y + to, 0.0);
        for (I k = 0; k < width; k++)
            for (I i = std::max(from, -offset[k]); i < std::min(to, n - offset[k]); i++)
                y[i] += a[k * n + i] * x[i + offset[k]];
    }
}

K edges(const int32_t *R from, const int32_t *R to, const D *R x, D *R y, I n)
{
    LOOP for (I i = 0; i < n; i++) y[i] = 0.5 * (x[from[i]] + x[to[i]]);
}

K sparse(const int32_t *R first, const int32_t *R column, const D *R a, const D *R x, D *R y, I n)
{
    LOOP for (I i = 0; i < n; i++)
    {
        D s = 0;
        for (I p = first[i]; p < first[i + 1]; p++)
            s += a[p] * x[column[p]];
        y[i] = s;
    }
}

K areas(const int32_t *R node, const D *R x, const D *R y, D *R area, I n)
{
    LOOP for (I i = 0; i < n; i++)
    {
        I a = node[3 * i], b = node[3 * i + 1], c = node[3 * i + 2];
        area[i] = 0.5 * std::fabs((x[b] - x[a]) * (y[c] - y[a]) - (x[c] - x[a]) * (y[b] - y[a]));
    }
}

K table(const D *R t, const D *R x, D *R y, I n, I m)
{
    LOOP for (I i = 0; i < n; i++)
    {
        D s = x[i] * (m - 1);
        I k = (I)s;
        y[i] = t[k] + (s - k) * (t[k + 1] - t[k]);
    }
}

K periodic(const D *R x, D *R y, I n)
{
    y[0] = x[n - 1] - 2 * x[0] + x[1];
    LOOP for (I i = 1; i < n - 1; i++) y[i] = x[i - 1] - 2 * x[i] + x[i + 1];
    y[n - 1] = x[n - 2] - 2 * x[n - 1] + x[0];
}

K push(D *R x, D *R v, const D *R e, I n, I cells, D dt)
{
    LOOP for (I i = 0; i < n; i++)
    {
        D s = x[i] * cells;
        I k = (I)s;
        D w = s - k;
        v[i] += dt * ((1 - w) * e[k] + w * e[k + 1]);
        x[i] += dt * v[i];
        if (x[i] < 0)
            x[i] += 1;
        if (x[i] >= 1)
            x[i] -= 1;
    }
}

/* reductions with conditions; the result goes to out */

K masked(const D *R x, const D *R w, D *R out, I n)
{
    D sum = 0;
    SUM for (I i = 0; i < n; i++) sum += w[i] > 0.5 ? x[i] * w[i] : 0;
    *out = sum;
}

K fastest(const D *R u, const D *R c, D *R out, I n)
{
    D most = 0;
    _Pragma("omp parallel for simd schedule(static) reduction(max : most) num_threads(threads)") for (I i = 0; i < n;
                                                                                                     i++)
    {
        D v = std::fabs(u[i]) + c[i];
        most = v > most ? v : most;
    }
    *out = most;
}

K moments(const D *R x, D *R out, I n)
{
    D s = 0, t = 0;
    _Pragma("omp parallel for simd schedule(static) reduction(+ : s, t) num_threads(threads)") for (I i = 0; i < n; i++)
        s += x[i], t += x[i] * x[i];
    out[0] = s, out[1] = t;
}

K inside(const D *R x, const D *R y, I *R out, I n)
{
    I sum = 0;
    SUM for (I i = 0; i < n; i++) sum += x[i] * x[i] + y[i] * y[i] <= 1;
    *out = sum;
}

static inline bool is_space(uint8_t c) { return c == 32 || (c >= 9 && c <= 13); }

K words(const uint8_t *R text, I *R out, I n)
{
    I sum = n > 0 && !is_space(text[0]);
    SUM for (I i = 1; i < n; i++) sum += !is_space(text[i]) & is_space(text[i - 1]);
    *out = sum;
}

K octants(const D *R x, const D *R y, const D *R z, I *R out, I n)
{
    std::vector<I> all(8 * 16 * (size_t)threads);
    _Pragma("omp parallel num_threads(threads)")
    {
        I mine[8] = {};
        _Pragma("omp for schedule(static)") for (I i = 0; i < n; i++)
            mine[(x[i] > 0.5) * 4 + (y[i] > 0.5) * 2 + (z[i] > 0.5)]++;
        for (int b = 0; b < 8; b++)
            all[8 * 16 * omp_get_thread_num() + b] = mine[b];
    }
    for (int b = 0; b < 8; b++)
    {
        out[b] = 0;
        for (int t = 0; t < threads; t++)
            out[b] += all[8 * 16 * t + b];
    }
}

/* finite elements */

K stiffness(const D *R jac, const D *R u, const D *R grad, D *R out, I n)
{
    LOOP for (I e = 0; e < n; e++)
    {
        D r[8] = {};
        for (int q = 0; q < 8; q++)
        {
            D s = 0;
            for (int a = 0; a < 8; a++)
                s += grad[q * 8 + a] * u[e * 8 + a];
            s *= jac[e * 8 + q];
            for (int a = 0; a < 8; a++)
                r[a] += grad[q * 8 + a] * s;
        }
        for (int a = 0; a < 8; a++)
            out[e * 8 + a] = r[a];
    }
}

K spectral(const D *R b, const D *R u, D *R out, I n)
{
    LOOP for (I e = 0; e < n; e++)
    {
        const D *x = u + 64 * e;
        D t[64], s[64];
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++)
                for (int k = 0; k < 4; k++)
                {
                    D v = 0;
                    for (int a = 0; a < 4; a++)
                        v += b[k * 4 + a] * x[(i * 4 + j) * 4 + a];
                    t[(i * 4 + j) * 4 + k] = v;
                }
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++)
                for (int k = 0; k < 4; k++)
                {
                    D v = 0;
                    for (int a = 0; a < 4; a++)
                        v += b[j * 4 + a] * t[(i * 4 + a) * 4 + k];
                    s[(i * 4 + j) * 4 + k] = v;
                }
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++)
                for (int k = 0; k < 4; k++)
                {
                    D v = 0;
                    for (int a = 0; a < 4; a++)
                        v += b[i * 4 + a] * s[(a * 4 + j) * 4 + k];
                    out[64 * e + (i * 4 + j) * 4 + k] = v;
                }
    }
}

K inverse(const D *R a, D *R out, I n)
{
    LOOP for (I e = 0; e < n; e++)
    {
        D m[9];
        for (int k = 0; k < 9; k++)
            m[k] = a[k * n + e];
        D c0 = m[4] * m[8] - m[5] * m[7], c1 = m[5] * m[6] - m[3] * m[8], c2 = m[3] * m[7] - m[4] * m[6];
        D d = 1 / (m[0] * c0 + m[1] * c1 + m[2] * c2);
        out[e] = c0 * d, out[n + e] = (m[2] * m[7] - m[1] * m[8]) * d, out[2 * n + e] = (m[1] * m[5] - m[2] * m[4]) * d;
        out[3 * n + e] = c1 * d, out[4 * n + e] = (m[0] * m[8] - m[2] * m[6]) * d;
        out[5 * n + e] = (m[2] * m[3] - m[0] * m[5]) * d, out[6 * n + e] = c2 * d;
        out[7 * n + e] = (m[1] * m[6] - m[0] * m[7]) * d, out[8 * n + e] = (m[0] * m[4] - m[1] * m[3]) * d;
    }
}

K element(const int32_t *R node, const D *R a, const D *R x, D *R out, I n)
{
    LOOP for (I e = 0; e < n; e++) for (int r = 0; r < 4; r++)
    {
        D s = 0;
        for (int c = 0; c < 4; c++)
            s += a[(e * 4 + r) * 4 + c] * x[node[4 * e + c]];
        out[4 * e + r] = s;
    }
}

/* data base */

K revenue(const int32_t *R day, const D *R price, const D *R discount, const D *R quantity, D *R out, I n)
{
    D sum = 0;
    SUM for (I i = 0; i < n; i++) sum += day[i] >= 100 && day[i] < 465 && discount[i] >= 0.05 && discount[i] <= 0.07 &&
                                                 quantity[i] < 24
                                             ? price[i] * discount[i]
                                             : 0;
    *out = sum;
}

K groups(const int32_t *R key, const D *R value, D *R out, I n, I m)
{
    std::vector<D> all((size_t)m * threads);
    _Pragma("omp parallel num_threads(threads)")
    {
        D *mine = all.data() + m * omp_get_thread_num();
        _Pragma("omp for schedule(static)") for (I i = 0; i < n; i++) mine[key[i]] += value[i];
    }
    for (I b = 0; b < m; b++)
    {
        out[b] = 0;
        for (int t = 0; t < threads; t++)
            out[b] += all[(size_t)m * t + b];
    }
}

/* images */

K gray(const uint8_t *R rgb, uint8_t *R out, I n)
{
    LOOP for (I i = 0; i < n; i++) out[i] = (uint8_t)((77 * rgb[3 * i] + 150 * rgb[3 * i + 1] + 29 * rgb[3 * i + 2]) >> 8);
}

K smooth(const float *R x, const float *R w, float *R y, I n)
{
    LOOP for (I i = 2; i < n - 2; i++)
    {
        float s = 0;
        for (int k = 0; k < 5; k++)
            s += w[k] * x[i + k - 2];
        y[i] = s;
    }
}

K across(const float *R x, const float *R w, float *R y, I n, I m)
{
    LOOP for (I i = 0; i < n; i++) for (I j = 0; j < m; j++)
    {
        float s = 0;
        for (I b = 0; b < 5; b++)
            s += w[b] * x[i * m + std::min(std::max(j + b - 2, (I)0), m - 1)];
        y[i * m + j] = s;
    }
}

K blend(const float *R a, const float *R b, const float *R alpha, float *R out, I n)
{
    LOOP for (I i = 0; i < n; i++) out[i] = std::min(1.0f, std::max(0.0f, alpha[i] * a[i] + (1.0f - alpha[i]) * b[i]));
}
