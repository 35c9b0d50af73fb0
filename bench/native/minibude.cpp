/* The energies of examples/minibude.py as a good C++ programmer writes them: blocks of poses, whose innermost loops the
 * compiler makes vectors of. OpenMP, no intrinsics.
 */
#include <cmath>
#include <cstdint>

struct Atom { float x, y, z; int32_t kind; };
struct Kind { int32_t bonds; float radius, water, charge; };

static const int FORMAL = 70, EITHER = 69;
static const float HARDNESS = 76, CHARGES = 45, NEAR = 2, FAR = 4, WET = 1, DRY = 5.5f;
static const int64_t BLOCK = 64;
static int threads = 1;

extern "C" void set_threads(int64_t n) { threads = (int)n; }

/* `count` poses, at most BLOCK, from one on */
static void block(const float *poses, int64_t n, const Atom *ligand, int64_t atoms, const Atom *protein, int64_t others,
                  const Kind *kinds, float *__restrict energies, int64_t count)
{
    float turn[3][4][BLOCK], x[BLOCK], y[BLOCK], z[BLOCK], total[BLOCK];
#pragma omp simd
    for (int64_t i = 0; i < count; i++)
    {
        float sx = std::sin(poses[i]), cx = std::cos(poses[i]);
        float sy = std::sin(poses[n + i]), cy = std::cos(poses[n + i]);
        float sz = std::sin(poses[2 * n + i]), cz = std::cos(poses[2 * n + i]);
        turn[0][0][i] = cy * cz, turn[0][1][i] = sx * sy * cz - cx * sz, turn[0][2][i] = cx * sy * cz + sx * sz;
        turn[1][0][i] = cy * sz, turn[1][1][i] = sx * sy * sz + cx * cz, turn[1][2][i] = cx * sy * sz - sx * cz;
        turn[2][0][i] = -sy, turn[2][1][i] = sx * cy, turn[2][2][i] = cx * cy;
        for (int k = 0; k < 3; k++) turn[k][3][i] = poses[(3 + k) * n + i];
        total[i] = 0;
    }
    for (int64_t k = 0; k < atoms; k++)
    {
        const Atom atom = ligand[k];
        const Kind a = kinds[atom.kind];
#pragma omp simd
        for (int64_t i = 0; i < count; i++)
        {
            x[i] = turn[0][3][i] + atom.x * turn[0][0][i] + atom.y * turn[0][1][i] + atom.z * turn[0][2][i];
            y[i] = turn[1][3][i] + atom.x * turn[1][0][i] + atom.y * turn[1][1][i] + atom.z * turn[1][2][i];
            z[i] = turn[2][3][i] + atom.x * turn[2][0][i] + atom.y * turn[2][1][i] + atom.z * turn[2][2][i];
        }
        for (int64_t m = 0; m < others; m++)
        {
            const Atom other = protein[m];
            const Kind b = kinds[other.kind];
            const float touching = a.radius + b.radius, part = 1 / touching;
            const float fade = 1 / (a.bonds == FORMAL && b.bonds == FORMAL ? FAR : NEAR);
            float charge = CHARGES * a.charge * b.charge;
            if (a.bonds == EITHER || b.bonds == EITHER) charge = -std::fabs(charge);
            const float dries = 1 / (a.water < 0 && b.water < 0 ? DRY : WET);
            float drive = a.water * b.water < 0 ? std::fabs(a.water - b.water) : a.water + b.water;
            if (b.water == 0 || (a.water >= 0 && b.water >= 0)) drive = 0;
#pragma omp simd
            for (int64_t i = 0; i < count; i++)
            {
                const float dx = x[i] - other.x, dy = y[i] - other.y, dz = z[i] - other.z;
                const float distance = std::sqrt(dx * dx + dy * dy + dz * dz), gap = distance - touching;
                const float inside = gap < 0 ? 0 : gap;
                float found = gap < 0 ? HARDNESS * (1 - distance * part) : 0;
                found += gap * fade < 1 ? charge * (1 - inside * fade) : 0;
                found += gap * dries < 1 ? drive * (1 - inside * dries) : 0;
                total[i] += found;
            }
        }
    }
#pragma omp simd
    for (int64_t i = 0; i < count; i++) energies[i] = total[i] / 2;
}

extern "C" void energies(const float *poses, const Atom *ligand, const Atom *protein, const Kind *kinds, float *out,
                         int64_t n, int64_t atoms, int64_t others)
{
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int64_t first = 0; first < n; first += BLOCK)
    {
        if (n - first >= BLOCK) block(poses + first, n, ligand, atoms, protein, others, kinds, out + first, BLOCK);
        else block(poses + first, n, ligand, atoms, protein, others, kinds, out + first, n - first);
    }
}
