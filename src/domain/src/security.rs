//! Confidential guests, security labels, resource partitions and what is handed to QEMU directly.

use crate::element::element;
use crate::values::YesNo;

element! {
    /// `<launchSecurity>`: memory encryption.
    LaunchSecurity {
        /// `sev`, `sev-snp`, `tdx`, `s390-pv`.
        req "@type" kind: String,
        opt "dhCert" dh_cert: String,
        opt "session" session: String,
        opt "cbitpos" cbit_pos: String,
        opt "reducedPhysBits" reduced_phys_bits: String,
        opt "policy" policy: String,
        opt "quoteGenerationService" quote_generation_service: QuoteGenerationService,
    }
}

element! {
    /// The socket that signs a TDX guest's quotes.
    QuoteGenerationService {
        opt "@path" path: String,
    }
}

element! {
    /// A security label, as libvirt reports it.
    SecLabel {
        opt "@type" kind: String,
        opt "@model" model: String,
        opt "@relabel" relabel: YesNo,
        opt "label" label: String,
        opt "imagelabel" image_label: String,
    }
}

element! {
    /// The cgroup the domain lives in.
    Resource {
        opt "partition" partition: String,
    }
}

element! {
    /// The IOMMU file descriptor group of passed-through devices.
    Iommufd {
        req "@enabled" enabled: YesNo,
        opt "@fdgroup" fd_group: String,
    }
}

element! {
    /// Arguments and environment for QEMU, outside of libvirt's model.
    QemuCommandline {
        nslist "qemu:env" "env" env: QemuEnv,
        nslist "qemu:arg" "arg" args: QemuArg,
    }
}

element! {
    /// One environment variable.
    QemuEnv {
        req "@name" name: String,
        opt "@value" value: String,
    }
}

element! {
    /// One argument; their order is significant.
    QemuArg {
        req "@value" value: String,
    }
}
