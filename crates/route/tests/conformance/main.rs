//! What a gateway's door does, whichever driver serves it: the same tests at the embedded
//! proxy and at a real nginx, on real sockets.
//!
//! Without nginx on this machine they fail.

#[cfg(test)]
mod aborts;
#[cfg(test)]
#[path = "../front/authority.rs"]
mod authority;
#[cfg(test)]
mod bodies;
#[cfg(test)]
mod cards;
#[cfg(test)]
mod doors;
#[cfg(test)]
mod framing;
#[cfg(test)]
mod fronts;
#[cfg(test)]
mod heads;
#[cfg(test)]
mod hosts;
#[cfg(test)]
mod nginx_front;
#[cfg(test)]
mod origins;
#[cfg(test)]
mod pages;
#[cfg(test)]
#[path = "../door/rig.rs"]
#[expect(dead_code, reason = "these tests open their doors in another way")]
mod rig;
#[cfg(test)]
mod tables;
