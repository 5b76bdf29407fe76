//! Functions that expressions may call: those of CEL, and of its libraries for strings, lists and numbers where they are loaded.

use super::types::Type;

/// Where a function is found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Library {
    Standard,
    Extended,
}

use Library::{Extended, Standard};

/// Name, type of the receiver (empty: none), types of the arguments, type of the result.
///
/// A letter is a type: `b`ool, `i`nt, `u`int, `d`ouble, `s`tring, b`y`tes, `t`imestamp, du`r`ation, `L`ist, `S` list of strings,
/// `M`ap, `N`umber, `A`ny; as a result `=` is the receiver's, `T` a type, `.` what is not known.
const OVERLOADS: &[(Library, &str, &str, &str, char)] = &[
    (Standard, "size", "", "s", 'i'),
    (Standard, "size", "", "y", 'i'),
    (Standard, "size", "", "L", 'i'),
    (Standard, "size", "", "M", 'i'),
    (Standard, "size", "s", "", 'i'),
    (Standard, "size", "y", "", 'i'),
    (Standard, "size", "L", "", 'i'),
    (Standard, "size", "M", "", 'i'),
    (Standard, "contains", "s", "s", 'b'),
    (Standard, "startsWith", "s", "s", 'b'),
    (Standard, "endsWith", "s", "s", 'b'),
    (Standard, "matches", "s", "s", 'b'),
    (Standard, "matches", "", "ss", 'b'),
    (Standard, "int", "", "N", 'i'),
    (Standard, "int", "", "s", 'i'),
    (Standard, "int", "", "t", 'i'),
    (Standard, "uint", "", "N", 'u'),
    (Standard, "uint", "", "s", 'u'),
    (Standard, "double", "", "N", 'd'),
    (Standard, "double", "", "s", 'd'),
    (Standard, "bool", "", "b", 'b'),
    (Standard, "bool", "", "s", 'b'),
    (Standard, "string", "", "N", 's'),
    (Standard, "string", "", "b", 's'),
    (Standard, "string", "", "s", 's'),
    (Standard, "string", "", "y", 's'),
    (Standard, "string", "", "t", 's'),
    (Standard, "string", "", "r", 's'),
    (Standard, "bytes", "", "s", 'y'),
    (Standard, "bytes", "", "y", 'y'),
    (Standard, "timestamp", "", "s", 't'),
    (Standard, "timestamp", "", "i", 't'),
    (Standard, "timestamp", "", "t", 't'),
    (Standard, "duration", "", "s", 'r'),
    (Standard, "duration", "", "i", 'r'),
    (Standard, "duration", "", "r", 'r'),
    (Standard, "type", "", "A", 'T'),
    (Standard, "dyn", "", "A", '.'),
    (Extended, "charAt", "s", "i", 's'),
    (Extended, "format", "s", "L", 's'),
    (Extended, "indexOf", "s", "s", 'i'),
    (Extended, "indexOf", "s", "si", 'i'),
    (Extended, "lastIndexOf", "s", "s", 'i'),
    (Extended, "lastIndexOf", "s", "si", 'i'),
    (Extended, "join", "S", "", 's'),
    (Extended, "join", "S", "s", 's'),
    (Extended, "lowerAscii", "s", "", 's'),
    (Extended, "upperAscii", "s", "", 's'),
    (Extended, "replace", "s", "ss", 's'),
    (Extended, "replace", "s", "ssi", 's'),
    (Extended, "split", "s", "s", 'S'),
    (Extended, "split", "s", "si", 'S'),
    (Extended, "substring", "s", "i", 's'),
    (Extended, "substring", "s", "ii", 's'),
    (Extended, "trim", "s", "", 's'),
    (Extended, "reverse", "s", "", 's'),
    (Extended, "strings.quote", "", "s", 's'),
    (Extended, "slice", "L", "ii", '='),
    (Extended, "flatten", "L", "", '.'),
    (Extended, "flatten", "L", "i", '.'),
    (Extended, "distinct", "L", "", '='),
    (Extended, "sort", "L", "", '='),
    (Extended, "reverse", "L", "", '='),
    (Extended, "lists.range", "", "i", 'L'),
    (Extended, "math.ceil", "", "d", 'd'),
    (Extended, "math.floor", "", "d", 'd'),
    (Extended, "math.round", "", "d", 'd'),
    (Extended, "math.trunc", "", "d", 'd'),
    (Extended, "math.sqrt", "", "N", 'd'),
    (Extended, "math.abs", "", "N", '.'),
    (Extended, "math.sign", "", "N", '.'),
    (Extended, "math.isNaN", "", "d", 'b'),
    (Extended, "math.isInf", "", "d", 'b'),
    (Extended, "math.isFinite", "", "d", 'b'),
    (Extended, "math.bitAnd", "", "NN", '.'),
    (Extended, "math.bitOr", "", "NN", '.'),
    (Extended, "math.bitXor", "", "NN", '.'),
    (Extended, "math.bitNot", "", "N", '.'),
    (Extended, "math.bitShiftLeft", "", "Ni", '.'),
    (Extended, "math.bitShiftRight", "", "Ni", '.'),
];

/// Parts of a time; each takes a time zone too.
const OF_TIMESTAMPS: &[&str] = &["getFullYear", "getMonth", "getDayOfYear", "getDayOfMonth", "getDate", "getDayOfWeek"];
/// Parts that a duration has too.
const OF_BOTH: &[&str] = &["getHours", "getMinutes", "getSeconds", "getMilliseconds"];
/// Functions of any number of arguments, or a list of them.
const VARIADIC: &[&str] = &["math.greatest", "math.least"];

fn accepts(letter: char, given: &Type) -> bool {
    match letter {
        'b' => given.fits(&Type::Bool),
        'i' => given.fits(&Type::Int),
        'u' => given.fits(&Type::Uint),
        'd' => given.fits(&Type::Double),
        's' => given.fits(&Type::String),
        'y' => given.fits(&Type::Bytes),
        't' => given.fits(&Type::Timestamp),
        'r' => given.fits(&Type::Duration),
        'L' => matches!(given, Type::List(_) | Type::Dyn),
        'S' => given.fits(&Type::list(Type::String)),
        'M' => matches!(given, Type::Map(_) | Type::Dyn),
        'N' => given.is_number() || *given == Type::Dyn,
        _ => true,
    }
}

fn result(letter: char, receiver: Option<&Type>) -> Type {
    match letter {
        'b' => Type::Bool,
        'i' => Type::Int,
        'u' => Type::Uint,
        'd' => Type::Double,
        's' => Type::String,
        'y' => Type::Bytes,
        't' => Type::Timestamp,
        'r' => Type::Duration,
        'L' => Type::list(Type::Int),
        'S' => Type::list(Type::String),
        'T' => Type::Meta,
        '=' => receiver.cloned().unwrap_or(Type::Dyn),
        _ => Type::Dyn,
    }
}

fn takes(letters: &str, given: &[Type]) -> bool {
    letters.chars().count() == given.len() && letters.chars().zip(given).all(|(letter, of)| accepts(letter, of))
}

/// Why a call has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// There is no function of that name.
    Unknown,
    /// There is none for these types.
    Types,
}

/// The type of a call's result. `extended`: the libraries are loaded.
///
/// # Errors
/// No function fits.
pub(super) fn call(name: &str, receiver: Option<&Type>, args: &[Type], extended: bool) -> Result<Type, Misfit> {
    let timed = OF_BOTH.contains(&name);
    if timed || OF_TIMESTAMPS.contains(&name) {
        let of_time = receiver.is_some_and(|of| accepts('t', of) || timed && accepts('r', of));
        return if of_time && (args.is_empty() || takes("s", args)) { Ok(Type::Int) } else { Err(Misfit::Types) };
    }
    if extended && VARIADIC.contains(&name) {
        let fit = args.iter().all(|of| accepts('N', of) || accepts('L', of));
        return if fit && !args.is_empty() { Ok(Type::Dyn) } else { Err(Misfit::Types) };
    }
    let named = |overload: &&(Library, &str, &str, &str, char)| overload.1 == name && (extended || overload.0 == Standard);
    let mut known = false;
    for (_, _, of, letters, gives) in OVERLOADS.iter().filter(named) {
        known = true;
        let receives = match (of.chars().next(), receiver) {
            (None, None) => true,
            (Some(letter), Some(receiver)) => accepts(letter, receiver),
            _ => false,
        };
        if receives && takes(letters, args) {
            return Ok(result(*gives, receiver));
        }
    }
    Err(if known { Misfit::Types } else { Misfit::Unknown })
}
