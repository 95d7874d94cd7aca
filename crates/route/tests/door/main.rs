//! The embedded proxy on real sockets.

#[cfg(test)]
mod answers;
#[cfg(test)]
mod ends;
#[cfg(test)]
mod epochs;
mod framing;
#[cfg(test)]
mod races;
#[cfg(test)]
mod restarts;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod streams;
