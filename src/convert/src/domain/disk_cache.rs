//! Cache and I/O modes, once the disks' backends have been probed. Source: spec/domain-xml.md §8.5, §8.10.

use domain::Disk;

/// What probing a disk's backend showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// Whether the backend can be opened with O_DIRECT.
    pub direct: bool,
    /// Whether the file below the overlay can; `true` where there is none.
    pub backing_direct: bool,
    /// Whether all of a file is allocated.
    pub preallocated: bool,
}

/// Why a disk has no cache mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CacheError {
    /// The disk has no path.
    #[error("unable to set a driver cache mode, disk is neither a block device nor a file")]
    NoPath,
    /// `none` is asked for, and the file system cannot.
    #[error("Unable to use 'none' cache mode, file system where {0} is stored does not support direct I/O")]
    NoDirectIo(String),
}

/// The path of a disk's data: behind the overlay that tracks changed blocks, if there is one.
pub fn backend(disk: &Disk) -> Option<&str> {
    let behind = disk.source.data_store.as_ref().and_then(|d| d.source.as_ref());
    behind.unwrap_or(&disk.source).path()
}

fn is_block(disk: &Disk) -> bool {
    let behind = disk.source.data_store.as_ref().and_then(|d| d.source.as_ref());
    behind.unwrap_or(&disk.source).dev.is_some()
}

/// Whether a disk has to be probed: it names no cache mode, or the one that must work.
pub fn wants_probe(disk: &Disk) -> bool {
    let cache = disk.driver.as_ref().and_then(|d| d.cache.as_deref()).unwrap_or_default();
    backend(disk).is_some() && matches!(cache, "" | "none")
}

/// Sets the cache mode, then the I/O mode. A drive without a medium is left alone.
///
/// # Errors
/// [`CacheError`].
pub fn apply(disk: &mut Disk, probe: Probe) -> Result<(), CacheError> {
    let Some(path) = backend(disk).map(ToOwned::to_owned) else {
        return if disk.device == "cdrom" { Ok(()) } else { Err(CacheError::NoPath) };
    };
    let block = is_block(disk);
    let driver = disk.driver.get_or_insert_default();
    let direct = probe.direct && (disk.backing_store.is_none() || probe.backing_direct);
    match driver.cache.as_deref().unwrap_or_default() {
        "" => driver.cache = Some(if direct { "none" } else { "writethrough" }.to_owned()),
        "none" if !direct => return Err(CacheError::NoDirectIo(path)),
        _ => {}
    }
    let uncached = driver.cache.as_deref() == Some("none");
    if driver.io.is_none() && uncached && (block || probe.preallocated) {
        driver.io = Some("native".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use domain::{BackingStore, DiskDriver, DiskSource};
    use rstest::rstest;

    use super::*;

    /// spec/domain-xml.md §11.7.
    #[rstest]
    #[case("", "", true, None, true, Ok(("none", Some("native"))))]
    #[case("", "", true, None, false, Ok(("none", None)))]
    #[case("", "", true, Some(false), true, Ok(("writethrough", None)))]
    #[case("", "", false, None, true, Ok(("writethrough", None)))]
    #[case("none", "", false, None, true, Err(CacheError::NoDirectIo("/x".into())))]
    #[case("writeback", "", false, None, true, Ok(("writeback", None)))]
    #[case("none", "threads", true, None, true, Ok(("none", Some("threads"))))]
    fn modes(
        #[case] cache: &str,
        #[case] io: &str,
        #[case] direct: bool,
        #[case] backing: Option<bool>,
        #[case] block: bool,
        #[case] wanted: Result<(&str, Option<&str>), CacheError>,
    ) {
        let text = |t: &str| Some(t.to_owned()).filter(|t| !t.is_empty());
        let mut disk = Disk {
            device: "disk".into(),
            source: if block { DiskSource::block("/x") } else { DiskSource::file("/x") },
            driver: Some(DiskDriver { cache: text(cache), io: text(io), ..DiskDriver::default() }),
            backing_store: backing.map(|_| BackingStore::default()),
            ..Disk::default()
        };
        let probe = Probe { direct, backing_direct: backing.unwrap_or(true), preallocated: false };
        let got = apply(&mut disk, probe).map(|()| {
            let driver = disk.driver.unwrap();
            (driver.cache.unwrap(), driver.io)
        });
        assert_eq!(got, wanted.map(|(cache, io)| (cache.to_owned(), io.map(ToOwned::to_owned))));
    }

    #[test]
    fn only_a_drive_may_be_empty() {
        let mut disk = Disk { device: "cdrom".into(), ..Disk::default() };
        assert_eq!(apply(&mut disk, Probe::default()), Ok(()));
        disk.device = "disk".into();
        assert_eq!(apply(&mut disk, Probe::default()), Err(CacheError::NoPath));
    }
}
