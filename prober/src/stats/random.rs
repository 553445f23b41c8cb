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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_split_mix_64() {
        // The first of the reference implementation for this seed.
        let known: [u64; 5] = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        let mut random = Random::new(1_234_567);
        assert_eq!(known.map(|_| random.bits()), known.map(|bits| bits >> 11));
        let of_first = |draw: fn(&mut Random) -> f64| draw(&mut Random::new(1_234_567));
        let first = 3_153_236_189_995_295.0 / 2.0_f64.powi(53);
        assert_eq!(of_first(Random::uniform), first);
        assert_eq!(of_first(Random::positive), first + 2.0_f64.powi(-53));
    }

    #[test]
    fn numbers_below_a_bound_and_places_have_their_chances() {
        let mut random = Random::new(1);
        let (mut below, mut picked) = ([0; 5], [0; 3]);
        for _ in 0..10_000 {
            below[random.below(5) as usize] += 1;
            picked[random.pick(&[0.2, 0.0, 0.8])] += 1;
        }
        // Four standard errors of 40.
        assert!(below.iter().all(|n| (1_840..=2_160).contains(n)), "{below:?}");
        assert!((1_840..=2_160).contains(&picked[0]) && picked[1] == 0, "{picked:?}");
        // What rounding leaves over belongs to the last one.
        assert_eq!(random.pick(&[0.0, 0.0]), 1);
    }
}
