//! What the guest boots from: firmware, kernel, SMBIOS and ACPI tables.

use crate::element::element;
use crate::values::YesNo;

element! {
    /// `<os>`.
    Os {
        /// `efi` lets libvirt pick the firmware by its features.
        opt "@firmware" firmware: String,
        opt "firmware" firmware_features: FirmwareFeatures,
        req "type" kind: OsType,
        opt "acpi" acpi: AcpiTables,
        opt "smbios" smbios: SmbiosMode,
        list "boot" boot: BootDevice,
        opt "bootmenu" boot_menu: BootMenu,
        opt "bios" bios: Bios,
        opt "loader" loader: Loader,
        opt "nvram" nvram: Nvram,
        opt "kernel" kernel: String,
        opt "initrd" initrd: String,
        opt "cmdline" cmdline: String,
    }
}

element! {
    /// `<os><type>`.
    OsType {
        opt "@arch" arch: String,
        opt "@machine" machine: String,
        /// `hvm`.
        req "$text" kind: String,
    }
}

element! {
    /// The features wanted of automatically chosen firmware.
    FirmwareFeatures {
        list "feature" features: FirmwareFeature,
    }
}

element! {
    /// One wanted feature of the firmware: `secure-boot`, `enrolled-keys`.
    FirmwareFeature {
        req "@enabled" enabled: YesNo,
        req "@name" name: String,
    }
}

element! {
    /// ACPI tables given to the guest as they are.
    AcpiTables {
        list "table" tables: AcpiTable,
    }
}

element! {
    /// One ACPI table: its kind (`slic`, `msdm`) and the file that holds it.
    AcpiTable {
        req "@type" kind: String,
        req "$text" path: String,
    }
}

element! {
    /// Where the SMBIOS strings come from: `sysinfo` or `host`.
    SmbiosMode {
        req "@mode" mode: String,
    }
}

element! {
    /// A boot device by class: `hd`, `cdrom`, `network`.
    BootDevice {
        req "@dev" dev: String,
    }
}

element! {
    /// The firmware's boot menu.
    BootMenu {
        req "@enable" enable: YesNo,
        /// How long it waits, in milliseconds.
        opt "@timeout" timeout: u32,
    }
}

element! {
    /// SeaBIOS settings.
    Bios {
        /// Whether it talks to the first serial port.
        opt "@useserial" use_serial: YesNo,
    }
}

element! {
    /// The firmware's code.
    Loader {
        opt "@readonly" readonly: YesNo,
        opt "@secure" secure: YesNo,
        /// `pflash` or `rom`.
        opt "@type" kind: String,
        opt "@stateless" stateless: YesNo,
        opt "@format" format: String,
        req "$text" path: String,
    }
}

element! {
    /// The firmware's variables: the guest's own copy, made from a template.
    Nvram {
        opt "@template" template: String,
        opt "@templateFormat" template_format: String,
        opt "@format" format: String,
        req "$text" path: String,
    }
}

element! {
    /// `<sysinfo>`: the SMBIOS strings the guest sees.
    Sysinfo {
        req "@type" kind: String,
        req "system" system: SysinfoGroup,
        req "bios" bios: SysinfoGroup,
        req "baseBoard" base_board: SysinfoGroup,
        req "chassis" chassis: SysinfoGroup,
    }
}

element! {
    /// One SMBIOS structure.
    SysinfoGroup {
        list "entry" entries: SysinfoEntry,
    }
}

element! {
    /// One SMBIOS string.
    SysinfoEntry {
        req "@name" name: String,
        req "$text" value: String,
    }
}

impl SysinfoGroup {
    /// Appends an entry.
    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.entries.push(SysinfoEntry { name: name.to_owned(), value: value.into() });
    }

    /// The value of the entry `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.entries.iter().find(|e| e.name == name).map(|e| e.value.as_str())
    }
}
