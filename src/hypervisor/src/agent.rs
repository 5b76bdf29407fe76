//! What the guest agent tells about the guest (hypervisor.md §5, node.md §8).

/// The guest agent's report.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GuestInfo {
    /// The guest's host name; empty when it did not say.
    pub hostname: String,
    /// The operating system.
    pub os: GuestOs,
    /// The time zone.
    pub timezone: GuestTimezone,
    /// Users that are logged in.
    pub users: Vec<GuestUser>,
    /// Network interfaces, the loopback included.
    pub interfaces: Vec<GuestInterface>,
    /// Mounted file systems.
    pub filesystems: Vec<GuestFilesystem>,
    /// Load averages, where the agent knows them.
    pub load: Option<GuestLoad>,
}

/// The operating system of a guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestOs {
    /// `fedora`.
    pub id: String,
    /// `Fedora Linux`.
    pub name: String,
    /// `Fedora Linux 41 (Cloud Edition)`.
    pub pretty_name: String,
    /// `41 (Cloud Edition)`.
    pub version: String,
    /// `41`.
    pub version_id: String,
    /// `6.11.4-301.fc41.x86_64`.
    pub kernel_release: String,
    /// `#1 SMP …`.
    pub kernel_version: String,
    /// `x86_64`.
    pub machine: String,
}

/// A time zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestTimezone {
    /// `UTC`.
    pub name: String,
    /// Seconds east of UTC.
    pub offset_seconds: i32,
}

/// A user that is logged in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GuestUser {
    /// The name.
    pub name: String,
    /// The domain of a Windows user.
    pub domain: String,
    /// Seconds since the epoch.
    pub login_time: f64,
}

/// A network interface as the guest sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestInterface {
    /// `eth0`.
    pub name: String,
    /// `02:00:00:00:00:01`.
    pub mac: String,
    /// Addresses without their prefix length.
    pub addresses: Vec<String>,
}

/// A mounted file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestFilesystem {
    /// The device, `vda1`.
    pub name: String,
    /// Where it is mounted.
    pub mountpoint: String,
    /// `ext4`.
    pub kind: String,
    /// Bytes in use.
    pub used_bytes: u64,
    /// Size in bytes.
    pub total_bytes: u64,
}

/// Load averages.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GuestLoad {
    /// Over one minute.
    pub one: f64,
    /// Over five minutes.
    pub five: f64,
    /// Over fifteen minutes.
    pub fifteen: f64,
}
