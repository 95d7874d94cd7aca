//! Asks whether the application is ready.
