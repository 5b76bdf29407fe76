//! The state machine of a libvirt domain: states, reasons, legal transitions, events; shared by every backend.
