//! The hypervisor backend on libvirt: QEMU guests through a daemon, or through libvirt's QEMU driver in this process.
//!
//! [`Libvirt::connect`] takes a URI of libvirt's, [`Libvirt::embedded`] a folder for the driver without a daemon. Both answer with
//! a [`hypervisor::Hypervisor`].
//!
//! How it is built:
//! - `sys` is the only place with `unsafe`: libvirt's C functions as safe types.
//! - A call runs on tokio's blocking threads, because libvirt's calls wait: for the daemon, the monitor, the guest. A call whose
//!   future is dropped goes on to its end.
//! - Events come from libvirt's event loop, one thread of a process, and are queued without bound for each
//!   [`hypervisor::Hypervisor::events`] stream: none is dropped, and their order is libvirt's.
//! - A connection to a daemon that breaks is replaced as soon as the daemon answers again. Callbacks are registered first; then every
//!   domain that is there, or was there before, is announced as [`hypervisor::EventKind::Reconnected`], because what happened in
//!   between is not known. Guests live on without the daemon.

mod capabilities;
mod connection;
mod domain;
mod guest;
mod stats;
mod sys;

pub use connection::Libvirt;
