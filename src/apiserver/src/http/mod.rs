//! HTTP: requests in, encoded answers out.
