// exp and its relatives over V16, correct to about one unit in the last place and the same bits on every target.

// exp(x): x = n ln 2 + r, |r| <= ln 2 / 2, a degree-7 polynomial in r, times 2^n. 0 below -87.3, saturates above 88.
inline V16 exp(V16 x) {
  V16 inside = min(set1(88.0f), max(set1(-87.33654f), x));   // in this order NaN stays NaN
  V16 n = round(mul(inside, set1(1.44269504f)));
  V16 r = fma(n, set1(-0.693359375f), inside);      // ln 2 in two parts (Cody and Waite)
  r = fma(n, set1(2.12194440e-4f), r);
  V16 p = set1(1.9841270e-4f);
  p = fma(p, r, set1(1.3888889e-3f));
  p = fma(p, r, set1(8.3333333e-3f));
  p = fma(p, r, set1(4.1666667e-2f));
  p = fma(p, r, set1(1.6666667e-1f));
  p = fma(p, r, set1(0.5f));
  p = fma(p, r, set1(1.0f));
  p = fma(p, r, set1(1.0f));
  return mul(p, pow2(n));
}

inline float exp(float x) { float all[16]; store(all, exp(set1(x))); return all[0]; }

// x * sigmoid(2u) with u = sqrt(2/pi) (x + 0.044715 x^3): the tanh form of GELU without its cancellation near zero.
inline V16 gelu_tanh(V16 x) {
  V16 cube = mul(mul(x, x), x);
  V16 u = mul(set1(0.7978845608f), fma(set1(0.044715f), cube, x));
  return div(x, add(set1(1.0f), exp(mul(set1(-2.0f), u))));
}

// tanh(x) = 1 - 2 / (exp(2x) + 1); used where |error| <= 1e-7 absolute is enough (soft-capping).
inline V16 tanh(V16 x) { return sub(set1(1.0f), div(set1(2.0f), add(exp(mul(set1(2.0f), x)), set1(1.0f)))); }
