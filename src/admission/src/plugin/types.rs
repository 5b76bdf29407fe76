//! Types of values, and the fields of those that are objects: instances and libvirt domains, as KubeVirt shows them to expressions.

use std::fmt;

use crate::golang::{Field, Notation, Shape, fields};

/// What is known of a value before it exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// Nothing; also stands for what is wrong, so that it is told once only.
    Dyn,
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    Timestamp,
    Duration,
    /// A type as a value.
    Meta,
    List(Box<Type>),
    /// A map and the type of its values; keys are strings or of no known type.
    Map(Box<Type>),
    /// An object, by the name of its type with its package.
    Object(String),
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dyn => "dyn",
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Timestamp => "google.protobuf.Timestamp",
            Self::Duration => "google.protobuf.Duration",
            Self::Meta => "type(dyn)",
            Self::List(element) => return write!(f, "list({element})"),
            Self::Map(value) => return write!(f, "map(string, {value})"),
            Self::Object(name) => name,
        })
    }
}

impl Type {
    /// A list of elements.
    pub(super) fn list(of: Self) -> Self {
        Self::List(Box::new(of))
    }

    /// Whether the type is a number.
    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Int | Self::Uint | Self::Double)
    }

    /// Whether a value of this type may stand where one of the other is expected.
    pub(super) fn fits(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dyn, _)
            | (_, Self::Dyn)
            | (Self::Null, Self::Object(_) | Self::Timestamp | Self::Duration)
            | (Self::Object(_) | Self::Timestamp | Self::Duration, Self::Null) => true,
            (Self::List(a), Self::List(b)) | (Self::Map(a), Self::Map(b)) => a.fits(b),
            (a, b) => a == b,
        }
    }

    /// The type of a field; a pointer is what it points to.
    fn of(notation: Notation) -> Self {
        match notation.shape() {
            Shape::Pointer(inner) => Self::of(inner),
            Shape::List(element) => Self::list(Self::of(element)),
            Shape::Map(value) => Self::Map(Box::new(Self::of(value))),
            Shape::Object(name) => Self::Object(name),
            Shape::Scalar("bool") => Self::Bool,
            Shape::Scalar("int") => Self::Int,
            Shape::Scalar("uint") => Self::Uint,
            Shape::Scalar("double") => Self::Double,
            Shape::Scalar("bytes") => Self::Bytes,
            Shape::Scalar(_) => Self::String,
        }
    }
}

/// How fields are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// As in Go: `vmi.Spec.Domain.CPU`. Fields of embedded types are reached directly.
    Go,
    /// As in a manifest: `vmi.spec.domain.cpu`.
    Json,
}

/// Whether there is such a type of objects, by its name with its package.
pub(super) fn exists(name: &str) -> bool {
    fields(name).is_some()
}

/// The type of a field of an object; `None` where there is no such field. Types of other packages have any field.
pub(super) fn field_of(object: &str, name: &str, naming: Naming) -> Option<Type> {
    let Some(fields) = fields(object) else { return Some(Type::Dyn) };
    let named = |field: &&Field| match naming {
        Naming::Go => field.name == name,
        Naming::Json => field.json == name,
    };
    if let Some(found) = fields.iter().find(named) {
        return Some(Type::of(found.of));
    }
    let mut embedded = fields.iter().filter(|field| field.embedded && naming == Naming::Go);
    embedded.find_map(|field| match Type::of(field.of) {
        Type::Object(inner) if exists(&inner) => field_of(&inner, name, naming),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_embedded_types_are_reached_in_go_only() {
        assert_eq!(field_of("v1.VirtualMachineInstance", "Labels", Naming::Go), Some(Type::Map(Box::new(Type::String))));
        assert_eq!(field_of("v1.VirtualMachineInstance", "labels", Naming::Json), None);
        assert_eq!(field_of("v1.VirtualMachineInstance", "metadata", Naming::Json), Some(Type::Object("v1.ObjectMeta".into())));
        assert_eq!(field_of("v1.VirtualMachineInstance", "metadata", Naming::Go), None);
    }
}
