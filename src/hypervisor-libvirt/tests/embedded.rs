//! libvirt's QEMU driver in this process passes the suite that every backend passes.

#[allow(dead_code, reason = "the suites share it, and each uses a part")]
mod bench;

use bench::{LibvirtBench, folder};
use ferrovirt_hypervisor_libvirt::Libvirt;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_driver_conforms() {
    let folder = folder();
    let hypervisor = match Libvirt::embedded(&folder.path().join("root")).await {
        Ok(hypervisor) => hypervisor,
        Err(error) => {
            println!("skipped: libvirt is not installed: {error}");
            return;
        }
    };
    let bench = LibvirtBench::new(hypervisor, folder.path());
    let report = bench.report().await;
    println!("libvirt, embedded: {report}");
    assert!(report.deviations().is_empty(), "{report}");
}
