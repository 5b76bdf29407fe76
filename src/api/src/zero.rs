//! When an optional value of the wire counts as absent: upstream's plain (non-pointer) fields leave out their zero.

/// Whether a flag is unset or off.
#[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "the signature serde calls with")]
pub(crate) fn is_false(v: &Option<bool>) -> bool {
    !v.unwrap_or_default()
}

/// Whether a text is unset or empty.
#[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "the signature serde calls with")]
pub(crate) fn is_empty(v: &Option<String>) -> bool {
    v.as_ref().is_none_or(String::is_empty)
}

/// Whether a number is unset or zero.
#[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "the signature serde calls with")]
pub(crate) fn is_zero<N: Default + PartialEq>(v: &Option<N>) -> bool {
    v.as_ref().is_none_or(|n| *n == N::default())
}

/// For fields that are always written but not required.
#[allow(clippy::ref_option, reason = "the signature serde calls with")]
pub(crate) fn never<T>(_: &Option<T>) -> bool {
    false
}

/// A number; zero where there is none.
#[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "the signature serde calls with")]
pub(crate) fn number<S: serde::Serializer>(v: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(v.unwrap_or_default())
}
