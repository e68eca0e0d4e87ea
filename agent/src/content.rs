//! `files`: content under `/data`, verified before it is visible.
