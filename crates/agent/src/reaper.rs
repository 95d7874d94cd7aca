//! Reaps processes.
