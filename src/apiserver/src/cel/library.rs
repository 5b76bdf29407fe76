//! Functions that neither `cel` nor `kube-cel` has: `type`, `dyn`, `bool`, and the authorizer of admission policies.

use std::fmt;
use std::sync::{Arc, LazyLock};

use kube_cel::KubeCelExt as _;
use kube_cel::cel::extractors::This;
use kube_cel::cel::objects::Opaque;
use kube_cel::cel::{Context, ExecutionError, IdedExpr, Value};

type Outcome = Result<Value, ExecutionError>;

/// A request that an expression asks the authorizer about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessCheck {
    /// `serviceAccount(namespace, name)`; the requesting user when `None`.
    pub service_account: Option<(String, String)>,
    /// `path('/healthz')`: a non-resource request.
    pub path: Option<String>,
    /// API group.
    pub group: String,
    /// Plural resource.
    pub resource: String,
    /// Subresource, or empty.
    pub subresource: String,
    /// Namespace, or empty for all.
    pub namespace: String,
    /// Name, or empty for all.
    pub name: String,
    /// `fieldSelector('…')`.
    pub field_selector: String,
    /// `labelSelector('…')`.
    pub label_selector: String,
    /// The verb.
    pub verb: String,
}

/// Answers `authorizer` in expressions.
pub trait Authorize: Send + Sync {
    /// Whether the request is allowed, and the authorizer's reason.
    ///
    /// # Errors
    /// The text that `error()` gives in the expression.
    fn check(&self, check: &AccessCheck) -> Result<(bool, String), String>;
}

struct TypeName(&'static str);

impl fmt::Debug for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl PartialEq for TypeName {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for TypeName {}

impl Opaque for TypeName {
    fn runtime_type_name(&self) -> &'static str {
        "type"
    }
}

const TYPES: [&str; 10] = ["int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type", "type"];

/// An authorizer, or a request to it being put together, in an expression.
#[derive(Clone)]
struct Asking {
    authorizer: Arc<dyn Authorize>,
    check: AccessCheck,
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Asking").field(&self.check).finish()
    }
}

impl PartialEq for Asking {
    fn eq(&self, other: &Self) -> bool {
        self.check == other.check
    }
}

impl Eq for Asking {}

impl Opaque for Asking {
    fn runtime_type_name(&self) -> &'static str {
        "kubernetes.authorization.Authorizer"
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Decision {
    allowed: bool,
    reason: String,
    error: Option<String>,
}

impl Opaque for Decision {
    fn runtime_type_name(&self) -> &'static str {
        "kubernetes.authorization.Decision"
    }
}

/// The value of `authorizer`.
pub(crate) fn authorizer(authorizer: Arc<dyn Authorize>) -> Value {
    Value::Opaque(Arc::new(Asking { authorizer, check: AccessCheck::default() }))
}

/// The value of `authorizer.requestResource`.
pub(crate) fn request_resource(authorizer: Arc<dyn Authorize>, check: AccessCheck) -> Value {
    Value::Opaque(Arc::new(Asking { authorizer, check }))
}

fn opaque<T: 'static>(value: &Value) -> Result<&T, ExecutionError> {
    match value {
        Value::Opaque(opaque) => opaque.downcast_ref::<T>().ok_or(ExecutionError::NoSuchOverload),
        _ => Err(ExecutionError::NoSuchOverload),
    }
}

fn refine(value: &Value, change: impl FnOnce(&mut AccessCheck)) -> Outcome {
    let mut asking = opaque::<Asking>(value)?.clone();
    change(&mut asking.check);
    Ok(Value::Opaque(Arc::new(asking)))
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Int(_) => "int",
        Value::UInt(_) => "uint",
        Value::Float(_) => "double",
        Value::Bool(_) => "bool",
        Value::String(_) => "string",
        Value::Bytes(_) => "bytes",
        Value::List(_) => "list",
        Value::Map(_) => "map",
        Value::Null => "null_type",
        Value::Duration(_) => "google.protobuf.Duration",
        Value::Timestamp(_) => "google.protobuf.Timestamp",
        Value::Opaque(opaque) if opaque.runtime_type_name() == "type" => "type",
        Value::Opaque(_) | Value::Function(..) => "opaque",
    }
}

fn to_bool(value: &Value) -> Outcome {
    match value {
        Value::Bool(_) => Ok(value.clone()),
        Value::String(text) => match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            other => Err(ExecutionError::function_error("bool", format!("strconv.ParseBool: parsing {other:?}: invalid syntax"))),
        },
        _ => Err(ExecutionError::NoSuchOverload),
    }
}

/// The library's own does not notice overflow.
fn sum(value: &Value) -> Outcome {
    let Value::List(list) = value else { return Err(ExecutionError::NoSuchOverload) };
    let overflow = || ExecutionError::function_error("sum", "integer overflow");
    let mut items = list.iter();
    let Some(first) = items.next() else { return Ok(Value::Int(0)) };
    items.try_fold(first.clone(), |sum, item| match (sum, item) {
        (Value::Int(a), Value::Int(b)) => a.checked_add(*b).map(Value::Int).ok_or_else(overflow),
        (Value::UInt(a), Value::UInt(b)) => a.checked_add(*b).map(Value::UInt).ok_or_else(overflow),
        (Value::Float(a), Value::Float(b)) => Ok(Value::Float(a + b)),
        (sum @ Value::Duration(_), item @ Value::Duration(_)) => sum + item.clone(),
        _ => Err(ExecutionError::NoSuchOverload),
    })
}

/// Evaluates an expression. A panic of the library is an error of the expression: expressions are data that clients
/// bring, and must not end the request's task.
pub(crate) fn resolve(expr: &IdedExpr, context: &Context<'_>) -> Outcome {
    let run = || std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Value::resolve(expr, context)));
    super::stack::walk(expr, run)
        .unwrap_or_else(|_| Err(ExecutionError::function_error("evaluate", "internal error: the expression cannot be evaluated")))
}

/// Every function, and the names of types; shared by all evaluations.
pub(crate) fn base() -> &'static Context<'static> {
    static BASE: LazyLock<Context<'static>> = LazyLock::new(|| {
        let mut context = Context::default().with_all();
        for name in TYPES {
            context.add_variable_from_value(name, Value::Opaque(Arc::new(TypeName(name))));
        }
        context.add_function("type", |value: Value| -> Outcome { Ok(Value::Opaque(Arc::new(TypeName(type_name(&value))))) });
        context.add_function("dyn", |value: Value| -> Outcome { Ok(value) });
        context.add_function("bool", |value: Value| -> Outcome { to_bool(&value) });
        context.add_function("sum", |This(this): This<Value>| -> Outcome { sum(&this) });
        authorizer_functions(&mut context);
        context
    });
    &BASE
}

fn authorizer_functions(context: &mut Context<'_>) {
    context.add_function("path", |This(this): This<Value>, path: Arc<String>| -> Outcome {
        refine(&this, |check| check.path = Some((*path).clone()))
    });
    context.add_function("group", |This(this): This<Value>, group: Arc<String>| -> Outcome {
        refine(&this, |check| check.group.clone_from(&group))
    });
    context.add_function("serviceAccount", |This(this): This<Value>, namespace: Arc<String>, name: Arc<String>| -> Outcome {
        refine(&this, |check| check.service_account = Some(((*namespace).clone(), (*name).clone())))
    });
    context.add_function("resource", |This(this): This<Value>, resource: Arc<String>| -> Outcome {
        refine(&this, |check| check.resource.clone_from(&resource))
    });
    context.add_function("subresource", |This(this): This<Value>, subresource: Arc<String>| -> Outcome {
        refine(&this, |check| check.subresource.clone_from(&subresource))
    });
    context.add_function("namespace", |This(this): This<Value>, namespace: Arc<String>| -> Outcome {
        refine(&this, |check| check.namespace.clone_from(&namespace))
    });
    context.add_function("name", |This(this): This<Value>, name: Arc<String>| -> Outcome {
        refine(&this, |check| check.name.clone_from(&name))
    });
    context.add_function("fieldSelector", |This(this): This<Value>, selector: Arc<String>| -> Outcome {
        refine(&this, |check| check.field_selector.clone_from(&selector))
    });
    context.add_function("labelSelector", |This(this): This<Value>, selector: Arc<String>| -> Outcome {
        refine(&this, |check| check.label_selector.clone_from(&selector))
    });
    context.add_function("check", |This(this): This<Value>, verb: Arc<String>| -> Outcome {
        let asking = opaque::<Asking>(&this)?;
        let check = AccessCheck { verb: (*verb).clone(), ..asking.check.clone() };
        let decision = match asking.authorizer.check(&check) {
            Ok((allowed, reason)) => Decision { allowed, reason, error: None },
            Err(error) => Decision { allowed: false, reason: String::new(), error: Some(error) },
        };
        Ok(Value::Opaque(Arc::new(decision)))
    });
    context.add_function("allowed", |This(this): This<Value>| -> Outcome { Ok(Value::Bool(opaque::<Decision>(&this)?.allowed)) });
    context.add_function("reason", |This(this): This<Value>| -> Outcome {
        Ok(Value::String(Arc::new(opaque::<Decision>(&this)?.reason.clone())))
    });
    context.add_function("errored", |This(this): This<Value>| -> Outcome { Ok(Value::Bool(opaque::<Decision>(&this)?.error.is_some())) });
    context.add_function("error", |This(this): This<Value>| -> Outcome {
        Ok(Value::String(Arc::new(opaque::<Decision>(&this)?.error.clone().unwrap_or_default())))
    });
}
