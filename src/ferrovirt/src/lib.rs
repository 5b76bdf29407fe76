//! KubeVirt's API with running VMs in one process: `up`, `render`, `manifests`, `apiserver`.

pub mod apiserver_command;
pub mod cli;

pub mod endpoint;

pub mod cluster;
pub mod manifests;
pub mod render;
pub mod up;
