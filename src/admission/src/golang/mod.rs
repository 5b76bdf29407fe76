//! Types as KubeVirt's Go code has them, where users see them: in the expressions of plugins, and in texts that print Go values.

mod show;

use std::collections::BTreeMap;
use std::sync::LazyLock;

pub(crate) use self::show::show;

/// A field of a type.
#[derive(Debug)]
pub(crate) struct Field {
    /// Its name in Go.
    pub(crate) name: &'static str,
    /// Its name in manifests; the name in Go where it has no other.
    pub(crate) json: &'static str,
    /// Whether its own fields are reached without its name.
    pub(crate) embedded: bool,
    /// Its type.
    pub(crate) of: Notation,
}

/// A type as the table writes it: `[]*CPUFeature`, in the package that names without one belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Notation {
    text: &'static str,
    package: &'static str,
}

/// What a notation stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `bool`, `int`, `uint`, `double`, `string`, `bytes`.
    Scalar(&'static str),
    Pointer(Notation),
    List(Notation),
    /// A map from strings.
    Map(Notation),
    /// An object, by the name of its type with its package.
    Object(String),
}

impl Notation {
    /// A type of a package.
    pub(crate) const fn new(package: &'static str, text: &'static str) -> Self {
        Self { text, package }
    }

    /// What it stands for.
    pub(crate) fn shape(self) -> Shape {
        let within = |text| Self { text, ..self };
        if let Some(inner) = self.text.strip_prefix('*') {
            return Shape::Pointer(within(inner));
        }
        if let Some(inner) = self.text.strip_prefix("[]") {
            return Shape::List(within(inner));
        }
        if let Some(inner) = self.text.strip_prefix("{}") {
            return Shape::Map(within(inner));
        }
        match self.text {
            scalar @ ("bool" | "int" | "uint" | "double" | "string" | "bytes") => Shape::Scalar(scalar),
            name if name.contains('.') => Shape::Object(name.to_owned()),
            name => Shape::Object(format!("{}.{name}", self.package)),
        }
    }
}

static TABLE: LazyLock<BTreeMap<String, Vec<Field>>> = LazyLock::new(|| {
    let mut types = BTreeMap::new();
    let mut package = "";
    for line in include_str!("types.txt").lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("package ") {
            package = name;
            continue;
        }
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        let name = if name.contains('.') { name.to_owned() } else { format!("{package}.{name}") };
        types.insert(name, words.filter_map(|word| field(word, package)).collect());
    }
    types
});

fn field(word: &'static str, package: &'static str) -> Option<Field> {
    let (names, of) = word.split_once(':')?;
    let (embedded, names) = match names.strip_prefix('+') {
        Some(names) => (true, names),
        None => (false, names),
    };
    let (name, json) = names.split_once('/').unwrap_or((names, names));
    Some(Field { name, json, embedded, of: Notation::new(package, of) })
}

/// The fields of a type of objects, by its name with its package; `None` for types that are not known.
pub(crate) fn fields(object: &str) -> Option<&'static [Field]> {
    TABLE.get(object).map(Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_is_named_is_described() {
        let outside = ["v1.Time", "v1.Duration", "v1.FieldsV1", "intstr.IntOrString"];
        for (name, fields) in TABLE.iter() {
            for field in fields {
                let mut shape = field.of.shape();
                while let Shape::Pointer(inner) | Shape::List(inner) | Shape::Map(inner) = shape {
                    shape = inner.shape();
                }
                if let Shape::Object(object) = shape {
                    assert!(TABLE.contains_key(&object) || outside.contains(&object.as_str()), "{name}.{}: {object}", field.name);
                }
            }
        }
    }

    /// The table and this project's own types name the same fields of an instance.
    #[test]
    fn instances_have_the_fields_that_manifests_have() {
        let parts = api::crd::parts("VirtualMachineInstance").unwrap();
        let status = parts.status.as_ref().unwrap();
        for (name, schema) in [("v1.VirtualMachineInstanceSpec", &parts.spec), ("v1.VirtualMachineInstanceStatus", status)] {
            let schema = serde_json::to_value(schema).unwrap();
            for property in schema["properties"].as_object().unwrap().keys() {
                assert!(fields(name).unwrap().iter().any(|field| field.json == property), "{name} has no {property}");
            }
        }
    }
}
