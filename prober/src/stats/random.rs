//! The only random generator: small and seeded, so that runs can be repeated. Not for secrets.

/// SplitMix64 (Steele, Lea & Flood 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// A generator that gives the same numbers for the same seed.
    #[must_use]
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        // As many as fit a float exactly.
        z >> 11
    }

    /// From 0, below 1.
    pub(crate) fn uniform(&mut self) -> f64 {
        self.bits() as f64 / (1u64 << 53) as f64
    }

    /// Above 0, at most 1: what a logarithm can be taken of.
    pub(crate) fn positive(&mut self) -> f64 {
        (self.bits() + 1) as f64 / (1u64 << 53) as f64
    }

    /// A whole number below `bound`, which is small against 2^53.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((1.0 - self.positive()) * bound as f64) as u64
    }

    /// A place in `shares`, each with its chance.
    pub(crate) fn pick(&mut self, shares: &[f64]) -> usize {
        let mut left = self.uniform();
        for (place, share) in shares.iter().enumerate() {
            left -= share;
            if left < 0.0 {
                return place;
            }
        }
        shares.len() - 1
    }
}
