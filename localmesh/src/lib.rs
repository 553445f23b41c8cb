//! localmesh.
