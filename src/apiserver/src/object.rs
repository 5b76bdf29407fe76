//! Access to the metadata of dynamic objects.
