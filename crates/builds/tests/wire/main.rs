//! Server, client and fetch over real sockets, with a real store and real builds.

#[cfg(test)]
mod asking;
#[cfg(test)]
mod cutting;
#[cfg(test)]
mod fetching;
#[cfg(test)]
mod house;
#[cfg(test)]
mod refusing;
#[cfg(test)]
mod serving;
#[cfg(test)]
mod waiting;
