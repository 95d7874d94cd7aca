//! Starts processes.
