//! libvirt's C functions behind safe types: the only place with `unsafe`.
//!
//! Each type owns one reference of libvirt's and gives it back when dropped. Errors are read from libvirt's thread-local record
//! right after the call that failed, on the same thread. libvirt's objects may be used from any thread.
#![allow(unsafe_code, reason = "libvirt is a C library; each block says why it is sound")]

mod connection;
mod domain;
mod event_loop;
mod events;
mod params;
mod text;

pub(crate) use connection::{Connection, OnClose, Record};
pub(crate) use domain::{AttachFlags, Domain, DomainXml};
pub(crate) use events::{Sink, operation};
pub(crate) use params::{Params, Value};
