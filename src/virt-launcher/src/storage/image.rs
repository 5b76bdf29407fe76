//! What a container disk is, judged by its first bytes: nothing in it may make QEMU open another file.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// The first bytes of a qcow2 image: its magic number, and where the fields that matter are.
const MAGIC: [u8; 4] = *b"QFI\xfb";
const VERSION: usize = 4;
const BACKING_FILE_OFFSET: usize = 8;
const INCOMPATIBLE_FEATURES: usize = 72;
/// The feature bit of images whose data is in another file.
const EXTERNAL_DATA: u64 = 1 << 2;
/// As many bytes as the fields take.
const HEADER: usize = 80;

/// The format of a disk image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageFormat {
    /// Anything that is no qcow2 image.
    Raw,
    /// QEMU's own.
    Qcow2,
}

/// Why an image must not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// It names an image below it, which would be a file of the node.
    #[error("the image has a backing file, which is not allowed")]
    BackingFile,
    /// It names a file with its data.
    #[error("the image keeps its data in another file, which is not allowed")]
    ExternalData,
    /// It ends within its header.
    #[error("the image is cut short")]
    Truncated,
}

/// The format of an image that begins with these bytes.
///
/// # Errors
/// [`ImageError`].
pub fn inspect(header: &[u8]) -> Result<ImageFormat, ImageError> {
    if !header.starts_with(&MAGIC) {
        return Ok(ImageFormat::Raw);
    }
    let version = u32::from_be_bytes(field(header, VERSION)?);
    if u64::from_be_bytes(field(header, BACKING_FILE_OFFSET)?) != 0 {
        return Err(ImageError::BackingFile);
    }
    // Version 2 has no feature bits.
    if version >= 3 && u64::from_be_bytes(field(header, INCOMPATIBLE_FEATURES)?) & EXTERNAL_DATA != 0 {
        return Err(ImageError::ExternalData);
    }
    Ok(ImageFormat::Qcow2)
}

fn field<const N: usize>(header: &[u8], at: usize) -> Result<[u8; N], ImageError> {
    header.get(at..at + N).and_then(|bytes| bytes.try_into().ok()).ok_or(ImageError::Truncated)
}

/// The format of a file; the inner error is that of the image.
pub(crate) fn format_of(path: &Path) -> io::Result<Result<ImageFormat, ImageError>> {
    let mut header = Vec::with_capacity(HEADER);
    File::open(path)?.take(HEADER as u64).read_to_end(&mut header)?;
    Ok(inspect(&header))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn header(version: u32, backing: u64, features: u64) -> Vec<u8> {
        let mut bytes = vec![0; 104];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..8].copy_from_slice(&version.to_be_bytes());
        bytes[8..16].copy_from_slice(&backing.to_be_bytes());
        bytes[72..80].copy_from_slice(&features.to_be_bytes());
        bytes
    }

    #[rstest]
    #[case(header(3, 0, 0), Ok(ImageFormat::Qcow2))]
    #[case(header(2, 0, u64::MAX), Ok(ImageFormat::Qcow2))]
    #[case(header(3, 4096, 0), Err(ImageError::BackingFile))]
    #[case(header(3, 0, EXTERNAL_DATA), Err(ImageError::ExternalData))]
    #[case(header(3, 0, 0)[..10].to_vec(), Err(ImageError::Truncated))]
    #[case(vec![0; 80], Ok(ImageFormat::Raw))]
    #[case(Vec::new(), Ok(ImageFormat::Raw))]
    fn formats(#[case] header: Vec<u8>, #[case] expected: Result<ImageFormat, ImageError>) {
        assert_eq!(inspect(&header), expected);
    }
}
