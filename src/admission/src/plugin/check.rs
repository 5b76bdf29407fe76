//! The type of an expression, or what is wrong with it, in the words of the compiler that KubeVirt uses.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr, StructExpr, operators};
use cel::parser::Parser;

use super::functions::{self, Misfit};
use super::nesting::{self, Unfit};
use super::types::{self, Naming, Type};

/// Deepest nesting the parser takes; brackets are counted before, see [`nesting`].
const DEEPEST: u16 = 90;
/// Characters of an expression, at most.
const LONGEST: usize = 10_000;
/// Names that stand for types.
const TYPE_NAMES: &[&str] = &["int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type", "type"];
/// Prefixes of library functions.
const LIBRARIES: &[&str] = &["strings", "math", "lists"];

/// What an expression may name.
#[derive(Debug)]
pub(super) struct Environment {
    pub(super) variables: &'static [(&'static str, &'static str)],
    /// The package whose types need no prefix.
    pub(super) container: &'static str,
    pub(super) naming: Naming,
    /// Whether the libraries for strings, lists and numbers are loaded.
    pub(super) extended: bool,
    /// Whether numbers of different types are compared.
    pub(super) compares_numbers: bool,
}

impl Environment {
    /// The type of an expression's value.
    ///
    /// # Errors
    /// Everything that is wrong, one error after the other.
    pub(super) fn type_of(&self, source: &str) -> Result<Type, String> {
        let size = source.chars().count();
        if size > LONGEST {
            return Err(format!("ERROR: <input>:-1:0: expression code point size exceeds limit: size: {size}, limit {LONGEST}"));
        }
        match nesting::check(source) {
            Ok(()) => {}
            Err(Unfit::Nested) => return Err(format!("ERROR: <input>:-1:0: expression recursion limit exceeded: {}", nesting::DEEPEST)),
            Err(Unfit::OpenBracket(close)) => {
                return Err(located(source, source.len(), &format!("Syntax error: mismatched input '<EOF>' expecting '{close}'")));
            }
            Err(Unfit::OpenText(at)) => {
                let rest = source.get(at..).and_then(|rest| rest.lines().next()).unwrap_or_default();
                return Err(located(source, at, &format!("Syntax error: token recognition error at: '{rest}'")));
            }
        }
        let expr = parse(source)?;
        let mut checker = Checker { env: self, source, scope: Vec::new(), problems: Vec::new() };
        let of = checker.infer(&expr);
        let mut problems = checker.problems;
        if problems.is_empty() {
            return Ok(of);
        }
        problems.sort();
        problems.dedup();
        Err(problems.iter().map(|(at, message)| located(source, *at, message)).collect::<Vec<_>>().join("\n"))
    }
}

fn parse(source: &str) -> Result<IdedExpr, String> {
    let parsed = Parser::default().max_recursion_depth(DEEPEST).parse(source);
    parsed.map_err(|errors| {
        let lines = errors.errors.iter().map(|error| {
            let line = usize::try_from(error.pos.0).unwrap_or(1).max(1);
            let column = usize::try_from(error.pos.1).unwrap_or(1).max(1);
            let message = if error.msg.starts_with("Syntax error") { error.msg.clone() } else { format!("Syntax error: {}", error.msg) };
            shown(source, line, column, &message)
        });
        lines.collect::<Vec<_>>().join("\n")
    })
}

/// An error with its line and a caret under the place.
fn shown(source: &str, line: usize, column: usize, message: &str) -> String {
    let snippet = source.lines().nth(line - 1).unwrap_or_default();
    format!("ERROR: <input>:{line}:{column}: {message}\n | {snippet}\n | {}^", ".".repeat(column - 1))
}

fn located(source: &str, at: usize, message: &str) -> String {
    let before = source.get(..at).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    shown(source, line, column, message)
}

struct Checker<'a> {
    env: &'a Environment,
    source: &'a str,
    scope: Vec<(String, Type)>,
    /// Byte offsets and messages.
    problems: Vec<(usize, String)>,
}

impl Checker<'_> {
    /// Notes a problem at the first place where `needle` stands; the parser does not tell places.
    fn problem(&mut self, needle: &str, message: String) -> Type {
        self.problems.push((self.source.find(needle).unwrap_or_default(), message));
        Type::Dyn
    }

    /// Notes a problem at the first `mark` after the first place where `needle` stands.
    fn problem_after(&mut self, needle: &str, mark: char, message: String) -> Type {
        let start = self.source.find(needle).unwrap_or_default();
        let after = start + needle.len();
        let at = self.source.get(after..).and_then(|rest| rest.find(mark)).map_or(start, |offset| after + offset);
        self.problems.push((at, message));
        Type::Dyn
    }

    fn undeclared(&self, name: &str) -> String {
        format!("undeclared reference to '{name}' (in container '{}')", self.env.container)
    }

    fn no_overload(&mut self, function: &str, receiver: Option<&Type>, args: &[Type]) -> Type {
        let args = args.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let applied = receiver.map_or_else(|| format!("({args})"), |receiver| format!("{receiver}.({args})"));
        let message = format!("found no matching overload for '{function}' applied to '{applied}'");
        match function.trim_matches('@').split('_').find(|part| !part.is_empty()) {
            Some(name) if name.starts_with(char::is_alphabetic) && function != operators::IN => self.problem_after(name, '(', message),
            Some(symbol) => self.problem(symbol, message),
            None => self.problem("", message),
        }
    }

    /// A declared name: the innermost loop's first, then the variables.
    fn find(&self, name: &str) -> Option<Type> {
        let local = self.scope.iter().rev().find(|(declared, _)| declared == name).map(|(_, of)| of.clone());
        local.or_else(|| self.env.variables.iter().find(|(variable, _)| *variable == name).map(|(_, of)| Type::Object((*of).to_owned())))
    }

    /// The full name of a type of objects.
    fn object(&self, name: &str) -> Option<String> {
        let name = name.trim_start_matches('.');
        let inside = format!("{}.{name}", self.env.container);
        [inside.as_str(), name].into_iter().find(|full| types::exists(full)).map(str::to_owned)
    }

    fn infer(&mut self, expr: &IdedExpr) -> Type {
        match &expr.expr {
            Expr::Literal(literal) => match literal {
                LiteralValue::Boolean(_) => Type::Bool,
                LiteralValue::Bytes(_) => Type::Bytes,
                LiteralValue::Double(_) => Type::Double,
                LiteralValue::Int(_) => Type::Int,
                LiteralValue::Null => Type::Null,
                LiteralValue::String(_) => Type::String,
                LiteralValue::UInt(_) => Type::Uint,
            },
            Expr::Ident(name) => match self.find(name) {
                Some(of) => of,
                None if TYPE_NAMES.contains(&name.as_str()) || self.object(name).is_some() => Type::Meta,
                None => {
                    let message = self.undeclared(name);
                    self.problem(name, message)
                }
            },
            Expr::Select(select) => self.select(select),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                let elements: Vec<Type> = list.elements.iter().map(|element| self.infer(element)).collect();
                Type::list(common(&elements))
            }
            Expr::Map(map) => {
                let mut values = Vec::new();
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.infer(&entry.key);
                        values.push(self.infer(&entry.value));
                    }
                }
                Type::Map(Box::new(common(&values)))
            }
            Expr::Struct(object) => self.literal(object),
            Expr::Comprehension(loops) => self.loops(loops),
            Expr::Unspecified => Type::Dyn,
        }
    }

    fn select(&mut self, select: &SelectExpr) -> Type {
        if let Some(name) = dotted(select)
            && self.find(name.split('.').next().unwrap_or_default()).is_none()
            && self.object(&name).is_some()
        {
            return Type::Meta;
        }
        let field = &select.field;
        let found = match self.infer(&select.operand) {
            Type::Dyn => Type::Dyn,
            Type::Map(value) => *value,
            Type::Object(object) => match types::field_of(&object, field, self.env.naming) {
                Some(of) => of,
                None => self.problem(&format!(".{field}"), format!("undefined field '{field}'")),
            },
            other => self.problem(&format!(".{field}"), format!("type '{other}' does not support field selection")),
        };
        if select.test { Type::Bool } else { found }
    }

    /// `Domain{Title: "x"}`.
    fn literal(&mut self, object: &StructExpr) -> Type {
        let Some(name) = self.object(&object.type_name) else {
            let message = self.undeclared(&object.type_name);
            return self.problem_after(&object.type_name, '{', message);
        };
        for entry in &object.entries {
            let EntryExpr::StructField(entry) = &entry.expr else { continue };
            let given = self.infer(&entry.value);
            let field = &entry.field;
            match types::field_of(&name, field, self.env.naming) {
                None => {
                    self.problem_after(field, ':', format!("undefined field '{field}'"));
                }
                Some(wanted) if !given.fits(&wanted) => {
                    let message = format!("expected type of field '{field}' is '{wanted}' but provided type is '{given}'");
                    self.problem_after(field, ':', message);
                }
                Some(_) => {}
            }
        }
        Type::Object(name)
    }

    /// What `all`, `exists`, `exists_one`, `map` and `filter` stand for.
    fn loops(&mut self, loops: &ComprehensionExpr) -> Type {
        let element = match self.infer(&loops.iter_range) {
            Type::List(element) => *element,
            Type::Map(_) => Type::String,
            Type::Dyn => Type::Dyn,
            other => {
                let message = format!("expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)");
                self.problem("", message)
            }
        };
        let start = self.infer(&loops.accu_init);
        let depth = self.scope.len();
        self.scope.push((loops.accu_var.clone(), start.clone()));
        self.scope.push((loops.iter_var.clone(), element));
        self.infer(&loops.loop_cond);
        let step = self.infer(&loops.loop_step);
        let result = self.infer(&loops.result);
        self.scope.truncate(depth);
        // What is appended to a list tells the type of its elements.
        if matches!((&start, &step, &result), (Type::List(_), Type::List(_), Type::List(_))) { step } else { result }
    }

    fn call(&mut self, call: &CallExpr) -> Type {
        let name = call.func_name.as_str();
        if let Some(IdedExpr { expr: Expr::Ident(library), .. }) = call.target.as_deref()
            && self.env.extended
            && LIBRARIES.contains(&library.as_str())
            && self.find(library).is_none()
        {
            let args: Vec<Type> = call.args.iter().map(|arg| self.infer(arg)).collect();
            return self.function(&format!("{library}.{name}"), None, &args);
        }
        let receiver = call.target.as_deref().map(|target| self.infer(target));
        let args: Vec<Type> = call.args.iter().map(|arg| self.infer(arg)).collect();
        match (name, args.as_slice()) {
            (operators::NOT_STRICTLY_FALSE, _) => Type::Bool,
            _ if receiver.is_some() => self.function(name, receiver.as_ref(), &args),
            _ => match self.operator(name, &args) {
                Some(Ok(of)) => of,
                Some(Err(())) => self.no_overload(name, None, &args),
                None => self.function(name, None, &args),
            },
        }
    }

    fn function(&mut self, name: &str, receiver: Option<&Type>, args: &[Type]) -> Type {
        match functions::call(name, receiver, args, self.env.extended) {
            Ok(of) => of,
            Err(Misfit::Types) => self.no_overload(name, receiver, args),
            Err(Misfit::Unknown) => {
                let message = self.undeclared(name);
                self.problem_after(name, '(', message)
            }
        }
    }

    /// The result of an operator; `None` for names that are none.
    fn operator(&self, name: &str, args: &[Type]) -> Option<Result<Type, ()>> {
        let holds = |holds: bool, of: Type| Some(if holds { Ok(of) } else { Err(()) });
        match (name, args) {
            (operators::CONDITIONAL, [condition, yes, no]) => {
                holds(condition.fits(&Type::Bool) && yes.fits(no), common(&[yes.clone(), no.clone()]))
            }
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [a, b]) => holds(a.fits(&Type::Bool) && b.fits(&Type::Bool), Type::Bool),
            (operators::LOGICAL_NOT, [a]) => holds(a.fits(&Type::Bool), Type::Bool),
            (operators::EQUALS | operators::NOT_EQUALS, [a, b]) => holds(a.fits(b), Type::Bool),
            (operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS, [a, b]) => {
                let numbers = self.env.compares_numbers && a.is_number() && b.is_number();
                let ordered = |of: &Type| !matches!(of, Type::Null | Type::Meta | Type::List(_) | Type::Map(_) | Type::Object(_));
                holds(numbers || a.fits(b) && ordered(a) && ordered(b), Type::Bool)
            }
            (operators::IN, [element, container]) => match container {
                Type::List(of) => holds(element.fits(of), Type::Bool),
                Type::Map(_) => holds(element.fits(&Type::String), Type::Bool),
                other => holds(*other == Type::Dyn, Type::Bool),
            },
            (operators::INDEX, [container, index]) => match container {
                Type::List(of) => holds(index.fits(&Type::Int), (**of).clone()),
                Type::Map(of) => holds(index.fits(&Type::String), (**of).clone()),
                other => holds(*other == Type::Dyn, Type::Dyn),
            },
            (operators::NEGATE, [a]) => holds(matches!(a, Type::Int | Type::Double | Type::Dyn), a.clone()),
            (operators::ADD | operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO, [a, b]) => {
                Some(arithmetic(name, a, b).ok_or(()))
            }
            _ => None,
        }
    }
}

/// The name that selections of a name spell: `v1.CPU`.
fn dotted(select: &SelectExpr) -> Option<String> {
    let before = match &select.operand.expr {
        Expr::Ident(name) => name.clone(),
        Expr::Select(inner) => dotted(inner)?,
        _ => return None,
    };
    Some(format!("{before}.{}", select.field))
}

/// The type that all have; lists of unknown elements give way to others.
fn common(all: &[Type]) -> Type {
    let Some((first, rest)) = all.split_first() else { return Type::Dyn };
    rest.iter().fold(first.clone(), |a, b| match (&a, b) {
        (Type::List(x), Type::List(y)) if **x == Type::Dyn || **y == Type::Dyn => {
            Type::List(if **x == Type::Dyn { y.clone() } else { x.clone() })
        }
        (Type::Null, Type::Object(_)) => b.clone(),
        (Type::Object(_), Type::Null) => a,
        _ if a == *b => a,
        _ => Type::Dyn,
    })
}

fn arithmetic(name: &str, a: &Type, b: &Type) -> Option<Type> {
    let (add, subtract) = (name == operators::ADD, name == operators::SUBSTRACT);
    Some(match (a, b) {
        (Type::Dyn, _) | (_, Type::Dyn) => Type::Dyn,
        (Type::Int, Type::Int) => Type::Int,
        (Type::Uint, Type::Uint) => Type::Uint,
        (Type::Double, Type::Double) if name != operators::MODULO => Type::Double,
        (Type::String, Type::String) if add => Type::String,
        (Type::Bytes, Type::Bytes) if add => Type::Bytes,
        (Type::List(_), Type::List(_)) if add && a.fits(b) => common(&[a.clone(), b.clone()]),
        (Type::Timestamp, Type::Timestamp) if subtract => Type::Duration,
        (Type::Duration, Type::Duration) if add || subtract => Type::Duration,
        (Type::Timestamp, Type::Duration) if add || subtract => Type::Timestamp,
        (Type::Duration, Type::Timestamp) if add => Type::Timestamp,
        _ => return None,
    })
}
