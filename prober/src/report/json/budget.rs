//! How much memory the packed parts of a report may take: a text of 64 MiB can unpack to terabytes. Pure.

use std::cell::Cell;

use super::JsonError;

/// The most MiB that histograms, timelines and orders of results take.
pub(super) const MOST_MIB: usize = 512;

/// What is left of the memory for the packed parts of one report.
pub(super) struct Budget(Cell<usize>);

impl Budget {
    pub(super) fn new() -> Self {
        Self(Cell::new(MOST_MIB << 20))
    }

    /// Takes bytes that a part needs.
    ///
    /// # Errors
    /// If fewer are left.
    pub(super) fn take(&self, bytes: usize) -> Result<(), JsonError> {
        let left = self.0.get().checked_sub(bytes).ok_or(JsonError::Unpacked)?;
        self.0.set(left);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_together_have_one_limit() {
        let budget = Budget::new();
        let half = MOST_MIB << 19;
        assert!(budget.take(half).is_ok() && budget.take(half).is_ok());
        let said = budget.take(1).unwrap_err().to_string();
        assert!(said.contains("more than 512 MiB"), "{said}");
    }
}
