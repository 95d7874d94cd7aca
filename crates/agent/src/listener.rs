//! Holds listening sockets.
