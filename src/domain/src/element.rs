//! `element!`: one declaration gives a struct, its XML names, and how absence is written.
//!
//! A field is `KIND "xml name" rust_name: Type`. An xml name that starts with `@` is an attribute, `$text` is the
//! element's text, everything else is a child element. Kinds:
//!
//! | kind   | Rust type     | rendered when   | parsed when missing |
//! |--------|---------------|-----------------|---------------------|
//! | `req`  | `T`           | always          | `T::default()`      |
//! | `opt`  | `Option<T>`   | `Some`          | `None`              |
//! | `list` | `Vec<T>`      | once an item    | empty               |
//! | `ns`   | `Option<T>`   | `Some`, under a namespace prefix (`"prefix:name" "name"`) | `None` |
//! | `nslist` | `Vec<T>`    | once an item, under a namespace prefix | empty |
//!
//! Fields are rendered in the order they are declared (attributes first, as XML wants); a comment on a field replaces the
//! generated one.

macro_rules! element {
    ($(#[$m:meta])* $name:ident { $($body:tt)* }) => {
        $crate::element::element!(@ [$(#[$m])*] $name [] $($body)*);
    };
    (@ [$($m:tt)*] $name:ident [$($acc:tt)*] $(#[$d:meta])* req $x:literal $f:ident : $t:ty, $($rest:tt)*) => {
        $crate::element::element!(@ [$($m)*] $name [$($acc)* #[doc = concat!("libvirt: `", $x, "`, always written.")] $(#[$d])*
            #[serde(rename = $x, default)] pub $f: $t,] $($rest)*);
    };
    (@ [$($m:tt)*] $name:ident [$($acc:tt)*] $(#[$d:meta])* opt $x:literal $f:ident : $t:ty, $($rest:tt)*) => {
        $crate::element::element!(@ [$($m)*] $name [$($acc)* #[doc = concat!("libvirt: `", $x, "`.")] $(#[$d])*
            #[serde(rename = $x, default, skip_serializing_if = "Option::is_none")] pub $f: Option<$t>,] $($rest)*);
    };
    (@ [$($m:tt)*] $name:ident [$($acc:tt)*] $(#[$d:meta])* list $x:literal $f:ident : $t:ty, $($rest:tt)*) => {
        $crate::element::element!(@ [$($m)*] $name [$($acc)* #[doc = concat!("libvirt: every `", $x, "`, in order.")] $(#[$d])*
            #[serde(rename = $x, default, skip_serializing_if = "Vec::is_empty")] pub $f: Vec<$t>,] $($rest)*);
    };
    (@ [$($m:tt)*] $name:ident [$($acc:tt)*] $(#[$d:meta])* ns $x:literal $l:literal $f:ident : $t:ty, $($rest:tt)*) => {
        $crate::element::element!(@ [$($m)*] $name [$($acc)* #[doc = concat!("libvirt: `", $x, "`.")] $(#[$d])*
            #[serde(rename(serialize = $x, deserialize = $l), default, skip_serializing_if = "Option::is_none")] pub $f: Option<$t>,] $($rest)*);
    };
    (@ [$($m:tt)*] $name:ident [$($acc:tt)*] $(#[$d:meta])* nslist $x:literal $l:literal $f:ident : $t:ty, $($rest:tt)*) => {
        $crate::element::element!(@ [$($m)*] $name [$($acc)* #[doc = concat!("libvirt: every `", $x, "`, in order.")] $(#[$d])*
            #[serde(rename(serialize = $x, deserialize = $l), default, skip_serializing_if = "Vec::is_empty")] pub $f: Vec<$t>,] $($rest)*);
    };
    (@ [$($m:tt)*] $name:ident [$($acc:tt)*]) => {
        $($m)*
        #[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub struct $name { $($acc)* }
    };
}
pub(crate) use element;
