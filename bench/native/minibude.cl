/* The energies of examples/minibude.py in OpenCL C: one pose for each work item. */

typedef struct { float x, y, z; int kind; } Atom;
typedef struct { int bonds; float radius, water, charge; } Kind;

#define FORMAL 70
#define EITHER 69

kernel void energies(global const float *restrict poses, global const Atom *restrict ligand,
                     global const Atom *restrict protein, constant Kind *kinds, global float *restrict out,
                     int n, int atoms, int others)
{
    const int i = get_global_id(0);
    if (i >= n) return;
    const float sx = sin(poses[i]), cx = cos(poses[i]), sy = sin(poses[n + i]), cy = cos(poses[n + i]);
    const float sz = sin(poses[2 * n + i]), cz = cos(poses[2 * n + i]);
    const float4 first = (float4)(cy * cz, sx * sy * cz - cx * sz, cx * sy * cz + sx * sz, poses[3 * n + i]);
    const float4 second = (float4)(cy * sz, sx * sy * sz + cx * cz, cx * sy * sz - sx * cz, poses[4 * n + i]);
    const float4 third = (float4)(-sy, sx * cy, cx * cy, poses[5 * n + i]);
    float total = 0;
    for (int k = 0; k < atoms; k++)
    {
        const Atom atom = ligand[k];
        const Kind a = kinds[atom.kind];
        const float x = first.w + atom.x * first.x + atom.y * first.y + atom.z * first.z;
        const float y = second.w + atom.x * second.x + atom.y * second.y + atom.z * second.z;
        const float z = third.w + atom.x * third.x + atom.y * third.y + atom.z * third.z;
        for (int m = 0; m < others; m++)
        {
            const Atom other = protein[m];
            const Kind b = kinds[other.kind];
            const float touching = a.radius + b.radius, part = 1 / touching;
            const float fade = 1 / (a.bonds == FORMAL && b.bonds == FORMAL ? 4.0f : 2.0f);
            const float size = 45 * a.charge * b.charge;
            const float charge = a.bonds == EITHER || b.bonds == EITHER ? -fabs(size) : size;
            const float dries = 1 / (a.water < 0 && b.water < 0 ? 5.5f : 1.0f);
            const float both = a.water * b.water < 0 ? fabs(a.water - b.water) : a.water + b.water;
            const float drive = b.water == 0 || (a.water >= 0 && b.water >= 0) ? 0.0f : both;

            const float dx = x - other.x, dy = y - other.y, dz = z - other.z;
            const float distance = sqrt(dx * dx + dy * dy + dz * dz), gap = distance - touching;
            const float inside = gap < 0 ? 0.0f : gap;
            total += gap < 0 ? 76 * (1 - distance * part) : 0.0f;
            total += gap * fade < 1 ? charge * (1 - inside * fade) : 0.0f;
            total += gap * dries < 1 ? drive * (1 - inside * dries) : 0.0f;
        }
    }
    out[i] = total / 2;
}
