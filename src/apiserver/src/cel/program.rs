//! Expressions outside of schemas: admission policies, match conditions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use kube_cel::cel::objects::{Key, Map};
use kube_cel::cel::{ExecutionError, IdedExpr, Value as Cel};
use serde_json::Value;

use super::library::{self, AccessCheck, Authorize};
use super::{ast, objects, stack, types, value};

/// Loop iterations that one evaluation may need in the worst case.
pub(crate) const BUDGET: f64 = 2_000_000.0;

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CelError {
    /// It does not compile; the text is what follows `compilation failed: ` in Kubernetes' messages.
    #[error("{0}")]
    Compile(String),
    /// It failed while running: `no such key: x`.
    #[error("{0}")]
    Run(String),
    /// It could need more work than is allowed.
    #[error("operation cancelled: actual cost limit exceeded")]
    Budget,
}

/// What an expression may name.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// Variables, of any type: `object`, `oldObject`, `request`, `params`, `namespaceObject`, `authorizer`.
    pub variables: Vec<String>,
    /// Fields of `variables`: expressions of the policy that come before this one.
    pub composed: Vec<String>,
    /// Whether there are literals of the types of mutating policies: `Object`, its fields' as `Object.spec`, `JSONPatch`.
    pub objects: bool,
}

impl Environment {
    /// The variables of admission policies; `params` and `authorizer` where the place allows them.
    pub fn admission(params: bool, authorizer: bool) -> Self {
        let mut variables: Vec<String> =
            ["object", "oldObject", "request", "namespaceObject"].iter().map(|name| (*name).to_owned()).collect();
        if params {
            variables.push("params".to_owned());
        }
        if authorizer {
            variables.push("authorizer".to_owned());
            variables.push("authorizer.requestResource".to_owned());
        }
        Self { variables, composed: Vec::new(), objects: false }
    }

    /// The same with object literals.
    #[must_use]
    pub fn with_objects(mut self) -> Self {
        self.objects = true;
        self
    }

    /// The same with `variables.NAME`.
    #[must_use]
    pub fn with_composed(mut self, name: impl Into<String>) -> Self {
        self.composed.push(name.into());
        self
    }
}

/// A compiled expression.
#[derive(Debug)]
pub struct Program {
    source: String,
    expr: IdedExpr,
    result: String,
    nesting: u32,
    mismatch: Option<String>,
}

impl Program {
    /// Compiles an expression.
    ///
    /// # Errors
    /// [`CelError::Compile`] for syntax errors, undeclared names and unknown fields of `variables`.
    pub fn compile(source: &str, env: &Environment) -> Result<Self, CelError> {
        let mut expr = ast::parse_with(source, env.objects).map_err(CelError::Compile)?;
        let mut scope = types::Scope::new();
        for name in &env.variables {
            scope.declare(name, types::Type::Dyn);
        }
        if !env.composed.is_empty() {
            scope.declare("variables", types::Type::Fields(env.composed.clone()));
        }
        let (result, nesting, mismatch) = stack::walk(&expr, || {
            let result = types::infer(&expr, &mut scope).map_err(|problem| CelError::Compile(problem.text(source)))?;
            Ok((result.to_string(), ast::nesting(&expr), objects::mismatch(&expr)))
        })?;
        stack::lower(&mut expr);
        Ok(Self { source: source.to_owned(), result, nesting, mismatch, expr })
    }

    /// As it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The type of its value as far as it is known before it runs: `bool`, `string`, `dyn`, …
    pub fn result_type(&self) -> &str {
        &self.result
    }

    /// Whether it names a variable.
    pub fn uses(&self, variable: &str) -> bool {
        ast::uses(&self.expr, variable)
    }

    /// Evaluates.
    ///
    /// # Errors
    /// [`CelError::Run`], or [`CelError::Budget`] when nested loops over the variables could take too long.
    pub fn eval(&self, variables: &Variables<'_>) -> Result<Cel, CelError> {
        if let Some(mismatch) = &self.mismatch {
            return Err(CelError::Run(format!("type mismatch: {mismatch}")));
        }
        if worst_case(variables.widest, self.nesting) > BUDGET {
            return Err(CelError::Budget);
        }
        let mut context = library::base().new_inner_scope();
        for (name, value) in &variables.values {
            if self.uses(name) {
                context.add_variable_from_value(name.as_str(), value.get());
            }
        }
        if let Some(composed) = variables.composed
            && self.uses("variables")
        {
            context.add_variable_from_value("variables", composed.needed_by(&self.expr, variables)?);
        }
        library::resolve(&self.expr, &context).map_err(|error| CelError::Run(run_error(&error)))
    }

    /// Evaluates to a boolean.
    ///
    /// # Errors
    /// As [`Program::eval`], and for any other type.
    pub fn eval_bool(&self, variables: &Variables<'_>) -> Result<bool, CelError> {
        match self.eval(variables)? {
            Cel::Bool(bool) => Ok(bool),
            _ => Err(CelError::Run("cel expression must evaluate to a bool".to_owned())),
        }
    }

    /// Evaluates to a string.
    ///
    /// # Errors
    /// As [`Program::eval`], and for any other type.
    pub fn eval_string(&self, variables: &Variables<'_>) -> Result<String, CelError> {
        match self.eval(variables)? {
            Cel::String(text) => Ok((*text).clone()),
            _ => Err(CelError::Run("cel expression must evaluate to a string".to_owned())),
        }
    }

    /// Evaluates to JSON.
    ///
    /// # Errors
    /// As [`Program::eval`], and for values that have no JSON form.
    pub fn eval_json(&self, variables: &Variables<'_>) -> Result<Value, CelError> {
        value::json(&self.eval(variables)?).ok_or_else(|| CelError::Run("cel expression must evaluate to a JSON value".to_owned()))
    }
}

/// Iterations of `nesting` nested loops over `widest` elements.
pub(crate) fn worst_case(widest: usize, nesting: u32) -> f64 {
    (widest.max(2) as f64).powi(nesting as i32)
}

/// A failure in cel-go's words.
pub(crate) fn run_error(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("no such key: {key}"),
        ExecutionError::UndeclaredReference(name) => format!("no such attribute(s): {name}"),
        ExecutionError::DivisionByZero(_) => "division by zero".to_owned(),
        ExecutionError::RemainderByZero(_) => "modulus by zero".to_owned(),
        ExecutionError::Overflow(..) => "integer overflow".to_owned(),
        ExecutionError::IndexOutOfBounds(Cel::Int(index)) => format!("index out of bounds: {index}"),
        ExecutionError::IndexOutOfBounds(_) => "index out of bounds".to_owned(),
        ExecutionError::FunctionError { message, .. } => message.clone(),
        ExecutionError::NoSuchOverload
        | ExecutionError::ValuesNotComparable(..)
        | ExecutionError::UnsupportedBinaryOperator(..)
        | ExecutionError::UnsupportedUnaryOperator(..)
        | ExecutionError::UnexpectedType { .. }
        | ExecutionError::UnsupportedTargetType { .. } => "no such overload".to_owned(),
        other => other.to_string(),
    }
}

#[derive(Clone)]
enum Bound<'a> {
    Json(&'a Value),
    Cel(Cel),
}

impl Bound<'_> {
    fn get(&self) -> Cel {
        match self {
            Self::Json(value) => value::untyped(value),
            Self::Cel(value) => value.clone(),
        }
    }
}

/// Values for one evaluation; JSON is converted only when an expression names it.
#[derive(Clone, Default)]
pub struct Variables<'a> {
    values: BTreeMap<String, Bound<'a>>,
    composed: Option<&'a Composed<'a>>,
    widest: usize,
}

impl<'a> Variables<'a> {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Binds a name to JSON.
    #[must_use]
    pub fn with(mut self, name: &str, value: &'a Value) -> Self {
        self.widest = self.widest.max(value::widest(value));
        self.values.insert(name.to_owned(), Bound::Json(value));
        self
    }

    /// Binds `authorizer`, whose `requestResource` is the request under admission.
    #[must_use]
    pub fn with_authorizer(mut self, authorizer: Arc<dyn Authorize>, request: Option<AccessCheck>) -> Self {
        if let Some(check) = request {
            let resource = library::request_resource(authorizer.clone(), check);
            self.values.insert("authorizer.requestResource".to_owned(), Bound::Cel(resource));
        }
        self.values.insert("authorizer".to_owned(), Bound::Cel(library::authorizer(authorizer)));
        self
    }

    /// Binds `variables`.
    #[must_use]
    pub fn with_composed(mut self, composed: &'a Composed<'a>) -> Self {
        self.composed = Some(composed);
        self
    }
}

/// The `variables` of a policy: named expressions, evaluated when first needed.
pub struct Composed<'a> {
    programs: &'a [(String, Program)],
    known: Mutex<BTreeMap<String, Result<Cel, CelError>>>,
}

impl<'a> Composed<'a> {
    /// Over named expressions, each of which may refer to those before it.
    pub fn new(programs: &'a [(String, Program)]) -> Self {
        Self { programs, known: Mutex::default() }
    }

    fn needed_by(&self, expr: &IdedExpr, variables: &Variables<'_>) -> Result<Cel, CelError> {
        let fields = ast::fields_of(expr, "variables");
        let mut map = std::collections::HashMap::new();
        for (name, program) in self.programs {
            if fields.as_ref().is_some_and(|fields| !fields.contains(name)) {
                continue;
            }
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
            let value = if let Some(value) = known {
                value
            } else {
                let value = program.eval(variables);
                self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), value.clone());
                value
            };
            let value = value.map_err(|error| match error {
                CelError::Run(text) => CelError::Run(format!("composited variable {name:?} fails to evaluate: {text}")),
                other => other,
            })?;
            map.insert(Key::String(Arc::new(name.clone())), value);
        }
        Ok(Cel::Map(Map { map: Arc::new(map) }))
    }
}
