//! Flags of the form `key:value,key:value` (spec/virtctl.md §12).

use crate::error::{Error, Result, bail};
use std::collections::BTreeMap;

/// The parameters of one flag.
#[derive(Debug)]
pub(super) struct Params {
    flag: &'static str,
    values: BTreeMap<String, String>,
}

impl Params {
    /// Parses; keys are not told apart by case.
    pub(super) fn parse(flag: &'static str, text: &str, known: &[&str]) -> Result<Self> {
        let mut values = BTreeMap::new();
        let failed = |why: String| Error::new(format!("failed to parse \"--{flag}\" flag: {why}"));
        if text.is_empty() {
            return Err(failed("params may not be empty".to_owned()));
        }
        for param in text.split(',') {
            let Some((key, value)) = param.split_once(':') else {
                return Err(failed(format!("params need to have at least one colon: {param}")));
            };
            values.insert(key.to_lowercase(), value.to_owned());
        }
        let unknown: Vec<&str> = values.keys().map(String::as_str).filter(|key| !known.contains(key)).collect();
        if !unknown.is_empty() {
            return Err(failed(format!("unknown param(s): {}", unknown.join(", "))));
        }
        Ok(Self { flag, values })
    }

    /// An error about this flag.
    pub(super) fn error(&self, why: impl std::fmt::Display) -> Error {
        Error::new(format!("failed to parse \"--{}\" flag: {why}", self.flag))
    }

    /// A parameter that is there and not empty.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A parameter that must be there.
    pub(super) fn require(&self, key: &str) -> Result<&str> {
        self.get(key).ok_or_else(|| self.error(format!("{key} must be specified")))
    }

    /// A list, separated by semicolons.
    pub(super) fn list(&self, key: &str) -> Vec<String> {
        self.get(key).map(|text| text.split(';').map(str::to_owned).collect()).unwrap_or_default()
    }

    /// The boot order; 1 and up.
    pub(super) fn boot_order(&self) -> Result<Option<u32>> {
        let Some(text) = self.get("bootorder") else { return Ok(None) };
        let order: u32 = text.parse().map_err(|_| self.error(format!("failed to parse param \"bootorder\": {text:?} is not a number")))?;
        if order == 0 {
            return Err(self.error("bootorder must be greater than 0"));
        }
        Ok(Some(order))
    }

    /// A quantity, checked.
    pub(super) fn size(&self) -> Result<Option<String>> {
        match self.get("size") {
            Some(text) if !is_quantity(text) => Err(self.error(format!("failed to parse param \"size\": {QUANTITY}"))),
            size => Ok(size.map(str::to_owned)),
        }
    }

    /// `[namespace/]name` of parameter `src`.
    pub(super) fn source(&self) -> Result<(Option<String>, String)> {
        let text = self.require("src")?;
        match text.split('/').collect::<Vec<_>>().as_slice() {
            [name] if !name.is_empty() => Ok((None, (*name).to_owned())),
            [namespace, name] if !name.is_empty() => Ok((Some((*namespace).to_owned()).filter(|ns| !ns.is_empty()), (*name).to_owned())),
            [_, ""] | [""] => Err(self.error("src invalid: name cannot be empty")),
            _ => Err(self.error(format!("src invalid: invalid count {} of slashes in prefix/name", text.matches('/').count()))),
        }
    }
}

/// Kubernetes' text for what is no quantity.
pub(super) const QUANTITY: &str = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

/// Whether a text is a quantity.
pub(super) fn is_quantity(text: &str) -> bool {
    api::quantity::parse(text).is_some()
}

/// A quantity of a flag, as it is.
pub(super) fn quantity(flag: &str, text: &str) -> Result<String> {
    if !is_quantity(text) {
        bail!("failed to parse \"--{flag}\" flag: {QUANTITY}");
    }
    Ok(text.to_owned())
}
