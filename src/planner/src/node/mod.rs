//! What virt-handler decides: the next phase of a VMI, its conditions, and what to do with its domain.
