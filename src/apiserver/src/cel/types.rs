//! Types of expressions, as far as they tell at compile time what cel-go's checker would refuse: undeclared names,
//! fields that a schema does not have, operators on scalars that do not fit, and the type of the result.

use std::fmt;

use kube_cel::cel::IdedExpr;
use kube_cel::cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, SelectExpr, operators};

use super::ast::error_at;
use super::objects;
use super::value::unescape;
use crate::schema::{Additional, JsonType, Schema};

/// What is known of a value.
#[derive(Debug, Clone)]
pub enum Type<'a> {
    /// Nothing.
    Dyn,
    /// `null`.
    Null,
    /// A boolean.
    Bool,
    /// A signed integer.
    Int,
    /// An unsigned integer.
    Uint,
    /// A float.
    Double,
    /// A string.
    String,
    /// Bytes.
    Bytes,
    /// A point in time.
    Timestamp,
    /// A span of time.
    Duration,
    /// A list of elements.
    List(Box<Type<'a>>),
    /// A map from strings.
    Map(Box<Type<'a>>),
    /// An object with the fields of a schema.
    Object(&'a Schema),
    /// `metadata` of a resource: its names.
    Metadata,
    /// An object with these fields of any type.
    Fields(Vec<String>),
    /// An object of a type by name.
    Named(String),
    /// An optional.
    Optional(Box<Type<'a>>),
}

impl fmt::Display for Type<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dyn => f.write_str("dyn"),
            Self::Null => f.write_str("null"),
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Uint => f.write_str("uint"),
            Self::Double => f.write_str("double"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Timestamp => f.write_str("google.protobuf.Timestamp"),
            Self::Duration => f.write_str("google.protobuf.Duration"),
            Self::List(element) => write!(f, "list({element})"),
            Self::Map(value) => write!(f, "map(string, {value})"),
            Self::Object(_) | Self::Metadata | Self::Fields(_) => f.write_str("object"),
            Self::Named(name) => f.write_str(name),
            Self::Optional(value) => write!(f, "optional_type({value})"),
        }
    }
}

/// The type of values that a schema describes.
pub fn of_schema(schema: &Schema) -> Type<'_> {
    let schema = schema.resolve();
    if schema.int_or_string {
        return Type::Dyn;
    }
    match schema.types {
        None => Type::Dyn,
        Some(JsonType::Boolean) => Type::Bool,
        Some(JsonType::Integer) => Type::Int,
        Some(JsonType::Number) => Type::Double,
        Some(JsonType::String) => match schema.format.as_deref() {
            Some("byte") => Type::Bytes,
            Some("date-time" | "datetime" | "date") => Type::Timestamp,
            Some("duration") => Type::Duration,
            _ => Type::String,
        },
        Some(JsonType::Array) => Type::List(Box::new(schema.element().map_or(Type::Dyn, of_schema))),
        Some(JsonType::Object) => match &schema.additional {
            Some(Additional::Schema(value)) => Type::Map(Box::new(of_schema(value))),
            Some(Additional::Allowed(true)) => Type::Map(Box::new(Type::Dyn)),
            _ => Type::Object(schema),
        },
    }
}

/// A compile error and the words in the source that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    message: String,
    needle: String,
}

impl Problem {
    fn new(message: impl Into<String>, needle: impl Into<String>) -> Self {
        Self { message: message.into(), needle: needle.into() }
    }

    /// As cel-go prints it.
    pub fn text(&self, source: &str) -> String {
        error_at(source, &self.needle, &self.message)
    }
}

/// Names in scope.
#[derive(Debug, Default)]
pub struct Scope<'a> {
    names: Vec<(String, Type<'a>)>,
}

impl<'a> Scope<'a> {
    /// Nothing but the names of types.
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares a name, which hides an earlier one.
    pub fn declare(&mut self, name: &str, of: Type<'a>) {
        self.names.push((name.to_owned(), of));
    }

    fn find(&self, name: &str) -> Option<Type<'a>> {
        self.names.iter().rev().find(|(declared, _)| declared == name).map(|(_, of)| of.clone())
    }
}

const TYPE_NAMES: [&str; 10] = ["int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type", "type"];
/// Names before a dot that belong to a function.
const NAMESPACES: [&str; 7] = ["optional", "math", "sets", "base64", "jsonpatch", "format", "cel"];

/// Infers the type of an expression.
///
/// # Errors
/// The first thing that does not fit.
pub fn infer<'a>(expr: &IdedExpr, scope: &mut Scope<'a>) -> Result<Type<'a>, Problem> {
    match &expr.expr {
        Expr::Literal(literal) => Ok(match literal {
            LiteralValue::Boolean(_) => Type::Bool,
            LiteralValue::Bytes(_) => Type::Bytes,
            LiteralValue::Double(_) => Type::Double,
            LiteralValue::Int(_) => Type::Int,
            LiteralValue::Null => Type::Null,
            LiteralValue::String(_) => Type::String,
            LiteralValue::UInt(_) => Type::Uint,
        }),
        Expr::Ident(name) => match scope.find(name) {
            Some(found) => Ok(found),
            None if TYPE_NAMES.contains(&name.as_str()) => Ok(Type::Dyn),
            None => Err(undeclared(name)),
        },
        Expr::Select(select) => self::select(select, scope),
        Expr::Call(call) => self::call(call, scope),
        Expr::List(list) => {
            let mut element = None;
            for (index, item) in list.elements.iter().enumerate() {
                let mut found = infer(item, scope)?;
                if list.optional_indices.contains(&index)
                    && let Type::Optional(inner) = found
                {
                    found = *inner;
                }
                element = Some(element.map_or(found.clone(), |before| unify(before, &found)));
            }
            Ok(Type::List(Box::new(element.unwrap_or(Type::Dyn))))
        }
        Expr::Map(map) => {
            let mut value = None;
            for entry in &map.entries {
                if let EntryExpr::MapEntry(entry) = &entry.expr {
                    infer(&entry.key, scope)?;
                    let found = infer(&entry.value, scope)?;
                    value = Some(value.map_or(found.clone(), |before| unify(before, &found)));
                }
            }
            Ok(Type::Map(Box::new(value.unwrap_or(Type::Dyn))))
        }
        Expr::Comprehension(loops) => {
            let range = infer(&loops.iter_range, scope)?;
            let element = match range {
                Type::List(element) => *element,
                Type::Map(_) | Type::Object(_) | Type::Metadata | Type::Fields(_) => Type::String,
                Type::Dyn | Type::Optional(_) | Type::Named(_) => Type::Dyn,
                other => {
                    let message =
                        format!("expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)");
                    return Err(Problem::new(message, ""));
                }
            };
            let start = infer(&loops.accu_init, scope)?;
            let start = if matches!(start, Type::List(_)) { Type::List(Box::new(Type::Dyn)) } else { start };
            let depth = scope.names.len();
            scope.declare(&loops.accu_var, start.clone());
            scope.declare(&loops.iter_var, element.clone());
            infer(&loops.loop_cond, scope)?;
            let step = infer(&loops.loop_step, scope)?;
            if loops.iter_var != "@unused" && !matches!(start, Type::List(_)) {
                scope.names.truncate(depth);
                scope.declare(&loops.accu_var, unify(start.clone(), &step));
            }
            let result = infer(&loops.result, scope)?;
            scope.names.truncate(depth);
            // `map` appends to a list whose element type is not known yet: what is appended tells.
            Ok(match (start, step, result) {
                (Type::List(_), Type::List(element), Type::List(_)) => Type::List(element),
                (_, _, result) => result,
            })
        }
        Expr::Struct(literal) => {
            for (_, value) in objects::fields(literal) {
                infer(value, scope)?;
            }
            match objects::unknown_field(literal) {
                Some(field) => Err(Problem::new(format!("undefined field '{field}'"), format!("{field}:"))),
                None => Ok(Type::Named(literal.type_name.clone())),
            }
        }
        Expr::Unspecified => Ok(Type::Dyn),
    }
}

fn undeclared(name: &str) -> Problem {
    Problem::new(format!("undeclared reference to '{name}' (in container '')"), name)
}

fn unify<'a>(a: Type<'a>, b: &Type<'a>) -> Type<'a> {
    match (&a, b) {
        (Type::Named(one), Type::Named(other)) if one != other => Type::Dyn,
        _ if std::mem::discriminant(&a) == std::mem::discriminant(b) => a,
        _ => Type::Dyn,
    }
}

fn select<'a>(select: &SelectExpr, scope: &mut Scope<'a>) -> Result<Type<'a>, Problem> {
    let operand = infer(&select.operand, scope)?;
    let found = field(&operand, &select.field)?;
    Ok(if select.test { Type::Bool } else { found })
}

fn field<'a>(operand: &Type<'a>, name: &str) -> Result<Type<'a>, Problem> {
    let undefined = || Problem::new(format!("undefined field '{name}'"), format!(".{name}"));
    match operand {
        Type::Dyn | Type::Named(_) => Ok(Type::Dyn),
        Type::Map(value) => Ok((**value).clone()),
        Type::Optional(inner) => Ok(Type::Optional(Box::new(field(inner, name)?))),
        Type::Metadata if matches!(name, "name" | "generateName") => Ok(Type::String),
        Type::Fields(fields) if fields.iter().any(|field| field == name) => Ok(Type::Dyn),
        Type::Object(schema) => {
            let property = unescape(name);
            if schema.resource_root || schema.embedded_resource {
                match property.as_str() {
                    "apiVersion" | "kind" => return Ok(Type::String),
                    "metadata" => return Ok(Type::Metadata),
                    _ => {}
                }
            }
            schema.properties.get(property.as_str()).map(|schema| of_schema(schema)).ok_or_else(undefined)
        }
        Type::Metadata | Type::Fields(_) => Err(undefined()),
        other => Err(Problem::new(format!("type '{other}' does not support field selection"), format!(".{name}"))),
    }
}

fn text_of(expr: &IdedExpr) -> Option<String> {
    match &expr.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner().to_owned()),
        _ => None,
    }
}

/// Whether two types may meet in `==`, `<` and the like.
fn comparable(a: &Type<'_>, b: &Type<'_>) -> bool {
    use std::mem::discriminant;
    match (a, b) {
        (Type::Dyn, _)
        | (_, Type::Dyn)
        | (Type::Object(_) | Type::Metadata | Type::Map(_), Type::Object(_) | Type::Metadata | Type::Map(_)) => true,
        (Type::Null, other) | (other, Type::Null) => {
            !matches!(other, Type::Bool | Type::Int | Type::Uint | Type::Double | Type::String | Type::Bytes)
        }
        (Type::List(a), Type::List(b)) => comparable(a, b),
        (a, b) => discriminant(a) == discriminant(b),
    }
}

fn no_overload(function: &str, args: &[&Type<'_>]) -> Problem {
    let args: Vec<String> = args.iter().map(ToString::to_string).collect();
    let symbol: String = function.chars().filter(|c| *c != '_' && *c != '@').collect();
    Problem::new(format!("found no matching overload for '{function}' applied to '({})'", args.join(", ")), symbol)
}

fn number_like(of: &Type<'_>) -> bool {
    matches!(of, Type::Int | Type::Uint | Type::Double)
}

fn arithmetic<'a>(function: &str, a: &Type<'a>, b: &Type<'a>) -> Result<Type<'a>, Problem> {
    Ok(match (function, a, b) {
        (_, Type::Dyn, _) | (_, _, Type::Dyn) => Type::Dyn,
        (_, Type::Int, Type::Int) => Type::Int,
        (_, Type::Uint, Type::Uint) => Type::Uint,
        (operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE, Type::Double, Type::Double) => Type::Double,
        (operators::ADD, Type::String, Type::String) => Type::String,
        (operators::ADD, Type::Bytes, Type::Bytes) => Type::Bytes,
        (operators::ADD, Type::List(a), Type::List(b)) => Type::List(Box::new(unify((**a).clone(), b))),
        (operators::ADD | operators::SUBSTRACT, Type::Duration, Type::Duration)
        | (operators::SUBSTRACT, Type::Timestamp, Type::Timestamp) => Type::Duration,
        (operators::ADD | operators::SUBSTRACT, Type::Timestamp, Type::Duration) | (operators::ADD, Type::Duration, Type::Timestamp) => {
            Type::Timestamp
        }
        _ => return Err(no_overload(function, &[a, b])),
    })
}

fn call<'a>(call: &CallExpr, scope: &mut Scope<'a>) -> Result<Type<'a>, Problem> {
    let name = call.func_name.as_str();
    let target = match call.target.as_deref() {
        None => None,
        Some(IdedExpr { expr: Expr::Ident(namespace), .. })
            if NAMESPACES.contains(&namespace.as_str()) && scope.find(namespace).is_none() =>
        {
            for arg in &call.args {
                infer(arg, scope)?;
            }
            return Ok(namespaced(namespace, name, call, scope));
        }
        Some(target) => Some(infer(target, scope)?),
    };
    if name == operators::OPT_SELECT
        && let [operand, field_name] = call.args.as_slice()
    {
        let operand = infer(operand, scope)?;
        let found = text_of(field_name).map_or(Ok(Type::Dyn), |name| field(&operand, &name))?;
        return Ok(match found {
            Type::Optional(_) => found,
            other => Type::Optional(Box::new(other)),
        });
    }
    let mut args = Vec::with_capacity(call.args.len());
    for arg in &call.args {
        args.push(infer(arg, scope)?);
    }
    match (name, args.as_slice()) {
        (operators::CONDITIONAL, [condition, yes, no]) => match condition {
            Type::Bool | Type::Dyn => Ok(unify(yes.clone(), no)),
            _ => Err(no_overload(name, &[condition, yes, no])),
        },
        (operators::LOGICAL_AND | operators::LOGICAL_OR, [a, b]) => {
            if [a, b].iter().all(|one| matches!(one, Type::Bool | Type::Dyn)) {
                Ok(Type::Bool)
            } else {
                Err(no_overload(name, &[a, b]))
            }
        }
        (operators::LOGICAL_NOT, [a]) => {
            if matches!(a, Type::Bool | Type::Dyn) {
                Ok(Type::Bool)
            } else {
                Err(no_overload(name, &[a]))
            }
        }
        (operators::EQUALS | operators::NOT_EQUALS, [a, b]) => {
            if comparable(a, b) {
                Ok(Type::Bool)
            } else {
                Err(no_overload(name, &[a, b]))
            }
        }
        (operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS, [a, b]) => {
            if comparable(a, b) || number_like(a) && number_like(b) { Ok(Type::Bool) } else { Err(no_overload(name, &[a, b])) }
        }
        (operators::IN, [element, container]) => match container {
            Type::List(of) if !comparable(element, of) => Err(no_overload(name, &[element, container])),
            Type::List(_) | Type::Map(_) | Type::Dyn | Type::Object(_) | Type::Fields(_) => Ok(Type::Bool),
            _ => Err(no_overload(name, &[element, container])),
        },
        (operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO, [a, b]) => {
            arithmetic(name, a, b)
        }
        (operators::NEGATE, [a]) => Ok(a.clone()),
        (operators::INDEX, [container, index]) => match container {
            Type::List(element) => {
                if matches!(index, Type::Int | Type::Uint | Type::Double | Type::Dyn) {
                    Ok((**element).clone())
                } else {
                    Err(no_overload(name, &[container, index]))
                }
            }
            Type::Map(value) => Ok((**value).clone()),
            Type::Dyn | Type::Optional(_) | Type::Fields(_) => Ok(Type::Dyn),
            other => Err(no_overload(name, &[other, index])),
        },
        (operators::OPT_INDEX, [container, _]) => Ok(Type::Optional(Box::new(match container {
            Type::List(value) | Type::Map(value) => (**value).clone(),
            _ => Type::Dyn,
        }))),
        (operators::NOT_STRICTLY_FALSE, _) => Ok(Type::Bool),
        _ => function(name, target.as_ref(), &args),
    }
}

fn namespaced<'a>(namespace: &str, name: &str, call: &CallExpr, scope: &mut Scope<'a>) -> Type<'a> {
    match (namespace, name) {
        ("optional", "of" | "ofNonZeroValue") => {
            let inner = call.args.first().and_then(|arg| infer(arg, scope).ok()).unwrap_or(Type::Dyn);
            Type::Optional(Box::new(inner))
        }
        ("optional", _) => Type::Optional(Box::new(Type::Dyn)),
        ("sets", _) => Type::Bool,
        ("base64", "encode") | ("jsonpatch", _) => Type::String,
        ("base64", "decode") => Type::Bytes,
        _ => Type::Dyn,
    }
}

/// Return types of functions by name; a name with several has none.
fn function<'a>(name: &str, target: Option<&Type<'a>>, args: &[Type<'a>]) -> Result<Type<'a>, Problem> {
    let first = target.or(args.first());
    Ok(match name {
        "size" | "int" | "getFullYear" | "getMonth" | "getDayOfYear" | "getDayOfMonth" | "getDate" | "getDayOfWeek" | "getHours"
        | "getMinutes" | "getSeconds" | "getMilliseconds" | "indexOf" | "lastIndexOf" | "compareTo" | "sign" | "major" | "minor"
        | "patch" | "asInteger" | "family" | "prefixLength" => Type::Int,
        "contains"
        | "startsWith"
        | "endsWith"
        | "matches"
        | "isSorted"
        | "isURL"
        | "isIP"
        | "isCIDR"
        | "isQuantity"
        | "isSemver"
        | "isInteger"
        | "isGreaterThan"
        | "isLessThan"
        | "bool"
        | "hasValue"
        | "allowed"
        | "errored"
        | "isUnspecified"
        | "isLoopback"
        | "isLinkLocalMulticast"
        | "isLinkLocalUnicast"
        | "isGlobalUnicast"
        | "containsIP"
        | "containsCIDR"
        | "isCanonical"
        | "ip.isCanonical" => Type::Bool,
        "string" | "lowerAscii" | "upperAscii" | "trim" | "replace" | "substring" | "join" | "charAt" | "find" | "format" | "getScheme"
        | "getHost" | "getHostname" | "getPort" | "getEscapedPath" | "reason" | "error" | "quote" => Type::String,
        "findAll" | "split" => Type::List(Box::new(Type::String)),
        "uint" => Type::Uint,
        "double" | "asApproximateFloat" => Type::Double,
        "bytes" => Type::Bytes,
        "timestamp" => Type::Timestamp,
        "duration" => Type::Duration,
        "getQuery" => Type::Map(Box::new(Type::List(Box::new(Type::String)))),
        "reverse" | "sort" | "distinct" | "slice" | "flatten" | "or" => first.cloned().unwrap_or(Type::Dyn),
        "value" => match first {
            Some(Type::Optional(inner)) => (**inner).clone(),
            _ => Type::Dyn,
        },
        "orValue" => match (first, args.last()) {
            (Some(Type::Optional(inner)), Some(other)) => unify((**inner).clone(), other),
            _ => Type::Dyn,
        },
        "dyn" | "type" | "min" | "max" | "sum" | "quantity" | "add" | "sub" | "url" | "ip" | "cidr" | "semver" | "masked" | "optMap"
        | "optFlatMap" | "validate" | "path" | "group" | "serviceAccount" | "resource" | "subresource" | "namespace" | "name" | "check"
        | "fieldSelector" | "labelSelector" | "range" | "first" | "last" | "unwrapOpt" | "lists" | "dns1123Label" | "dns1123Subdomain"
        | "named" => Type::Dyn,
        other => return Err(undeclared(other)),
    })
}
