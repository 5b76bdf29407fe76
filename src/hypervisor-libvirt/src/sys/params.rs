//! libvirt's typed parameters: named values of several types.

use std::collections::BTreeMap;
use std::ffi::{c_int, c_uint};

use virt_sys::{
    VIR_TYPED_PARAM_BOOLEAN, VIR_TYPED_PARAM_DOUBLE, VIR_TYPED_PARAM_INT, VIR_TYPED_PARAM_LLONG, VIR_TYPED_PARAM_STRING,
    VIR_TYPED_PARAM_UINT, VIR_TYPED_PARAM_ULLONG, virTypedParameter,
};

use super::text::borrowed;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Any of the integers.
    Integer(i128),
    /// A floating-point number.
    Double(f64),
    /// A switch.
    Boolean(bool),
    /// A string.
    Text(String),
}

/// Values by their names.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Params(BTreeMap<String, Value>);

impl Params {
    /// Copies libvirt's array.
    ///
    /// # Safety
    /// `array` is null, or points to `count` parameters that live during the call.
    pub(super) unsafe fn copied(array: *const virTypedParameter, count: c_int) -> Self {
        let count = usize::try_from(count).unwrap_or(0);
        if array.is_null() || count == 0 {
            return Self::default();
        }
        // SAFETY: not null, and the caller's promise.
        let params = unsafe { std::slice::from_raw_parts(array, count) };
        // SAFETY: parameters of libvirt's, alive during the call.
        Self(params.iter().filter_map(|param| unsafe { named(param) }).collect())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A count or size; nothing when it is absent, not a number, or negative.
    pub(crate) fn number(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::Double(_) | Value::Boolean(_) | Value::Text(_) => None,
        }
    }

    /// A string; empty when it is absent.
    pub(crate) fn text(&self, name: &str) -> String {
        match self.get(name) {
            Some(Value::Text(text)) => text.clone(),
            _ => String::new(),
        }
    }
}

/// # Safety
/// `param` was filled by libvirt and lives during the call.
unsafe fn named(param: &virTypedParameter) -> Option<(String, Value)> {
    // SAFETY: libvirt ends the name with a NUL within its array.
    let name = unsafe { borrowed(param.field.as_ptr()) }?;
    let kind = c_uint::try_from(param.type_).ok()?;
    // SAFETY: libvirt fills the member of the union that `type_` names.
    let value = unsafe {
        match kind {
            VIR_TYPED_PARAM_INT => Value::Integer(i128::from(param.value.i)),
            VIR_TYPED_PARAM_UINT => Value::Integer(i128::from(param.value.ui)),
            VIR_TYPED_PARAM_LLONG => Value::Integer(i128::from(param.value.l)),
            VIR_TYPED_PARAM_ULLONG => Value::Integer(i128::from(param.value.ul)),
            VIR_TYPED_PARAM_DOUBLE => Value::Double(param.value.d),
            VIR_TYPED_PARAM_BOOLEAN => Value::Boolean(param.value.b != 0),
            VIR_TYPED_PARAM_STRING => Value::Text(borrowed(param.value.s)?),
            _ => return None,
        }
    };
    Some((name, value))
}
