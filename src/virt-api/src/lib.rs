//! virt-api: admission webhooks and the aggregated subresources API, over TLS.
