//! Objects decoded, and what does not fit worded as Go's decoder words it.
//!
//! Clients of upstream's webhooks see `json: cannot unmarshal number into Go struct field KubeVirtSpec.spec.imagePullPolicy of
//! type v1.PullPolicy`: the struct the field is in, the path, and Go's name of the type. Nearly all of it follows from our types,
//! which carry upstream's names; the rest is a table.

mod types;

use std::fmt;
use std::sync::LazyLock;

use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Decodes a value. A null counts as absent, as Go's decoder has it.
///
/// # Errors
/// What does not fit, in Go's words where it is a type.
pub(crate) fn decode<T: DeserializeOwned>(value: &Value) -> Result<T, String> {
    T::deserialize(Reader { value, owner: "", place: None }).map_err(|Mismatch(text)| text)
}

/// A field on the way from the object's root. Lists and maps are no fields.
#[derive(Clone, Copy)]
struct Place<'p> {
    key: &'p str,
    above: Option<&'p Place<'p>>,
}

impl Place<'_> {
    fn path(&self) -> String {
        match self.above {
            Some(above) => format!("{}.{}", above.path(), self.key),
            None => self.key.to_owned(),
        }
    }
}

/// An error's text.
#[derive(Debug)]
struct Mismatch(String);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mismatch {}

impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// Reads a value, knowing where it is.
#[derive(Clone, Copy)]
struct Reader<'a, 'p> {
    value: &'a Value,
    /// The struct the value is a field of.
    owner: &'static str,
    /// The field.
    place: Option<&'p Place<'p>>,
}

impl<'a> Reader<'a, '_> {
    /// A value that is none of its type.
    fn mismatch(&self, implied: &str) -> Mismatch {
        let got = match self.value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        self.worded(got, implied)
    }

    fn worded(&self, got: &str, implied: &str) -> Mismatch {
        let Some(place) = self.place else {
            return Mismatch(format!("json: cannot unmarshal {got} into Go value of type {implied}"));
        };
        let list = implied.starts_with("[]") || implied.starts_with("map[");
        let named = types::go_type(self.owner, place.key).filter(|_| !list).unwrap_or(implied);
        Mismatch(format!("json: cannot unmarshal {got} into Go struct field {}.{} of type {named}", self.owner, place.path()))
    }

    fn number(&self, implied: &str) -> Result<Option<&'a Number>, Mismatch> {
        match self.value {
            Value::Null => Ok(None),
            Value::Number(number) => Ok(Some(number)),
            _ => Err(self.mismatch(implied)),
        }
    }

    fn signed(&self, implied: &str, fits: impl Fn(i64) -> bool) -> Result<i64, Mismatch> {
        let Some(number) = self.number(implied)? else { return Ok(0) };
        number.as_i64().filter(|n| fits(*n)).ok_or_else(|| self.worded(&format!("number {number}"), implied))
    }

    fn unsigned(&self, implied: &str, limit: u64) -> Result<u64, Mismatch> {
        let Some(number) = self.number(implied)? else { return Ok(0) };
        number.as_u64().filter(|n| *n <= limit).ok_or_else(|| self.worded(&format!("number {number}"), implied))
    }

    fn text(&self) -> Result<&'a str, Mismatch> {
        match self.value {
            Value::Null => Ok(""),
            Value::String(text) => Ok(text),
            _ => Err(self.mismatch("string")),
        }
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $name:literal $type:ident $read:ident),*) => {
        $(fn $method<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Mismatch> {
            let number = self.$read($name, integers!($read $type))?;
            visitor.$visit($type::try_from(number).map_err(|_| self.mismatch($name))?)
        })*
    };
    (signed $type:ident) => { |n| $type::try_from(n).is_ok() };
    (unsigned $type:ident) => { u64::from($type::MAX) };
}

impl<'a> Deserializer<'a> for Reader<'a, '_> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.value {
            Value::Array(_) => self.deserialize_seq(visitor),
            Value::Object(_) => self.deserialize_map(visitor),
            other => other.deserialize_any(visitor).map_err(|e| Mismatch(e.to_string())),
        }
    }

    fn deserialize_bool<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.value {
            Value::Null => visitor.visit_bool(false),
            Value::Bool(value) => visitor.visit_bool(*value),
            _ => Err(self.mismatch("bool")),
        }
    }

    integers!(
        deserialize_i8 visit_i8 "int8" i8 signed,
        deserialize_i16 visit_i16 "int16" i16 signed,
        deserialize_i32 visit_i32 "int32" i32 signed,
        deserialize_i64 visit_i64 "int64" i64 signed,
        deserialize_u8 visit_u8 "uint8" u8 unsigned,
        deserialize_u16 visit_u16 "uint16" u16 unsigned,
        deserialize_u32 visit_u32 "uint32" u32 unsigned,
        deserialize_u64 visit_u64 "uint64" u64 unsigned
    );

    fn deserialize_f32<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_f64(self.number("float64")?.and_then(Number::as_f64).unwrap_or_default())
    }

    fn deserialize_char<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_str<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_bytes<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_byte_buf<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_str(self.text()?)
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'a>>(self, _: &'static str, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(self, _: &'static str, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.value {
            Value::Null => visitor.visit_seq(Items { list: [].iter(), at: self }),
            Value::Array(list) => visitor.visit_seq(Items { list: list.iter(), at: self }),
            _ => Err(self.mismatch(&format!("[]{}", item_of(visitor)))),
        }
    }

    fn deserialize_tuple<V: Visitor<'a>>(self, _: usize, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'a>>(self, _: &'static str, _: usize, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.fields("", "map[string]string", visitor)
    }

    fn deserialize_struct<V: Visitor<'a>>(self, name: &'static str, _: &'static [&'static str], visitor: V) -> Result<V::Value, Mismatch> {
        self.fields(name, "", visitor)
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.value.deserialize_enum(name, variants, visitor).map_err(|e| Mismatch(e.to_string()))
    }

    fn deserialize_identifier<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_unit()
    }
}

impl<'a> Reader<'a, '_> {
    /// Visits the fields of a struct, or the entries of a map.
    fn fields<V: Visitor<'a>>(self, owner: &'static str, map: &str, visitor: V) -> Result<V::Value, Mismatch> {
        static NONE: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        let fields = match self.value {
            Value::Null => NONE.iter(),
            Value::Object(fields) => fields.iter(),
            _ if owner.is_empty() => return Err(self.mismatch(map)),
            _ => return Err(self.mismatch(&format!("v1.{owner}"))),
        };
        visitor.visit_map(Fields { rest: fields, at: self, owner, next: None })
    }
}

struct Items<'a, 'p> {
    list: std::slice::Iter<'a, Value>,
    at: Reader<'a, 'p>,
}

impl<'a> SeqAccess<'a> for Items<'a, '_> {
    type Error = Mismatch;

    fn next_element_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<Option<T::Value>, Mismatch> {
        let Some(value) = self.list.next() else { return Ok(None) };
        seed.deserialize(Reader { value, ..self.at }).map(Some)
    }
}

struct Fields<'a, 'p> {
    rest: serde_json::map::Iter<'a>,
    at: Reader<'a, 'p>,
    /// The struct they are of; empty for maps.
    owner: &'static str,
    next: Option<(&'a String, &'a Value)>,
}

impl<'a> MapAccess<'a> for Fields<'a, '_> {
    type Error = Mismatch;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, Mismatch> {
        self.next = self.rest.find(|(_, value)| !value.is_null());
        let Some((key, _)) = self.next else { return Ok(None) };
        let key: StrDeserializer<'_, Mismatch> = key.as_str().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, Mismatch> {
        let Some((key, value)) = self.next else { return Err(Mismatch("a value without a key".to_owned())) };
        if self.owner.is_empty() {
            // A map's values are not fields: Go names the field that is the map.
            return seed.deserialize(Reader { value, ..self.at });
        }
        let place = Place { key, above: self.at.place };
        seed.deserialize(Reader { value, owner: self.owner, place: Some(&place) })
    }
}

/// Go's name of what a list holds: a list of one item is offered, which tells what it is asked to be.
fn item_of<'a, V: Visitor<'a>>(visitor: V) -> String {
    struct One(bool);
    impl<'a> SeqAccess<'a> for One {
        type Error = Mismatch;

        fn next_element_seed<T: DeserializeSeed<'a>>(&mut self, seed: T) -> Result<Option<T::Value>, Mismatch> {
            if std::mem::replace(&mut self.0, true) { Ok(None) } else { seed.deserialize(Asked).map(Some) }
        }
    }
    match visitor.visit_seq(One(false)) {
        Err(Mismatch(name)) => name,
        Ok(_) => "string".to_owned(),
    }
}

/// Answers every question with its name.
struct Asked;

impl<'de> Deserializer<'de> for Asked {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Mismatch> {
        Err(Mismatch("interface {}".to_owned()))
    }

    fn deserialize_string<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Mismatch> {
        Err(Mismatch("string".to_owned()))
    }

    fn deserialize_struct<V: Visitor<'de>>(self, name: &'static str, _: &'static [&'static str], _: V) -> Result<V::Value, Mismatch> {
        Err(Mismatch(format!("v1.{name}")))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str bytes byte_buf option unit unit_struct newtype_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use api::migrations::v1alpha1::MigrationPolicy;
    use api::snapshot::v1beta1::VirtualMachineSnapshot;
    use api::v1::KubeVirt;
    use rstest::rstest;
    use serde_json::{Value, json};

    #[rstest]
    #[case(json!({"spec": {"imagePullPolicy": 3}}), "json: cannot unmarshal number into Go struct field KubeVirtSpec.spec.imagePullPolicy of type v1.PullPolicy")]
    #[case(json!({"spec": {"imageTag": true}}), "json: cannot unmarshal bool into Go struct field KubeVirtSpec.spec.imageTag of type string")]
    #[case(json!({"spec": {"configuration": {"developerConfiguration": {"featureGates": "x"}}}}), "json: cannot unmarshal string into Go struct field DeveloperConfiguration.spec.configuration.developerConfiguration.featureGates of type []string")]
    #[case(json!({"spec": {"configuration": {"developerConfiguration": {"useEmulation": "yes"}}}}), "json: cannot unmarshal string into Go struct field DeveloperConfiguration.spec.configuration.developerConfiguration.useEmulation of type bool")]
    #[case(json!({"spec": {"configuration": []}}), "json: cannot unmarshal array into Go struct field KubeVirtSpec.spec.configuration of type v1.KubeVirtConfiguration")]
    #[case(json!({"spec": {"infra": {"replicas": -1}}}), "json: cannot unmarshal number -1 into Go struct field ComponentConfig.spec.infra.replicas of type uint8")]
    fn of_a_kubevirt(#[case] object: Value, #[case] wanted: &str) {
        assert_eq!(super::decode::<KubeVirt>(&object).unwrap_err(), wanted);
    }

    #[test]
    fn of_other_groups() {
        let snapshot = super::decode::<VirtualMachineSnapshot>(&json!({"spec": {"deletionPolicy": {}}})).unwrap_err();
        assert_eq!(
            snapshot,
            "json: cannot unmarshal object into Go struct field VirtualMachineSnapshotSpec.spec.deletionPolicy of type v1beta1.DeletionPolicy"
        );
        let policy = super::decode::<MigrationPolicy>(&json!({"spec": {"allowPostCopy": "no"}})).unwrap_err();
        assert_eq!(policy, "json: cannot unmarshal string into Go struct field MigrationPolicySpec.spec.allowPostCopy of type bool");
    }

    #[test]
    fn a_quantity_says_what_it_is() {
        let policy = super::decode::<MigrationPolicy>(&json!({"spec": {"bandwidthPerMigration": "fast"}})).unwrap_err();
        assert!(policy.starts_with("quantities must match the regular expression"), "{policy}");
    }
}
