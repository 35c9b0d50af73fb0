def c_text(p,d): return p
