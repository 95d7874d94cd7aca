//! The host's front door on real sockets, by real TLS.

#[cfg(test)]
mod authority;
#[cfg(test)]
mod both;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod frames;
#[cfg(test)]
mod http_2;
#[cfg(test)]
mod names;
#[cfg(test)]
#[path = "../door/rig.rs"]
#[expect(dead_code, reason = "these tests open their doors in another way")]
mod rig;
#[cfg(test)]
mod sites;
#[cfg(test)]
mod visits;
#[cfg(test)]
mod waiting;
#[cfg(test)]
mod world;
