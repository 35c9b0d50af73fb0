"""The texts of functions of complex numbers: the formulas of CPython and NumPy; at huge and special ones C's Annex G.

On CPUs they are in `portapar.kernel.jit.numbers` and `portapar.kernel.jit.complexes`.
"""

from __future__ import annotations


def _turned(hyperbolic: str) -> str:
    """The text of a function of complex numbers that is a hyperbolic one of its argument turned by a right angle."""
    return f"""\
DEVICE @T @N(@T a) {{
    @T turned = @H({hyperbolic})(@T_make(-a.im, a.re));
    return @T_make(turned.im, -turned.re);
}}"""


COMPLEX: dict[str, str] = {
    "complex_add": "DEVICE @T @N(@T a, @T b) { return @T_make(a.re + b.re, a.im + b.im); }",
    "complex_sub": "DEVICE @T @N(@T a, @T b) { return @T_make(a.re - b.re, a.im - b.im); }",
    "complex_mul": """\
DEVICE @T @N(@T a, @T b) {
    return @T_make(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re);
}""",
    "complex_div": """\
DEVICE @T @N(@T a, @T b) {
    @R ratio, scale, size_re = @F(fabs)(b.re), size_im = @F(fabs)(b.im);
    if (size_re == 0 && size_im == 0) return @T_make(a.re / size_re, a.im / size_re);
    if (size_re >= size_im) {
        ratio = b.im / b.re;
        scale = 1 / (b.re + b.im * ratio);
        return @T_make((a.re + a.im * ratio) * scale, (a.im - a.re * ratio) * scale);
    }
    ratio = b.re / b.im;
    scale = 1 / (b.im + b.re * ratio);
    return @T_make((a.re * ratio + a.im) * scale, (a.im * ratio - a.re) * scale);
}""",
    "complex_reciprocal": """\
DEVICE @T @N(@T a) {
    @R ratio, size;
    if (@F(fabs)(a.im) <= @F(fabs)(a.re)) {
        ratio = a.im / a.re;
        size = a.re + a.im * ratio;
        return @T_make(1 / size, -ratio / size);
    }
    ratio = a.re / a.im;
    size = a.re * ratio + a.im;
    return @T_make(ratio / size, -1 / size);
}""",
    "complex_sign": """\
DEVICE @T @N(@T a) {
    @R size = @F(hypot)(a.re, a.im);
    if (isnan(size) || (isinf(a.re) && isinf(a.im))) {
        @R none = (a.re - a.re) + (a.im - a.im);
        return @T_make(none, none);
    }
    if (isinf(a.re)) return @T_make(a.re > 0 ? 1 : -1, 0);
    if (isinf(a.im)) return @T_make(0, a.im > 0 ? 1 : -1);
    return size == 0 ? @T_make(0, 0) : @T_make(a.re / size, a.im / size);
}""",
    "complex_conj": "DEVICE @T @N(@T a) { return @T_make(a.re, -a.im); }",
    "complex_abs": "DEVICE @R @N(@T a) { return @F(hypot)(a.re, a.im); }",
    "square_complex": "DEVICE @T @N(@T a) { return @H(complex_mul)(a, a); }",
    "complex_sqrt": """\
DEVICE @T @N(@T a) {
    @R x = a.re, y = a.im, rest = @F(copysign)(y - y, y);
    if (isinf(y)) return @T_make(@F(fabs)(y), y);
    if (x == 0 && y == 0) return @T_make(0, y);
    if (isinf(x)) return x > 0 ? @T_make(x, rest) : @T_make(@F(fabs)(rest), @F(copysign)(x, y));
    bool small = @F(fabs)(x) < 1 && @F(fabs)(y) < 1;
    @R scale = small ? (@R)18014398509481984.0 : (@R)0.25f, back = small ? (@R)7.450580596923828125e-9 : (@R)2;
    x *= scale;
    y *= scale;
    @R t = @F(sqrt)((@F(fabs)(x) + @F(hypot)(x, y)) * (@R)0.5f), part = y / (2 * t) * back;
    return x >= 0 ? @T_make(t * back, part) : @T_make(@F(fabs)(part), @F(copysign)(t * back, y));
}""",
    "complex_exp": """\
DEVICE @T @N(@T a) {
    @R x = a.re, y = a.im, r = @F(exp)(x);
    if (y == 0) return @T_make(r, y);
    if (isinf(x) && !isfinite(y)) return x > 0 ? @T_make(x, y - y) : @T_make(0, 0);
    if (isinf(r)) {
        r = @F(exp)(x * (@R)0.5f);
        return @T_make(r * @F(cos)(y) * r, r * @F(sin)(y) * r);
    }
    return @T_make(r * @F(cos)(y), r * @F(sin)(y));
}""",
    "complex_log": """\
DEVICE @T @N(@T a) {
    @R x = @F(fabs)(a.re), y = @F(fabs)(a.im), size = @F(hypot)(x, y), most = x > y ? x : y, least = x > y ? y : x;
    @R angle = @F(atan2)(a.im, a.re), found = @F(log)(size);
    if (size > (@R)0.5f && size < 3) {  // what rounding took from the size matters where the logarithm is near to 0
        found += ((most - size) * (most + size) + least * least) / (2 * size * size);
    } else if (isinf(size) && !isinf(most)) {
        found = @F(log)(@F(hypot)(x * (@R)0.5f, y * (@R)0.5f)) + @F(log)((@R)2);
    }
    return @T_make(found, angle);
}""",
    "complex_sin": _turned("complex_sinh"),
    "complex_cos": "DEVICE @T @N(@T a) { return @H(complex_cosh)(@T_make(-a.im, a.re)); }",
    # The hyperbolic sine and cosine of half of the real part: those of all of it overflow only where products do.
    "half_hyperbolic": """\
DEVICE @T @N(@T a) {
    @R m = @F(expm1)(@F(fabs)(a.re) * (@R)0.5f), part = m > (@R)1e18 ? 1 : m / (m + 1);
    return @T_make(@F(copysign)((@R)0.5f * (m + part), a.re), 1 + (@R)0.5f * m * part);
}""",
    "complex_sinh": """\
DEVICE @T @N(@T a) {
    @R x = a.re, y = a.im;
    @T of = @H(half_hyperbolic)(a);
    @R real = 2 * (of.re * @F(cos)(y)) * of.im, imag = @F(sin)(y) + 2 * (of.re * @F(sin)(y)) * of.re;
    if (!isfinite(y)) real = x == 0 ? x : isinf(x) ? @F(fabs)(x) : y - y;
    return @T_make(real, y == 0 ? y : imag);
}""",
    "complex_cosh": """\
DEVICE @T @N(@T a) {
    @R x = a.re, y = a.im;
    @T of = @H(half_hyperbolic)(a);
    @R real = @F(cos)(y) + 2 * (of.re * @F(cos)(y)) * of.re, imag = 2 * (of.re * @F(sin)(y)) * of.im;
    if (!isfinite(y)) {
        real = isinf(x) ? @F(fabs)(x) : y - y;
        imag = x == 0 ? 0 : y - y;
    }
    return @T_make(real, y == 0 ? y * @F(copysign)((@R)1, x) : imag);
}""",
    "complex_tan": _turned("complex_tanh"),
    "complex_tanh": """\
DEVICE @T @N(@T a) {
    @R x = a.re, y = a.im, tangent = @F(tanh)(x), t = @F(tan)(y), e = @F(exp)(-2 * @F(fabs)(x));
    @R below = 1 + (tangent * t) * (tangent * t);
    @R real = tangent * ((1 + t * t) / below), imag = t / below * (4 * e / ((1 + e) * (1 + e)));
    if (isinf(x) || (x == 0 && !isfinite(y))) real = tangent;
    if (isinf(x) && !isfinite(y)) imag = @F(copysign)((@R)0, y);
    return @T_make(real, y == 0 ? y : imag);
}""",
    "is_huge": """\
DEVICE bool @N(@T a) { return @F(fabs)(a.re) > (@R)1e18 || @F(fabs)(a.im) > (@R)1e18; }""",
    "log_twice": """\
DEVICE @R @N(@T a) { return @F(log)(@F(hypot)(a.re * (@R)0.5f, a.im * (@R)0.5f)) + 2 * @F(log)((@R)2); }""",
    "complex_asin": _turned("complex_asinh"),
    "complex_acos": """\
DEVICE @T @N(@T a) {
    @R x = a.re, y = a.im;
    if (x == 0 && isnan(y)) return @T_make((@R)1.5707963267948966, y);
    if (@H(is_huge)(a)) return @T_make(@F(atan2)(@F(fabs)(y), x), -@F(copysign)(@H(log_twice)(a), y));
    @T less = @H(complex_sqrt)(@T_make(1 - x, -y)), more = @H(complex_sqrt)(@T_make(1 + x, y));
    return @T_make(2 * @F(atan2)(less.re, more.re), @F(asinh)(more.re * less.im - more.im * less.re));
}""",
    "complex_atan": _turned("complex_atanh"),
    "complex_asinh": """\
DEVICE @T @N(@T a) {
    @R x = a.re, y = a.im;
    if (isnan(x) && y == 0) return a;
    if (@H(is_huge)(a)) return @T_make(@F(copysign)(@H(log_twice)(a), x), @F(atan2)(y, @F(fabs)(x)));
    @T up = @H(complex_sqrt)(@T_make(1 + y, -x)), down = @H(complex_sqrt)(@T_make(1 - y, x));
    @R real = @F(asinh)(up.re * down.im - down.re * up.im);
    return @T_make(real, @F(atan2)(y, up.re * down.re - up.im * down.im));
}""",
    "complex_acosh": """\
DEVICE @T @N(@T a) {
    @R x = a.re, y = a.im;
    if (x == 0 && isnan(y)) return @T_make(y, (@R)1.5707963267948966);
    if (@H(is_huge)(a)) return @T_make(@H(log_twice)(a), @F(atan2)(y, x));
    @T less = @H(complex_sqrt)(@T_make(x - 1, y)), more = @H(complex_sqrt)(@T_make(x + 1, y));
    return @T_make(@F(asinh)(less.re * more.re + less.im * more.im), 2 * @F(atan2)(less.im, more.re));
}""",
    "complex_atanh": """\
DEVICE @T @N(@T a) {
    @R x = a.re, y = a.im, none = @F(copysign)((@R)0, x), quarter = @F(copysign)((@R)1.5707963267948966, y);
    if (isnan(x) || isnan(y)) {
        if (isinf(y)) return @T_make(none, quarter);
        return @T_make(x == 0 || isinf(x) ? none : x + y, x + y);
    }
    if (@H(is_huge)(a)) {
        @R h = @F(hypot)(x, y);
        return @T_make(isinf(h) ? none : x / h / h, quarter);
    }
    @R sign = x < 0 ? -1 : 1, below;
    x *= sign;
    y *= sign;
    below = (1 - x) * (1 - x) + y * y;
    @R up = below != 0 ? @F(log1p)(4 * x / below) / 4 : (@F(log)((@R)2) - @F(log)(@F(fabs)(y))) / 2;
    return @T_make(sign * up, sign * @F(atan2)(2 * y, (1 - x) * (1 + x) - y * y) / 2);
}""",
    "complex_log2": """\
DEVICE @T @N(@T a) {
    @T found = @H(complex_log)(a);
    return @T_make(found.re / @F(log)((@R)2), found.im / @F(log)((@R)2));
}""",
    "complex_log10": """\
DEVICE @T @N(@T a) {
    @T found = @H(complex_log)(a);
    return @T_make(found.re / @F(log)((@R)10), found.im / @F(log)((@R)10));
}""",
    "complex_log1p": "DEVICE @T @N(@T a) { return @H(complex_log)(@T_make(a.re + 1, a.im)); }",
    "complex_exp2": """\
DEVICE @T @N(@T a) { return @H(complex_exp)(@T_make(a.re * @F(log)((@R)2), a.im * @F(log)((@R)2))); }""",
    "complex_expm1": """\
DEVICE @T @N(@T a) {
    @R part = @F(sin)(a.im / 2);
    return @T_make(@F(expm1)(a.re) * @F(cos)(a.im) - 2 * part * part, @F(exp)(a.re) * @F(sin)(a.im));
}""",
    "complex_rint": "DEVICE @T @N(@T a) { return @T_make(@F(rint)(a.re), @F(rint)(a.im)); }",
    "complex_pow": """\
DEVICE @T @N(@T a, @T b) {
    if (b.re == 0 && b.im == 0) return @T_make(1, 0);
    if (a.re == 0 && a.im == 0) {
        if (b.re > 0) return @T_make(0, 0);
        @R none = a.re / a.re;
        return @T_make(none, none);
    }
    if (b.im == 0 && b.re > -100 && b.re < 100 && b.re == @F(floor)(b.re)) {
        i32 n = (i32)b.re, left = n < 0 ? -n : n;
        @T r = @T_make(1, 0), p = a;
        if (n == 1) return a;
        if (n == 2) return @H(complex_mul)(a, a);
        if (n == -1) return @H(complex_reciprocal)(a);
        if (n == 3) return @H(complex_mul)(a, @H(complex_mul)(a, a));
        for (;;) {
            if (left & 1) r = @H(complex_mul)(r, p);
            left >>= 1;
            if (left == 0) break;
            p = @H(complex_mul)(p, p);
        }
        return n < 0 ? @H(complex_div)(@T_make(1, 0), r) : r;
    }
    return @H(complex_exp)(@H(complex_mul)(b, @H(complex_log)(a)));
}""",
}
for _name, _other in (("minimum", "a"), ("maximum", "a"), ("fmin", "b"), ("fmax", "b")):  # by re, then im
    _sign = "<" if "min" in _name else ">"
    COMPLEX[f"complex_{_name}"] = f"""\
DEVICE @T @N(@T a, @T b) {{
    if (isnan({_other}.re) || isnan({_other}.im) || (a.re == b.re && a.im {_sign}= b.im)) return a;
    return a.re {_sign} b.re && !isnan(a.im) && !isnan(b.im) ? a : b;
}}"""
